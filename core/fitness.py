"""Which of several candidates for one reply is sent. Pure: what an encoder read of the texts is passed in.

Who draws the candidates and has them read is in workers/best_of.py; the bands of valence are part of the tones.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

from core.dialogue import Reading

# Any valence fits: for tones without a band.
ANY_VALENCE = (-1.0, 1.0)
# More likeness than this is no merit: hand-written replies lie below it nine times in ten, an echo lies above.
LIKE_ENOUGH = 0.6
# How much of the score is the tone; the rest is relevance. See docs/decisions/017-best-of.md.
TONE_WEIGHT = 0.5

_END = re.compile(r"[.!?…:;。！？)\]*\"'”’»]$|[^\w\s,\-–—(\[{/&]$")
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class Candidate:
    """One possible reply.

    ``ended``: the model ended it by itself; ``refused``: it must not be sent; ``reading``: what the encoder read.
    """

    text: str
    ended: bool
    refused: bool
    reading: Reading


def choose(
    candidates: Sequence[Candidate],
    band: tuple[float, float],
    asked: Reading,
    earlier: Sequence[str],
) -> int:
    """Return the index of the candidate to be sent; of equals the first.

    ``band`` is the tone's lowest and highest valence, ``asked`` the reading of what the person said,
    ``earlier`` what was replied before in this conversation. Those without a flaw come first, by ``fitness``; then,
    as there must be a reply, those that only say again what was said, that break off in mid-sentence, that must not
    be sent, and that are empty.
    """
    said = {_folded(text) for text in earlier}
    ranks = [(_flaw(one, said), -fitness(one.reading, band, asked)) for one in candidates]
    return min(range(len(candidates)), key=ranks.__getitem__)


def fitness(reading: Reading, band: tuple[float, float], asked: Reading) -> float:
    """Return how well a reply fits, between 0 and 1: w * tone + (1 - w) * relevance, with w = TONE_WEIGHT.

        tone = max(0, 1 - distance of the reply's valence from the band)
        relevance = min(max(0, c), LIKE_ENOUGH) / LIKE_ENOUGH

    c is the cosine between the embeddings of the reply and of what the person said. Within its band no valence is
    better than another: a comforting reply may read as sad as what it names, or hardly sad at all. A reply never
    fits worse for being nearer to the band, nor for being more relevant.
    """
    low, high = band
    valence = reading.sentiment.valence
    tone = max(0.0, 1 - max(low - valence, valence - high, 0.0))
    likeness = float(sum(map(mul, reading.embedding, asked.embedding)))  # their length is 1; some encoders give none
    relevance = min(max(0.0, likeness), LIKE_ENOUGH) / LIKE_ENOUGH
    return TONE_WEIGHT * tone + (1 - TONE_WEIGHT) * relevance


def _flaw(candidate: Candidate, said: set[str]) -> int:
    """Return 0 for none, else what is wrong: the higher, the worse."""
    if not candidate.text.strip():
        return 4
    if candidate.refused:
        return 3
    if not candidate.ended and not _END.search(candidate.text.rstrip()):
        return 2
    return int(_folded(candidate.text) in said)


def _folded(text: str) -> str:
    return " ".join(_WORDS.findall(text.casefold()))
