"""The slot cache: keys and values of many conversations in memory that is laid out once.

A slot is one row of every layer's keys and values, as long as the context. Rows that run stand side by side at the
front, so that a step reads them as one block; moving a row is a swap. What a row has left stays until its slot is
needed, with the ids it was computed from, so that the conversation's next turn can go on from there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

# A conversation goes on in its own slot if that holds little else; it shares its beginning with others otherwise.
_OWN = 0.5
_WORTH = 16  # tokens; shorter beginnings are read faster than they are copied


@dataclass
class Window:
    """Which part of the cache one pass of the model reads and writes.

    ``rows`` are slots first .. first + count - 1. ``columns``, int64 [count, width], says where each new token's keys
    and values go; padding goes to a column behind the context. ``view`` columns are read.
    """

    first: int
    count: int
    columns: torch.Tensor
    view: int
    rows: torch.Tensor  # int64 [count, 1]: 0 .. count - 1
    straight: int | None = None  # where the only row's tokens begin, if there is one row


class SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer's keys and values, [slots, heads, context + 1, width]; the last column takes padding."""

    is_sliding = False

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys: torch.Tensor = keys
        self.values: torch.Tensor = values
        self.is_initialized = True
        self.window: Window | None = None

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing is left to do: the memory is there from the start."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new tokens' keys and values, [count, heads, width, size], and return all that the pass reads."""
        window = self.window
        assert window is not None
        block = slice(window.first, window.first + window.count)
        found = []
        for store, states in ((self.keys[block], key_states), (self.values[block], value_states)):
            if window.straight is not None:
                store[:, :, window.straight : window.straight + states.shape[2]] = states
            else:
                store[window.rows, :, window.columns] = states.transpose(1, 2)
            found.append(store[:, :, : window.view])
        return found[0], found[1]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return (length, offset) of what a pass reads; our own masks are passed, so this is only asked for."""
        return (self.window.view if self.window else 0), 0

    def get_seq_length(self) -> int:
        """Return 0: rows have different lengths, and positions are passed to the model."""
        return 0

    def get_max_length(self) -> int:
        """Return how many tokens a slot holds."""
        return self.keys.shape[2] - 1


@dataclass(eq=False)
class Slot:
    """One row of the cache. ``ids`` are those whose keys and values it holds, in order."""

    index: int
    ids: list[int] = field(default_factory=list)
    busy: bool = False
    left: int = 0  # when it was left, as a count of leavings


class Slots(Cache):
    """All slots, and who is in them. For one thread only.

    ``shapes`` are (heads, key size, value size) of each layer; keys and values may differ in size.
    """

    def __init__(
        self, shapes: Sequence[tuple[int, int, int]], count: int, context: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        def room(heads: int, size: int) -> torch.Tensor:
            return _zeros((count, heads, context + 1, size), dtype, device)

        self.stores = [SlotLayer(room(heads, key), room(heads, value)) for heads, key, value in shapes]
        super().__init__(layers=list(self.stores))
        largest = max(heads * size for heads, *sizes in shapes for size in sizes)
        self._spare = torch.empty(largest * context, dtype=dtype, device=device)  # moving takes no memory of its own
        self.context = context
        self.all = [Slot(index) for index in range(count)]
        self._leavings = 0

    def look(self, window: Window) -> None:
        """Let the next pass of the model read and write there."""
        for layer in self.stores:
            layer.window = window

    def claim(self, ids: list[int]) -> Slot:
        """Return a free slot for a prompt, holding as much of its beginning as any slot has; one must be free.

        The last id is never held: a pass needs one to read. The slot is busy until ``leave``.
        """
        free = [slot for slot in self.all if not slot.busy]
        best, length = free[0], 0
        for slot in [*free, *(slot for slot in self.all if slot.busy)]:  # of two that hold as much, the free one
            held = slot.ids
            if len(held) > length < len(ids) - 1 and held[length] == ids[length]:  # otherwise it cannot hold more
                best, length = max((best, length), (slot, _common(held, ids[:-1])), key=lambda found: found[1])
        if length < _WORTH:
            length = 0
        if best.busy or not length or length < _OWN * len(best.ids):
            target = min(free, key=lambda slot: slot.left if slot.ids else -1)
            target.ids = []  # should the copy fail half-way
            self._copy(best, target, length)
        else:
            target = best
        target.ids = ids[:length]
        target.busy = True
        return target

    def leave(self, slot: Slot) -> None:
        """Give a slot back; what it holds stays until somebody needs the room."""
        self._leavings += 1
        slot.busy, slot.left = False, self._leavings

    def clear(self, slot: Slot) -> None:
        """Make a slot as new: after a failure it may hold what is no number, which no mask hides."""
        slot.ids = []
        for layer in self.stores:
            layer.keys[slot.index] = 0
            layer.values[slot.index] = 0

    def move(self, slot: Slot, index: int) -> None:
        """Bring a slot to a place; the one that is there changes places with it."""
        other = self.all[index]
        if other is slot:
            return
        here, there = len(slot.ids), len(other.ids)  # what neither holds need not be moved
        for layer in self.stores:
            for store in (layer.keys, layer.values):
                kept = store[index, :, :there]
                if here:
                    kept = self._spare[: kept.numel()].view(kept.shape).copy_(kept)
                store[index, :, :here] = store[slot.index, :, :here]
                store[slot.index, :, :there] = kept
        self.all[slot.index], self.all[index] = other, slot
        slot.index, other.index = index, slot.index

    def _copy(self, source: Slot, target: Slot, length: int) -> None:
        if source is target or not length:
            return
        for layer in self.stores:
            for store in (layer.keys, layer.values):
                store[target.index, :, :length] = store[source.index, :, :length]


def slot_bytes(shapes: Sequence[tuple[int, int, int]], context: int, dtype: torch.dtype) -> int:
    """Return the memory of one slot in bytes."""
    return sum(heads * (key + value) for heads, key, value in shapes) * (context + 1) * dtype.itemsize


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return zeros: masked columns have weight 0, and 0 times what lies in fresh memory may be no number.

    numpy asks the system for them, which gives the memory only where it is written; torch writes all of it at once.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.zeros(math.prod(shape) * dtype.itemsize, np.uint8)).view(dtype).view(shape)


def _common(one: list[int], other: list[int]) -> int:
    """Return how many ids two lists have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
