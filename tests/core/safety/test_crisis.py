"""Recognising a crisis: two tables, what must make no difference, and what it may cost."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.safety import crisis
from tests.core.safety.in_danger import ABOUT_ANOTHER, IN_DANGER
from tests.core.safety.not_in_danger import NOT_IN_DANGER

OWN = ("suicide", "self-harm")
# Told without a plain word; known to be missed.
HINTS_ALONE = {
    "I bought a rope yesterday",
    "I'm standing on the roof and I don't want to come down the stairs",
    "I was going to jump but a stranger talked to me",
    "nobody would come to my funeral anyway",
    "I keep a blade under my pillow for when it gets bad",
}


def test_the_figures_of_the_tables() -> None:
    found = sum(crisis(text) in OWN for text in IN_DANGER)
    false = sum(crisis(text) is not None for text in NOT_IN_DANGER)
    recall, precision = found / len(IN_DANGER), found / (found + false)
    print(f"\nin danger {len(IN_DANGER)}, not {len(NOT_IN_DANGER)}: recall {recall:.3f}, precision {precision:.3f}")
    assert len(IN_DANGER) >= 60
    assert len(NOT_IN_DANGER) >= 80
    assert not set(IN_DANGER) & set(NOT_IN_DANGER)
    assert recall >= 0.97
    assert precision >= 0.99


@pytest.mark.parametrize("text", sorted(set(IN_DANGER) - HINTS_ALONE))
def test_a_person_in_danger_is_recognised(text: str) -> None:
    assert crisis(text) in OWN


@pytest.mark.parametrize("text", NOT_IN_DANGER)
def test_a_figure_of_speech_is_none(text: str) -> None:
    assert crisis(text) is None


@pytest.mark.parametrize("text", ABOUT_ANOTHER)
def test_fear_for_another_is_told_apart(text: str) -> None:
    assert crisis(text) == "other"


@pytest.mark.parametrize("text", ["I cut myself again last night", "I've been self-harming for a year"])
def test_self_harm_has_its_own_name(text: str) -> None:
    assert crisis(text) == "self-harm"


@given(st.sampled_from(sorted(set(IN_DANGER) - HINTS_ALONE)), st.data())
def test_disguises_make_no_difference(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    assert crisis(f"{text[:at]}\u200b{text[at:]}") in OWN
    assert crisis(text.upper()) in OWN
    assert crisis(f"  {text}\n") in OWN
    assert crisis(f"Hello again. {text}") in OWN


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    assert crisis(text) in (None, *OWN, "other")


def test_weak_hints_count_together_and_as_the_settings_say() -> None:
    text = "I hate myself. I can't do this anymore."
    assert crisis(text, weak_hints=2) == "suicide"
    assert crisis(text, weak_hints=3) is None
    assert crisis(text, weak_hints=0) is None
    assert crisis("I hate myself", weak_hints=2) is None
    assert crisis("I want to die", weak_hints=0) == "suicide"


@pytest.mark.parametrize(
    ("meant", "not_meant"),
    [
        ("I'm trying not to kill myself", "I decided not to kill myself"),
        ("I can't stop cutting myself", "I stopped cutting myself"),
        ("I want to end it", "I want to end it with my girlfriend"),
        ("I almost killed myself last night", "I almost killed myself on the stairs"),
        ("I cut myself on purpose", "I cut myself while chopping onions"),
        ("kms", "it was 40 kms long"),
        ("I used to cut myself and I started again", "I used to cut myself, years ago"),
        ("I wanted to die after what he did", "it was so embarrassing I wanted to die"),
    ],
)
def test_a_word_more_tells_them_apart(meant: str, not_meant: str) -> None:
    assert crisis(meant) in OWN
    assert crisis(not_meant) is None


@pytest.mark.parametrize(
    "unit",
    ["a", "i want to ", "not think about ", "my friend ", "k*ll ", "1a", "I am fine\n", "to to ", "i i ", "he said "],
)
def test_no_text_takes_long(unit: str) -> None:
    text = (unit * 8000)[:8000]
    began = time.process_time()
    crisis(text)
    assert time.process_time() - began < 2
