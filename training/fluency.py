"""How well the chat model has learnt to talk: perplexity, variety and repetition of its replies, and its speed.

Whether a reply's tone fits is a matter of ablation.py.
"""

import gzip
import json
import math
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from core.dialogue import Prompt, PromptMessage, Tone
from core.sections import Generation
from training import corpus
from workers.engine.chat import ChatEngine
from workers.engine.loading import LoadedChat

_MOST = 150  # conversations of a source; more would take long and change little
_ROWS = 8  # conversations together
_WORD = re.compile(r"[\w'’]+|[^\w\s]")


@dataclass(frozen=True)
class Perplexity:
    """How surprised a model is by the replies of one source, given what was said before.

    ``token`` is the perplexity a token, which only models with the same tokenizer share; ``word`` (blanks separate
    words) and ``bits_per_byte`` (of UTF-8) compare across tokenizers. The end of a reply counts as a token of it.
    """

    replies: int
    token: float
    word: float
    bits_per_byte: float


@dataclass(frozen=True)
class Speed:
    """Medians over prompts: seconds to the first token, and tokens a second after it."""

    first_token_s: float
    tokens_per_s: float


def sources(data: Path | None) -> dict[str, Path]:
    """Return the files of held-out conversations by source: our own, and those below ``data``."""
    folders = [corpus.OWN, *([data / "dialogue"] if data else [])]
    files = [file for folder in folders for file in sorted(folder.glob("*.valid.jsonl.gz"))]
    return {file.name.removesuffix(".valid.jsonl.gz"): file for file in files}


def perplexity(chat: LoadedChat, file: Path) -> Perplexity:
    """Return the perplexity of the replies in a file of conversations, of its first ones where it holds many.

    Marked tones stand in the control line. What exceeds the model's context is left out. The model must be a causal
    one whose chat template grows by appending.
    """
    limit = chat.model.config.max_position_embeddings
    rows = sorted(
        (_encoded(chat.tokenizer, turns, limit) for turns in _conversations(file)), key=lambda row: len(row.ids)
    )
    nats = sum(_nats(chat, rows[at : at + _ROWS]) for at in range(0, len(rows), _ROWS))
    tokens = sum(sum(row.learnt) for row in rows)
    text = " ".join(reply for row in rows for reply in row.replies)
    size = sum(len(reply.encode()) for row in rows for reply in row.replies)
    return Perplexity(
        replies=sum(len(row.replies) for row in rows),
        token=math.exp(nats / tokens),
        word=math.exp(nats / len(text.split())),
        bits_per_byte=nats / math.log(2) / size,
    )


@dataclass(frozen=True)
class _Row:
    ids: list[int]
    learnt: list[bool]  # is it a token of a reply?
    replies: list[str]


def _conversations(file: Path) -> Iterator[list[dict[str, str]]]:
    with gzip.open(file, "rt", encoding="utf-8") as rows:
        for row, _ in zip(rows, range(_MOST), strict=False):
            turns = json.loads(row)["turns"]
            yield [
                {"role": turn["role"], "content": turn["text"], **({"tone": turn["tone"]} if "tone" in turn else {})}
                for turn in turns
            ]


def _encoded(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]], limit: int) -> _Row:
    """Return the ids of as many whole replies, and what leads to them, as the context holds."""
    ids: list[int] = []
    learnt: list[bool] = []
    replies = []
    done = ""
    for at, turn in enumerate(turns):
        if turn["role"] != "assistant":
            continue
        tone: dict[str, Any] = {"tone": turn["tone"]} if "tone" in turn else {}
        head = str(tokenizer.apply_chat_template(turns[:at], tokenize=False, add_generation_prompt=True, **tone))
        whole = str(tokenizer.apply_chat_template(turns[: at + 1], tokenize=False))
        asked = tokenizer(head.removeprefix(done), add_special_tokens=False)["input_ids"]
        said = tokenizer(whole.removeprefix(head), add_special_tokens=False)["input_ids"]
        if len(ids) + len(asked) + len(said) > limit:
            break
        ids += [*asked, *said]
        learnt += [False] * len(asked) + [True] * len(said)
        replies.append(turn["content"])
        done = whole
    return _Row(ids, learnt, replies)


def _nats(chat: LoadedChat, rows: Sequence[_Row]) -> float:
    """Return the negative log-likelihood of all replies' tokens, in nats."""
    width = max(len(row.ids) for row in rows)
    if not width:
        return 0.0
    ids = torch.tensor([row.ids + [0] * (width - len(row.ids)) for row in rows], device=chat.device)
    wanted = torch.tensor([row.learnt + [False] * (width - len(row.learnt)) for row in rows], device=chat.device)
    with torch.inference_mode():  # padding stands on the right, where nothing that counts can see it
        logits = chat.model(input_ids=ids).logits[:, :-1].float()
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    return float(losses[wanted[:, 1:]].sum())


def distinct_2(replies: Sequence[str]) -> float:
    """Return different pairs of neighbouring words over all pairs, in 0..1 (Li et al. 2016).

    https://arxiv.org/abs/1510.03055. It falls as the replies become more: compare for the same messages only.
    """
    pairs = [pair for reply in replies for pair in pairwise(_words(reply))]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def repetition_rate(dialogues: Sequence[Sequence[str]]) -> float:
    """Return the share, in 0..1, of replies that say four words in a row twice or repeat an earlier reply whole.

    Each dialogue is the bot's replies in order; upper case and marks make no difference between two replies.
    """
    repeated = [
        _says_twice(_words(reply)) or _bare(reply) in map(_bare, dialogue[:at])
        for dialogue in dialogues
        for at, reply in enumerate(dialogue)
    ]
    return sum(repeated) / len(repeated)


def _says_twice(words: Sequence[str]) -> bool:
    runs = list(zip(words, words[1:], words[2:], words[3:], strict=False))
    return len(set(runs)) < len(runs)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def speed(settings: Generation, threads: int, messages: Sequence[str], tone: Tone) -> Speed:
    """Return how fast the engine answers these messages one by one on the CPU, with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    # A new engine, as its thread takes over the number when it starts.
    engine = ChatEngine.load(settings.model_copy(update={"device": "cpu"}))
    try:
        _timed(engine, "hello", tone)  # the first pass allocates
        times = [_timed(engine, message, tone) for message in messages]
    finally:
        engine.close()
        torch.set_num_threads(before)
    return Speed(
        first_token_s=statistics.median(first for first, _ in times),
        tokens_per_s=statistics.median(rate for _, rate in times if rate),
    )


def _timed(engine: ChatEngine, message: str, tone: Tone) -> tuple[float, float]:
    """Return the seconds to the first text, and tokens a second from there on (0: there was only one)."""
    seen: list[float] = []
    began = time.perf_counter()
    prompt = Prompt(messages=(PromptMessage(role="user", content=message),), tone=tone)
    completion = engine.submit(prompt, lambda _: seen.append(time.perf_counter())).result()
    took = time.perf_counter()
    first = seen[0] if seen else took  # a reply may be empty
    more = completion.completion_tokens - 1
    return first - began, more / (took - first) if more > 0 and took > first else 0.0
