"""The mix of conversations: what our own texts hold, and how tones and promises are sorted out."""

import gzip
import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from core.sections import TONES
from training import corpus
from training.corpus import Conversation, Line

NOWHERE = Path("no-such-folder")  # our own texts are found without the data of others
MORE = list(corpus.read(NOWHERE, "rapport_more"))
REPLIES = [line.text for one in MORE for line in one.lines if line.role == "assistant"]


def normal(text: str) -> str:
    return re.sub(r"[^a-z0-9 ]", "", text.lower()).strip()


def test_everyday_conversations_alternate_and_begin_with_the_person() -> None:
    assert len(MORE) > 1000
    for one in MORE:
        assert [line.role for line in one.lines] == ["user", "assistant"] * (len(one.lines) // 2)
        assert all(line.text.strip() for line in one.lines)


def test_everyday_conversations_know_just_the_tones_that_the_bot_chooses() -> None:
    said = Counter(line.tone for one in MORE for line in one.lines if line.role == "assistant")
    assert set(said) == {row["name"] for row in TONES.values()}
    assert min(said.values()) > 100


def test_an_everyday_opening_gets_other_replies_in_other_tones() -> None:
    replies: dict[str, dict[str | None, set[str]]] = {}
    for one in MORE:
        asked, said = one.lines[:2]
        replies.setdefault(asked.text, {}).setdefault(said.tone, set()).add(said.text)
    in_tones = [tones for tones in replies.values() if len(tones) > 1]
    assert sum(len(set.union(*tones.values())) > 1 for tones in in_tones) > 100


@pytest.mark.parametrize(
    "claim",
    [
        r"\bI( have|'ve)? (looked|checked|found|booked)\b",
        r"\bI'll (look|check|find|book|call)\b",
        r"\b[£$€]\s?\d",
        r"\bmy (wife|husband|mother|job|boss)\b",
        r"https?:",
    ],
)
def test_no_everyday_reply_claims_a_life_a_look_up_or_a_price(claim: str) -> None:
    assert not [text for text in REPLIES if re.search(claim, text, re.IGNORECASE)]


def test_the_held_out_messages_are_not_learnt() -> None:
    """But for short everyday words such as "ok"."""
    held_out = {
        normal(line.text)
        for one in corpus.read(NOWHERE, "rapport_written", "valid")
        for line in one.lines
        if line.role == "user" and len(line.text) > 20
    }
    assert not held_out & {normal(line.text) for one in MORE for line in one.lines if line.role == "user"}


def test_an_authored_reply_stays_on_the_side_of_its_sentiment() -> None:
    one = Conversation("rapport_authored", [Line("user", "oh no"), Line("assistant", "I'm sorry.", "empathetic")])
    rng = random.Random(1)
    spread = Counter(corpus.spread_tones(one, rng).lines[1].tone for _ in range(1000))
    assert set(spread) == {"empathetic", "reassuring", "calm"}
    assert spread["empathetic"] > 500
    assert corpus.spread_tones(one, rng).lines[0] == one.lines[0]


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        ("Could you share your order number so I can look into it?", False),
        ("Let me check. Is it on its way?", False),
        ("I'm not sure, but I can find out for you.", False),
        ("I can't see orders. What is the number?", True),
        ("That looks nice.", True),
    ],
)
def test_promises_that_the_bot_cannot_keep_are_left_out(reply: str, kept: bool) -> None:
    one = Conversation("rapport_authored", [Line("user", "Let me check."), Line("assistant", reply, "plain")])
    assert corpus.keeps_promises(one) is kept


def test_the_given_folder_comes_before_our_own(tmp_path: Path) -> None:
    (tmp_path / "dialogue").mkdir()
    turns = [{"role": "user", "text": "hi"}, {"role": "assistant", "text": "Hello!", "tone": "plain"}]
    with gzip.open(tmp_path / "dialogue" / "rapport_more.train.jsonl.gz", "wt") as rows:
        rows.write(json.dumps({"turns": turns}) + "\n")
    assert [one.lines for one in corpus.read(tmp_path, "rapport_more")] == [
        [Line("user", "hi"), Line("assistant", "Hello!", "plain")]
    ]


def test_a_source_that_is_nowhere_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        list(corpus.read(NOWHERE, "self_dialogue"))
