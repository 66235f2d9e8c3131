"""The judges that ship, and how they are made."""

from pathlib import Path

import pytest

from training.judge import EXPRESSED, FILE, FOLDER, JUDGES, Judge, agreement, features


@pytest.mark.parametrize("name", JUDGES)
@pytest.mark.parametrize(
    ("reply", "expressed"),
    [
        ("I'm so sorry to hear that. That must hurt a lot.", "care"),
        ("Congratulations! That's wonderful news, I'm so happy for you!", "joy"),
        ("Open the settings and choose the second page.", "matter-of-fact"),
    ],
)
def test_plain_replies(name: str, reply: str, expressed: str) -> None:
    assert Judge.load(name).expressed(reply) == expressed


@pytest.mark.parametrize("reply", ["", " ", "😀", "7", "Ünïcödé …", "x" * 5000])
def test_any_reply_is_judged(reply: str) -> None:
    assert features(reply)
    assert Judge.load("marked").expressed(reply) in EXPRESSED


def test_numbers_and_quotes_are_read_alike() -> None:
    assert features("It’s 3,500 now") == features("it's 12 now")


def test_judges_agree_with_people_far_more_than_chance() -> None:
    outside, marked = (agreement(Judge.load(name)) for name in ("outside", "marked"))
    assert min(number for _, number in outside.values()) >= 160
    assert outside["read"][0] > 0.7
    assert outside["marked"][0] > 0.4
    assert marked["read"][0] > 0.7
    assert marked["marked"][0] > 0.65


def test_they_are_small() -> None:
    assert (FOLDER / FILE).stat().st_size < 300_000


def test_a_missing_judge_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Judge.load("marked", tmp_path)
