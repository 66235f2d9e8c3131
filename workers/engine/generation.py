"""One batched pass of ``model.generate``: padding, sampling, streaming, and rows that end before the others.

Knows nothing of queues, threads and retries: who waits is in line.py, the thread in chat.py, and whole.py hands over
the rows, tries again and gets back what each of them said.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.generation.logits_process import (
    LogitsProcessor,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
)

from core.dialogue import Completion, FinishReason
from core.sections import Generation as GenerationSettings
from workers.engine.loading import LoadedChat, as_list, end_tokens
from workers.engine.request import Wish
from workers.engine.sampling import COLDEST
from workers.engine.streaming import ReplyText

# A reply that came out empty is tried once more with at least this many tokens.
_RETRY_TOKENS = 4


class Row(Protocol):
    """One request as this module sees it."""

    prompt_ids: list[int]
    on_text: Callable[[str], None] | None
    wish: Wish

    @property
    def ended(self) -> FinishReason | None:
        """Why nobody wants it any more, if so."""


@dataclass
class _State:
    row: Row
    text: ReplyText
    tokens: list[int] = field(default_factory=list)
    reason: FinishReason | None = None


class Generator:
    """The model with its sampling, ready to complete batches. For one thread only."""

    def __init__(self, chat: LoadedChat, settings: GenerationSettings, max_new_tokens: int) -> None:
        self._model: Any = chat.model  # generate() is not typed
        self._tokenizer = chat.tokenizer
        self._device = chat.device
        self._encoder_decoder = chat.encoder_decoder
        self._penalty = settings.repetition_penalty
        self._beams = settings.num_beams
        self._sampled = settings.temperature > 0
        self._config = _generation_config(chat, settings, max_new_tokens)
        self._max_new_tokens = max_new_tokens
        # The model's own configuration would fill in whatever ours leaves open.
        chat.model.generation_config = self._config
        self._pad = int(as_list(self._config.pad_token_id)[0])
        self._ends = frozenset(as_list(self._config.eos_token_id))

    def complete(self, rows: Sequence[Row], each_step: Callable[[], None], retry: bool = False) -> list[Completion]:
        """Complete all rows together and return what each said, in order.

        A row that is not wanted any more ends with the text so far; the others go on. ``each_step`` is called after
        every token. ``retry`` forbids an immediate end. Each row is sampled, and limited in length, as it wishes, but
        for its seed: the library draws for all rows with one generator. Whatever the model raises comes out as it is.
        """
        input_ids, mask = self._padded([row.prompt_ids for row in rows])
        start = 1 if self._encoder_decoder else input_ids.shape[1]
        streamed = self._beams == 1
        states = [
            _State(row, ReplyText(self._tokenizer, row.wish.stop, row.on_text if streamed else None)) for row in rows
        ]
        watch = _Watch(states, start, self._beams, self._ends, each_step)
        config = self._config
        if retry:
            config = copy.deepcopy(config)
            config.min_new_tokens = min(_RETRY_TOKENS, self._max_new_tokens)
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=input_ids,
                attention_mask=mask,
                generation_config=config,
                logits_processor=self._processors(rows, start),
                stopping_criteria=StoppingCriteriaList([watch]),
            )
        assert isinstance(output, torch.Tensor)
        if self._beams > 1:
            watch.take(output[:, start:].tolist(), self._pad)
        return [self._completion(state) for state in watch.states]

    def _padded(self, prompts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (ids, mask), both int64 [rows, longest]: a decoder is padded on the left, an encoder on the right."""
        width = max(map(len, prompts))
        blanks = [[self._pad] * (width - len(ids)) for ids in prompts]
        off = [[0] * len(blank) for blank in blanks]
        on = [[1] * len(ids) for ids in prompts]
        left = not self._encoder_decoder
        ids = [b + p if left else p + b for p, b in zip(prompts, blanks, strict=True)]
        mask = [b + p if left else p + b for p, b in zip(on, off, strict=True)]
        return torch.tensor(ids, device=self._device), torch.tensor(mask, device=self._device)

    def _processors(self, rows: Sequence[Row], start: int) -> LogitsProcessorList:
        processors = LogitsProcessorList()
        # Only what the reply itself repeats is penalised: a name from the history may well be said again.
        if self._penalty != 1:
            processors.append(RepetitionPenaltyLogitsProcessor(self._penalty, prompt_ignore_length=start))
        if self._sampled:
            wishes = [row.wish for row in rows for _ in range(self._beams)]
            temperatures = [wish.temperature for wish in wishes]
            top_ps = [wish.top_p for wish in wishes]
            # Beams need as many words to go on with as there are ends, and one more.
            keep = 1 if self._beams == 1 else len(self._ends) + 1
            processors.append(_SampledByRow(temperatures, top_ps, keep, self._device))
        return processors

    def _completion(self, state: _State) -> Completion:
        if self._beams > 1:
            for token in state.tokens:
                state.text.take(token)
        return Completion(
            text=state.text.end(),
            finish_reason=state.reason or "length",
            prompt_tokens=len(state.row.prompt_ids),
            completion_tokens=len(state.tokens),
        )


class _SampledByRow(LogitsProcessor):
    """Temperature and top-p, each row with its own. transformers' own have one value for a whole batch."""

    def __init__(self, temperatures: list[float], top_ps: list[float], keep: int, device: torch.device) -> None:
        coldest = [max(temperature, COLDEST) for temperature in temperatures]
        self._temperatures = torch.tensor(coldest, device=device).unsqueeze(1)
        self._cuts = min(top_ps) < 1
        # Rounding must not cut the tail of a row that wants all of it.
        bounds = [top_p if top_p < 1 else torch.inf for top_p in top_ps]
        self._top_ps = torch.tensor(bounds, device=device).unsqueeze(1)
        self._keep = keep

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores, float [rows, words], without the least probable words of each row."""
        scores = scores / self._temperatures
        if not self._cuts:
            return scores
        ordered, order = scores.sort(dim=-1, descending=True)
        probabilities = ordered.softmax(dim=-1)
        more_probable = probabilities.cumsum(dim=-1) - probabilities
        dropped = more_probable >= self._top_ps
        dropped[:, : self._keep] = False
        return scores.masked_fill(dropped.scatter(1, order, dropped), -torch.inf)


class _Watch(StoppingCriteria):
    """Sees every token as it is chosen: passes text on, and ends rows."""

    def __init__(
        self,
        states: list[_State],
        start: int,
        beams: int,
        ends: frozenset[int],
        each_step: Callable[[], None],
    ) -> None:
        self.states = states
        self._start = start
        self._beams = beams
        self._ends = ends
        self._each_step = each_step

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:
        """Return which rows end now: bool [rows], or [rows x beams]."""
        if self._beams == 1:
            for state, token in zip(self.states, input_ids[:, -1].tolist(), strict=True):
                if state.reason is None:
                    self._add(state, token)
        for state in self.states:
            if state.reason is None:
                long_enough = input_ids.shape[1] - self._start >= state.row.wish.limit
                state.reason = state.row.ended or ("length" if long_enough else None)
        self._each_step()
        ended = torch.tensor([state.reason is not None for state in self.states], device=input_ids.device)
        return ended.repeat_interleave(input_ids.shape[0] // len(self.states))

    def take(self, outputs: list[list[int]], pad: int) -> None:
        """Set the states from the best beam of each row, which is known only at the end."""
        for state, tokens in zip(self.states, outputs, strict=True):
            end = next((at for at, token in enumerate(tokens) if token in self._ends or token == pad), None)
            state.tokens = tokens[:end]
            if state.reason in (None, "length"):  # a beam that is long enough may not be the best one
                state.reason = "stop" if end is not None and end < state.row.wish.limit else "length"

    def _add(self, state: _State, token: int) -> None:
        if token in self._ends:
            state.reason = "stop"
            return
        state.tokens.append(token)
        if state.text.take(token):
            state.reason = "stop"


def _generation_config(chat: LoadedChat, settings: GenerationSettings, max_new_tokens: int) -> GenerationConfig:
    """Return the settings' sampling with the model's own marks and, for encoder-decoders, its length rules."""
    own = chat.model.generation_config
    assert own is not None
    eos = sorted(end_tokens(chat))
    pad = next((one for one in (own.pad_token_id, chat.tokenizer.pad_token_id, *eos) if one is not None), 0)
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=own.bos_token_id,
        eos_token_id=eos or None,
        pad_token_id=pad,
        max_new_tokens=max_new_tokens,
        num_beams=settings.num_beams,
        do_sample=settings.temperature > 0,
        repetition_penalty=1.0,
    )
    if settings.temperature > 0:
        # Temperature and top-p differ from row to row: see _SampledByRow.
        config.temperature = 1.0
        config.top_p = 1.0
        config.top_k = 0
    if chat.encoder_decoder:
        config.decoder_start_token_id = own.decoder_start_token_id
        config.forced_bos_token_id = own.forced_bos_token_id
        config.no_repeat_ngram_size = own.no_repeat_ngram_size
        config.encoder_no_repeat_ngram_size = own.encoder_no_repeat_ngram_size
        config.min_length = min(own.min_length or 0, max_new_tokens)
    return config
