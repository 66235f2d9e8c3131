"""The text of one reply while its ids still come: never half a character, half a sign or half a stop string."""

from collections.abc import Callable

import regex
from transformers import PreTrainedTokenizerBase

from workers.engine.listener import Listener

_UNKNOWN = "\ufffd"  # what the bytes of an unfinished character decode to
_CLUSTER = regex.compile(r"\X")


class ReplyText:
    """Turns ids into text as they come and hands what can be shown to ``on_text``.

    What is shown is the whole text so far up to the last grapheme cluster, which the next id may still change (a
    skin tone, an accent, the second half of a flag), and without an end that may be the beginning of a stop string.
    ``take`` costs the same however long the text is.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, stop: tuple[str, ...], on_text: Callable[[str], None] | None
    ) -> None:
        self._tokenizer = tokenizer
        self._stop = stop
        self._listener = Listener(on_text)
        self._ids: list[int] = []
        # Ids up to _known are in _text; those from _context on are decoded again with each new one, as the text of
        # an id depends on the one before it.
        self._text = ""
        self._context = self._known = 0
        self._settled = 0  # the last grapheme cluster of _text begins here

    def take(self, token: int) -> bool:
        """Add an id; return whether a stop string is now complete."""
        self._ids.append(token)
        if not self._listener.listens and not self._stop:
            return False
        known = self._decode(self._ids[self._context : self._known])
        grown = self._decode(self._ids[self._context :])
        if len(grown) <= len(known) or grown.endswith(_UNKNOWN):
            return False
        before = len(self._text)
        self._text += grown[len(known) :]
        self._context, self._known = self._known, len(self._ids)
        self._settled += max((found.start() for found in _CLUSTER.finditer(self._text, self._settled)), default=0) - (
            self._settled
        )
        longest = max(map(len, self._stop), default=0)
        if any(self._text.find(one, max(0, before - longest)) >= 0 for one in self._stop):
            return True
        self._listener.hear(self._text[: min(self._settled, self._open_stop())].strip())
        return False

    def end(self) -> str:
        """Return the whole text, up to a stop string if there is one, and show it."""
        text = self._decode(self._ids)
        for one in self._stop:
            text = text.partition(one)[0]
        text = text.strip()
        self._listener.hear(text)
        return text

    def _open_stop(self) -> int:
        """Return where an unfinished stop string begins at the end of the text, or the text's length."""
        for length in range(min(max(map(len, self._stop), default=0), len(self._text)), 0, -1):
            tail = self._text[-length:]
            if any(one.startswith(tail) for one in self._stop):
                return len(self._text) - length
        return len(self._text)

    def _decode(self, ids: list[int]) -> str:
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        assert isinstance(text, str)
        return text
