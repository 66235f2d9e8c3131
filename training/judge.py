"""What a reply expresses, by a classifier that neither model was trained or chosen with: care, joy, or neither.

    python -m training.judge --data DATA    # fits it anew, says how well it agrees, writes models/tone-judge

A linear model on words and pairs of words, so that it is small and nobody has to trust it: its weights say why. There
are two of them. ``outside`` learnt from GoEmotions' comments and from lines written for it alone. ``marked`` learnt
from replies whose tone our authors marked, too; it knows their subtler ways, but the chat model has learnt from the
same replies. What a fitting reply is does not
stand here but in ablation.py.
"""

import argparse
import gzip
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from core.settings import ROOT
from training import corpus
from training.metrics import macro_recall

EXPRESSED = ("care", "joy", "matter-of-fact")
JUDGES = ("outside", "marked")
FOLDER = ROOT / "models" / "tone-judge"
FILE = "judge.safetensors"
# Feelings that sound alike in a reply. One who names a loss or a fear to another takes it seriously, so the emotions
# of distress count as care; anger, disgust and the like fit no reply and are left out, as are surprise and desire.
EMOTIONS = {
    "care": "caring remorse sadness grief disappointment fear nervousness embarrassment",
    "joy": "admiration amusement excitement gratitude joy love optimism pride relief",
    "matter-of-fact": "neutral approval realization curiosity confusion",
}
# Warm, encouraging and firm replies are left out: they comfort as often as they cheer.
TONES = {
    "care": "empathetic reassuring apologetic calm",
    "joy": "cheerful playful",
    "matter-of-fact": "plain clarifying",
}
_SIZE = 2**15  # places that features are hashed to
_PIECES = re.compile(r"[a-z']+|\d|[^\w\s]")
# As how many rows GoEmotions, the marked replies and the lines of our own count, whatever their number; within a
# source each class counts the same.
_WEIGHTS = {"marked": (3000, 6000, 1200), "outside": (6000, 0, 1800)}
_C = 2.0  # inverse strength of the regularisation

Rows = tuple[list[str], list[str]]  # texts, and what each expresses


class Judge:
    """One of the two judges, loaded."""

    def __init__(self, weights: torch.Tensor, bias: torch.Tensor) -> None:
        self._weights = weights  # float32 [classes, _SIZE]
        self._bias = bias  # float32 [classes]

    @classmethod
    def load(cls, name: str, folder: Path = FOLDER) -> "Judge":
        """Load a judge by its name; raises FileNotFoundError where it is not."""
        tensors = load_file(folder / FILE)
        return cls(tensors[f"{name}.weight"].float() * tensors[f"{name}.scale"], tensors[f"{name}.bias"])

    def expressed(self, reply: str) -> str:
        """Return what a reply expresses: one of EXPRESSED."""
        places = features(reply)
        scores = self._weights[:, places].sum(dim=1) / math.sqrt(len(places)) + self._bias
        return EXPRESSED[int(scores.argmax())]


def features(text: str) -> list[int]:
    """Return the places of a text's words, marks and pairs of neighbours; never none. Numbers are all one word."""
    plain = re.sub(r"\d[\d.,]*", "0", text.lower().replace("’", "'"))
    words = ["^", *_PIECES.findall(plain)]
    pairs = (f"{one} {two}" for one, two in pairwise(words))
    return sorted({zlib.crc32(feature.encode()) % _SIZE for feature in (*words, *pairs)})


def agreement(judge: Judge) -> dict[str, tuple[float, int]]:
    """Return (macro recall in 0..1, number of replies) for each sort of replies of which people said what they express.

    "marked" are replies to held-out topics by our authors, with the tone they meant; "read" are replies of the starter
    model, which one reader sorted who saw the replies alone, in random order, not the message, the tone or this judge.
    """
    sorts = {"marked": marked_replies("valid"), "read": _lines("read_replies.jsonl")}
    return {
        sort: (macro_recall([judge.expressed(text) for text in texts], gold), len(texts))
        for sort, (texts, gold) in sorts.items()
    }


def describe(name: str, agreed: dict[str, tuple[float, int]]) -> str:
    """Return a line that says how well a judge agrees with people."""
    shares = (f"{share:.3f} on {number} {sort} replies" for sort, (share, number) in agreed.items())
    return f'Judge "{name}": macro recall {", ".join(shares)} (chance 0.333).'


def marked_replies(split: str) -> Rows:
    """Return the replies of our conversations whose marked tone says what they express."""
    group = {tone: name for name, tones in TONES.items() for tone in tones.split()}
    lines = [line for one in corpus.read(corpus.OWN, "rapport_written", split) for line in one.lines]
    kept = [(line.text, group[line.tone]) for line in lines if line.tone in group]
    return [text for text, _ in kept], [name for _, name in kept]


def _emotional_comments(data: Path) -> Rows:
    """Return GoEmotions' comments whose emotions all belong to one group."""
    group = {emotion: name for name, emotions in EMOTIONS.items() for emotion in emotions.split()}
    texts: list[str] = []
    names: list[str] = []
    with gzip.open(data / "sentiment" / "goemotions.train.jsonl.gz", "rt", encoding="utf-8") as rows:
        for row in map(json.loads, rows):
            found = {group.get(emotion, "") for emotion in row["emotions"]}
            if len(found) == 1 and "" not in found:
                texts.append(row["text"])
                names += found
    return texts, names


def _lines(name: str) -> Rows:
    rows = [json.loads(row) for row in (corpus.OWN / name).read_text("utf-8").splitlines()]
    return [row["text"] for row in rows], [row["expresses"] for row in rows]


def fit(sources: Sequence[Rows], weights: Sequence[int]) -> Judge:
    """Return the judge that a logistic regression learns from sources that count as so many rows."""
    import numpy as np
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression

    used = [(rows, weight) for rows, weight in zip(sources, weights, strict=True) if weight]
    rows = [features(text) for (texts, _), _ in used for text in texts]
    values = np.concatenate([np.full(len(row), 1 / math.sqrt(len(row))) for row in rows])
    ends = np.cumsum([0, *map(len, rows)])
    matrix = csr_matrix((values, np.concatenate(rows), ends), shape=(len(rows), _SIZE))
    names = [name for (_, gold), _ in used for name in gold]
    shares = [share for (_, gold), weight in used for share in _balanced(gold, weight)]
    model = LogisticRegression(C=_C, max_iter=300).fit(matrix, names, sample_weight=shares)
    order = [list(model.classes_).index(name) for name in EXPRESSED]
    return Judge(torch.tensor(model.coef_[order]).float(), torch.tensor(model.intercept_[order]).float())


def _balanced(gold: Iterable[str], total: float) -> list[float]:
    """Return a weight a row, so that all classes weigh the same and all rows together ``total``."""
    gold = list(gold)
    counts = Counter(gold)
    return [total / len(counts) / counts[name] for name in gold]


def _packed(judge: Judge, name: str) -> dict[str, torch.Tensor]:
    """Return the judge's tensors with its weights in eight bits."""
    scale = judge._weights.abs().amax(dim=1, keepdim=True) / 127
    return {
        f"{name}.weight": (judge._weights / scale).round().to(torch.int8),
        f"{name}.scale": scale,
        f"{name}.bias": judge._bias,
    }


def main() -> None:
    """Fit both judges, write them and print how well they agree with our marks."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--data", type=Path, required=True, help="folder with sentiment/goemotions.train.jsonl.gz")
    args.add_argument("--out", type=Path, default=FOLDER)
    options = args.parse_args()
    sources = [_emotional_comments(options.data), marked_replies("train"), _lines("judge_lines.jsonl")]
    tensors: dict[str, torch.Tensor] = {}
    for name in JUDGES:
        tensors |= _packed(fit(sources, _WEIGHTS[name]), name)
    options.out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, options.out / FILE)
    for name in JUDGES:
        print(describe(name, agreement(Judge.load(name, options.out))))


if __name__ == "__main__":
    main()
