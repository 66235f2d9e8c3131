"""When a pass fails: little memory makes it smaller, one bad row leaves alone, and nobody's words change."""

import itertools

import pytest
import torch
from transformers import LlamaForCausalLM

from core.errors import GenerationFailed
from tests.workers.engine import tiny
from tests.workers.engine.steps import TOKENIZER, Steps, text
from tests.workers.engine.test_steps import PROMPTS
from workers.engine import scheduler
from workers.engine.slots import Slot

POISON, NUMBING = 301, 302
ASKED = [which for which in range(12) if POISON not in PROMPTS[which]]


class Tight(LlamaForCausalLM):
    """A model whose memory holds so many rows, or tokens; that fails on one token and gives no numbers for another."""

    rows = tokens = 10_000
    short = 0

    def forward(self, input_ids: torch.Tensor, **kwargs: object) -> object:  # type: ignore[override]
        if len(input_ids) > self.rows or input_ids.numel() > self.tokens:
            self.short += 1
            raise torch.OutOfMemoryError("out of memory")
        if (input_ids == POISON).any():
            raise RuntimeError("poisoned")
        out = super().forward(input_ids=input_ids, **kwargs)
        rows = (input_ids == NUMBING).any(dim=1)
        if rows.any():
            for layer in kwargs["past_key_values"].stores:  # type: ignore[attr-defined]
                first = layer.window.first
                layer.keys[first : first + len(rows)][rows] = torch.nan
            out.logits[rows] = torch.nan
        return out


def tight(**steps: int) -> tuple[Tight, Steps]:
    model = tiny.llama(TOKENIZER, Tight)
    assert isinstance(model, Tight)
    return model, Steps(model, **steps)


@pytest.mark.parametrize("bound", [{"rows": 2}, {"tokens": 40}, {"rows": 1, "tokens": 33}])
def test_with_little_memory_everyone_is_still_answered(bound: dict[str, int]) -> None:
    model, steps = tight(rows=8, portion=256)
    wanted = {which: text(steps.alone(PROMPTS[which], 12)) for which in ASKED}
    for name, value in bound.items():
        setattr(model, name, value)
    asked = {which: steps.ask(PROMPTS[which], 12) for which in ASKED if wanted[which]}
    steps.run()
    assert {which: one.result(0).text for which, one in asked.items()} == {w: t for w, t in wanted.items() if t}
    assert 0 < model.short < 12, "it is not tried again and again"


def test_memory_that_gets_short_while_people_write_costs_no_words() -> None:
    model, steps = tight(rows=6)
    wanted = {which: text(steps.alone(PROMPTS[which], 14)) for which in range(6)}
    asked = {which: steps.ask(PROMPTS[which], 14) for which in range(6) if wanted[which]}
    while len(steps.scheduler._writing) < 4:
        steps.step()
    model.rows = 2
    steps.run()
    assert {which: one.result(0).text for which, one in asked.items()} == {w: t for w, t in wanted.items() if t}


def test_rows_that_break_together_leave_no_trace() -> None:
    _, steps = tight(rows=3)
    asked = [steps.ask(PROMPTS[which], 12) for which in (0, 5, 2)]
    while len(steps.scheduler._writing) < 3:
        steps.step()
    first, good, last = (row.generation for row in steps.scheduler._writing)
    for row in (steps.scheduler._writing[0], steps.scheduler._writing[2]):
        row.tokens[-1] = NUMBING
    steps.run()
    for one in (first, last):
        with pytest.raises(GenerationFailed):
            one.result(0)
    assert good.result(0).text
    assert set(asked) == {first, good, last}
    stores = [store for layer in steps.slots.stores for store in (layer.keys, layer.values)]
    assert not any(bool(store.isnan().any()) for store in stores)


def test_memory_that_was_short_is_tried_again_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "_PASSES_BEFORE_MORE", 40)
    model, steps = tight(rows=4, portion=256)

    def talk(times: int) -> None:
        for _ in range(times):
            asked = [steps.ask(PROMPTS[which], 12) for which in ASKED[:6]]
            steps.run()
            assert all(one.done for one in asked)

    model.rows, model.tokens = 2, 60
    talk(1)
    model.short = 0
    steps.passes.clear()
    talk(6)
    assert max(rows for rows, _ in steps.passes) == 3, "more is tried"
    assert 0 < model.short <= len(steps.passes) // 40, "but seldom"
    assert steps.scheduler._most == 2, "what worked before is kept"
    model.rows = model.tokens = 10_000
    steps.passes.clear()
    talk(12)
    assert max(rows for rows, _ in steps.passes) == 4
    assert steps.scheduler._portion > 60


@pytest.mark.parametrize("bad", [POISON, NUMBING])
def test_a_bad_row_fails_alone_and_leaves_no_trace(bad: int) -> None:
    _, steps = tight(rows=3)
    wanted = {which: text(steps.alone(PROMPTS[which], 12)) for which in range(6)}
    for _ in range(4):
        asked = {which: steps.ask(PROMPTS[which], 12) for which in range(6) if wanted[which]}
        fails = [steps.ask([*PROMPTS[0], bad, 20, 21], 12), steps.ask([bad], 12)]
        steps.run()
        assert all(one.result(0).text == wanted[which] for which, one in asked.items())
        for one in fails:
            with pytest.raises(GenerationFailed):
                one.result(0)
    assert not steps.judge.broken


def test_a_slot_that_cannot_be_had_fails_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    _, steps = tight()
    claim, calls = steps.slots.claim, itertools.count()

    def first_fails(ids: list[int]) -> Slot:
        if next(calls) == 0:
            raise torch.OutOfMemoryError("out of memory")
        return claim(ids)

    monkeypatch.setattr(steps.slots, "claim", first_fails)
    failed, other = steps.ask(PROMPTS[0], 4), steps.ask(PROMPTS[2], 4)
    steps.run()
    assert other.result(0).text
    with pytest.raises(GenerationFailed, match="out of memory"):
        failed.result(0)


@pytest.mark.parametrize(("fails", "cancelled"), [("take", False), ("end", False), ("end", True)])
def test_words_that_cannot_be_decoded_fail_one_request(fails: str, cancelled: bool) -> None:
    _, steps = tight()
    asked = [steps.ask(PROMPTS[which], 8) for which in (0, 2, 5)]
    while len(steps.scheduler._writing) < 3:
        steps.step()

    def cannot(*_: object) -> bool:
        raise TypeError("no such word")

    setattr(steps.scheduler._writing[1].text, fails, cannot)
    bad = steps.scheduler._writing[1].generation
    if cancelled:
        bad.cancel()
    steps.run()
    with pytest.raises(GenerationFailed, match="no such word"):
        bad.result(0)
    assert all(one.result(0).text for one in asked if one is not bad)


def test_twins_are_read_once_and_hold_up_nobody() -> None:
    _, steps = tight(rows=8, portion=256)
    asked = [steps.ask(PROMPTS[5], 8, temperature=1.0, seed=seed) for seed in range(6)]
    other = steps.ask(PROMPTS[2], 8)
    steps.step()
    assert other in [row.generation for row in steps.scheduler._writing]
    steps.step()
    assert {*asked} <= {row.generation for row in steps.scheduler._writing}
    steps.run()
    reused = [one.result(0).reused_tokens for one in asked]
    assert reused == [0, *[len(PROMPTS[5]) - 1] * 5]
