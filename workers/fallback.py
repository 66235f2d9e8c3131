"""Several engines in an order: a request goes to the next one when the one before fails, is full or is down.

What an engine is, is in workers/engine. Here is what makes several of them look like one.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from core.dialogue import Completion, Prompt, PromptMessage, Tone
from core.errors import EngineError, EngineFull, GenerationFailed, PromptTooLong
from core.prompt import refit
from workers.runtime import RunningGeneration

log = logging.getLogger(__name__)

OnText = Callable[[str], None]
SHRINK = 0.7  # of a prompt that an engine found too long although by its own count it was not
SHRINKS = 3
GRACE_S = 5.0  # for an engine to end what has run out of time


class Engine(Protocol):
    """What all engines can do; see workers/engine/chat.py."""

    @property
    def prompt_tokens(self) -> int:
        """How long a prompt may be, in tokens."""

    def count_tokens(self, messages: Sequence[PromptMessage], tone: Tone) -> int:
        """Return the length of a prompt in tokens."""

    def submit(self, prompt: Prompt, on_text: OnText | None = None, person: str = "") -> RunningGeneration:
        """Begin to write a reply."""

    def close(self) -> None:
        """End it."""


class Fallback:
    """An engine made of named engines, asked in this order. Thread-safe.

    Prompts are built for the first one; for another they are cut to what it can take. All engines together have
    ``timeout_s`` for a reply.
    """

    def __init__(self, engines: Sequence[tuple[str, Engine]], timeout_s: float) -> None:
        self._engines = engines
        self._timeout_s = timeout_s

    @property
    def prompt_tokens(self) -> int:
        """How long a prompt may be for the first engine, in its tokens."""
        return self._engines[0][1].prompt_tokens

    def count_tokens(self, messages: Sequence[PromptMessage], tone: Tone) -> int:
        """Return the length of a prompt in tokens of the first engine."""
        return self._engines[0][1].count_tokens(messages, tone)

    def submit(self, prompt: Prompt, on_text: OnText | None = None, person: str = "") -> RunningGeneration:
        """Begin to write a reply, and return its handle.

        Raises:
            EngineFull: one engine at least is only full, and the others failed.
            GenerationFailed, PromptTooLong: no engine takes it.
            EngineBroken: an engine of this process is unusable.
        """
        return _Attempts(self._engines, prompt, on_text, person, time.monotonic() + self._timeout_s)

    def close(self) -> None:
        """End all engines."""
        for _, engine in self._engines:
            engine.close()


class _Attempts:
    """One request on its way from engine to engine, driven by whoever waits for its result."""

    def __init__(
        self,
        engines: Sequence[tuple[str, Engine]],
        prompt: Prompt,
        on_text: OnText | None,
        person: str,
        deadline: float,
    ) -> None:
        self._left = list(engines)
        self._prompt = prompt
        self._on_text = on_text
        self._person = person
        self._deadline = deadline
        self._shown = False
        self._shrinks = 0
        self._cancelled = threading.Event()
        self._errors: list[EngineError] = []
        self._running = self._begin()

    def result(self, timeout_s: float | None = None) -> Completion:
        """Return the completion of the first engine that succeeds; raises as ``Fallback.submit``, and TimeoutError."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            try:
                return self._wait(end)
            except (GenerationFailed, EngineFull, PromptTooLong) as error:
                if self._cancelled.is_set():
                    return Completion(text="", finish_reason="cancelled", prompt_tokens=0, completion_tokens=0)
                self._note(error, logging.WARNING)
                self._running = self._begin()

    def cancel(self) -> None:
        """End it; the result then is what was written so far."""
        self._cancelled.set()
        self._running.cancel()

    def _wait(self, end: float | None) -> Completion:
        """Wait for the engine that writes now; one that was asked late has less time than it knows."""
        left_s = self._deadline + 1 - time.monotonic()  # the first one ends by itself
        asked_s = left_s if end is None else end - time.monotonic()
        try:
            return self._running.result(max(0.0, min(left_s, asked_s)))
        except TimeoutError:
            if asked_s < left_s:
                raise
        self._running.cancel()
        done = self._running.result(GRACE_S)
        late = done.finish_reason == "cancelled" and not self._cancelled.is_set()
        return done.model_copy(update={"finish_reason": "timeout"}) if late else done

    def _begin(self) -> RunningGeneration:
        """Hand the prompt to the next engine that takes it; raises if there is none."""
        while self._left:
            _, engine = self._left[0]
            try:
                running = engine.submit(self._cut(engine), self._listener(), self._person)
            except (GenerationFailed, EngineFull, PromptTooLong) as error:
                self._note(error, logging.INFO)  # it is being left alone, which was told when that began
                continue
            if self._cancelled.is_set():  # said while it was being submitted
                running.cancel()
            return running
        raise self._verdict()

    def _cut(self, engine: Engine) -> Prompt:
        budget = engine.prompt_tokens
        if self._shrinks:
            whole = engine.count_tokens(self._prompt.messages, self._prompt.tone)
            budget = int(min(budget, whole) * SHRINK**self._shrinks)
        return refit(self._prompt, engine.count_tokens, budget)

    def _listener(self) -> OnText | None:
        on_text = self._on_text
        if on_text is None or self._shown:  # another reply would begin anew under text that is on the screen already
            return None

        def listen(text: str) -> None:
            self._shown = True
            on_text(text)

        return listen

    def _note(self, error: EngineError, level: int) -> None:
        """Take note that the engine asked last has failed."""
        if isinstance(error, PromptTooLong) and self._shrinks < SHRINKS:
            self._shrinks += 1
            log.log(level, "%s It is asked again with less; its context_tokens may be too high", error)
            return
        name, _ = self._left.pop(0)
        self._shrinks = 0
        self._errors.append(error)
        if self._left:
            log.log(level, "%s fails, %s is asked instead: %s", name, self._left[0][0], error)

    def _verdict(self) -> EngineError:
        if len(self._errors) == 1:
            return self._errors[0]
        kind = EngineFull if any(isinstance(error, EngineFull) for error in self._errors) else GenerationFailed
        return kind(" ".join(map(str, self._errors)))
