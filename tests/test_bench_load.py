"""What bench/load.py computes, and that its pictures are small and say what they show."""

from pathlib import Path

import pytest

from bench.crowd import Message, _reordered
from bench.marks import marked
from bench.plots import Bars, Lines, draw
from bench.soak import slopes
from core.dialogue import Prompt, PromptMessage, Tone
from tests.workers.scripted import models

TONE = Tone(name="plain", guidance="")


def test_the_slope_of_memory_leaves_the_warm_up_out() -> None:
    warm_up = [{"at": 9.0 + 6 * n, "memory": {"worker": 10.0 * n, "redis": 7.0}} for n in range(20)]
    steady = [{"at": 9.0 + 6 * n, "memory": {"worker": 200.0 + 6 * n / 3600, "redis": 7.0}} for n in range(20, 100)]
    samples = [*warm_up, *steady]
    assert slopes(samples, warm_up=2) == {"worker": pytest.approx(1.0), "redis": pytest.approx(0.0)}
    assert slopes(samples, warm_up=1.9)["worker"] > 1.0


def test_a_reply_repeats_the_marks_of_all_that_it_answers() -> None:
    scripted = marked(models(lambda prompt, on_text, cancelled: "ok"))

    def answer(prompt: Prompt) -> str:
        return scripted.submit(prompt, lambda text: None, "ada").result(5).text

    said = [PromptMessage(role="user", content="№1"), PromptMessage(role="assistant", content="ok №1")]
    prompt = Prompt(messages=(*said, PromptMessage(role="user", content="hello №2\nand №31")), tone=TONE)
    assert answer(prompt) == "ok №2 №31"
    unmarked = Prompt(messages=(PromptMessage(role="user", content="hello"),), tone=TONE)
    assert answer(unmarked) == "ok"


def test_an_answer_that_overtakes_one_of_the_same_person_is_counted() -> None:
    def answered(number: int, person: str, at: float, network: str = "slack") -> Message:
        return Message(number, network, person, due=0.0, answers={"post": at})

    assert _reordered([answered(1, "ada", 5.0), answered(2, "ada", 4.0), answered(3, "bob", 1.0)]) == 1
    assert _reordered([answered(1, "ada", 5.0), answered(2, "ada", 5.0), answered(3, "bob", 6.0)]) == 0


def test_a_picture_is_small_and_keeps_its_words(tmp_path: Path) -> None:
    many = list(range(200))
    picture = tmp_path / "new" / "one.svg"
    lines = Lines("MB", "minutes", {"worker": (many, many), "redis": (many, many)}, dots=False, marks={9: "full"})
    draw(picture, "How it goes", lines, Bars("a second", ["one", "two"], {"this": [1, 2], "that": [3, 4]}))
    text = picture.read_text("utf-8")
    assert len(text) < 100_000
    for word in ("How it goes", "MB", "minutes", "worker", "full", "a second", "two", "that"):
        assert f">{word}<" in text
    before = text
    draw(picture, "How it goes", lines, Bars("a second", ["one", "two"], {"this": [1, 2], "that": [3, 4]}))
    assert picture.read_text("utf-8") == before, "the same figures are the same file"
