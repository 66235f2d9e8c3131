"""Which candidate is sent: properties of the score, and what is put last."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dialogue import Reading, Sentiment
from core.fitness import ANY_VALENCE, LIKE_ENOUGH, Candidate, choose, fitness

VALENCE = st.floats(-1, 1)
BAND = st.tuples(VALENCE, VALENCE).map(lambda ends: (min(ends), max(ends)))
ANGLE = st.floats(0, math.pi)


def reading(valence: float = 0, angle: float = 0) -> Reading:
    """What an encoder with embeddings of two dimensions would read: ``angle`` is between this text and the asked."""
    scores = {"negative": max(0.0, -valence), "neutral": 1 - abs(valence), "positive": max(0.0, valence)}
    return Reading(sentiment=Sentiment.of(scores), embedding=(math.cos(angle), math.sin(angle)))


ASKED = reading()


def candidate(
    text: str, valence: float = 0, angle: float = 0, *, ended: bool = True, refused: bool = False
) -> Candidate:
    return Candidate(text, ended, refused, reading(valence, angle))


def distance(valence: float, band: tuple[float, float]) -> float:
    return max(band[0] - valence, valence - band[1], 0)


@given(VALENCE, ANGLE, BAND)
def test_a_score_lies_between_nothing_and_all(valence: float, angle: float, band: tuple[float, float]) -> None:
    assert 0 <= fitness(reading(valence, angle), band, ASKED) <= 1


@given(VALENCE, VALENCE, ANGLE, BAND)
def test_nearer_to_the_band_is_never_worse(one: float, other: float, angle: float, band: tuple[float, float]) -> None:
    nearer, farther = sorted((one, other), key=lambda valence: distance(valence, band))
    assert fitness(reading(nearer, angle), band, ASKED) >= fitness(reading(farther, angle), band, ASKED) - 1e-9


@given(VALENCE, ANGLE, ANGLE, BAND)
def test_more_relevant_is_never_worse(valence: float, one: float, other: float, band: tuple[float, float]) -> None:
    narrow, wide = sorted((one, other))
    assert fitness(reading(valence, narrow), band, ASKED) >= fitness(reading(valence, wide), band, ASKED) - 1e-9


@given(VALENCE, ANGLE, BAND, st.floats(0, 1), st.floats(0, 1))
def test_a_wider_band_is_never_stricter(
    valence: float, angle: float, band: tuple[float, float], below: float, above: float
) -> None:
    wider = (band[0] - below, band[1] + above)
    assert fitness(reading(valence, angle), wider, ASKED) >= fitness(reading(valence, angle), band, ASKED) - 1e-9


def test_the_formula() -> None:
    at_half = math.acos(LIKE_ENOUGH / 2)
    assert fitness(reading(0.6, at_half), (-1, 0.1), ASKED) == pytest.approx(0.5 * 0.5 + 0.5 * 0.5)
    assert fitness(reading(0.5, 0), (0.2, 1), ASKED) == 1
    assert fitness(reading(1, math.pi), (-1, -0.5), ASKED) == 0


def test_a_score_without_embeddings_goes_by_the_tone() -> None:
    bare = Reading(sentiment=ASKED.sentiment, embedding=())
    assert fitness(bare, ANY_VALENCE, bare) == 0.5


def test_the_tone_decides_between_replies_that_are_as_relevant() -> None:
    replies = [candidate("Yay!", 0.9), candidate("I'm sorry about that.", -0.4)]
    assert choose(replies, (-1, 0.1), ASKED, []) == 1
    assert choose(replies, (0.2, 1), ASKED, []) == 0


def test_relevance_decides_between_replies_of_the_same_tone() -> None:
    replies = [candidate("The weather is fine.", angle=1.5), candidate("Which order is it?", angle=1.0)]
    assert choose(replies, ANY_VALENCE, ASKED, []) == 1


def test_an_echo_is_no_better_than_what_is_like_enough() -> None:
    replies = [candidate("Which order?", angle=math.acos(LIKE_ENOUGH)), candidate("My order is late", angle=0)]
    assert choose(replies, ANY_VALENCE, ASKED, []) == 0


WORST_FIRST = [
    candidate(" \n"),
    candidate("You idiot.", refused=True),
    candidate("Which order is", ended=False),
    candidate("Hello, there."),
]
EARLIER = ["Hello there!"]


@pytest.mark.parametrize("count", range(1, len(WORST_FIRST) + 1))
def test_flaws_come_last_each_in_its_place(count: int) -> None:
    assert choose(WORST_FIRST[:count], ANY_VALENCE, ASKED, EARLIER) == count - 1


@given(st.permutations([*WORST_FIRST, candidate("Not that fitting.", 1, math.pi)]))
def test_any_reply_without_a_flaw_comes_before_all_with_one(replies: list[Candidate]) -> None:
    assert replies[choose(replies, (-1, -1), ASKED, EARLIER)].text == "Not that fitting."


@pytest.mark.parametrize(
    "text", ["Done.", "Really?", "She said “yes.”", "Sure! 🙂", "好的。", "(That's all.)", "one: *this*"]
)
def test_what_is_cut_off_after_a_sentence_has_no_flaw(text: str) -> None:
    assert choose([candidate("repeats"), candidate(text, ended=False)], ANY_VALENCE, ASKED, ["Repeats!"]) == 1


@pytest.mark.parametrize("text", ["I think that", "first, second,", "and then -", "cost 5", "see (", "either/", "A & "])
def test_what_is_cut_off_within_a_sentence_comes_after_a_repetition(text: str) -> None:
    assert choose([candidate(text, ended=False), candidate("repeats")], ANY_VALENCE, ASKED, ["Repeats!"]) == 1
