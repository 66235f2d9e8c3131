"""Does sending the best of several candidates pay? How often the tone fits, and what it costs in time.

    python -m bench.best_of [--count 4] [--repeats 2] [--people 16]

The same bot answers the same held-out messages with one candidate a reply and with several, at the temperatures of the
settings and at 0.7, where candidates differ more. What fits is decided as in training/ablation.py, by a judge that no
choice knows of (training/judge.py). The times are of whole replies with the models that ship: one person alone, then
many at once, each way in turn.
"""

import argparse
import statistics
import time
from collections.abc import Sequence

from core import settings
from core.settings import Settings
from training.ablation import FIT, Message, held_out_messages, interval
from training.judge import JUDGES, Judge
from training.replies import SEED, Bot, Talk

WARMER = 0.7
ROUNDS = 3
COUNTS = (1, 2, 4, 8)


def drawing(conf: Settings, count: int, temperature: float | None = None) -> Settings:
    """Return the settings with so many candidates, and every tone at this temperature if one is given."""
    rows = {
        name: row if temperature is None else row.model_copy(update={"temperature": temperature})
        for name, row in conf.tone.items()
    }
    return conf.model_copy(update={"generation": conf.generation.model_copy(update={"best_of": count}), "tone": rows})


def replies(bot: Bot, conf: Settings, messages: Sequence[Message], repeats: int) -> list[list[str]]:
    """Return ``repeats`` replies to each message."""
    bot.settings = conf
    talks = [Talk(message.text) for message in messages]
    rounds = [[answer.reply.text for answer in bot.answer(talks, SEED + repeat)] for repeat in range(repeats)]
    return [list(said) for said in zip(*rounds, strict=True)]


def fitting(messages: Sequence[Message], said: Sequence[Sequence[str]], judge: Judge) -> list[float]:
    """Return for each message the share of its replies whose tone fits."""
    return [
        sum(judge.expressed(text) in FIT[message.sentiment] for text in texts) / len(texts)
        for message, texts in zip(messages, said, strict=True)
    ]


def timed(bot: Bot, conf: Settings, groups: Sequence[Sequence[Talk]]) -> dict[int, float]:
    """Return how many seconds all groups take, one after the other, by the number of candidates: medians of ROUNDS."""
    times: dict[int, list[float]] = {count: [] for count in COUNTS}
    for repeat in range(ROUNDS):
        for count, taken in times.items():
            bot.settings = drawing(conf, count)
            began = time.perf_counter()
            for group in groups:
                bot.answer(group, SEED + repeat)
            taken.append(time.perf_counter() - began)
    return {count: statistics.median(taken) for count, taken in times.items()}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--people", type=int, default=16)
    options = parser.parse_args()
    conf, messages = settings.load(), held_out_messages()
    ways = {
        f"{count} candidate{'s'[: count - 1]}, {f'temperature {warm}' if warm else 'temperatures as set'}": drawing(
            conf, count, warm
        )
        for warm in (None, WARMER)
        for count in (1, options.count)
    }
    with Bot(conf) as bot:
        # One candidate is one throw of the dice where several are the choice among many: more throws, as little noise.
        said = {
            way: replies(bot, own, messages, options.repeats * (1 if own.generation.best_of > 1 else 2))
            for way, own in ways.items()
        }
        single = next(iter(ways))
        for name in JUDGES:
            judge = Judge.load(name)
            base = fitting(messages, said[single], judge)
            print(f'\n{len(messages)} messages, judge "{name}": share of replies whose tone fits')
            for way in ways:
                fits = fitting(messages, said[way], judge)
                low, high = interval([one - other for one, other in zip(fits, base, strict=True)])
                gain = statistics.mean(fits) - statistics.mean(base)
                print(f"  {way:42} {statistics.mean(fits):.3f}   {gain:+.3f} ({low:+.3f} to {high:+.3f})")
        talks = [Talk(message.text) for message in messages[: options.people]]
        for what, groups in (
            ("one person alone", [[talk] for talk in talks]),
            (f"{len(talks)} people at once", [talks]),
        ):
            print(f"\n{what}: seconds a reply, and how many times those of one candidate")
            times = timed(bot, conf, groups)
            for count, taken in times.items():
                print(f"  {count} candidates: {taken / len(talks):.3f} s, {taken / times[1]:.2f}x")


if __name__ == "__main__":
    main()
