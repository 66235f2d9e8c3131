from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from core import settings
from core.cues import EMOJI, WORDS
from core.dialogue import Address, Sentiment, Turn
from core.sections import Mood
from core.tone import FEELINGS, Felt, choose_tone, feeling, mood, recently_felt

TABLE = settings.load().tone
MOOD = Mood()
NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
# Any, and those at and around the borders of the shipped settings.
EDGES = [-1, -0.7, -0.6, -0.4, -0.25, -0.2, -0.15, -0.05, 0, 0.05, 0.2, 0.25, 0.3, 0.6, 0.9, 1]
valences = st.one_of(st.sampled_from(EDGES), st.floats(-1, 1))
# Texts in which cues of every kind meet each other, negations, capitals and foreign words.
PIECES = [" ".join(p.split()).replace("*", "ed") for words in WORDS.values() for p in words.split(",")]
PIECES += ["".join(EMOJI.values()), *EMOJI["sadness"], "not", "no", "but", "!!", "?!", ".", ",", "OK", "HELP ME NOW"]
PIECES += ["你好", "ça va", "проблема", "\ufe0f", "the", "I am"]
# One or two cues are what people write; many are what a test should try as well.
few = st.lists(st.sampled_from(["worried", "sad", "fuck this", "ugh", "thanks", "confused", "!!", "ok"]), max_size=2)
texts = st.one_of(few.map(" ".join), st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join), st.text(max_size=40))
hours = st.floats(-1, 24 * 400)
any_mood = st.builds(
    Mood,
    half_life_turns=st.floats(0.1, 50),
    half_life_hours=st.floats(0.1, 1e6),
    low=st.floats(-1, 0),
    very_low=st.floats(-1, 0),
    high=st.floats(0, 1),
)
moods = st.one_of(st.just(MOOD), any_mood)


def felt(valence: float, text: str = "", ago_h: float = 0) -> Felt:
    return Felt(valence, text, NOW - timedelta(hours=ago_h))


def feels(text: str, now: float, *earlier: float, ago_h: float = 0) -> str:
    return feeling(felt(now, text), [felt(one, ago_h=ago_h) for one in earlier], MOOD)


@pytest.mark.parametrize(
    ("text", "valence", "expected"),
    [
        ("my order is three weeks late and nobody answers!", -0.8, "frustrated"),
        ("you are idiots, this is a scam", -0.8, "frustrated"),
        ("YOU ARE IDIOTS! THIS IS A SCAM!!", -0.8, "angry"),
        ("my dog died this morning", -0.7, "sad"),
        ("😢", -0.3, "sad"),
        ("i'm so nervous about tomorrow", -0.5, "anxious"),
        ("a bit nervous about tomorrow", -0.1, "anxious"),
        ("I don't understand the second step", 0.0, "confused"),
        ("sorry, what do you mean?", -0.3, "confused"),
        ("the shop opens at nine", 0.0, "neutral"),
        ("thank you so much!", 0.9, "grateful"),
        ("ok thanks", 0.1, "grateful"),
        ("ok thanks", -0.1, "neutral"),
        ("I PASSED!!!", 0.9, "happy"),
        ("passed, holy fuck!!", 0.9, "happy"),
        ("scared but fine", 0.4, "neutral"),
        ("thanks for nothing", 0.4, "neutral"),
        ("es ist alles furchtbar", -0.8, "frustrated"),
        ("", 0.0, "neutral"),
    ],
)
def test_a_first_message_is_read_by_valence_and_cues(text: str, valence: float, expected: str) -> None:
    assert feels(text, valence) == expected


def test_the_shipped_tones_fit_the_feelings() -> None:
    tones = {name: choose_tone(felt(v, t), [], MOOD, TABLE).name for name, t, v in (
        ("frustrated", "it broke again", -0.8), ("sad", "i feel so alone", -0.8), ("anxious", "i'm scared", -0.8),
        ("confused", "i'm confused", 0), ("neutral", "hello", 0), ("grateful", "thanks", 0.9), ("happy", "yes", 0.9),
    )}  # fmt: skip
    assert tones == {
        "frustrated": "empathetic", "sad": "empathetic", "anxious": "reassuring", "confused": "clarifying",
        "neutral": "plain", "grateful": "cheerful", "happy": "cheerful",
    }  # fmt: skip


def test_a_tone_is_the_row_of_the_table() -> None:
    row = TABLE["angry"].model_copy(update={"name": "firm", "guidance": "Be firm.", "top_p": 0.5})
    tone = choose_tone(felt(-0.9, "FUCK THIS!!"), [], MOOD, TABLE | {"angry": row})
    assert (tone.name, tone.guidance, tone.top_p) == ("firm", "Be firm.", 0.5)
    assert tone.temperature == TABLE["angry"].temperature
    assert tone.max_new_tokens == TABLE["angry"].max_new_tokens


def test_anger_that_goes_on_is_rising() -> None:
    assert feels("you are useless idiots", -0.5) == "frustrated"
    assert feels("you are useless idiots", -0.5, -0.7) == "angry"
    assert feels("", -0.9, -0.7, -0.8) == "angry", "in any language"
    assert feels("", -0.4, -0.7, -0.8) == "frustrated"
    assert feels("", -0.9, -0.7, -0.8, ago_h=100) == "frustrated", "that was days ago"


def test_grief_that_goes_on_is_not_anger() -> None:
    assert feels("i miss him", -0.9, -0.9, -0.9) == "sad"
    assert feels("i'm scared", -0.9, -0.9, -0.9) == "anxious"


def test_what_was_said_before_tells_what_a_message_without_cues_means() -> None:
    def after(hours_ago: float) -> str:
        earlier = [felt(-0.8, "my dog died", hours_ago), felt(-0.3, "last night", hours_ago)]
        return feeling(felt(-0.9, "the house is so quiet"), earlier, MOOD)

    assert after(1) == "sad"
    assert after(13) == "frustrated", "after a night it may be about something else"


def test_what_was_felt_before_is_kept_in_mind() -> None:
    assert feels("", 0.0, -0.9) == "easing"
    assert feels("", 0.9, -0.9) == "easing"
    assert feels("", 0.9, 0.1) == "happy"
    assert feels("", 0.0, -0.9, ago_h=48) == "neutral", "a mood fades with time"
    assert feels("thank you!!", 0.9, -0.9) == "grateful", "help that came is not to be mourned"


def test_every_feeling_stands_in_the_shipped_table() -> None:
    assert set(FEELINGS) == set(TABLE)
    assert all(row.guidance for row in TABLE.values())
    known = {"plain", "warm", "empathetic", "calm", "cheerful", "reassuring", "encouraging", "playful", "clarifying"}
    assert {row.name for row in TABLE.values()} <= known, "the starter model knows no other"


@given(valences, texts, st.lists(st.tuples(valences, texts, hours), max_size=6), moods)
def test_every_input_gives_a_tone_of_the_table(
    now: float, text: str, earlier: list[tuple[float, str, float]], limits: Mood
) -> None:
    before = [felt(*one) for one in earlier]
    assert feeling(felt(now, text), before, limits) in FEELINGS
    assert choose_tone(felt(now, text), before, limits, TABLE).name


@examples(max_examples=2000, deadline=None)
@given(valences, valences, texts, st.lists(st.tuples(valences, valences, texts, hours), max_size=4), moods)
def test_a_worse_mood_never_gets_a_lighter_feeling(
    one: float, other: float, text: str, earlier: list[tuple[float, float, str, float]], limits: Mood
) -> None:
    """The same words at the same times, but every valence at most as high: the feeling is at most as light."""
    worse, better = sorted((one, other))
    bad = [felt(min(a, b), said, ago) for a, b, said, ago in earlier]
    good = [felt(max(a, b), said, ago) for a, b, said, ago in earlier]
    grave = feeling(felt(worse, text), bad, limits)
    light = feeling(felt(better, text), good, limits)
    assert FEELINGS.index(grave) <= FEELINGS.index(light)


@given(st.floats(-1, MOOD.low), texts, st.lists(st.tuples(valences, texts, hours), max_size=6))
def test_no_cue_makes_a_negative_message_light(now: float, text: str, earlier: list[tuple[float, str, float]]) -> None:
    read = feeling(felt(now, text), [felt(*one) for one in earlier], MOOD)
    assert FEELINGS.index(read) <= FEELINGS.index("confused")


@pytest.mark.parametrize("valence", [-1.0, -0.3, 0.0, 0.3, 1.0])
def test_a_very_long_text_is_read_like_any(valence: float) -> None:
    assert feels("SCARED 怖い " * 20_000, valence) in FEELINGS


def test_a_naive_time_does_no_harm() -> None:
    before = [Felt(-0.9, "x", datetime(2026, 1, 1))]
    assert feeling(felt(0.0), before, MOOD) in FEELINGS


@given(st.lists(valences, min_size=1, max_size=10))
def test_the_level_lies_between_the_extremes(values: list[float]) -> None:
    level = mood([felt(one) for one in values], NOW, MOOD).level
    assert min(values) - 1e-9 <= level <= max(values) + 1e-9


@given(st.lists(st.tuples(valences, st.just(""), hours), min_size=1, max_size=10), st.floats(0, 1000), moods)
def test_a_mood_fades_towards_neutral(rows: list[tuple[float, str, float]], later: float, limits: Mood) -> None:
    now = mood([felt(*row) for row in rows], NOW, limits)
    then = mood([felt(*row) for row in rows], NOW + timedelta(hours=later), limits)
    assert 0 <= then.intensity <= now.intensity + 1e-9
    assert abs(then.level) <= then.intensity + 1e-9


def test_half_lives() -> None:
    def level(*values: float, **ago: float) -> float:
        return mood([felt(one, **ago) for one in values], NOW, MOOD).level

    assert level(1.0) == 1.0
    assert level(1.0, ago_h=MOOD.half_life_hours) == pytest.approx(0.5)
    one_of_three = level(1.0, 0.0, 0.0) / level(0.0, 0.0, 1.0)
    assert one_of_three == pytest.approx(0.5), "two messages later it counts half"


def test_trend_is_the_rise_of_the_fitted_line() -> None:
    def trend(*values: float) -> float:
        return mood([felt(one) for one in values], NOW, MOOD).trend

    assert trend() == trend(0.4) == trend(0.3, 0.3, 0.3) == 0
    assert trend(-0.5, 0.5) == pytest.approx(1.0)
    assert trend(0.5, 0.0, -0.5) == pytest.approx(-1.0)
    assert trend(-0.4, 0.4, -0.4) == pytest.approx(0.0)


def test_intensity_does_not_mind_the_direction() -> None:
    read = mood([felt(0.9), felt(-0.9)], NOW, MOOD)
    assert read.intensity == pytest.approx(0.9)
    assert abs(read.level) < 0.2


def test_no_turns_is_neutral() -> None:
    assert mood([], NOW, MOOD).level == 0


def test_only_what_the_person_said_last_counts() -> None:
    address = Address(channel="terminal", space="ada")
    bad = Sentiment.of({"negative": 1, "neutral": 0, "positive": 0})
    history = [
        Turn(role="user", text=str(n), at=NOW, sentiment=bad, address=address) for n in range(MOOD.recent_turns + 3)
    ]
    history.insert(-1, Turn(role="assistant", text="bot", at=NOW, address=address))
    history.append(Turn(role="user", text="failed", at=NOW, address=address))
    read = recently_felt(history, MOOD)
    assert [one.text for one in read] == [str(n) for n in range(3, MOOD.recent_turns + 3)]
