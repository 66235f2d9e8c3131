"""Addresses in a generated reply: those that nobody gave are left out, as models make them up. Pure, by form alone.

Only what a model wrote comes here: commands and the fixed texts with their helplines keep theirs.
"""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

NOTE = "(link left out)"
# Hosts that lead nowhere (RFC 2606), which examples use.
_NOWHERE = ("example.com", "example.net", "example.org", "example")
# What chat networks make a link of where no scheme stands before it. Without the endings of files (.py, .md, .sh) and
# those that are words, as people forget the blank after a sentence (.it, .in, .so).
_ENDINGS = (
    "com|org|net|info|biz|io|dev|app|ai|gg|ly|xyz|site|online|shop|store|top|club|live|link|click|page|website|tech|"
    "gov|edu|eu|uk|de|fr|nl|ch|se|dk|pl|ru|cn|jp|br|au|ca|tk|ml"
)
_TO = r"(?:[^\s<>()]|\([^\s<>()]*\))+"  # brackets in pairs, as in addresses of Wikipedia
_MARKDOWN = re.compile(
    rf"!?\[(?P<label>(?:[^\[\]]|\[[^\[\]]*\])*)\]\(\s*<?(?P<to>{_TO})>?(?:\s+[\"'(][^\n]*?[\"')])?\s*\)"
)
_BARE = re.compile(
    r"<?(?P<scheme>[a-z][a-z0-9+.-]{1,30}://[^\s<>]+)>?"
    r"|(?P<mail>[\w.+-]++@[\w.-]++(?![:/]))"
    r"|(?<![\w@])(?P<www>www\.[^\s<>]+)"
    r"|(?<![\w@])(?P<host>(?:[\w-]+\.)+"
    rf"(?:(?:{_ENDINGS})(?![\w@-]|\.\w)(?:[/:?#][^\s<>]*)?|[a-z]{{2,24}}/[^\s<>]+))",
    re.IGNORECASE,
)
_MAY_HAVE = re.compile(r"://|\]\(|\w\.[a-z]{2}", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
_AFTER = ".,;:!?'\"*_~`)]}"
# What may become a link when more of it is written.
_BEGUN_LABEL = re.compile(r"\[[^\[\]\n]{0,200}(?:\](?:\([^\s()]*)?)?")
_BEGUN_ADDRESS = re.compile(r"[:/.<@]|www")


class Links:
    """Knows which addresses may stand in the replies to one turn: of ``hosts``, and of those that were ``said``."""

    def __init__(self, hosts: Iterable[str], said: Iterable[str]) -> None:
        self._hosts = (*hosts, *_NOWHERE)
        self._all = "*" in self._hosts
        self._said = "\n".join(said).casefold()

    def cleared(self, text: str) -> str:
        """Return the text with a note in the place of each address that may not stand; labels of links stay."""
        if self._all or not _MAY_HAVE.search(text):
            return text
        return _BARE.sub(self._bare, _MARKDOWN.sub(self._labelled, text))

    def shown(self, text: str) -> str:
        """Return what may be shown of a text that is still being written: without an address that may go on."""
        return text if self._all else self.cleared(_without_begun(text))

    def _labelled(self, found: re.Match[str]) -> str:
        to, label = found["to"], found["label"].strip()
        if not (_SCHEME.match(to) or _BARE.match(to)) or self._may_stand(to):
            return found[0]
        return f"{label} {NOTE}" if label and not _BARE.search(label) else NOTE

    def _bare(self, found: re.Match[str]) -> str:
        if found["mail"]:
            return found[0]
        address = found["scheme"] or found["www"] or found["host"]
        after = address[len(address.rstrip(_AFTER)) :]
        return found[0] if self._may_stand(address.rstrip(_AFTER)) else NOTE + after

    def _may_stand(self, address: str) -> bool:
        try:
            parts = urlsplit(address if _SCHEME.match(address) else f"https://{address}")
            host = (parts.hostname or "").rstrip(".").removeprefix("www.")
        except ValueError:
            return False
        # "https://known.org@other.com" and "https://other.com\@known.org" lead to other.com.
        if parts.scheme not in ("http", "https") or not host or re.search(r"[@\\]", parts.netloc):
            return False
        if any(host == one or host.endswith(f".{one}") for one in self._hosts):
            return True
        return bool(re.search(rf"(?<![\w.@-])(?:www\.)?{re.escape(host)}(?![\w-]|\.\w)", self._said))


def _without_begun(text: str) -> str:
    """Return the text without what may be the beginning of an address at its end."""
    label = text.rfind("[")
    if label >= 0 and _BEGUN_LABEL.fullmatch(text, label):
        return text[:label].removesuffix("!").rstrip()
    word = len(text)
    while word and "!" <= text[word - 1] <= "~":
        word -= 1
    return text[:word].rstrip() if _BEGUN_ADDRESS.search(text, word) else text
