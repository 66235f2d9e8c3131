"""Batching of whole calls: for encoder-decoders, for beams, and for models whose memory cannot be laid out in slots.

As soon as the model is free, all that waits is taken, up to ``batch`` requests, and completed together; there is no
fixed window. How one batch runs is in generation.py.
"""

import logging
from collections.abc import Callable

from core.dialogue import Completion
from core.errors import EngineBroken, GenerationFailed
from workers.engine.generation import Generator
from workers.engine.judge import Judge, first_line, free_memory, out_of_memory
from workers.engine.line import Line
from workers.engine.request import Generation

log = logging.getLogger(__name__)


class WholeCalls:
    """Runs requests from a line in batches of whole calls. For one thread only."""

    def __init__(
        self, generator: Generator, line: Line, judge: Judge, batch: int, each_token: Callable[[], None]
    ) -> None:
        self._generator = generator
        self._line = line
        self._judge = judge
        self._batch = batch
        self._each_token = each_token
        self._running: list[Generation] = []

    @property
    def busy(self) -> bool:
        """Is there anything to do but what waits in the line? Between two steps there is not."""
        return False

    def step(self) -> None:
        """Take what waits, up to a batch, and complete it."""
        self._running = [one for _ in range(self._batch) if (one := self._line.take())]
        self._run(self._running)

    def abandon(self, error: Exception) -> None:
        """Fail everything that has been taken on."""
        for one in self._running:
            one.fail(error)

    def _run(self, batch: list[Generation]) -> None:
        """Complete a batch; when it raises, find out which of its requests is at fault."""
        if not batch:
            return
        try:
            completions = self._generator.complete(batch, self._step_of_the_model)
        except Exception as error:
            self._recover(batch, error)
            return
        self._judge.well()
        for one, completion in zip(batch, completions, strict=True):
            if not self._answered(one, completion):
                self._retry_empty(one)

    def _step_of_the_model(self) -> None:
        self._each_token()
        if self._line.closed:
            raise _Closing

    def _recover(self, batch: list[Generation], error: Exception) -> None:
        if isinstance(error, _Closing):
            for one in batch:
                one.fail(EngineBroken("The chat engine was closed."))
        elif len(batch) > 1:
            size = 1
            if out_of_memory(error):
                size = self._batch = max(1, len(batch) // 2)
                log.warning("out of memory with %d requests together; from now on at most %d", len(batch), size)
                free_memory()
            else:
                log.warning("a batch of %d failed (%s); each is tried alone", len(batch), first_line(error))
            for at in range(0, len(batch), size):
                self._run_live(batch[at : at + size])
        else:
            batch[0].fail(self._judge.blame(error))

    def _run_live(self, batch: list[Generation]) -> None:
        """Run those of a failed batch that are still wanted."""
        live = []
        for one in batch:
            if self._judge.broken:
                one.fail(EngineBroken(self._judge.broken))
            elif reason := one.ended:
                one.answer_unsaid(reason)
            else:
                live.append(one)
        self._run(live)

    def _retry_empty(self, one: Generation) -> None:
        try:
            completion = self._generator.complete([one], self._step_of_the_model, retry=True)[0]
        except Exception as error:
            self._recover([one], error)
            return
        if not self._answered(one, completion):
            one.fail(GenerationFailed("The model said nothing, twice."))

    def _answered(self, one: Generation, completion: Completion) -> bool:
        said = bool(completion.text) or completion.finish_reason in ("cancelled", "timeout")
        if said:
            one.answer(completion)
        return said


class _Closing(Exception):
    """Ends a running batch because the engine closes."""
