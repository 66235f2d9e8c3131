"""Perplexity, variety, repetition and speed, on cases small enough to count by hand and on a tiny real model."""

import gzip
import json
import math
from pathlib import Path

import pytest
import torch

from core.dialogue import Tone
from core.sections import Generation
from tests.workers.engine import tiny
from training import corpus
from training.fluency import distinct_2, perplexity, repetition_rate, sources, speed
from workers.engine.loading import LoadedChat, load_chat

TALKS = [
    [
        {"role": "user", "text": "hello there"},
        {"role": "assistant", "text": "how are you today?", "tone": "warm"},
        {"role": "user", "text": "my order is late"},
        {"role": "assistant", "text": "thank you so much", "tone": "calm"},
    ],
    [{"role": "user", "text": "what is my name?"}, {"role": "assistant", "text": "naïve 😀"}],
]


@pytest.fixture
def chat(tmp_path: Path) -> LoadedChat:
    return load_chat(
        Generation(model=tiny.save_llama(tmp_path / "model", tiny.starter_tokenizer()), device="cpu", precision="fp32")
    )


def write(path: Path, talks: list[list[dict[str, str]]]) -> Path:
    path.write_bytes(gzip.compress("".join(json.dumps({"turns": talk}) + "\n" for talk in talks).encode()))
    return path


def nats_by_hand(chat: LoadedChat, prompt: str, reply: str) -> tuple[float, int]:
    """One reply on its own, token by token."""
    before = chat.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    said = chat.tokenizer(reply, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        odds = chat.model(input_ids=torch.tensor([before + said])).logits[0].log_softmax(-1)
    return -sum(odds[len(before) + at - 1, token].item() for at, token in enumerate(said)), len(said)


def test_perplexity_is_that_of_the_replies_after_their_tone(chat: LoadedChat, tmp_path: Path) -> None:
    one = "<|begin|><|user|>hello there<|end|><|tone|>warm<|assistant|>"
    two = one + "how are you today?<|end|><|user|>my order is late<|end|><|tone|>calm<|assistant|>"
    parts = [
        nats_by_hand(chat, one, "how are you today?<|end|>"),
        nats_by_hand(chat, two, "thank you so much<|end|>"),
        nats_by_hand(chat, "<|begin|><|user|>what is my name?<|end|><|assistant|>", "naïve 😀<|end|>"),
    ]
    nats, tokens = sum(part[0] for part in parts), sum(part[1] for part in parts)
    found = perplexity(chat, write(tmp_path / "own.valid.jsonl.gz", TALKS))
    assert found.replies == 3
    assert found.token == pytest.approx(math.exp(nats / tokens), rel=1e-3)
    assert found.word == pytest.approx(math.exp(nats / 10), rel=1e-3)
    assert found.bits_per_byte == pytest.approx(nats / math.log(2) / (18 + 17 + 11), rel=1e-3)


def test_what_exceeds_the_context_is_left_out(chat: LoadedChat, tmp_path: Path) -> None:
    long = [*TALKS[0], {"role": "user", "text": "x" * 600}, {"role": "assistant", "text": "sorry?", "tone": "calm"}]
    found = perplexity(chat, write(tmp_path / "own.valid.jsonl.gz", [long]))
    assert found.replies == 2
    assert found == perplexity(chat, write(tmp_path / "own.valid.jsonl.gz", TALKS[:1]))


def test_sources_are_our_own_and_those_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "dialogue").mkdir()
    other = write(tmp_path / "dialogue" / "other.valid.jsonl.gz", TALKS)
    own = corpus.OWN / "rapport_written.valid.jsonl.gz"
    assert sources(None)["rapport_written"] == own
    assert sources(tmp_path).items() >= {"rapport_written": own, "other": other}.items()


def test_distinct_2_counts_pairs_within_replies() -> None:
    # "i am", "am i", "i am" and "I am": four pairs, two different ones.
    assert distinct_2(["i am i am", "I am"]) == 0.5
    assert distinct_2(["yes", "no"]) == 0.0


@pytest.mark.parametrize(
    ("dialogue", "share"),
    [
        (["a b c d, a b c", "e f"], 0.0),
        (["a b c d, a b c d", "e f"], 0.5),
        (["How are you?", "fine", "how are you"], 1 / 3),
    ],
)
def test_repetition(dialogue: list[str], share: float) -> None:
    assert repetition_rate([dialogue]) == pytest.approx(share)


def test_the_same_reply_in_another_dialogue_is_no_repetition() -> None:
    assert repetition_rate([["hello"], ["hello"]]) == 0.0


def test_speed_of_a_real_engine(tmp_path: Path) -> None:
    model = tiny.save_llama(tmp_path / "model", tiny.starter_tokenizer())
    before = torch.get_num_threads()
    found = speed(Generation(model=model, max_new_tokens=8), 1, ["hello", "thanks"], Tone(name="plain", guidance=""))
    assert found.first_token_s > 0
    assert found.tokens_per_s > 0
    assert torch.get_num_threads() == before
