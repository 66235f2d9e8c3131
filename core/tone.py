"""From what a person feels to how the reply should sound. Pure: no model, no store.

Valences come from the encoder (dialogue.Sentiment), finer kinds of feeling from cues.py; what a tone means in words
and for the generation stands in settings.toml.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from core.cues import Distress, read_cues
from core.dialogue import Tone, Turn
from core.sections import TONES, ToneRow
from core.sections import Mood as MoodSettings

# From the gravest to the lightest. Given the same words, a worse mood never gets a feeling that stands later here.
FEELINGS = tuple(TONES)


@dataclass(frozen=True)
class Felt:
    """One message of a person as it was felt: its valence (-1 to 1), its text and when it was said."""

    valence: float
    text: str
    at: datetime


@dataclass(frozen=True)
class Mood:
    """A person's mood over recent messages.

    ``level`` (-1 to 1) is the mean valence with the newest counting most; ``trend`` (above 0: it gets better) is the
    rise from the oldest to the newest of the straight line that fits the valences best; ``intensity`` (0 to 1) is
    how strong the feelings are, whichever way they go.
    """

    level: float
    trend: float
    intensity: float


def recently_felt(history: Sequence[Turn], settings: MoodSettings) -> list[Felt]:
    """Return the person's latest messages whose mood was read, oldest first."""
    said = [Felt(t.sentiment.valence, t.text, t.at) for t in history if t.role == "user" and t.sentiment]
    return said[-settings.recent_turns :]


def mood(felt: Sequence[Felt], at: datetime, settings: MoodSettings) -> Mood:
    """Return the mood at a time after these messages, oldest first; neutral if there are none.

    The message that is i messages older than the newest one, and h hours old, has valence v_i. With the half-lives T
    (messages) and H (hours) of the settings:

        level = sum(2^(-i/T) * 2^(-h/H) * v_i) / sum(2^(-i/T))

    The hours stand above only: with time a mood fades towards neutral, while newer messages replace older ones.
    ``intensity`` is the same with the sizes of the valences alone.
    """
    if not felt:
        return Mood(0.0, 0.0, 0.0)
    weights = [0.5 ** (i / settings.half_life_turns) for i in reversed(range(len(felt)))]
    faded = [one.valence * _freshness(one, at, settings) for one in felt]
    level = sum(w * v for w, v in zip(weights, faded, strict=True)) / sum(weights)
    intensity = sum(w * abs(v) for w, v in zip(weights, faded, strict=True)) / sum(weights)
    return Mood(level, _rise([one.valence for one in felt]), intensity)


def choose_tone(now: Felt, earlier: Sequence[Felt], settings: MoodSettings, table: dict[str, ToneRow]) -> Tone:
    """Return the tone for a reply to a message after earlier ones, oldest first; settings fill the table."""
    row = table[feeling(now, earlier, settings)]
    return Tone.model_validate(row.model_dump())


def feeling(now: Felt, earlier: Sequence[Felt], settings: MoodSettings) -> str:
    """Return what the person feels: one of FEELINGS, for every input.

    The valence decides between bad, middling and good; cues of the text only tell feelings of the same side apart,
    or make a good one graver. "Before" is the level of the mood before this message.

    | message | and | feeling |
    | --- | --- | --- |
    | negative | cues of anger, and before is negative or it is loud | angry |
    | very negative | the third negative one in a row, no cue of sadness or worry | angry |
    | negative, or not positive with such a cue | cues of sadness | sad |
    | same | cues of worry | anxious |
    | same | cues of anger or annoyance; or negative without a cue | frustrated |
    | not very negative, not positive | cues of confusion | confused |
    | positive | thanks | grateful |
    | not negative | before is negative | easing |
    | above zero | thanks | grateful |
    | positive, not strongly | cues of distress: mixed feelings | neutral |
    | positive | else | happy |
    | else | | neutral |

    A negative message without a cue of its own has the distress that the last fresh message with a cue had.
    The trend is for showing only: a fall can be steep because all was well before, so it is no worse mood.
    """
    cues = read_cues(now.text)
    before = mood(earlier, now.at, settings).level
    if now.valence <= settings.low:
        if cues.confusion and not cues.distress and now.valence > settings.very_low:
            return "confused"
        return _distress(now, earlier, before, cues.loud, cues.distress or _lasting(now, earlier, settings), settings)
    if cues.distress and now.valence <= 0:
        return _NAMES[cues.distress]
    if cues.confusion and now.valence < settings.high:
        return "confused"
    if cues.thanks and now.valence >= settings.high:
        return "grateful"
    if before <= settings.low:
        return "easing"
    if cues.thanks and now.valence > 0:
        return "grateful"
    mixed = cues.distress and now.valence < -settings.very_low
    return "happy" if now.valence >= settings.high and not mixed else "neutral"


_NAMES: dict[Distress | None, str] = {
    "anger": "frustrated",  # one angry message is no rising anger yet
    "annoyance": "frustrated",
    "sadness": "sad",
    "worry": "anxious",
    None: "frustrated",
}


def _distress(
    now: Felt, earlier: Sequence[Felt], before: float, loud: bool, kind: Distress | None, settings: MoodSettings
) -> str:
    if kind in ("sadness", "worry"):
        return _NAMES[kind]
    if kind == "anger" and (loud or before <= settings.low):
        return "angry"
    low_before = [one.valence * _freshness(one, now.at, settings) <= settings.low for one in reversed(earlier)]
    in_a_row = 1 + len(list(takewhile(bool, low_before)))
    return "angry" if now.valence <= settings.very_low and in_a_row >= 3 else _NAMES[kind]


def _lasting(now: Felt, earlier: Sequence[Felt], settings: MoodSettings) -> Distress | None:
    """Return the last distress that earlier texts showed, as long as it is fresh. Looks at no valence."""
    fresh = (one.text for one in reversed(earlier) if _freshness(one, now.at, settings) >= 0.5)
    return next((found for found in (read_cues(text).distress for text in fresh) if found), None)


def _freshness(one: Felt, at: datetime, settings: MoodSettings) -> float:
    hours = max(0.0, (at.timestamp() - one.at.timestamp()) / 3600)
    return float(0.5 ** (hours / settings.half_life_hours))


def _rise(valences: Sequence[float]) -> float:
    """Return how far the line of least squares climbs from the first valence to the last."""
    last = len(valences) - 1
    if last < 1:
        return 0.0
    middle = last / 2
    spread = sum((x - middle) ** 2 for x in range(last + 1))
    return last * sum((x - middle) * v for x, v in enumerate(valences)) / spread
