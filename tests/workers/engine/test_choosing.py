"""The choice of the next token row by row: as transformers' own, reproducible, and alone at fault."""

import pytest
import torch
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from tests.workers.engine.steps import Steps, shaped, text
from tests.workers.engine.test_steps import PROMPTS
from workers.engine.request import Wish
from workers.engine.sampling import NO_TOKEN, Draw, choose

WORDS = 50


class Loaded(Draw):
    """A row whose dice give what the test wants."""

    rolls: float = 0.0

    def roll(self) -> float:
        return self.rolls


def drawn(scores: torch.Tensor, temperature: float, top_p: float, rolls: list[float]) -> list[int]:
    rows = []
    for roll in rolls:
        row = Loaded(Wish(limit=1, temperature=temperature, top_p=top_p))
        row.rolls = roll
        rows.append(row)
    return choose(scores.expand(len(rolls), -1).clone(), rows, 1.0).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(("temperature", "top_p"), [(0.4, 0.9), (1.0, 0.3), (2.0, 1.0), (0.7, 0.01)])
def test_words_are_drawn_as_often_as_transformers_would(temperature: float, top_p: float) -> None:
    scores = torch.randn(1, WORDS, generator=torch.Generator().manual_seed(7)) * 3
    theirs = TemperatureLogitsWarper(temperature)(torch.zeros(1, 1), scores) if temperature != 1 else scores
    if top_p < 1:
        theirs = TopPLogitsWarper(top_p)(torch.zeros(1, 1), theirs)
    rolls = [(at + 0.5) / 4000 for at in range(4000)]
    counts = torch.tensor(drawn(scores, temperature, top_p, rolls)).bincount(minlength=WORDS) / len(rolls)
    assert torch.allclose(counts, theirs.softmax(-1)[0], atol=1e-3)


def test_the_last_roll_draws_a_word_that_may_be_drawn() -> None:
    scores = torch.tensor([[5.0, 4.0, 3.0, -20.0, -20.0]])
    assert drawn(scores, 1.0, 0.95, [0.0, 1 - 2**-53]) == [0, 2]


def test_said_words_are_penalised_as_transformers_does() -> None:
    scores = torch.randn(2, WORDS, generator=torch.Generator().manual_seed(1))
    said = [{3, 9, 40}, {1}]
    greedy = Wish(limit=1, temperature=0, top_p=1)
    padded = torch.tensor([[3, 9, 40], [1, 1, 1]])
    theirs = RepetitionPenaltyLogitsProcessor(1.7)(padded, scores.clone())
    ours = scores.clone()
    chosen = choose(ours, [Draw(greedy, said=words) for words in said], 1.7)
    assert torch.allclose(ours, theirs)
    assert chosen.tolist() == theirs.argmax(-1).tolist()


def test_barred_words_are_not_chosen_and_broken_rows_are_marked() -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0], [1.0, torch.nan, 2.0], [torch.inf, 0.0, 1.0]])
    rows = [Draw(Wish(limit=1, temperature=heat, top_p=1, seed=1)) for heat in (0.0, 0.0, 0.7)]
    rows[0].barred = frozenset({1})
    assert choose(scores, rows, 1.0).tolist() == [2, NO_TOKEN, NO_TOKEN]


def test_a_seed_writes_the_same_reply_in_any_company() -> None:
    steps = Steps(shaped("llama"), penalty=1.2)
    hot = {"temperature": 1.5, "top_p": 0.95}
    alone = [steps.ask(PROMPTS[5], 16, seed=seed, **hot) for seed in (1, 2)]
    steps.run()
    for which in range(6):
        steps.ask(PROMPTS[which], 16, **hot)
    again = [steps.ask(PROMPTS[5], 16, seed=seed, **hot) for seed in (1, 2)]
    steps.run()
    texts = [one.result(0).text for one in alone]
    assert [one.result(0).text for one in again] == texts
    assert texts[0] != texts[1]


def test_a_greedy_row_stays_greedy_beside_others() -> None:
    steps = Steps(shaped("llama"))
    for which in range(3):
        steps.ask(PROMPTS[which], 16, temperature=2.0)
    cold = steps.ask(PROMPTS[3], 16)
    steps.run()
    assert cold.result(0).text == text(steps.alone(PROMPTS[3], 16))


def test_a_reply_ends_before_a_stop_string() -> None:
    steps = Steps(shaped("llama"))
    whole = text(steps.alone(PROMPTS[3], 16))
    mark = whole[5:7]
    one = steps.ask(PROMPTS[3], 16, stop=(mark,))
    steps.run()
    done = one.result(0)
    assert (done.text, done.finish_reason) == (whole.partition(mark)[0].strip(), "stop")
