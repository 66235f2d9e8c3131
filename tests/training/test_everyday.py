"""The everyday messages that are put together from parts."""

import json
import random
import re

from core.sections import TONES
from training.corpus import OWN, PROMISES
from training.everyday import make_everyday

MADE = make_everyday(3_000, random.Random(1))


def test_they_alternate_and_leave_no_part_unfilled() -> None:
    for one in MADE:
        assert [line.role for line in one.lines] in (["user", "assistant"], ["user", "assistant"] * 2)
        assert not any(re.search(r"[{}]|\s\s", line.text) for line in one.lines)


def test_replies_have_a_tone_that_the_bot_chooses_and_promise_nothing() -> None:
    assert {line.tone for one in MADE for line in one.lines if line.tone} <= {row["name"] for row in TONES.values()}
    assert all(line.tone for one in MADE for line in one.lines if line.role == "assistant")
    replies = {line.text.replace("can't look into", "") for one in MADE for line in one.lines if line.tone}
    assert not [text for text in replies if PROMISES.search(text)]


def test_the_same_seed_makes_the_same_ones() -> None:
    assert make_everyday(50, random.Random(1)) == MADE[:50]


def test_none_is_a_message_that_the_bot_is_measured_on() -> None:
    measured = {json.loads(line)["text"].lower() for line in (OWN / "messages.jsonl").read_text("utf-8").splitlines()}
    assert not measured & {line.text.lower() for one in MADE for line in one.lines}
