"""From the scores of a batch to one token a row, each row as it wishes. One small upload, nothing downloaded."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import torch

from workers.engine.request import Wish

# Below this a division by the temperature is as good as greedy, and safe.
COLDEST = 1e-4
# So many of the likeliest words can be drawn: what lies behind them is noise, and sorting all words costs more.
_CANDIDATES = 256
NO_TOKEN = -1


@dataclass
class Draw:
    """What is known of one row's choices so far: its wish, its dice, the words it has said and those it may not say."""

    wish: Wish
    said: set[int] = field(default_factory=set)
    barred: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self._dice = Random(self.wish.seed)

    @property
    def greedy(self) -> bool:
        """Does this row take the likeliest word?"""
        return self.wish.temperature <= COLDEST

    def roll(self) -> float:
        """Return the next number of this row's own series, in [0, 1)."""
        return self._dice.random()


@torch.inference_mode()
def choose(scores: torch.Tensor, draws: Sequence[Draw], penalty: float) -> torch.Tensor:
    """Return one token a row, int64 [rows], from scores [rows, words]; NO_TOKEN where the scores are no numbers.

    The scores may be changed. ``penalty`` makes words less likely that the row has said (Keskar et al. 2019, https://arxiv.org/abs/1909.05858).
    Then temperature and top-p (Holtzman et al. 2020, https://arxiv.org/abs/1904.09751) of each row. A drawn word is
    the one at which the sum of the probabilities passes the row's next random number, so it does not depend on who
    else is in the batch, or on the device.
    """
    device = scores.device
    scores = scores.float()
    if penalty != 1:
        _lower(scores, [draw.said for draw in draws], lambda one: torch.where(one < 0, one * penalty, one / penalty))
    _lower(scores, [draw.barred for draw in draws], lambda one: torch.full_like(one, -torch.inf))
    chosen = scores.argmax(dim=-1)
    if not all(draw.greedy for draw in draws):
        rows = [(max(d.wish.temperature, COLDEST), d.wish.top_p, 0.0 if d.greedy else d.roll()) for d in draws]
        temperature, top_p, roll = torch.tensor(rows, device=device).unsqueeze(-1).unbind(1)
        drawn = _drawn(scores, temperature, top_p, roll)
        chosen = torch.where((temperature <= COLDEST).squeeze(-1), chosen, drawn)
    return torch.where(scores.amax(dim=-1).isfinite(), chosen, NO_TOKEN)


def _drawn(scores: torch.Tensor, temperature: torch.Tensor, top_p: torch.Tensor, roll: torch.Tensor) -> torch.Tensor:
    """Return a word a row, [rows], drawn with the numbers ``roll``; the other three are [rows, 1]."""
    best, words = scores.topk(min(_CANDIDATES, scores.shape[-1]), dim=-1)
    total = (scores / temperature).logsumexp(dim=-1, keepdim=True)
    probabilities = (best / temperature - total).exp()
    more_probable = probabilities.cumsum(dim=-1) - probabilities
    kept = (more_probable < top_p) | (top_p >= 1)  # rounding must not cut the tail of a row that wants all of it
    kept[:, 0] = True
    sums = (probabilities * kept).cumsum(dim=-1)
    place = (sums <= roll * sums[:, -1:]).sum(dim=-1, keepdim=True)
    last = kept.sum(dim=-1, keepdim=True) - 1
    return words.gather(1, torch.minimum(place, last)).squeeze(1)


def _lower(scores: torch.Tensor, words: Sequence[set[int] | frozenset[int]], how: object) -> None:
    """Change the scores of some words of each row in place."""
    rows = [row for row, some in enumerate(words) for _ in some]
    if rows:
        at = torch.tensor([rows, [word for some in words for word in some]], device=scores.device)
        scores[at[0], at[1]] = how(scores[at[0], at[1]])  # type: ignore[operator]
