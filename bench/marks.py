"""Marks on messages that replies repeat, so that who measures sees what was answered by what, and how often."""

import re
from collections.abc import Callable
from dataclasses import replace

from core.dialogue import Completion, Prompt
from workers.runtime import Models, RunningGeneration

MARK = re.compile(r"№\d+")


class _Marked:
    """A generation whose text ends with the marks of what it answers."""

    def __init__(self, inner: RunningGeneration, marks: list[str]) -> None:
        self._inner = inner
        self._marks = marks
        self.cancel = inner.cancel

    def result(self, timeout_s: float | None = None) -> Completion:
        found = self._inner.result(timeout_s)
        return found.model_copy(update={"text": " ".join([found.text, *self._marks])})


def marked(models: Models) -> Models:
    """Return these models with replies that repeat the marks of what they answer."""

    def submit(prompt: Prompt, on_text: Callable[[str], None], person: str) -> RunningGeneration:
        return _Marked(models.submit(prompt, on_text, person), MARK.findall(prompt.messages[-1].content))

    return replace(models, submit=submit)
