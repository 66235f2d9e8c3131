"""Conversations about remembering, made from our own lines: the person tells something, later asks for it back.

Half of the names are invented from syllables, so that a model can only answer by copying from the
conversation. In a part of them nothing was told, and the right reply is to say so. Saying words back on request
trains the same ability in a denser form.
"""

import random
import re

from training.corpus import Conversation, Line

NAMES = [
    "Ada",
    "Ben",
    "Clara",
    "Dmitri",
    "Elif",
    "Farid",
    "Grace",
    "Hugo",
    "Ines",
    "Jonas",
    "Kofi",
    "Lena",
    "Mateo",
    "Nadia",
    "Omar",
    "Priya",
    "Quinn",
    "Rosa",
    "Sven",
    "Tara",
    "Umar",
    "Vera",
    "Wanda",
    "Xavier",
    "Yuki",
    "Zoe",
    "Alex",
    "Sam",
    "Maria",
    "John",
    "Anna",
    "Peter",
    "Linda",
    "Ahmed",
    "Chen",
    "Olga",
    "Luca",
    "Emma",
    "Noah",
    "Mia",
    "Liam",
    "Olivia",
    "Sophie",
    "Max",
    "Tom",
    "Kate",
    "Julia",
    "David",
    "Sarah",
    "Mark",
    "Laura",
    "Paul",
    "Nina",
    "Felix",
    "Ivan",
    "Aisha",
    "Carlos",
    "Mei",
    "Raj",
    "Fatima",
    "Leo",
    "Hannah",
    "Oscar",
    "Ella",
    "Victor",
    "Amir",
    "Bianca",
    "Diego",
    "Freya",
    "Gus",
    "Helen",
    "Igor",
    "Jade",
    "Kim",
    "Lucy",
    "Mona",
    "Nick",
    "Otto",
    "Pam",
    "Ravi",
    "Steve",
]
CITIES = [
    "Berlin",
    "Lisbon",
    "Oslo",
    "Lagos",
    "Lima",
    "Kyoto",
    "Toronto",
    "Dublin",
    "Cairo",
    "Mumbai",
    "Boston",
    "Vienna",
    "Seoul",
    "Nairobi",
    "Prague",
    "Madrid",
    "Chicago",
    "Athens",
    "Porto",
    "Leeds",
    "Austin",
    "Quito",
    "Hanoi",
    "Bergen",
    "Ghent",
    "Turin",
    "Denver",
    "Izmir",
]
JOBS = [
    "nurse",
    "teacher",
    "plumber",
    "baker",
    "welder",
    "pilot",
    "chef",
    "lawyer",
    "farmer",
    "painter",
    "driver",
    "vet",
    "gardener",
    "electrician",
    "librarian",
    "dentist",
    "carpenter",
    "designer",
    "programmer",
    "waiter",
    "postman",
]
PETS = ["cat", "dog", "rabbit", "parrot", "hamster", "tortoise", "horse", "goldfish"]
FOODS = [
    "pizza",
    "ramen",
    "lasagne",
    "sushi",
    "pancakes",
    "tacos",
    "curry",
    "dumplings",
    "risotto",
    "falafel",
    "paella",
    "soup",
    "waffles",
    "goulash",
    "pierogi",
]
COLOURS = ["blue", "green", "red", "yellow", "purple", "orange", "turquoise", "pink", "black", "white", "grey"]
SYLLABLES = [
    "ka",
    "lo",
    "mi",
    "ra",
    "te",
    "su",
    "vin",
    "dor",
    "el",
    "an",
    "ri",
    "bo",
    "na",
    "shi",
    "ze",
    "tal",
    "mar",
    "ju",
    "pe",
    "quo",
    "fen",
    "gar",
    "hil",
    "wen",
    "dra",
]

# Small talk in which somebody gives a name would make the question ambiguous.
NAMED = re.compile(r"\b(name|call me|i'?m [A-Z]|I am [A-Z])")
# What is told, the reply to it, the question that asks for it back, and the reply to that.
FACTS = {
    "name": (
        [
            "my name is {x}",
            "I'm {x}",
            "im {x}",
            "Hi, I'm {x}!",
            "call me {x}",
            "hello, my name is {x}.",
            "hey, {x} here",
            "My name's {x}, by the way.",
            "you can call me {x}",
            "I am {x}, nice to meet you",
        ],
        [
            "Nice to meet you, {x}! How is your day going?",
            "Hello, {x}! What's on your mind?",
            "Hi {x}, good to meet you. How are you?",
            "{x}, got it. What shall we talk about?",
        ],
        [
            "what's my name?",
            "do you remember my name?",
            "what is my name",
            "whats my name",
            "who am i?",
            "Do you still know my name?",
            "and what was my name again?",
            "hi again! do you know who I am?",
        ],
        ["Your name is {x}.", "You're {x}.", "{x}, of course.", "You told me your name is {x}."],
    ),
    "city": (
        ["I live in {x}", "i'm from {x}", "I moved to {x} last year", "greetings from {x}"],
        ["{x}! What is it like there?", "How do you like {x}?", "{x}, nice. What brought you there?"],
        ["where do I live?", "which city am I in?", "do you remember where I'm from?", "where am i from"],
        ["You're in {x}.", "{x}, you told me.", "In {x}."],
    ),
    "job": (
        ["I work as a {x}", "i'm a {x}", "I'm a {x} by trade", "my job? i'm a {x}"],
        ["A {x}! How do you like it?", "What is the best part of being a {x}?", "A {x}. Long day?"],
        ["what do I do for work?", "do you remember my job?", "what's my job", "what do i do for a living"],
        ["You work as a {x}.", "You're a {x}.", "You told me you're a {x}."],
    ),
    "food": (
        ["my favourite food is {x}", "I love {x}", "i could eat {x} every day"],
        ["{x} is a fine choice. Do you make it yourself?", "Now I see why. How do you like your {x}?"],
        ["what's my favourite food?", "what food do I like?", "which food do i love"],
        ["It's {x}.", "{x}, you told me.", "You like {x}."],
    ),
    "colour": (
        ["my favourite colour is {x}", "I like the color {x} best", "i love {x}, it's my colour"],
        ["{x} it is. Do you wear it, too?", "A good colour, {x}. What do you like about it?"],
        ["what's my favourite colour?", "which color do I like?", "do you remember my favourite color"],
        ["It's {x}.", "{x}, you said.", "You like {x} best."],
    ),
    "pet": (
        [
            "my {p} is called {x}",
            "I have a {p} named {x}",
            "i just got a {p}, her name is {x}",
            "{x}, my {p}, is asleep",
        ],
        ["{x} is a lovely name for a {p}. How is {x} today?", "Hello to {x}! What is the {p} up to?"],
        ["what's my {p} called?", "do you remember my {p}'s name?", "what is the name of my {p}"],
        ["Your {p} is called {x}.", "{x}, your {p}.", "It's {x}."],
    ),
}
UNKNOWN = {
    "name": ["You haven't told me your name yet. What should I call you?", "I don't know it yet. What's your name?"],
    "city": ["You haven't told me where you live. Where is it?", "I don't know yet. Where are you?"],
    "job": ["You haven't told me. What do you do?", "I don't know yet. What is your work?"],
    "food": ["You haven't told me yet. What do you like to eat?"],
    "colour": ["You haven't said. Which colour is it?"],
    "pet": ["You haven't told me its name. What is it?"],
}


def make_recall(count: int, between: list[Conversation], rng: random.Random) -> list[Conversation]:
    """Return ``count`` conversations; ``between`` gives the small talk that passes before the question."""
    between = [one for one in between if not any(NAMED.search(line.text) for line in one.lines)]
    return [_one(between, rng) for _ in range(count)]


ECHO = [
    "say {x}",
    "repeat after me: {x}",
    "please say: {x}",
    "can you say {x}?",
    "Repeat this: {x}",
    "say exactly this: {x}",
    "the word of the day is {x}, say it back",
    "echo {x}",
    "read this back to me: {x}",
]


def make_echo(count: int, rng: random.Random) -> list[Conversation]:
    """Return ``count`` conversations in which the bot says back what it was given, mostly invented words."""
    made = []
    for _ in range(count):
        lines: list[Line] = []
        for _ in range(rng.randint(1, 4)):
            words = [_value(rng.choice(["name", "name", "city", "food", "job"]), rng) for _ in range(rng.randint(1, 6))]
            x = " ".join(word.lower() if rng.random() < 0.5 else word for word in words)
            lines += [Line("user", rng.choice(ECHO).format(x=x)), Line("assistant", x, "plain")]
        made.append(Conversation(source="echo", lines=lines))
    return made


def _one(between: list[Conversation], rng: random.Random) -> Conversation:
    # Names are what people ask for most.
    told = list(dict.fromkeys(rng.choices(list(FACTS), weights=[8, 2, 2, 1, 1, 2], k=rng.choice([1, 1, 1, 2, 3]))))
    values = {kind: (_value(kind, rng), rng.choice(PETS)) for kind in FACTS}
    lines: list[Line] = []
    for kind in told:
        x, p = values[kind]
        say, answer, _, _ = FACTS[kind]
        lines += _pair(rng.choice(say), rng.choice(answer), x, p, "plain")
        lines += _small_talk(between, rng, 2)
    lines += _small_talk(between, rng, 3)
    asked = [*rng.sample(told, len(told)), *([rng.choice(list(FACTS))] if rng.random() < 0.25 else [])]
    if rng.random() < 0.12:  # asked before anything was told
        asked, told, lines = [rng.choice(list(FACTS))], [], _small_talk(between, rng, 1)
    for kind in asked:
        x, p = values[kind]
        _, _, ask, tell = FACTS[kind]
        lines += _pair(rng.choice(ask), rng.choice(tell if kind in told else UNKNOWN[kind]), x, p, "plain")
    return Conversation(source="recall", lines=lines)


def _pair(user: str, assistant: str, x: str, p: str, tone: str) -> list[Line]:
    reply = assistant.format(x=x, p=p)
    return [Line("user", user.format(x=x, p=p)), Line("assistant", reply[0].upper() + reply[1:], tone)]


def _small_talk(between: list[Conversation], rng: random.Random, most: int) -> list[Line]:
    lines = rng.choice(between).lines
    return lines[: 2 * rng.randint(0, most)]


def _value(kind: str, rng: random.Random) -> str:
    if kind in ("name", "pet"):
        invented = "".join(rng.choices(SYLLABLES, k=rng.choice([2, 2, 3]))).capitalize()
        name = invented if rng.random() < 0.5 else rng.choice(NAMES)
        return name.lower() if rng.random() < 0.1 else name
    return rng.choice({"city": CITIES, "job": JOBS, "food": FOODS, "colour": COLOURS}[kind])
