"""Token-level batching writes what plain generate writes, whoever comes, goes and lies beside it."""

import functools
import itertools
import random
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.engine.steps import CONTEXT, Steps, shaped, text

LIMIT = 16
KINDS = ["llama", "qwen2", "mistral", "gemma3", "gpt2"]


def prompts() -> list[list[int]]:
    """Prompts of 1 to 120 tokens; half of them go on where another one, or its reply, ends."""
    dice = random.Random(3)
    made: list[list[int]] = []
    for at in range(24):
        begin = [] if at % 2 == 0 else dice.choice(made)[: dice.randint(1, 90)]
        made.append(begin + [dice.randrange(10, 300) for _ in range(dice.randint(1, 30))])
    return made


PROMPTS = prompts()


@functools.cache
def running(kind: str) -> Steps:
    return Steps(shaped(kind))


@functools.cache
def expected(kind: str, which: int) -> list[int]:
    return running(kind).alone(PROMPTS[which], LIMIT)


# Which prompt, how many tokens at most, at which step it comes, and after how many more it is cancelled.
ARRIVALS = st.lists(
    st.tuples(
        st.integers(0, len(PROMPTS) - 1),
        st.integers(1, LIMIT),
        st.integers(0, 25),
        st.one_of(st.none(), st.none(), st.integers(0, 12)),
    ),
    min_size=1,
    max_size=10,
)


def follow(kind: str, arrivals: Sequence[tuple[int, int, int, int | None]]) -> None:
    steps = running(kind)  # kept from example to example, so slots hold what earlier ones left
    asked = {}
    for now in itertools.count():
        for at, (which, limit, comes, goes) in enumerate(arrivals):
            if comes == now:
                asked[at] = steps.ask(PROMPTS[which], limit, person=f"p{which % 3}")
            if goes is not None and comes + goes == now:
                asked[at].cancel()
        steps.step()
        if now >= 40 and not steps.scheduler.busy and not len(steps.line):
            break
    for at, (which, limit, _, goes) in enumerate(arrivals):
        whole = expected(kind, which)
        if not text(whole[:limit]):
            continue  # an empty reply is tried again, which generate does not do
        done = asked[at].result(0)
        assert done.text == text(whole[: done.completion_tokens])
        if done.finish_reason == "cancelled":
            assert goes is not None
        else:
            assert done.completion_tokens == min(limit, len(whole))
            assert done.finish_reason == ("stop" if limit > len(whole) else "length")
    assert not any(slot.busy for slot in steps.slots.all)


@settings(deadline=None, max_examples=30)
@given(arrivals=ARRIVALS)
def test_whatever_comes_and_goes_each_reply_is_that_of_generate(
    arrivals: list[tuple[int, int, int, int | None]],
) -> None:
    follow("llama", arrivals)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_other_families_write_what_generate_writes(kind: str) -> None:
    dice = random.Random(kind)
    follow(kind, [(dice.randrange(len(PROMPTS)), LIMIT, dice.randint(0, 12), None) for _ in range(12)])


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_no_row_sees_what_is_not_its_own(kind: str) -> None:
    steps = Steps(shaped(kind))
    read = steps.scheduler._model.read

    def spoilt(first: int, chunks: list[list[int]]) -> torch.Tensor:
        """Put strong nonsense into all memory that no row in the pass may see, other people's conversations too."""
        rows = range(first, first + len(chunks))
        for layer in steps.slots.stores:
            for store in (layer.keys, layer.values):
                for slot in steps.slots.all:
                    if slot.index in rows or slot.busy:
                        store[slot.index, :, len(slot.ids) :] = 50 * torch.randn_like(store[0, :, len(slot.ids) :])
                    else:
                        store[slot.index] = 50 * torch.randn_like(store[0])
                        slot.ids = []
        return read(first, chunks)

    steps.scheduler._model.read = spoilt  # type: ignore[method-assign]
    replies = [text(expected(kind, which)) for which in range(10)]
    asked = {which: steps.ask(PROMPTS[which], LIMIT) for which in range(10) if replies[which]}
    assert len(asked) > 6
    steps.run()
    for which, one in asked.items():
        assert one.result(0).text == replies[which]


def test_the_next_turn_goes_on_where_the_last_one_ended() -> None:
    steps = Steps(shaped("llama"))
    prompt = [random.Random(5).randrange(10, 300) for _ in range(40)]
    known = 0
    for turn in range(4):
        one = steps.ask(prompt, LIMIT)
        others = [steps.ask(PROMPTS[which], 3) for which in range(turn, turn + 3)]  # other people in between
        steps.run()
        assert all(other.result(0) for other in others)
        done = one.result(0)
        said = steps.alone(prompt, LIMIT)
        assert done.text == text(said)
        # All but what has come since, and the last token of the reply, which no pass has read.
        assert done.reused_tokens == known
        known = len(prompt) + len(said) - (len(said) == LIMIT)
        prompt = [*prompt, *said, *PROMPTS[turn][:8]]


def test_a_shared_beginning_is_copied_while_its_owner_still_writes() -> None:
    steps = Steps(shaped("llama"))
    persona = [random.Random(6).randrange(10, 300) for _ in range(50)]
    first = steps.ask([*persona, 11, 12], LIMIT)
    while not steps.scheduler._writing:
        steps.step()
    second = steps.ask([*persona, 30, 31], LIMIT)
    steps.run()
    assert first.result(0).reused_tokens == 0
    assert second.result(0).reused_tokens == 50
    assert second.result(0).text == text(steps.alone([*persona, 30, 31], LIMIT))
    third = steps.ask([*persona, 11, 12, *PROMPTS[0]], LIMIT)
    steps.run()
    assert third.result(0).reused_tokens == 52, "the first conversation is still there"


def test_conversations_are_forgotten_by_who_was_here_longest_ago() -> None:
    steps = Steps(shaped("llama"), rows=1)  # four slots
    asked = [[at * 40 + i for i in range(20)] for at in range(1, 7)]
    for ids in asked:
        steps.ask(ids, 1)
    steps.run()
    held = {slot.ids[0] for slot in steps.slots.all}
    assert held == {ids[0] for ids in asked[-4:]}


def test_a_long_prompt_does_not_hold_up_the_others() -> None:
    steps = Steps(shaped("llama"), portion=16)
    writer = steps.ask(PROMPTS[0], 16)
    steps.step()
    long = steps.ask([random.Random(8).randrange(10, 300) for _ in range(140)], 2)
    short = steps.ask([12, 13, 14], 2)
    steps.passes.clear()
    steps.run()
    wide = [at for at, (_, width) in enumerate(steps.passes) if width > 1]
    assert sum(width == 16 for _, width in steps.passes) >= 8, "it is read in portions"
    assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(wide)), "someone writes in between"
    assert steps.passes.index((1, 3)) < wide[-2], "who comes later is read before it is done"
    assert all(one.result(0).text for one in (writer, long, short))


def test_prompts_that_come_together_are_read_together() -> None:
    steps = Steps(shaped("llama"), portion=24)
    for at in range(4):
        steps.ask([30 + at, 40, 50, 60, 70, 80], 4)
    steps.run()
    assert steps.passes[0] == (4, 6)
    assert all(width == 1 for _, width in steps.passes[1:])


def test_a_reply_may_fill_the_context() -> None:
    steps = Steps(shaped("gpt2"))
    prompt = [random.Random(9).randrange(10, 300) for _ in range(CONTEXT - LIMIT)]
    one = steps.ask(prompt, LIMIT)
    steps.run()
    assert one.result(0).text == text(steps.alone(prompt, LIMIT))


def test_thousands_of_requests_leave_nothing_behind() -> None:
    steps = running("llama")
    memory = [store.data_ptr() for layer in steps.slots.stores for store in (layer.keys, layer.values)]
    dice = random.Random(10)
    asked = []
    while len(asked) < 2000 or steps.scheduler.busy or len(steps.line):
        for _ in range(dice.randint(0, 12) if len(asked) < 2000 else 0):
            asked.append(steps.ask(PROMPTS[dice.randrange(len(PROMPTS))][:9], dice.randint(1, 3), f"p{dice.random()}"))
        for one in dice.sample(asked[-40:], min(6, len(asked))):
            one.cancel()
        steps.step()
    reasons = [one.result(0).finish_reason for one in asked if one.done]
    assert len(reasons) == len(asked)
    assert {"cancelled", "length"} <= set(reasons)
    assert not any(slot.busy for slot in steps.slots.all)
    assert all(len(slot.ids) <= CONTEXT for slot in steps.slots.all)
    assert memory == [store.data_ptr() for layer in steps.slots.stores for store in (layer.keys, layer.values)]
    assert not steps.scheduler.busy
    assert not steps.line._waiting
