"""The measures against values worked out by hand."""

import pytest

from training.metrics import expected_calibration_error, macro_recall


def test_macro_recall_counts_every_label_alike() -> None:
    gold = ["negative"] * 2 + ["neutral"] * 8
    assert macro_recall(["negative", "neutral", *["neutral"] * 8], gold) == pytest.approx((1 / 2 + 8 / 8) / 2)


def test_a_label_nobody_has_is_no_label() -> None:
    assert macro_recall(["positive", "neutral"], ["neutral", "neutral"]) == 1 / 2


def test_calibration_error_by_hand() -> None:
    # Bin of 0.9: sure of 0.9, right in one of two, gap 0.4. Bin of 0.6: sure of 0.6, right, gap 0.4.
    scores = [{"yes": 0.9, "no": 0.1}, {"yes": 0.9, "no": 0.1}, {"yes": 0.4, "no": 0.6}, {"yes": 0.4, "no": 0.6}]
    assert expected_calibration_error(scores, ["yes", "no", "no", "no"], bins=10) == pytest.approx(0.4)


def test_gaps_within_a_bin_even_out_and_bins_do_not() -> None:
    one_bin = [{"a": 0.62, "b": 0.38}, {"a": 0.68, "b": 0.32}]
    assert expected_calibration_error(one_bin, ["a", "b"], bins=10) == pytest.approx(0.15)
    assert expected_calibration_error(one_bin, ["a", "b"], bins=100) == pytest.approx((0.38 + 0.68) / 2)


def test_full_certainty_that_is_right_has_no_error() -> None:
    assert expected_calibration_error([{"a": 1.0, "b": 0.0}] * 3, ["a"] * 3) == 0


@pytest.mark.parametrize("measure", [macro_recall, expected_calibration_error])
def test_counts_must_match(measure: object) -> None:
    assert callable(measure)
    for predicted, gold in [([], []), ([], ["a"])]:
        with pytest.raises(ValueError, match=f"{len(predicted)} .*, {len(gold)} texts"):
            measure(predicted, gold)
