"""One pass of a causal model over some slots: inputs, positions and masks; and whether a model can be run so at all.

Which rows take part in a pass is decided in scheduler.py.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from core.errors import SettingsError
from core.sections import Generation as GenerationSettings
from workers.engine.judge import first_line, out_of_memory
from workers.engine.loading import LoadedChat
from workers.engine.precision import rounded
from workers.engine.slots import Slots, Window, slot_bytes

log = logging.getLogger(__name__)

_GIB = 2**30
_CPU_GIB = 1.0
_GPU_SHARE = 0.8  # of what is free once the model is loaded; the rest is for what a pass itself needs
_IDLE = 3  # so many conversations are remembered for each that can run, if there is room
# Tokens of prompts that are read at once: enough to keep the arithmetic busy, few enough not to hold up who writes.
# A graphics card is that fast with the most; on a CPU it is found out how many a pause of so many seconds allows.
_PORTION_GPU = 2048
_PORTIONS_CPU = (64, 128, 256, 512, 1024)
_PAUSE_S = 0.12
_WIDTH = 128
_PROBE = "Hello there, how are you today? What have you been up to since we last spoke?"
# How far scores may be off, in parts of the largest. With int8 the rounding depends on who else is in a pass.
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.05}
_TOLERANCE_INT8 = 0.5


class SlotModel:
    """A causal model over slots. For one thread only.

    ``rows`` is how many can run together within the memory that is allowed.
    """

    def __init__(self, chat: LoadedChat, slots: Slots, rows: int) -> None:
        self.slots = slots
        self.rows = rows
        self._model: Any = chat.model  # forward() is not typed
        self._device = chat.device
        self._dtype = slots.stores[0].keys.dtype
        self._kinds, self._reach = _attention_kinds(chat.model.config)
        self._columns = torch.arange(slots.context + 1, device=chat.device)

    def read(self, first: int, chunks: Sequence[list[int]]) -> torch.Tensor:
        """Read on in slots first, first + 1, ...: one chunk of ids each, behind what each slot holds.

        Returns the scores of the word after each chunk, [rows, words]. That the slots now hold the chunks is for the
        caller to note in their ``ids``, once the scores have proved to be there.
        """
        slots = self.slots.all[first : first + len(chunks)]
        starts = [len(slot.ids) for slot in slots]
        width = self._rounded(max(map(len, chunks)))
        # Padding stands on the left, so that every row's last token is in the last column.
        rows = [
            [start, start + len(chunk) - width, *[0] * (width - len(chunk)), *chunk]
            for start, chunk in zip(starts, chunks, strict=True)
        ]
        packed = torch.tensor(rows, device=self._device)
        ids, start = packed[:, 2:], packed[:, :1]
        positions = packed[:, 1:2] + self._columns[:width]
        columns = positions
        if any(len(chunk) < width for chunk in chunks):
            padding = positions < start
            columns = positions.masked_fill(padding, self.slots.context)
            positions = positions.masked_fill(padding, 0)
        view = self._rounded(max(start + len(chunk) for start, chunk in zip(starts, chunks, strict=True)))
        straight = starts[0] if len(chunks) == 1 and len(chunks[0]) == width else None
        self.slots.look(Window(first, len(chunks), columns, view, self._columns[: len(chunks), None], straight))
        with torch.inference_mode():
            output = self._model(
                input_ids=ids,
                position_ids=positions,
                attention_mask=self._masks(positions, view),
                past_key_values=self.slots,
                use_cache=True,
                logits_to_keep=1,
            )
        scores: torch.Tensor = output.logits[:, -1]
        return scores

    def _rounded(self, length: int) -> int:
        return min(rounded(length, self._dtype, self._device), self.slots.context)

    def _masks(self, positions: torch.Tensor, view: int) -> torch.Tensor | dict[str, torch.Tensor]:
        """Return what is added to the attention, [rows, 1, width, view]: by kind of layer if there are several.

        A token sees itself and what stands before it, in a sliding window the last ``reach`` of these.
        """
        columns = self._columns[:view]
        asking = positions[:, None, :, None]
        hidden = columns > asking
        masks = {}
        for kind in self._kinds:
            dark = hidden if kind == "full_attention" else hidden | (columns <= asking - self._reach)
            mask = torch.zeros(dark.shape, dtype=self._dtype, device=self._device)
            masks[kind] = mask.masked_fill_(dark, torch.finfo(self._dtype).min)
        return masks if len(masks) > 1 else masks[self._kinds[0]]


def portion(model: SlotModel, device: torch.device) -> int:
    """Return how many tokens of prompts the model may read at once, found out by doing it."""
    if device.type != "cpu":
        return _PORTION_GPU
    found = _PORTIONS_CPU[0]
    for size in _PORTIONS_CPU[1:]:
        rows = min(max(1, size // _WIDTH), model.rows)
        width = size // rows
        if width > model.slots.context:
            break
        try:
            if _seconds(model, rows, width) > _PAUSE_S:
                break
        except Exception as error:
            if not out_of_memory(error):
                raise
            break
        found = size
    return found


def _seconds(model: SlotModel, rows: int, width: int) -> float:
    """Return how long so many rows of so many tokens take; twice, as the first pass of a shape takes longer."""
    taken = []
    for _ in range(2):
        began = time.perf_counter()
        model.read(0, [[0] * width] * rows)
        taken.append(time.perf_counter() - began)
    return min(taken)


def slot_model(chat: LoadedChat, settings: GenerationSettings, context: int) -> SlotModel | None:
    """Return the model over slots, or None where that cannot be done: its layers remember in another way.

    The model reads a text once by itself and once through the slots; the scores must be the same.

    Raises:
        SettingsError: there is no memory for the slots.
    """
    ids = chat.tokenizer(_PROBE, add_special_tokens=False)["input_ids"][: context // 2]
    try:
        scores, shapes, dtype = _alone(chat, ids)
        model = SlotModel(chat, Slots(shapes, 2, context, dtype, chat.device), 2)
        half = len(ids) // 2
        model.read(1, [ids[:half]])
        model.slots.all[1].ids = ids[:half]
        found = model.read(0, [ids[: half + 1], ids[half:]])[1].float()
    except Exception as error:  # models raise what they like when a cache is not theirs
        log.info("no token-level batching: %s", first_line(error))
        return None
    off = (found - scores).abs().max() / scores.abs().max()
    if not off < (_TOLERANCE_INT8 if settings.precision in ("int8", "int4") else _TOLERANCE[dtype]):
        log.info("no token-level batching: scores through the slots are off by %.3f", off)
        return None
    each = slot_bytes(shapes, context, dtype)
    count, rows = _size(chat.device, settings, each)
    try:
        return SlotModel(chat, Slots(shapes, count, context, dtype, chat.device), rows)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise SettingsError(
            f"There is no memory on {chat.device} for the {count * each / _GIB:.1f} GiB that remember conversations. "
            "Set [generation] cache_gib lower (the workers of one machine share its memory)."
        ) from error


def _size(device: torch.device, settings: GenerationSettings, each: int) -> tuple[int, int]:
    """Return how many slots of so many bytes there should be, and how many rows may run."""
    if settings.cache_gib:
        room = settings.cache_gib * _GIB
    elif device.type == "cuda":
        room = torch.cuda.mem_get_info(device)[0] * _GPU_SHARE
    else:
        room = _CPU_GIB * _GIB
    count = max(1, min(int(room / each), settings.batch * (1 + _IDLE)))
    rows = min(settings.batch, count)
    log.info("%d slots of %.0f MiB; up to %d replies are written together", count, each / 2**20, rows)
    if rows < settings.batch:
        log.warning(
            "Setting [generation] batch = %d: there is room for %d conversations of this length in %.1f GiB. "
            "Lower context_tokens, or raise cache_gib.",
            settings.batch,
            rows,
            room / _GIB,
        )
    return count, rows


def _alone(chat: LoadedChat, ids: list[int]) -> tuple[torch.Tensor, list[tuple[int, int, int]], torch.dtype]:
    """Let the model read by itself; return the last scores, and shapes and type of its keys and values.

    Raises:
        TypeError: its cache does not simply hold keys and values.
    """
    model: Any = chat.model
    with torch.inference_mode():
        output = model(input_ids=torch.tensor([ids], device=chat.device), use_cache=True)
    cache = output.past_key_values
    if type(cache) is not DynamicCache:
        raise TypeError(f"a cache of the kind {type(cache).__name__} cannot be laid out in slots")
    _attention_kinds(chat.model.config)
    layers: list[Any] = cache.layers
    shapes = [(layer.keys.shape[1], layer.keys.shape[3], layer.values.shape[3]) for layer in layers]
    return output.logits[0, -1].float(), shapes, layers[0].keys.dtype


def _attention_kinds(config: Any) -> tuple[list[str], int]:
    """Return the kinds of attention among a model's layers, and how far those with a window reach back.

    Raises:
        TypeError: there is a kind without keys and values of all tokens.
    """
    config = config.get_text_config(decoder=True)
    window = getattr(config, "sliding_window", None)
    kinds = sorted(set(getattr(config, "layer_types", None) or ["sliding_attention" if window else "full_attention"]))
    if not set(kinds) <= {"full_attention", "sliding_attention"}:
        raise TypeError(f"layers of the kinds {', '.join(kinds)} cannot be laid out in slots")
    return kinds, window or 0
