"""From conversations to rows of tokens: what is read, what is learnt from, and how fast."""

import itertools
import random
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from training.corpus import Conversation, Line
from training.train_chat import CONTEXT, MIXES, _schedule, encode, rows

ROOT = Path(__file__).parents[2]
TALK = [
    Conversation(
        "x",
        [Line("user", "hello"), Line("assistant", "Hi!", "plain"), Line("user", "bye"), Line("assistant", "Bye.")],
    )
]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(ROOT / "models" / "starter-chat")
    return loaded


def test_a_conversation_is_read_as_the_template_writes_it(tokenizer: PreTrainedTokenizerFast) -> None:
    [(ids, _)] = encode(TALK, tokenizer, replies_only=True)
    messages = [
        {"role": line.role, "content": line.text, **({"tone": line.tone} if line.tone else {})}
        for line in TALK[0].lines
    ]
    assert tokenizer.bos_token + tokenizer.decode(ids) == tokenizer.apply_chat_template(messages, tokenize=False)


@pytest.mark.parametrize(
    ("replies_only", "learnt"),
    [(True, "Hi!<|end|>Bye.<|end|>"), (False, "hello<|end|>Hi!<|end|>bye<|end|>Bye.<|end|>")],
)
def test_only_what_is_said_is_learnt(tokenizer: PreTrainedTokenizerFast, replies_only: bool, learnt: str) -> None:
    [(ids, learn)] = encode(TALK, tokenizer, replies_only)
    assert tokenizer.decode([token for token, on in zip(ids, learn, strict=True) if on]) == learnt


def test_rows_are_full_and_label_just_what_is_learnt(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode(TALK * 30, tokenizer, replies_only=True)
    for ids, labels in itertools.islice(rows(encoded, tokenizer.bos_token_id, random.Random(1)), 5):
        assert len(ids) == len(labels) == CONTEXT + 1
        assert all(label in (-100, token) for token, label in zip(ids, labels, strict=True))
        assert {label for token, label in zip(ids, labels, strict=True) if token == tokenizer.bos_token_id} == {-100}


def test_the_first_stage_holds_its_rate_and_the_others_let_it_fall_to_nothing() -> None:
    first, *others = MIXES
    assert _schedule(100, 1000, first) == _schedule(999, 1000, first) == 1
    for stage in others:
        rates = [_schedule(step, 100, stage) for step in range(101)]
        assert 0 < rates[0] <= 0.5
        assert rates == sorted(rates, reverse=True)
        assert rates[-1] == pytest.approx(0)
