"""Reading the conversation data and mixing it for training: which source, how often, in which tone.

Our own conversations come with the repository (training/data); the others lie in a folder that a recipe is told.
The data's own README gives sources and licences; the model card repeats them. Share-alike and booking data
(sgd_accentor, taskmaster) stay out: they would teach the bot to invent bookings.
"""

import gzip
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OWN = Path(__file__).parent / "data"
MARKED = ("rapport_written", "rapport_more")  # their replies say in which tone they are
# Tones of replies that were written for a sentiment, with weights. Mostly the plainest one; the others make sure that
# every tone the bot may choose (settings.toml, [tone.*]) knows the everyday replies, too.
SENTIMENT_TONES = {
    "negative": {"empathetic": 60, "reassuring": 25, "calm": 15},
    "neutral": {"plain": 80, "reassuring": 6, "clarifying": 6, "cheerful": 5, "empathetic": 3},
    "positive": {"cheerful": 85, "reassuring": 10, "plain": 5},
}
SENTIMENT_TONE = {sentiment: next(iter(tones)) for sentiment, tones in SENTIMENT_TONES.items()}
# Written tones that the broad tone of the same sentiment may stand for. The bot's choose_tone mostly picks
# the broad ones, so the model has to know them well.
KIN = {
    "empathetic": {"calm", "warm", "reassuring", "apologetic"},
    "cheerful": {"playful", "warm", "encouraging"},
    "plain": {"warm", "clarifying"},
}
# Not a moral filter: words that a friendly bot should never have learnt to say, and US-only hotline numbers.
UNWANTED = re.compile(
    r"\b(gay|lesbian|sexy|sex|porn|naked|fuck\w*|shit\w*|bitch\w*|whore|slut|nazi|hitler|rape\w*|damn|crap|ass|dude|bruh)\b"
    r"|\b1-8\d\d",
    re.IGNORECASE,
)
# Promises that the bot cannot keep: it sees no orders, accounts or facts.
PROMISES = re.compile(
    r"\blook (it|that|into|this)\b|\blet me check\b|\bfind out for you\b|\bwalk you through\b|\breport it\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Line:
    """One turn: ``role`` is user or assistant; ``tone`` is set on replies whose tone is known."""

    role: str
    text: str
    tone: str | None = None


@dataclass(frozen=True)
class Conversation:
    """Turns that alternate, starting with the user."""

    source: str
    lines: list[Line]


def read(data: Path, source: str, split: str = "train") -> Iterator[Conversation]:
    """Yield the conversations of one source; raises FileNotFoundError if the data is not there.

    What ``data`` lacks is looked for among our own.
    """
    name = f"{source}.{split}.jsonl.gz"
    own = not (data / "dialogue" / name).exists() and (OWN / name).exists()
    with gzip.open(OWN / name if own else data / "dialogue" / name, "rt", encoding="utf-8") as rows:
        for row in rows:
            turns = json.loads(row)["turns"]
            if any(UNWANTED.search(turn["text"]) for turn in turns if source not in MARKED):
                continue
            yield Conversation(source, [_line(source, turns, at) for at in range(len(turns))])


def _line(source: str, turns: list[dict[str, str]], at: int) -> Line:
    turn = turns[at]
    if turn["role"] == "user":
        return Line("user", turn["text"])
    if source in MARKED:
        return Line("assistant", turn["text"], turn["tone"])
    if source == "rapport_authored":
        return Line("assistant", turn["text"], SENTIMENT_TONE[turns[at - 1]["sentiment"]])
    return Line("assistant", turn["text"])


def broaden_tones(conversation: Conversation, rng: random.Random) -> Conversation:
    """Return the conversation with some of its fine tones replaced by the broad tone they belong to."""
    lines = []
    for line in conversation.lines:
        broad = [name for name, kin in KIN.items() if line.tone in kin]
        if broad and rng.random() < 0.4:
            line = Line(line.role, line.text, rng.choice(broad) if line.tone != "warm" else "warm")
        lines.append(line)
    return Conversation(conversation.source, lines)


def broad_talk(data: Path, rng: random.Random) -> list[Conversation]:
    """Stage one, one epoch: how people talk. About 16 million tokens."""
    from training.recall import make_echo, make_recall

    written = list(read(data, "rapport_written"))
    small_talk = _small_talk(data)
    mix = [
        *read(data, "self_dialogue"),
        *small_talk,
        *read(data, "chatterbot_corpus"),
        *rng.sample(list(read(data, "topical_chat")), 700),
        *written,
        *(broaden_tones(one, rng) for one in written),
        *make_recall(25_000, small_talk, rng),
        *make_echo(12_000, rng),
    ]
    rng.shuffle(mix)
    return mix


def own_voice(data: Path, rng: random.Random) -> list[Conversation]:
    """Stage two, first half, one epoch: how Rapport writes at its best. About 3 million tokens.

    The written conversations are the best and few: seen more than once or twice they are learnt by heart, and
    replies to anything else get worse (loss on held-out topics rose from 4.5 to 5.4 with five passes an epoch).
    """
    from training.recall import make_echo, make_recall

    small_talk = _small_talk(data)
    written = list(read(data, "rapport_written"))
    mix = [
        *rng.sample(list(read(data, "rapport_authored")), 10_000),
        *rng.sample(list(read(data, "ms_personality_chat")), 5_000),
        *rng.sample(list(read(data, "synthetic_persona_chat")), 600),
        *rng.sample(list(read(data, "self_dialogue")), 2_500),
        *make_recall(10_000, small_talk, rng),
        *make_echo(1_000, rng),
        *(broaden_tones(one, rng) for one in written),
    ]
    rng.shuffle(mix)
    return mix


def everyday_voice(data: Path, rng: random.Random) -> list[Conversation]:
    """Stage two, second half, one epoch: what Rapport says every day, in every tone. About 2 million tokens.

    ``rapport_more`` is plain and short and may be known well. Fewer people with a human life speak here, and no reply
    promises what the bot cannot do.
    """
    from training.recall import make_echo, make_recall

    small_talk = _small_talk(data)
    authored = [one for one in read(data, "rapport_authored") if keeps_promises(one)]
    mix = [
        *(spread_tones(one, rng) for one in rng.sample(authored, 9_000)),
        *rng.sample(list(read(data, "ms_personality_chat")), 4_000),
        *rng.sample(list(read(data, "synthetic_persona_chat")), 200),
        *rng.sample(list(read(data, "self_dialogue")), 600),
        *make_recall(5_000, small_talk, rng),
        *make_echo(500, rng),
        *read(data, "rapport_written"),
        *list(read(data, "rapport_more")) * 6,
    ]
    rng.shuffle(mix)
    return mix


def everyday_drill(data: Path, rng: random.Random) -> list[Conversation]:
    """Stage three, one epoch: the everyday messages until they sit. About a million tokens."""
    from training.everyday import make_everyday
    from training.recall import make_recall

    authored = [one for one in read(data, "rapport_authored") if keeps_promises(one)]
    mix = [
        *make_everyday(7_000, rng),
        *(spread_tones(one, rng) for one in rng.sample(authored, 4_000)),
        *rng.sample(list(read(data, "ms_personality_chat")), 1_500),
        *make_recall(1_500, authored, rng),
        *rng.sample(list(read(data, "rapport_written")), 900),
        *list(read(data, "rapport_more")) * 4,
    ]
    rng.shuffle(mix)
    return mix


def spread_tones(conversation: Conversation, rng: random.Random) -> Conversation:
    """Return an authored conversation with some replies in another tone that fits the same sentiment."""
    weights = {next(iter(tones)): tones for tones in SENTIMENT_TONES.values()}
    lines = []
    for line in conversation.lines:
        if line.tone:
            tones = weights[line.tone]
            line = Line(line.role, line.text, rng.choices(list(tones), weights=list(tones.values()))[0])
        lines.append(line)
    return Conversation(conversation.source, lines)


def keeps_promises(conversation: Conversation) -> bool:
    """Tell whether no reply promises what the bot cannot do."""
    return not any(line.role == "assistant" and PROMISES.search(line.text) for line in conversation.lines)


def _small_talk(data: Path) -> list[Conversation]:
    return [
        *read(data, "synthetic_persona_chat"),
        *read(data, "ms_personality_chat"),
        *read(data, "rapport_authored"),
    ]
