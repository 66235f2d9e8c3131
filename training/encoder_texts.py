"""The texts that the starter encoder learns from and is measured on: where they come from, and how much each counts.

Labelled texts lie in a folder that the recipe is told; our own conversations come with the repository (training/data).
Nothing here knows the model.
"""

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.corpus import OWN
from training.recall import CITIES, FACTS, NAMES, PETS
from workers.engine.sentiment import LABELS

# How much a text of each source counts. The bot's own kind of talk counts most.
WEIGHTS = {
    "tweets": 1.0,
    "goemotions": 0.7,
    "rapport_written": 2.0,
    "rapport_authored": 0.5,
    "plain_facts": 0.5,
    "irony": 0.5,
}
VALID = ("tweets", "goemotions", "rapport_written")
SHORT_ANSWERS = [
    "yes", "no", "ok", "okay", "yep", "yeah", "nope", "nah", "sure", "maybe", "perhaps", "not yet", "not really",
    "no idea", "i don't know", "idk", "hmm", "i see", "right", "no thanks", "never mind", "nothing", "nothing else",
    "that's all", "what?", "why?", "how?", "when?", "where?", "which one?", "and then?", "go on", "monday",
    "on tuesday", "next week", "tomorrow", "today", "it's 8 pm", "later", "not now", "the first one", "the blue one",
    "both", "neither", "good morning", "good evening", "bye", "see you", "hi again", "i'm back", "wait", "one moment",
    "stop", "/help", "/start", "help", "test", "no.", "No", "Yes", "NO",
]  # fmt: skip


PRAISE = [
    "great", "oh great", "wonderful", "fantastic", "brilliant", "lovely", "perfect", "awesome", "well done", "how nice",
    "wow, amazing", "nice one", "superb", "excellent", "oh good", "oh joy", "congratulations", "nice", "cool",
]  # fmt: skip
MISHAPS = [
    "it broke again", "another delay", "the bus is late again", "the app crashed again", "they lost my parcel",
    "nobody answers", "the site is down again", "now i can start all over", "two hours in the queue", "another error",
    "the third time this week", "charged twice", "my order is late again", "it stopped working after a day",
    "now it won't even start", "no reply for a week", "the wrong size again", "cancelled at the last minute",
    "the battery died again", "you forgot me again", "my flight got cancelled", "rain all weekend", "i am ill again",
    "one more meeting", "my phone fell into the sink", "they raised the price again", "the heating is off again",
    "i have to work on sunday", "it deleted everything", "no seats left", "another bill", "still not fixed",
]  # fmt: skip
LUCK = [
    "it works again", "it arrived early", "the refund is here", "everything went well", "you fixed it", "it came today",
    "they answered at once", "no more errors", "i passed", "we won", "it fits perfectly", "the sun is out",
    "i found it", "it was free", "the new one is so much better", "i have the day off", "she said yes", "it is done",
]  # fmt: skip
IRONIES = [
    "{praise}, {mishap}", "{praise}. {mishap}", "{praise}, just {praise}. {mishap}", "just what i needed, {mishap}",
    "{mishap}, {praise}", "what a surprise, {mishap}", "i'm so happy, {mishap}", "exactly what i wanted: {mishap}",
    "my favourite: {mishap}", "thanks for nothing", "thanks for nothing, {mishap}", "thanks a lot for ruining my day",
    "thanks a lot, {mishap}", "thanks for wasting my time", "i just love waiting", "i love it when {mishap}",
    "love how {mishap}", "love how you never answer", "oh sure, because that worked so well the last time",
    "yeah right, {praise}", "yeah right", "good job breaking it", "best day ever, {mishap}", "how helpful, {mishap}",
]  # fmt: skip
SINCERE = [
    "{praise}, {luck}", "{praise}. {luck}", "{luck}, {praise}", "just what i needed, {luck}", "i'm so happy, {luck}",
    "what a nice surprise, {luck}", "thanks a lot, {luck}", "i love it when {luck}", "best day ever, {luck}",
]  # fmt: skip
COMPLIMENTS = [
    "{praise}", "best service ever", "so helpful", "very helpful, thanks", "i love mondays", "great service",
    "what a lovely day", "thanks, that helps a lot", "that went well", "i feel so welcome here", "such a good idea",
]  # fmt: skip
IRONY_MARKS = [" 🙄", " 🙃", " /s", " #sarcasm", " #not", "... not", " 😒", ", said nobody ever"]


@dataclass
class Texts:
    """Texts of one source: what each says, its label, and the finer emotions that its annotators named, if they did."""

    texts: list[str]
    labels: list[str]
    emotions: list[list[str]]


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a gzip file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as rows:
        yield from map(json.loads, rows)


def turns(data: Path, source: str, split: str) -> Iterator[dict[str, Any]]:
    """Yield the turns of a conversation source, both sides; what ``data`` lacks is looked for among our own."""
    path = data / "dialogue" / f"{source}.{split}.jsonl.gz"
    for row in read_rows(path if path.exists() else OWN / path.name):
        yield from row["turns"]


def user_turns(data: Path, source: str, split: str) -> Iterator[dict[str, Any]]:
    """Yield the user turns of a conversation source."""
    yield from (turn for turn in turns(data, source, split) if turn["role"] == "user")


def labelled(data: Path, source: str, split: str, seed: int) -> Texts:
    """Return the labelled texts of a source; ``seed`` is for those that are made up."""
    if source == "plain_facts":
        pairs = [(text, "neutral") for text in _plain_facts(random.Random(seed))]
    elif source == "irony":
        pairs = _irony(random.Random(seed))
    elif source == "rapport_authored":  # built from few lines, so each counts once
        pairs = sorted({(turn["text"], turn["sentiment"]) for turn in user_turns(data, source, split)})
    elif source == "rapport_written":
        pairs = [(turn["text"], turn["sentiment"]) for turn in user_turns(data, source, split)]
    else:
        rows = list(read_rows(data / "sentiment" / f"{source}.{split}.jsonl.gz"))
        return Texts(
            [row["text"] for row in rows], [row["label"] for row in rows], [row.get("emotions", []) for row in rows]
        )
    return Texts([text for text, _ in pairs], [label for _, label in pairs], [[] for _ in pairs])


def row_weights(parts: dict[str, Texts]) -> list[float]:
    """Return how much each text counts, the parts one after the other; the mean is 1.

    Beside the source's weight, rare labels count more, by the root of what would even them out: full balance makes
    the head call plain statements negative.
    """
    each = [(WEIGHTS[source], label) for source, part in parts.items() for label in part.labels]
    total = {label: sum(weight for weight, own in each if own == label) for label in LABELS}
    weights = [weight * total[label] ** -0.5 for weight, label in each]  # type: ignore[index]
    mean = sum(weights) / len(weights)
    return [weight / mean for weight in weights]


def _plain_facts(rng: random.Random, count: int = 1500) -> list[str]:
    """Return short statements, questions and answers that carry no mood; annotated tweets have few such."""
    found = {str(number) for number in range(0, 400, 7)} | set(NAMES) | set(CITIES)
    while len(found) < count:
        say, _, ask, _ = FACTS[rng.choice(["name", "city", "job", "pet", "colour"])]
        found.add(rng.choice([*say, *ask]).format(x=rng.choice([*NAMES, *CITIES]), p=rng.choice(PETS)))
    return sorted(found) + SHORT_ANSWERS * 10  # few, but said all the time


def _irony(rng: random.Random, count: int = 2000) -> list[tuple[str, str]]:
    """Return praise of a mishap or with a mark of irony, which is negative, and praise that is meant."""
    found: set[tuple[str, str]] = set()
    while len(found) < count:
        kind, mark = rng.random(), rng.choice(["", "", "!", ".", "..."])
        if kind < 0.4:
            form, label, mark = rng.choice(IRONIES), "negative", rng.choice([*IRONY_MARKS[:5], "", "", "", "!", "."])
        elif kind < 0.6:
            form, label, mark = rng.choice(COMPLIMENTS), "negative", rng.choice(IRONY_MARKS)
        elif kind < 0.7:
            form, label, mark = rng.choice(COMPLIMENTS), "positive", rng.choice([mark, " 🙂", " ❤️"])
        else:
            form, label = rng.choice(SINCERE), "positive"
        text = form.format(praise=rng.choice(PRAISE), mishap=rng.choice(MISHAPS), luck=rng.choice(LUCK)) + mark
        found.add((rng.choice([text, text, text[0].upper() + text[1:]]), label))
    return sorted(found)
