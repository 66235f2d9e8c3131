"""The handle of a request to a remote engine: what has been said so far, who listens, how it is cancelled."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

from core.dialogue import Completion, FinishReason, Prompt
from workers.engine.listener import Listener
from workers.engine.remote_dialect import estimated_tokens

_UNFINISHED = "\ufffd\u200d\ufe0f"  # what may become another character with the next piece


class RemoteGeneration:
    """Handle of one submitted prompt: its first word must come by ``begin_by``, its end by ``deadline`` (monotonic)."""

    def __init__(self, prompt: Prompt, begin_by: float, deadline: float, on_text: Callable[[str], None] | None) -> None:
        self.prompt = prompt
        self.begin_by = begin_by
        self.deadline = deadline
        self.text = ""
        self.tokens = 0
        self.prompt_tokens = 0
        self._listener = Listener(on_text)
        self._cancel = threading.Event()
        self._future: Future[Completion] = Future()
        self._end: Callable[[], None] = lambda: None

    @property
    def done(self) -> bool:
        """Has it been answered, be it with an error?"""
        return self._future.done()

    @property
    def cancelled(self) -> bool:
        """Has ``cancel`` been called?"""
        return self._cancel.is_set()

    def result(self, timeout_s: float | None = None) -> Completion:
        """Wait for the completion.

        Its finish_reason is "stop", "length", "cancelled" or "timeout" (``[generation] timeout_s`` after submission);
        the last two come with the text so far.

        Raises:
            EngineFull: the server has too much to do; a later request may be answered.
            PromptTooLong: the prompt is longer than the server's context.
            GenerationFailed: the server is down, broke off, or refused the request.
            EngineBroken: the engine was closed.
            TimeoutError: nothing came within ``timeout_s`` seconds; the generation goes on.
        """
        return self._future.result(timeout_s)

    def cancel(self) -> None:
        """End it, and the connection with it. ``result`` then returns the text so far."""
        self._cancel.set()
        self._end()

    def add(self, piece: str) -> None:
        """Add what the server sent."""
        self.text += piece
        self.tokens += 1  # about: the server's own count comes at the end, if at all
        self._listener.hear(self.text.strip().rstrip(_UNFINISHED).rstrip())

    def answer(self, reason: FinishReason) -> None:
        """Give the completion to whoever waits for it."""
        text = self.text.strip()
        self._listener.hear(text)
        known = self.prompt_tokens or estimated_tokens(self.prompt.messages, self.prompt.tone)
        self._future.set_result(
            Completion(text=text, finish_reason=reason, prompt_tokens=known, completion_tokens=self.tokens)
        )

    def fail(self, error: Exception) -> None:
        """Give an error to whoever waits for the result."""
        self._future.set_exception(error)

    def ended_by(self, end: Callable[[], None]) -> None:
        """Say how it is cancelled once it runs."""
        self._end = end
        if self.cancelled:  # said before it ran
            end()
