"""Does a reply's tone fit better because the mood was read? The same bot answers with sentiment on and off.

Off, every feeling gets the row of settings.toml for the neutral one; all else stays the same. As that row tells the
model to be plain, which is an order of its own, there is a third bot that is told no tone at all. What fits was fixed
before any reply was judged:

- a negative message: the reply expresses care (it takes the trouble seriously, comforts or apologises);
- a positive one: it expresses joy (shares it, praises, plays);
- a neutral one: it does not express care, for there is nothing to be sorry about; plain and merry are both fine.

How a message is meant was marked by hand (``sentiment``), what a reply expresses is judged by judge.py; neither comes
from the encoder.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from core.settings import Settings
from core.tone import Felt, feeling
from training import corpus
from training.replies import SEED, Bot, Talk

FIT = {"negative": {"care"}, "neutral": {"joy", "matter-of-fact"}, "positive": {"joy"}}
ROUNDS = 10_000


@dataclass(frozen=True)
class Message:
    """A first message to the bot, with how it is meant: negative, neutral or positive."""

    text: str
    sentiment: str
    source: str


@dataclass(frozen=True)
class Trial:
    """A message, what the bot took the person to feel, and its replies with sentiment on, off, and told no tone."""

    message: Message
    feeling: str
    on: list[str]
    off: list[str]
    untold: list[str]


@dataclass(frozen=True)
class Effect:
    """Shares of fitting replies in 0..1, and their difference with its 95 % interval."""

    messages: int
    on: float
    off: float
    difference: float
    low: float
    high: float


def written_messages() -> list[Message]:
    """Return the messages that were written to measure with."""
    rows = [json.loads(row) for row in (corpus.OWN / "messages.jsonl").read_text("utf-8").splitlines()]
    return [Message(row["text"], row["sentiment"], "messages") for row in rows]


def held_out_talks() -> list[list[dict[str, str]]]:
    """Return the turns of our conversations on topics that nothing was trained on."""
    with gzip.open(corpus.OWN / "rapport_written.valid.jsonl.gz", "rt", encoding="utf-8") as talks:
        return [json.loads(talk)["turns"] for talk in talks]


def held_out_messages() -> list[Message]:
    """Return messages that nothing was trained on: those written for this, and how those conversations begin."""
    openings = [talk[0] for talk in held_out_talks()]
    return written_messages() + [Message(turn["text"], turn["sentiment"], "rapport_written") for turn in openings]


def without_sentiment(settings: Settings) -> Settings:
    """Return the settings of a bot whose tone does not depend on what the person feels."""
    return settings.model_copy(update={"tone": dict.fromkeys(settings.tone, settings.tone["neutral"])})


def without_tone(settings: Settings) -> Settings:
    """Return the settings of a bot whose model is not even told to be plain."""
    untold = settings.tone["neutral"].model_copy(update={"name": "", "guidance": ""})
    return settings.model_copy(update={"tone": dict.fromkeys(settings.tone, untold)})


def try_out(bot: Bot, messages: Sequence[Message], repeats: int, progress: Callable[[int, int], None]) -> list[Trial]:
    """Have the bot answer each message ``repeats`` times with sentiment on, off, and told no tone.

    Where two make the same prompt, they get the same replies.
    """
    others = (without_sentiment(bot.settings), without_tone(bot.settings))
    talks = [Talk(message.text) for message in messages]
    differ = [[one for one in talks if bot.prompt(one, bot.settings) != bot.prompt(one, other)] for other in others]
    trials = [Trial(one, _felt(bot, one.text), [], [], []) for one in messages]
    for repeat in range(repeats):
        seed = SEED + 3 * repeat
        with_mood = [answer.reply.text for answer in bot.answer(talks, seed)]
        progress(3 * repeat + 1, 3 * repeats)
        for trial, reply in zip(trials, with_mood, strict=True):
            trial.on.append(reply)
        for number, (other, asked) in enumerate(zip(others, differ, strict=True), start=1):
            said = dict(zip(asked, (one.reply.text for one in bot.answer(asked, seed + number, other)), strict=True))
            progress(3 * repeat + 1 + number, 3 * repeats)
            for trial, talk, reply in zip(trials, talks, with_mood, strict=True):
                (trial.off if number == 1 else trial.untold).append(said.get(talk, reply))
    return trials


def _felt(bot: Bot, text: str) -> str:
    talk = Talk(text)
    return feeling(Felt(bot.encoder.read([text])[0].sentiment.valence, text, talk.at), [], bot.settings.mood)


def effect(trials: Sequence[Trial], expressed: Callable[[str], str], against: Callable[[Trial], list[str]]) -> Effect:
    """Return how much more often replies fit with sentiment on than those ``against`` which it is held.

    The interval is of the mean of the messages' differences, each over its replies: a percentile bootstrap over the
    messages (Efron & Tibshirani 1993, chapter 13), as it is other messages that it should speak for.
    """
    pairs = [(_share(trial.on, trial, expressed), _share(against(trial), trial, expressed)) for trial in trials]
    differences = [on - off for on, off in pairs]
    low, high = interval(differences)
    on, off = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    return Effect(len(trials), on, off, on - off, low, high)


def _share(replies: Sequence[str], trial: Trial, expressed: Callable[[str], str]) -> float:
    return sum(expressed(reply) in FIT[trial.message.sentiment] for reply in replies) / len(replies)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 2.5th and 97.5th percentile of the means of ROUNDS resamples of the values."""
    drawn = torch.randint(len(values), (ROUNDS, len(values)), generator=torch.Generator().manual_seed(SEED))
    means = torch.tensor(values, dtype=torch.float64)[drawn].mean(dim=1)
    low, high = means.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high


def groups(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    """Return the trials by how the message is meant, then by what the bot took the person to feel, then by source."""
    found: dict[str, list[Trial]] = defaultdict(list)
    for key in (
        lambda one: f"meant {one.message.sentiment}",
        lambda one: f"felt {one.feeling}",
        lambda one: f"from {one.message.source}",
    ):
        for trial in sorted(trials, key=key):
            found[key(trial)].append(trial)
    return dict(found)
