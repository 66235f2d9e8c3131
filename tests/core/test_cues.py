import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cues import EMOJI, EMOTICONS, WORDS, Cues, read_cues

DISTRESS = ("anger", "sadness", "worry", "annoyance")
NOTHING = Cues()


def shows(kind: str, text: str) -> bool:
    cues = read_cues(text)
    return cues.distress == kind if kind in DISTRESS else bool(getattr(cues, kind))


def phrases(kind: str) -> list[str]:
    return [" ".join(phrase.split()) for phrase in WORDS[kind].split(",")]


ALL_PHRASES = [(kind, phrase) for kind in WORDS for phrase in phrases(kind)]
ALL_SIGNS = [(kind, sign) for kind, signs in EMOJI.items() for sign in signs]
ALL_SIGNS += [(kind, face) for kind, faces in EMOTICONS.items() for face in faces]


@pytest.mark.parametrize(("kind", "phrase"), ALL_PHRASES)
def test_every_phrase_is_a_cue_in_any_case_and_not_inside_a_word(kind: str, phrase: str) -> None:
    said = re.sub(r"(?<=\w)\*", "ing", phrase).replace("*", "day")
    for text in (f"well {said} today", said.upper(), said.capitalize() + "."):
        assert shows(kind, text), text
    assert not shows(kind, f"xx{said}xx") or "*" in phrase


@pytest.mark.parametrize(("kind", "sign"), ALL_SIGNS)
def test_every_sign_is_a_cue_with_any_words(kind: str, sign: str) -> None:
    for text in (sign, f"hoy {sign}", f"今日は{sign}", f"{sign}\ufe0f\U0001f3fd ok"):
        assert shows(kind, text), text


@pytest.mark.parametrize(
    "text",
    [
        "I'm not angry",
        "I’m NOT really angry",
        "no stress",
        "I am not sad or anything",
        "don't worry about it",
        "never been worried",
        "i wasnt scared",
        "I isnt frustrated",
        "without any panic",
    ],
)
def test_a_negated_word_is_no_cue(text: str) -> None:
    assert read_cues(text).distress is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("no, I'm sad", "sadness"),
        ("I'm not angry but sad", "sadness"),
        ("I can't stop crying", "sadness"),
        ("it did not come. I'm furious", "anger"),
        ("not one of my friends came and that leaves me so lonely", "sadness"),
    ],
)
def test_a_negation_of_something_else_denies_nothing(text: str, kind: str) -> None:
    assert read_cues(text).distress == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("my order is three weeks late and nobody answers!", "annoyance"),
        ("yeah right, just great", "annoyance"),
        ("ich bin so traurig 😢", "sadness"),
        ("jsem z toho 😰 exam mañana", "worry"),
        ("soooo SAAAAD", "sadness"),
        ("i cant sleep, what if it fails", "worry"),
        ("sad, but mostly furious. furious!", "anger"),
    ],
)
def test_what_people_write(text: str, kind: str) -> None:
    assert read_cues(text).distress == kind


def test_of_kinds_with_as_many_cues_the_graver_one_counts() -> None:
    assert read_cues("worried and sad").distress == "sadness"
    assert read_cues("annoyed and worried").distress == "worry"


def test_thanks_for_nothing_are_no_thanks() -> None:
    assert read_cues("thanks a lot!").thanks
    sour = read_cues("Thanks for NOTHING")
    assert not sour.thanks
    assert sour.distress == "annoyance"


@pytest.mark.parametrize("text", ["STOP DOING THIS", "no!! no", "what?!", "why???", "ПОЧЕМУ ОПЯТЬ", "really!?"])
def test_capitals_and_repeated_marks_are_loud(text: str) -> None:
    assert read_cues(text).loud


@pytest.mark.parametrize("text", ["NASA called", "fine!", "ok?", "I am here", "你好 你好吗", "hm... ok"])
def test_one_mark_or_one_short_name_is_not_loud(text: str) -> None:
    assert not read_cues(text).loud


@pytest.mark.parametrize("text", ["", " ", "\n\n", "what time is it", "the sadistic typist", "12345", "😀", "\ufe0f"])
def test_a_text_without_cues_shows_nothing(text: str) -> None:
    assert read_cues(text) == NOTHING


def test_of_a_very_long_text_both_ends_are_read() -> None:
    assert read_cues("furious " + "word " * 50_000).distress == "anger"
    assert read_cues("word " * 50_000 + "furious").distress == "anger"
    assert read_cues("no " * 100_000 + "!" * 100_000).loud


@given(st.text())
def test_every_text_can_be_read(text: str) -> None:
    cues = read_cues(text)
    assert cues.distress in (None, *DISTRESS)
    assert read_cues(text) == cues
