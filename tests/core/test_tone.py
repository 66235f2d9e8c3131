from hypothesis import given
from hypothesis import strategies as st

from core import settings
from core.dialogue import Sentiment
from core.settings import TONES, Mood
from core.tone import choose_tone, mood

TABLE = settings.load().tone
MOOD = Mood()
# From the gravest tone to the lightest.
LIGHTNESS = ["calm", "empathetic", "reassuring", "plain", "cheerful"]
valences = st.floats(-1, 1)


def feeling(valence: float) -> Sentiment:
    rest = 1 - abs(valence)
    return Sentiment.of({"negative": max(-valence, 0), "neutral": rest, "positive": max(valence, 0)})


def tone(now: float, *earlier: float) -> str:
    return choose_tone(feeling(now), earlier, MOOD, TABLE).name


def test_a_first_message_sets_the_tone_by_its_own_sentiment() -> None:
    assert tone(-0.8) == "empathetic"
    assert tone(0.0) == "plain"
    assert tone(0.5) == "cheerful"
    assert tone(0.95) == "cheerful"


def test_anger_that_goes_on_is_met_calmly() -> None:
    assert tone(-0.9, -0.7, -0.8) == "calm"
    assert tone(-0.4, -0.7, -0.8) == "empathetic"


def test_what_was_said_before_is_kept_in_mind() -> None:
    assert tone(0.0, -0.9) == "reassuring"
    assert tone(0.9, -0.9) == "reassuring"
    assert tone(0.9, 0.1) == "cheerful"


def test_every_tone_stands_in_the_shipped_table() -> None:
    assert set(TONES) == set(TABLE)
    assert all(row.guidance for row in TABLE.values())


@given(valences, st.lists(valences, max_size=6))
def test_no_other_tone_is_chosen(now: float, earlier: list[float]) -> None:
    assert tone(now, *earlier) in TONES


@given(valences, valences, st.lists(valences, max_size=6))
def test_a_worse_message_never_gets_a_lighter_tone(one: float, other: float, earlier: list[float]) -> None:
    worse, better = sorted((one, other))
    assert LIGHTNESS.index(tone(worse, *earlier)) <= LIGHTNESS.index(tone(better, *earlier))


@given(st.lists(valences, min_size=1, max_size=10))
def test_the_level_lies_between_the_extremes(values: list[float]) -> None:
    level = mood(values, MOOD).level
    assert min(values) - 1e-9 <= level <= max(values) + 1e-9


def test_no_turns_is_neutral() -> None:
    assert mood([], MOOD).level == 0
