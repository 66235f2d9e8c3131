"""Measures of a classifier, in plain Python: what the recipes, the prediction tool and the evaluation count alike."""

from collections import Counter
from collections.abc import Mapping, Sequence


def macro_recall(predicted: Sequence[str], gold: Sequence[str]) -> float:
    """Return the mean of the labels' recalls in 0..1: the measure of SemEval's and TweetEval's sentiment tasks.

    The labels are those of ``gold``; a label that is predicted and never right only lowers the others.

    Raises:
        ValueError: no texts, or not one prediction a text.
    """
    if not gold or len(predicted) != len(gold):
        raise ValueError(f"Give one prediction a text: {len(predicted)} predictions, {len(gold)} texts.")
    wanted = Counter(gold)
    right = Counter(label for guess, label in zip(predicted, gold, strict=True) if guess == label)
    return sum(right[label] / count for label, count in wanted.items()) / len(wanted)


def expected_calibration_error(scores: Sequence[Mapping[str, float]], gold: Sequence[str], bins: int = 15) -> float:
    """Return how far confidence is from accuracy on average, in 0..1, over bins of equal width.

    ``scores`` has one mapping of label to probability a text. After Guo et al. 2017,
    https://arxiv.org/abs/1706.04599: the texts are put into bins by the probability of their likeliest label; a
    bin's gap between mean probability and share of right labels counts as much as it has texts.

    Raises:
        ValueError: no texts, or not one set of scores a text.
    """
    if not gold or len(scores) != len(gold):
        raise ValueError(f"Give one set of scores a text: {len(scores)} sets of scores, {len(gold)} texts.")
    gaps = [0.0] * bins  # a bin's sum of confidence minus right: its gap times its number of texts
    for one, label in zip(scores, gold, strict=True):
        guess, confidence = max(one.items(), key=lambda item: item[1])
        gaps[min(int(confidence * bins), bins - 1)] += confidence - (guess == label)
    return sum(map(abs, gaps)) / len(gold)
