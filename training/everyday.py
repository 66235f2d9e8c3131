"""Everyday messages put together from our own parts: complaints, requests, losses, worries and good news.

A small model learns a message by its wordings. So each kind has many (training/data/everyday.toml), with numbers drawn
anew, now and then in capitals or without an apostrophe; the replies to a kind fit all of its wordings.
"""

import random
import tomllib
from functools import cache
from typing import Any

from training.corpus import OWN, Conversation, Line


def make_everyday(count: int, rng: random.Random) -> list[Conversation]:
    """Return so many conversations of one or two exchanges."""
    return [_one(rng) for _ in range(count)]


@cache
def _written() -> dict[str, Any]:
    return tomllib.loads((OWN / "everyday.toml").read_text("utf-8"))


def _one(rng: random.Random) -> Conversation:
    lists, kinds = _written()["parts"], _written()["kinds"]
    kind = kinds[rng.choice(list(kinds))]
    parts = {name: rng.choice(lists[name]) for name in ("g", "w", "p")}
    parts["G"] = parts["g"].upper()
    parts["n"] = str(rng.randint(10 ** rng.randint(3, 6), 10**7 - 1))
    parts |= {name: rng.choice(lists[name]) for name in ("r", "d", "t", "y", "a")}

    def exchange(says: list[str], replies: list[str]) -> list[Line]:
        said = Line("user", _typed(rng.choice(says).format(**parts), rng))
        return [said, Line("assistant", rng.choice(replies).format(**parts), rng.choice(kind["tones"]))]

    lines = exchange(kind["says"], kind["replies"])
    if rng.random() < 0.5:
        lines += exchange(kind["says_next"], kind["replies_next"])
    return Conversation("everyday", lines)


def _typed(text: str, rng: random.Random) -> str:
    """Return the text as people type it: mostly so, or with a capital, all in capitals, or without apostrophes."""
    chance = rng.random()
    if chance < 0.3:
        return text[:1].upper() + text[1:] + ("" if text[-1:] in "!?)" else ".")
    if chance < 0.4:
        return text.upper()
    if chance < 0.5:
        return text.replace("'", "").lower()
    return text
