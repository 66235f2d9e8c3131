"""From what a person feels to how the reply should sound. Pure: no model, no store.

The moods come from the encoder (dialogue.Sentiment); what a tone means in words stands in settings.toml.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.dialogue import Sentiment, Tone, Turn
from core.settings import Mood as MoodSettings
from core.settings import ToneRow


@dataclass(frozen=True)
class Mood:
    """A person's mood over recent turns, oldest first; all values lie between -1 and 1.

    ``level`` is the mean valence with the newest counting most; ``before`` the same without the newest turn;
    ``lows_in_a_row`` counts how many of the latest turns were negative.
    """

    level: float
    before: float
    latest: float
    lows_in_a_row: int


def recent_valences(history: Sequence[Turn], settings: MoodSettings) -> list[float]:
    """Return the valences of the person's latest turns, oldest first."""
    said = [turn.sentiment.valence for turn in history if turn.role == "user" and turn.sentiment]
    return said[-settings.recent_turns :]


def mood(valences: Sequence[float], settings: MoodSettings) -> Mood:
    """Return the mood from valences, oldest first; each turn counts half of the one after it. Neutral if empty."""
    latest = valences[-1] if valences else 0.0
    lows = 0
    for valence in reversed(valences):
        if valence > settings.low:
            break
        lows += 1
    return Mood(_weighted(valences), _weighted(valences[:-1]), latest, lows)


def choose_tone(now: Sentiment, earlier: Sequence[float], settings: MoodSettings, table: dict[str, ToneRow]) -> Tone:
    """Return the tone for a reply to a message of this sentiment after turns of these valences, oldest first.

    | message | before | tone |
    | --- | --- | --- |
    | very negative | already negative twice | calm |
    | negative | anything | empathetic |
    | neutral or positive | negative | reassuring |
    | neutral | else | plain |
    | positive | else | cheerful |

    Settings see to it that the table has every tone.
    """
    name = _name(mood([*earlier, now.valence], settings), settings)
    return Tone(name=name, guidance=table[name].guidance)


def _name(felt: Mood, settings: MoodSettings) -> str:
    if felt.latest <= settings.low:
        return "calm" if felt.latest <= settings.very_low and felt.lows_in_a_row >= 3 else "empathetic"
    if felt.before <= settings.low:
        return "reassuring"
    return "cheerful" if felt.latest >= settings.high else "plain"


def _weighted(valences: Sequence[float]) -> float:
    if not valences:
        return 0.0
    weights = [0.5**age for age in reversed(range(len(valences)))]
    return sum(w * v for w, v in zip(weights, valences, strict=True)) / sum(weights)
