"""Slots by themselves: finding the one that holds most of a prompt, and moving."""

import random
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from workers.engine.slots import Slots, _common


class Counted(int):
    """A token id that counts how often ids are compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return int.__eq__(self, other) is True

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__


def counted(ids: list[int]) -> list[int]:
    return [Counted(one) for one in ids]


def slots(count: int, context: int = 300) -> Slots:
    return Slots([(1, 1, 1)], count, context, torch.float32, torch.device("cpu"))


class NoNewMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses every tensor that lies outside the memory that is known."""

    def __init__(self, known: list[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known = {one.untyped_storage().data_ptr() for one in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.untyped_storage().data_ptr() not in self.known:
            raise torch.OutOfMemoryError("out of memory")
        return out


def test_slots_change_places_without_memory_of_their_own() -> None:
    pair = Slots([(2, 3, 5), (1, 4, 4)], 3, 10, torch.float32, torch.device("cpu"))
    stores = [store for layer in pair.stores for store in (layer.keys, layer.values)]
    for store in stores:
        store.normal_()
    here, _, there = pair.all
    here.ids, there.ids = [1, 2, 3], [4, 5, 6, 7]
    before = [store.clone() for store in stores]
    with NoNewMemory([*stores, pair._spare]):
        pair.move(there, 0)
    assert (there.index, here.index) == (0, 2)
    for store, old in zip(stores, before, strict=True):
        assert torch.equal(store[0, :, :4], old[2, :, :4])
        assert torch.equal(store[2, :, :3], old[0, :, :3])


def test_an_admission_does_not_read_what_many_slots_share() -> None:
    many = slots(1000)
    persona = list(range(10, 110))
    for at, slot in enumerate(many.all):
        slot.ids = counted([*persona, 1000 + at, *range(50)])
    own = many.all[700]
    Counted.compared = 0
    found = many.claim(counted([*persona, 1700, *range(50), 7, 8]))
    assert found is own
    assert len(found.ids) == 151
    assert Counted.compared < 3000


def test_the_slot_with_the_longest_beginning_is_found_whatever_lies_around() -> None:
    dice = random.Random(4)
    for _ in range(300):
        some = slots(6, 40)
        for slot in some.all:
            slot.ids = [dice.randrange(2) for _ in range(dice.randrange(40))]
            slot.busy = dice.random() < 0.5
        some.all[dice.randrange(6)].busy = False
        source = dice.choice(some.all).ids
        ids = [*source[: dice.randrange(40)], *(dice.randrange(2) for _ in range(dice.randint(1, 9)))][:40]
        longest = max(
            next((at for at, (one, other) in enumerate(zip(slot.ids, ids[:-1], strict=False)) if one != other),
                 min(len(slot.ids), len(ids) - 1))
            for slot in some.all
        )  # fmt: skip
        assert max(_common(slot.ids, ids[:-1]) for slot in some.all) == longest
        assert len(some.claim(ids).ids) == (longest if longest >= 16 else 0)
