"""One request to the chat engine: what it wants, and the handle through which it is awaited and cancelled.

Who waits how long is in line.py; how requests are run, in scheduler.py and whole.py.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from core.dialogue import Completion, FinishReason, Tone
from core.sections import Generation as GenerationSettings


@dataclass(frozen=True)
class Wish:
    """How one reply is to be written.

    ``limit`` is in tokens; a ``temperature`` of 0 is greedy; the same ``seed`` draws the same reply in any company;
    the reply ends before the first of the ``stop`` strings.
    """

    limit: int
    temperature: float
    top_p: float
    seed: int | None = None
    stop: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, settings: GenerationSettings, tone: Tone, limit: int, seed: int | None = None, stop: tuple[str, ...] = ()
    ) -> "Wish":
        """Return the settings' wish as the tone has it: at most ``limit`` tokens, and greedy stays greedy."""
        warm = settings.temperature if tone.temperature is None else tone.temperature
        return cls(
            limit=min(tone.max_new_tokens or limit, limit),
            temperature=warm if settings.temperature > 0 else 0.0,
            top_p=settings.top_p if tone.top_p is None else tone.top_p,
            seed=seed,
            stop=tuple(filter(None, stop)),
        )


class Generation:
    """Handle of one submitted prompt.

    ``deadline`` is in seconds of ``time.monotonic()``. ``on_cancel`` is called after each ``cancel``.
    """

    def __init__(
        self,
        prompt_ids: list[int],
        wish: Wish,
        deadline: float,
        on_text: Callable[[str], None] | None = None,
        person: str = "",
        on_cancel: Callable[[], None] = lambda: None,
    ) -> None:
        self.prompt_ids = prompt_ids
        self.wish = wish
        self.deadline = deadline
        self.on_text = on_text
        self.person = person
        self._on_cancel = on_cancel
        self._cancel = threading.Event()
        self._future: Future[Completion] = Future()

    @property
    def done(self) -> bool:
        """Has it been answered, be it with an error?"""
        return self._future.done()

    @property
    def cancelled(self) -> bool:
        """Has ``cancel`` been called?"""
        return self._cancel.is_set()

    @property
    def ended(self) -> FinishReason | None:
        """Why it is not wanted any more, if so: "cancelled" or "timeout"."""
        if self.cancelled:
            return "cancelled"
        return "timeout" if time.monotonic() >= self.deadline else None

    def result(self, timeout_s: float | None = None) -> Completion:
        """Wait for the completion.

        Its finish_reason is "stop", "length" (max_new_tokens, or what the tone allows, reached), "cancelled" or
        "timeout" (``[generation] timeout_s`` after submission); the last two come with the text so far.

        Raises:
            GenerationFailed: this request could not be completed; others can.
            EngineBroken: the engine is unusable or was closed.
            TimeoutError: nothing came within ``timeout_s`` seconds; the generation goes on.
        """
        return self._future.result(timeout_s)

    def cancel(self) -> None:
        """End it at the next token, or at once if it waits. ``result`` then returns the text so far."""
        self._cancel.set()
        self._on_cancel()

    def answer(self, completion: Completion) -> None:
        """Give the result to whoever waits for it; later ones are ignored."""
        if not self._future.done():
            self._future.set_result(completion)

    def answer_unsaid(self, reason: FinishReason) -> None:
        """Answer that it ended before a word was said."""
        count = len(self.prompt_ids)
        self.answer(Completion(text="", finish_reason=reason, prompt_tokens=count, completion_tokens=0))

    def fail(self, error: Exception) -> None:
        """Give an error to whoever waits for the result; later ones are ignored."""
        if not self._future.done():
            self._future.set_exception(error)
