"""The one table of bot commands. Every channel registers from it; the responder runs them.

Those for admins alone stand in no menu and no list, and to everybody else they are no commands. A command never
reaches a model. What it changes is part of the commit of its reply (Effect).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.dialogue import Turn
from core.events import Letter, MessageEvent, event_of, reply_of
from core.sections import Mood as MoodSettings
from core.tone import Mood, mood, recently_felt

_STEPS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Effect:
    """What a command answers and changes: ``erase`` drops the whole history, ``afresh`` hides it from replies."""

    text: str
    erase: bool = False
    afresh: bool = False


@dataclass(frozen=True)
class Situation:
    """What a command may look at. ``letters`` and ``status`` read a lot, so they are called where they are needed.

    ``admin``: the person may use the commands of admins.
    """

    bot_name: str
    event: MessageEvent
    argument: str
    history: Sequence[Turn]
    mood: MoodSettings
    letters: Callable[[], Sequence[Letter]] = tuple
    status: Callable[[], Sequence[str]] = tuple
    admin: bool = False


@dataclass(frozen=True)
class Command:
    """One command; ``private`` ones answer only where nobody else reads. ``admin``: for named admins alone.

    ``details`` is what /help says of it alone. ``argument`` is the name of what may follow it, with ``choices``.
    """

    name: str
    summary: str
    details: str
    run: Callable[[Situation], Effect]
    private: bool = False
    admin: bool = False
    argument: str | None = None
    choices: tuple[str, ...] = ()


def parse(text: str, *, admin: bool = False) -> Command | None:
    """Return the command that this text calls, or None. ``argument`` has the words after it."""
    words = text.split(maxsplit=1)
    if not words or not words[0].startswith("/"):
        return None
    return known(admin=admin).get(words[0][1:].lower())


def known(*, admin: bool) -> dict[str, Command]:
    """Return the commands that there are for an admin or for anybody else."""
    return TABLE | ADMIN if admin else TABLE


def argument(text: str) -> str:
    """Return what follows the command in this text, or nothing."""
    return "".join(text.split(maxsplit=1)[1:]).strip()


def run(command: Command, situation: Situation) -> Effect:
    """Run a command, unless the place is too public for it."""
    if command.private and not (situation.event.address.direct or situation.event.discreet):
        what = "how I am run" if command.admin else "what you told me"
        return Effect(f"/{command.name} shows {what}, so I only answer it in a direct message.")
    return command.run(situation)


def _help(situation: Situation) -> Effect:
    prefix = situation.event.prefix
    there = known(admin=situation.admin)
    asked = there.get(situation.argument.lower().removeprefix("/"))
    if asked:
        return Effect(f"`{prefix}{asked.name}` {asked.summary}. {asked.details}")
    lines = [f"I'm {situation.bot_name}. Just write to me as you would to a person. I also know these commands:"]
    lines += [f"- `{prefix}{command.name}` {command.summary}" for command in there.values()]
    return Effect("\n".join(lines))


def _new(_: Situation) -> Effect:
    return Effect("A fresh start. What would you like to talk about?", afresh=True)


def _forget(situation: Situation) -> Effect:
    said = sum(turn.role != "break" for turn in situation.history)
    letters = len(situation.letters())
    erased = [f"our whole conversation ({_messages(said)}, with the moods I read from them)"] if said else []
    erased += [f"what I had kept as something went wrong with it ({_messages(letters)})"] if letters else []
    if not erased:
        return Effect("There was nothing to forget: I keep nothing about you.", erase=True)
    return Effect(
        f"Done. I erased {' and '.join(erased)}. "
        "Nothing about you is kept here any more. What the chat network itself keeps is not mine to erase.",
        erase=True,
    )


def _messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"


def _export(situation: Situation) -> Effect:
    said = [turn for turn in situation.history if turn.role != "break"]
    letters = situation.letters()
    if not said and not letters:
        return Effect("I keep nothing about you.")
    who = {"user": "you", "assistant": situation.bot_name}
    lines = [f"Everything I keep about you ({len(said)} messages):"]
    for turn in said:
        felt = f" ({turn.sentiment.label})" if turn.sentiment else ""
        felt += {"up": " (you liked it)", "down": " (you did not like it)"}.get(turn.rated or "", "")
        lines.append(f"- {turn.at:%Y-%m-%d %H:%M} **{who[turn.role]}**{felt}: {turn.text}")
    if letters:
        lines.append("Kept besides, as something went wrong with it:")
        lines += [f"- {letter.at:%Y-%m-%d %H:%M} {_kept(letter)}" for letter in letters]
    return Effect("\n".join(lines))


def _kept(letter: Letter) -> str:
    """Return what a dead letter holds of a person."""
    if letter.reply is None:
        said = [event.text if (event := event_of(raw)) else raw for raw in letter.events]
        return "what I could not answer: " + "\n".join(said)
    reply = reply_of(letter.reply)
    if reply and reply.finish_reason == "command":
        return "the answer to a command, which I could not deliver"  # it says what stands above, perhaps all of it
    return f"what I could not deliver: {reply.text if reply else letter.reply}"


def _mood(situation: Situation) -> Effect:
    felt = recently_felt(situation.history, situation.mood)
    if not felt:
        return Effect("I have not read a mood yet. Tell me how you are.")
    last = felt[-1].at
    read = mood(felt, last, situation.mood)
    from_what = f"your last {len(felt)} messages" if len(felt) > 1 else "your one message so far"
    trend = "steady" if abs(read.trend) < 0.3 else "going up" if read.trend > 0 else "going down"
    words = [_level_word(read, situation.mood), trend if len(felt) > 1 else "", _strength_word(read)]
    lines = [f"Your mood as I read it from {from_what}: {', '.join(filter(None, words))}."]
    if len(felt) > 1:
        line = "".join(_STEPS[min(int((one.valence + 1) / 2 * len(_STEPS)), len(_STEPS) - 1)] for one in felt)
        lines.append(f"`{line}` (oldest to newest; the higher, the better)")
    hours = (situation.event.sent_at.timestamp() - last.timestamp()) / 3600
    if hours > situation.mood.half_life_hours:
        ago = f"{hours / 24:.0f} days" if hours >= 36 else f"{hours:.0f} hours"
        lines.append(f"You wrote the last of them {ago} ago, so by now I let it count for little.")
    return Effect("\n".join(lines))


def _level_word(read: Mood, settings: MoodSettings) -> str:
    if read.level >= settings.high:
        return "good"
    if read.level <= settings.low:
        return "very low" if read.level <= settings.very_low else "low"
    # A mean of nothing much and a mean of joy and grief are not the same.
    return "mixed" if read.intensity >= 0.4 else "even"


def _strength_word(read: Mood) -> str:
    return "strongly felt" if read.intensity >= 0.7 else "" if read.intensity >= 0.3 else "mildly felt"


def _stop(_: Situation) -> Effect:
    return Effect("Okay, I stopped.")


def _status(situation: Situation) -> Effect:
    return Effect("\n".join(f"- {line}" for line in situation.status()))


_ALL = (
    Command(
        "help",
        "shows this list",
        "Name a command after it to read more about that one.",
        _help,
        argument="command",
        choices=("help", "new", "mood", "export", "forget", "stop"),
    ),
    Command(
        "new",
        "starts afresh; nothing is erased",
        "What was said before stays in your history, but I do not look at it any more.",
        _new,
    ),
    Command(
        "mood",
        "says how I think you feel",
        "I read it from your last messages. Only you see the answer.",
        _mood,
        private=True,
    ),
    Command(
        "export",
        "hands over everything I keep about you",
        "Every message with its date and the mood that I read from it. Only you see the answer.",
        _export,
        private=True,
    ),
    Command(
        "forget",
        "erases everything I keep about you",
        "At once and for good: messages, moods and ratings. There is no way back.",
        _forget,
    ),
    Command(
        "stop",
        "ends a reply that I am writing",
        "What I have written by then stays.",
        _stop,
    ),
    Command(
        "status",
        "says how I am run",
        "Workers, what waits, dead letters and versions, in short; `rapport status` says more. For named admins alone.",
        _status,
        private=True,
        admin=True,
    ),
)
# What everybody has, and what is registered and listed; and what named admins have besides.
TABLE = {command.name: command for command in _ALL if not command.admin}
ADMIN = {command.name: command for command in _ALL if command.admin}
