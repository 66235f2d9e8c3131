"""The one table of what is fuzzed, and what its targets draw from.

A target is a property of a parser: hypothesis draws the input, the function fails if the property does not hold. The
targets stand in networks.py, said.py and engine.py, one file for each part of the path. They are run in two ways:
test_targets.py draws a few hundred inputs, the same ones each time; `make fuzz` (__main__.py) has atheris look for
inputs that reach new code, for as long as one likes.
"""

import copy
import functools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PAYLOADS = Path(__file__).parents[1] / "payloads"
TARGETS: dict[str, Callable[[], None]] = {}

# What means something to one of the networks, to Markdown, to a template or to a filter, and what looks odd.
PIECES = [
    "`", "```", "~~~", "```py\n", "*", "**", "_", "__", "~~", "||", "[", "](", ")", "![", "<", ">", "<@",
    "<@U0BOBMARL>", "<@940000000000000001>", "<#C1|a>", "<!here>", "<t:1:R>", "<a:b:1>", "&amp;", "&", ";", ":",
    ":tada:", "|", "|---|\n", "\n", "\r\n", "> ", "- ", "• ", "1. ", "#### ", " ", "\t", "#", "https://a.b/c",
    "http://", "@", "@everyone", "a", "word", "Sentence. ", "e\u0301", "é", "👍🏽",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467", "🇩🇪", "\u200b", "\u202e", "\u2060", "\x00", "\\", "!", "<b>",
    "</b>", "<br>", "<code>", "</code>", "<a href=", "\"", "'", "/help", "/new", "<|end|>", "<|user|>", "[INST]",
    "</s>", "{{", "{%", "7", "0", "+49 151 2345678", "me@web.de", ".", "k1ll", "i want to die", "you idiot",
    "stupid bot", "界", "ก็", "ß", "İ", "ﬁ", "=", "-", "$", "(", ",",
]  # fmt: skip
TEXT = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=14).map("".join)
# Texts that repeat something: how they begin, what is repeated, how they end.
GROWING = st.tuples(
    st.sampled_from(["", *PIECES]),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join),
    st.sampled_from(["", *PIECES]),
)
HALF = "\ud83d"  # half a character, as JSON may bring it
ODD = [
    None, True, -1, 0, 2**31, 2**63, 10**400, 1.5, -1e300, float("inf"), float("nan"), "", " ", "\0", HALF, "1e999",
    "-1", "nan", "9" * 30, "9" * 5000, "message", "private", "\u202e", [], [[]], {}, [None], {"id": None}, ["text"],
]  # fmt: skip
LEAVES = st.one_of(st.sampled_from(ODD), TEXT, st.integers(-3, 300))
LONGEST = 32_000  # characters; no network sends a message that is longer
LOOKED_AT_S = 0.1
NOTHING_MORE_S = 0.4


def target(
    strategy: st.SearchStrategy[Any], examples: int = 60
) -> Callable[[Callable[[Any], None]], Callable[[], None]]:
    """Have the decorated property stand in the table, under its name; ``examples`` is how many the short form draws."""
    brief = settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )

    def register(check: Callable[[Any], None]) -> Callable[[], None]:
        @functools.wraps(check)
        def told(drawn: Any) -> None:
            try:
                check(drawn)
            except Exception as error:
                error.add_note(f"drawn: {drawn!r}"[:2000])
                raise

        del told.__wrapped__  # hypothesis would look at the arguments' names there
        TARGETS[check.__name__] = brief(given(strategy)(told))
        return TARGETS[check.__name__]

    return register


@st.composite
def recorded(draw: st.DrawFn, network: str) -> dict[str, Any]:
    """Draw a recorded payload of a network, with up to five things in it changed, gone, moved or nested deeply."""
    files = sorted((PAYLOADS / network).glob("*.json"))
    payload: dict[str, Any] = json.loads(files[draw(st.integers(0, len(files) - 1))].read_text("utf-8"))
    for _ in range(draw(st.integers(0, 5))):
        places = list(_places(payload))
        if not places:
            break
        inside, key = places[draw(st.integers(0, len(places) - 1))]
        match draw(st.sampled_from(["replace", "text", "remove", "copy", "nest"])):
            case "replace":
                inside[key] = copy.deepcopy(draw(LEAVES))
            case "text" if isinstance(inside[key], str):
                inside[key] = draw(TEXT)
            case "remove":
                del inside[key]
            case "copy":
                elsewhere, other = places[draw(st.integers(0, len(places) - 1))]
                inside[key] = copy.deepcopy(elsewhere[other])
            case "nest":
                for _ in range(draw(st.sampled_from([1, 2, 100]))):
                    inside[key] = draw(st.sampled_from([{"elements": inside[key]}, [inside[key]]]))
    return payload


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from _places(node[key])


def assert_steady(work: Callable[[str], object], growing: tuple[str, str, str]) -> None:
    """Fail if a text twice as long takes far more than twice as long: an expression that tries again and again.

    The two are timed side by side, in time of this thread alone, several times before it is believed; and it must be so
    for two sizes in a row, as there are steps (a text that needs a second message is looked at more often).
    """
    begin, again, end = growing
    before, steep = "", 0
    for size in (1_000, 2_000, 4_000, 8_000, 16_000, LONGEST):
        text = begin + again * (size // len(again)) + end
        took = _cpu_s(work, text)
        if before and took > LOOKED_AT_S:
            ratio = min(took, _cpu_s(work, text)) / min(_cpu_s(work, before) for _ in range(3))
            steep = steep + 1 if ratio > 3 else 0
            assert steep < 2, f"{again!r} between {begin!r} and {end!r}: twice the text, {ratio:.1f} times the work"
            if not steep and took > NOTHING_MORE_S:
                return
        before = text


def _cpu_s(work: Callable[[str], object], text: str) -> float:
    started = time.thread_time()
    work(text)
    return time.thread_time() - started
