"""What is shown of a reply while it grows: whole signs only, and nothing of a stop string."""

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.engine import tiny
from workers.engine.streaming import ReplyText

TOKENIZER = tiny.starter_tokenizer()
SIGNS = [
    "a",
    " ",
    "é",
    "e\u0301",
    "你",
    "👍🏽",
    "👩\u200d👩\u200d👧",
    "🇩🇪🇫🇷",
    "❤️",
    "\n",
    "ก็",
    "END",
    "EN",
    "<|",
    "hello",
]
TEXT = st.lists(st.one_of(st.sampled_from(SIGNS), st.text(max_size=3)), max_size=15).map("".join)


def ids(text: str) -> list[int]:
    return list(TOKENIZER(text, add_special_tokens=False)["input_ids"])


def streamed(tokens: list[int], stop: tuple[str, ...] = ()) -> tuple[list[str], str]:
    """What was shown before the end, and the whole."""
    seen: list[str] = []
    reply = ReplyText(TOKENIZER, stop, seen.append)
    for token in tokens:
        if reply.take(token):
            break
    before = list(seen)
    return before, reply.end()


@settings(deadline=None, max_examples=200)
@given(text=TEXT)
def test_no_sign_is_shown_in_part(text: str) -> None:
    before, whole = streamed(ids(text))
    assert whole == str(TOKENIZER.decode(ids(text), skip_special_tokens=True)).strip()
    ends = {found.end() for found in regex.finditer(r"\X", whole)}
    for shown in before:
        assert whole.startswith(shown)
        assert len(shown) in ends


@settings(deadline=None, max_examples=200)
@given(text=TEXT, stop=st.sampled_from([("END",), ("\n\n", "EN<|"), ("a",), ("👍🏽",)]))
def test_nothing_of_a_stop_string_is_shown(text: str, stop: tuple[str, ...]) -> None:
    before, whole = streamed(ids(text), stop)
    assert not any(one in whole for one in stop)
    assert all(whole.startswith(shown) for shown in before)


def test_text_is_shown_as_it_grows() -> None:
    before, whole = streamed(ids("hello there, my order is late"))
    assert len(before) >= len(ids(whole)) - 1
    assert whole == "hello there, my order is late"


def test_bytes_that_are_no_text_do_not_hold_up_what_follows() -> None:
    broken = ids("é")[:1] * 2
    before, whole = streamed([*broken, *ids("hello there, how are you today?")])
    assert whole.endswith("hello there, how are you today?")
    assert before


@pytest.mark.parametrize("stop", [(), ("\nUser:",)])
def test_the_cost_of_a_token_does_not_grow_with_the_text(
    stop: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    reply = ReplyText(TOKENIZER, stop, lambda text: None)
    decode = reply._decode
    monkeypatch.setattr(reply, "_decode", lambda some: decoded.append(len(some)) or decode(some))
    for token in ids("my order is late and nobody answers " * 20):
        reply.take(token)
    assert max(decoded) < 12
