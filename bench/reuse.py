"""What it saves that a conversation's last turn is still in memory when the next message comes.

    python -m bench.reuse [--models starter random-135m] [--precisions fp32 bf16] [--plot docs/pictures/reuse.svg]

Milliseconds to the first words of a reply after so many tokens of history, for a conversation that the engine has just
written in and for one that it has never seen, in turn; and how much of each prompt was known already over a
conversation of the starter model, with the prompts that the bot really builds. One person at a time.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.contenders import PLAIN
from bench.generate import SHAPES, STARTER, WORDS, make_model
from bench.generate import settings as bench_settings
from core import settings
from core.dialogue import Address, Prompt, PromptMessage, Turn
from core.prompt import build_prompt
from workers.engine.chat import ChatEngine

SEED = 11
HISTORIES = (50, 100, 200, 400)
SAID = (
    "hi, how are you?",
    "I started a new job on Monday",
    "it is in a library, I look after the old maps",
    "some of them are three hundred years old!",
    "but my boss hardly talks to me",
    "I do not know if I did something wrong",
    "maybe. she is new there as well",
    "you are right, I could ask her to lunch",
    "what would you say to her?",
    "that sounds good, thank you",
    "I am still a bit nervous about it",
    "okay, I will tell you how it went",
)
TURNS = (len(SAID), 4 * len(SAID))


def words(rng: random.Random, count: int) -> str:
    """Return so many words."""
    return " ".join(rng.choice(WORDS) for _ in range(count))


def conversation(engine: ChatEngine, rng: random.Random, tokens: int) -> list[PromptMessage]:
    """Return turns of somebody new that have about so many tokens, and what is said now."""
    turns: list[PromptMessage] = []
    while True:
        more = [
            PromptMessage(role="user", content=words(rng, 10)),
            PromptMessage(role="assistant", content=words(rng, 8)),
        ]
        said = PromptMessage(role="user", content=words(rng, 10))
        if engine.count_tokens([*turns, *more, said], PLAIN) > tokens:
            return [*turns, said]
        turns += more


def first_words(engine: ChatEngine, messages: list[PromptMessage]) -> tuple[float, str]:
    """Return the seconds until something was there, and all that was written."""
    times: list[float] = []
    began = time.perf_counter()
    done = engine.submit(Prompt(messages=tuple(messages), tone=PLAIN), lambda text: times.append(time.perf_counter()))
    text = done.result(600).text
    return times[0] - began, text


def measure(engine: ChatEngine, repeats: int) -> dict[int, tuple[float, float]]:
    """Return for each length of history the median seconds (not known, known)."""
    rng = random.Random(SEED)
    found = {}
    for tokens in HISTORIES:
        print(f"{tokens} tokens of history", file=sys.stderr, flush=True)
        new, known = [], []
        for _ in range(repeats):
            talk = conversation(engine, rng, tokens)
            seconds, text = first_words(engine, talk)
            new.append(seconds)
            talk += [PromptMessage(role="assistant", content=text), PromptMessage(role="user", content=words(rng, 10))]
            known.append(first_words(engine, talk)[0])
        found[tokens] = (statistics.median(new), statistics.median(known))
    return found


def rates(engine: ChatEngine, turns: int) -> list[tuple[int, int]]:
    """Return (tokens of the prompt, those that were known) for each turn of a conversation."""
    conf = settings.load()
    address = Address(channel="bench", space="ada")
    history: list[Turn] = []
    found = []
    for number in range(turns):
        text = SAID[number % len(SAID)]
        kept = history[-conf.history.prompt_turns :]
        prompt = build_prompt(
            persona=conf.bot.persona,
            tone=PLAIN,
            turns=kept,
            text=text,
            count_tokens=engine.count_tokens,
            budget=engine.prompt_tokens,
            cut=len(kept) < len(history),
        )
        done = engine.submit(prompt).result(600)
        found.append((done.prompt_tokens, done.reused_tokens))
        for role, said in (("user", text), ("assistant", done.text)):
            row = {"role": role, "text": said, "at": datetime.now(UTC), "address": address}
            history.append(Turn.model_validate(row))
    return found


def loaded(folder: Path, precision: str) -> ChatEngine:
    """Return an engine whose replies are short, as only their first words count."""
    own = {"max_new_tokens": 16, "precision": precision, "batch": 16}
    return ChatEngine.load(bench_settings(folder, precision).model_copy(update=own))


def main() -> None:
    """Measure and print."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--models", nargs="+", choices=["starter", *SHAPES], default=["starter", "random-135m"])
    args.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    args.add_argument("--repeats", type=int, default=9)
    args.add_argument("--plot", type=Path, help="draw it there (needs matplotlib)")
    options = args.parse_args()
    found = {}
    print("\n| model | tokens of history | first words, new: ms | known: ms | times faster |")
    print("| --- | --- | --- | --- | --- |")
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            path = make_model(name, Path(folder))
            for precision in options.precisions:
                engine = loaded(path, precision)
                found[f"{name}, {precision}"] = first = measure(engine, options.repeats)
                engine.close()
                for tokens, (new, known) in first.items():
                    row = f"| {name}, {precision} | {tokens} | {1000 * new:.0f} | {1000 * known:.0f} |"
                    print(f"{row} {new / known:.1f} |", flush=True)
    engine = loaded(STARTER, "auto")
    shares = {turns: rates(engine, turns) for turns in TURNS}
    engine.close()
    print("\n| turns | tokens of prompts | known already |\n| --- | --- | --- |")
    for turns, rows in shares.items():
        whole, known_tokens = (sum(column) for column in zip(*rows, strict=True))
        print(f"| {turns} | {whole:,} | {known_tokens / whole:.0%} |")
    if options.plot:
        _draw(options.plot, found, shares[TURNS[-1]])


def _draw(path: Path, found: dict[str, dict[int, tuple[float, float]]], rows: list[tuple[int, int]]) -> None:
    from bench.plots import Bars, Lines, draw

    turns, longest = list(range(1, len(rows) + 1)), max(HISTORIES)
    draw(
        path,
        "What a conversation that is still in memory saves",
        Bars(
            f"ms to the first words,\n{longest} tokens of history",
            list(found),
            {
                "new to the engine": [1000 * first[longest][0] for first in found.values()],
                "last turn in memory": [1000 * first[longest][1] for first in found.values()],
            },
            log=True,
        ),
        Lines(
            "tokens of the prompt",
            "turn of a conversation",
            {
                "all": (turns, [whole for whole, _ in rows]),
                "known already": (turns, [known for _, known in rows]),
            },
        ),
    )


if __name__ == "__main__":
    main()
