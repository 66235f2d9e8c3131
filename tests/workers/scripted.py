"""Models that are plain functions, for tests of everything around a model."""

import threading
from collections.abc import Callable

from core.dialogue import Completion, Prompt, Reading, Sentiment
from workers.runtime import Models

NEUTRAL = Reading(sentiment=Sentiment.of({"negative": 0.1, "neutral": 0.8, "positive": 0.1}), embedding=())
Script = Callable[[Prompt, Callable[[str], None], threading.Event], str | Completion]


class Running:
    """A generation that runs its script in a thread of its own; the script is handed an event set on cancel."""

    def __init__(self, script: Script, prompt: Prompt, on_text: Callable[[str], None]) -> None:
        self._cancelled = threading.Event()
        self._said: str | Completion = ""
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(script, prompt, on_text), daemon=True)
        self._thread.start()

    def _run(self, script: Script, prompt: Prompt, on_text: Callable[[str], None]) -> None:
        try:
            self._said = script(prompt, on_text, self._cancelled)
        except Exception as error:
            self._error = error

    def result(self, timeout_s: float | None = None) -> Completion:
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError
        if self._error:
            raise self._error
        if isinstance(self._said, Completion):
            return self._said
        reason = "cancelled" if self._cancelled.is_set() else "stop"
        return Completion(text=self._said, finish_reason=reason, prompt_tokens=1, completion_tokens=1)

    def cancel(self) -> None:
        self._cancelled.set()


def models(script: Script) -> Models:
    """Return models whose replies come from the script and whose mood is always neutral."""
    return Models(
        read_mood=lambda text: NEUTRAL,
        submit=lambda prompt, on_text, person: Running(script, prompt, on_text),
        count_tokens=lambda messages, tone: sum(len(message.content) for message in messages),
        budget=100_000,
        close=lambda: None,
        names={"chat_model": "scripted", "encoder": "scripted"},
    )
