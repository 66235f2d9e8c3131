"""The starter encoder's vocabulary: which of MiniLM's word pieces are kept, and how well the embeddings survive it.

Two fifths of MiniLM's weights are its table of 30,522 pieces, half of which conversations hardly ever use.
"""

import collections
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import BertModel

from training.encoder_texts import Texts, turns
from workers.engine.encoder import MAX_TOKENS
from workers.engine.sentiment import mean_pool, spell_symbols

VOCABULARY = 15_000
VOCABULARY_SOURCES = (
    "self_dialogue", "synthetic_persona_chat", "ms_personality_chat", "rapport_authored", "rapport_written",
    "topical_chat", "chatterbot_corpus",
)  # fmt: skip


def source_tokenizer(source: Path) -> dict[str, Any]:
    """Return MiniLM's tokenizer.json without its fixed padding and truncation."""
    spec: dict[str, Any] = json.loads((source / "tokenizer.json").read_text("utf-8"))
    return spec | {"padding": None, "truncation": None}


def choose_pieces(spec: dict[str, Any], data: Path, train: dict[str, Texts]) -> list[str]:
    """Return the VOCABULARY pieces to keep, special tokens first.

    Kept are all single characters, so that any word can still be spelt, then the pieces that our own
    conversations use twice or more, then the most frequent ones of all training texts.
    """
    full = Tokenizer.from_str(json.dumps(spec))
    counts: collections.Counter[str] = collections.Counter()
    own: collections.Counter[str] = collections.Counter()
    for source in VOCABULARY_SOURCES:
        count_pieces(full, (turn["text"] for turn in turns(data, source, "train")), counts)
    for texts in train.values():
        count_pieces(full, map(spell_symbols, texts.texts), counts)
    count_pieces(full, (turn["text"] for turn in turns(data, "rapport_written", "train")), own)

    special = [token["content"] for token in spec["added_tokens"]]
    characters = [
        piece
        for piece in spec["model"]["vocab"]
        if len(piece.removeprefix("##")) == 1 and (ord(piece.removeprefix("##")) < 0x250 or counts[piece])
    ]
    ranked = sorted(counts, key=lambda piece: (own[piece] < 2, -counts[piece], piece))
    return list(dict.fromkeys([*special, *sorted(characters), *ranked]))[:VOCABULARY]


def count_pieces(full: Tokenizer, texts: Iterable[str], into: collections.Counter[str]) -> None:
    """Add the pieces of the texts to a counter."""
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == 8192:
            into.update(piece for one in full.encode_batch(batch, add_special_tokens=False) for piece in one.tokens)
            batch.clear()
    into.update(piece for one in full.encode_batch(batch, add_special_tokens=False) for piece in one.tokens)


def prune(spec: dict[str, Any], body: BertModel, pieces: list[str]) -> Tokenizer:
    """Cut tokenizer and body (in place) down to these pieces and to MAX_TOKENS positions; return the tokenizer."""
    old = spec["model"]["vocab"]
    new = {piece: at for at, piece in enumerate(pieces)}
    spec["model"]["vocab"] = new
    for token in spec["added_tokens"]:
        token["id"] = new[token["content"]]
    for name, token in spec["post_processor"]["special_tokens"].items():
        token["ids"] = [new[name]]
    rows = body.embeddings.word_embeddings.weight[[old[piece] for piece in pieces]].detach().clone()
    body.embeddings.word_embeddings = torch.nn.Embedding.from_pretrained(rows, padding_idx=new["[PAD]"])
    positions = body.embeddings.position_embeddings.weight[:MAX_TOKENS].detach().clone()
    body.embeddings.position_embeddings = torch.nn.Embedding.from_pretrained(positions)
    body.embeddings.register_buffer("position_ids", torch.arange(MAX_TOKENS).unsqueeze(0), persistent=False)
    body.embeddings.register_buffer("token_type_ids", torch.zeros(1, MAX_TOKENS, dtype=torch.long), persistent=False)
    body.config.update({"vocab_size": len(pieces), "max_position_embeddings": MAX_TOKENS})
    return Tokenizer.from_str(json.dumps(spec))


def token_ids(tokenizer: Tokenizer, texts: list[str]) -> list[torch.Tensor]:
    """Return the ids of each text, of long ones the beginning and the end, as the product reads them."""
    half = MAX_TOKENS // 2
    rows = [one.ids for one in tokenizer.encode_batch(texts)]
    return [torch.tensor(ids if len(ids) <= MAX_TOKENS else ids[:half] + ids[-half:]) for ids in rows]


def pad(rows: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (ids [rows, tokens], mask, bool [rows, tokens])."""
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return ids, torch.arange(ids.shape[1]) < lengths.unsqueeze(1)


def embed(body: BertModel, tokenizer: Tokenizer, texts: list[str]) -> torch.Tensor:
    """Return unit embeddings [texts, width]."""
    rows = token_ids(tokenizer, texts)
    order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
    found = torch.empty(len(texts), body.config.hidden_size)
    for at in range(0, len(order), 128):
        picked = order[at : at + 128]
        ids, mask = pad([rows[row] for row in picked])
        with torch.inference_mode():
            hidden = body(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        found[picked] = torch.nn.functional.normalize(mean_pool(hidden.float(), mask), dim=-1)
    return found


def neighbour_report(ours: torch.Tensor, original: torch.Tensor) -> dict[str, float]:
    """Return how well two embeddings [texts, width] of the same texts agree on who is near to whom."""

    def near(vectors: torch.Tensor) -> torch.Tensor:
        return (vectors @ vectors.T).fill_diagonal_(-1)

    mine, wanted = near(ours), near(original).argmax(1)
    return {
        "texts": float(len(ours)),
        "mean cosine": (ours * original).sum(1).mean().item(),
        "same nearest": (mine.argmax(1) == wanted).float().mean().item(),
        "nearest within first 3": (mine.topk(3).indices == wanted.unsqueeze(1)).any(1).float().mean().item(),
        "nearest within first 5": (mine.topk(5).indices == wanted.unsqueeze(1)).any(1).float().mean().item(),
    }
