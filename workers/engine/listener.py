"""Who listens to a reply while it is written: hears each new text once, and cannot break the writing."""

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


class Listener:
    """Hands texts on to a callable, if there is one, until it fails for the first time."""

    def __init__(self, on_text: Callable[[str], None] | None) -> None:
        self._on_text = on_text
        self._heard = ""

    @property
    def listens(self) -> bool:
        """Is there any use in making a text?"""
        return self._on_text is not None

    def hear(self, text: str) -> None:
        """Hand a text over if it is new and there is something in it."""
        if self._on_text is None or not text or text == self._heard:
            return
        self._heard = text
        try:
            self._on_text(text)
        except Exception:
            self._on_text = None
            log.exception("on_text failed; this reply is no longer streamed")
