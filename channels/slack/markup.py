"""What people wrote in Slack, as plain Markdown: mentions by name, links, emoji, emphasis, escapes. Pure.

Slack sends "mrkdwn": ``<@U1>``, ``<#C1|name>``, ``<!here>``, ``<https://a.b|label>``, ``*bold*``, ``~struck~``,
``:emoji:``, and ``&amp; &lt; &gt;`` for what was typed as it stands.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_TOKEN = re.compile(r"<([^<>\n]*)>")
_BOLD = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])")
_STRUCK = re.compile(r"(?<![\w~])~(?=\S)([^~\n]+?)(?<=\S)~(?![\w~])")
_BULLET = re.compile(r"^([^\S\n]*)[•◦▪][^\S\n]+", re.MULTILINE)  # within one line: or many empty ones take for ever
_EMOJI = re.compile(r":([a-z0-9_+'-]+)(?:::skin-tone-([2-6]))?:")
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)")

LONGEST = 100_000  # more than Slack lets people write, and than anyone may set as the longest message
SOMEBODY = "somebody"
SOME_CHANNEL = "#channel"


def to_markdown(text: str, *, own: str, name: str, names: Mapping[str, str], emoji: Mapping[str, str]) -> str:
    """Return a text of Slack as Markdown.

    Args:
        text: What Slack sent.
        own: The bot's user id. Its mentions at both ends of the text address it and go; others become its name.
        name: The bot's name.
        names: Display names by user id; who is not in it is "somebody".
        emoji: Unicode emoji by Slack's name for them; others stay as they are.

    What is far too long stays as it is: it is going to be refused for its length.
    """
    if len(text) > LONGEST:
        return text
    known = {**names, own: name}
    pieces = [
        _code(piece) if is_code else _prose(piece, known, emoji) for piece, is_code in _pieces(_unaddressed(text, own))
    ]
    return _unescaped("".join(pieces)).strip()


def mentioned(text: str) -> set[str]:
    """Return the ids of the people whom a text mentions."""
    return set(_MENTION.findall(text))


def emoji_in(blocks: Any) -> dict[str, str]:
    """Return the emoji of a message, by Slack's names; its rich-text blocks tell which characters they are."""
    return {
        element["name"] + (f"::skin-tone-{element['skin_tone']}" if "skin_tone" in element else ""): "".join(
            _character(code) for code in element["unicode"].split("-")
        )
        for element in _elements(blocks)
        if element.get("type") == "emoji" and element.get("unicode")
    }


def _character(code: str) -> str:
    number = int(code, 16)
    if number > sys.maxunicode:  # chr would raise OverflowError for some
        raise ValueError(f"no character: {code[:8]}")
    return chr(number)


def _elements(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        yield node
        yield from _elements(node.get("elements"))
    elif isinstance(node, list):
        for item in node:
            yield from _elements(item)


def _unaddressed(text: str, own: str) -> str:
    """Return the text without the bot's mentions at both ends. Each character is looked at once or twice."""
    mention = re.compile(rf"<@{re.escape(own)}(?:\|[^<>]*)?>")
    start, end = 0, len(text)
    while found := mention.match(text, _skip(text, start, end, "")):
        start = _skip(text, found.end(), end, ",:")
    while (last := _skip_back(text, start, end, "")) > start and text[last - 1] == ">":
        begin = text.rfind("<", start, last)
        if begin < 0 or not mention.fullmatch(text, begin, last):
            break
        end = _skip_back(text, start, begin, ",")
    return text[start:end]


def _skip(text: str, at: int, end: int, more: str) -> int:
    while at < end and (text[at].isspace() or text[at] in more):
        at += 1
    return at


def _skip_back(text: str, start: int, at: int, more: str) -> int:
    while at > start and (text[at - 1].isspace() or text[at - 1] in more):
        at -= 1
    return at


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    at = 0
    for found in _CODE.finditer(text):
        yield text[at : found.start()], False
        yield found[0], True
        at = found.end()
    yield text[at:], False


def _code(piece: str) -> str:
    """In code nothing is emphasis, but Slack links addresses there as well."""
    return _TOKEN.sub(lambda found: found[1].partition("|")[2] or found[1], piece)


def _prose(piece: str, names: Mapping[str, str], emoji: Mapping[str, str]) -> str:
    held: list[str] = []

    def hold(found: "re.Match[str]") -> str:
        # Out of the way: an address may hold what looks like emphasis.
        held.append(_token(found[1], names))
        return f"\0{len(held) - 1}\0"

    piece = _TOKEN.sub(hold, piece.replace("\0", ""))
    piece = _BOLD.sub(r"**\1**", piece)
    piece = _STRUCK.sub(r"~~\1~~", piece)
    piece = _BULLET.sub(r"\1- ", piece)
    piece = _EMOJI.sub(_emoji(emoji), piece)
    return re.sub(r"\0(\d+)\0", lambda found: held[int(found[1])], piece)


def _emoji(known: Mapping[str, str]) -> "Callable[[re.Match[str]], str]":
    def replace(found: "re.Match[str]") -> str:
        return known.get(found[0][1:-1]) or known.get(found[1]) or found[0]

    return replace


def _token(inner: str, names: Mapping[str, str]) -> str:
    target, _, label = inner.partition("|")
    if target.startswith("@"):
        return f"@{names.get(target[1:]) or label or SOMEBODY}"
    if target.startswith("#"):
        return f"#{label}" if label else SOME_CHANNEL
    if target.startswith("!"):
        return label or f"@{target[1:].partition('^')[0]}"
    address = target.removeprefix("mailto:").removeprefix("tel:")
    if not label or label in (target, address) or target == f"http://{label}":
        return address
    return f"[{label}]({target})"


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
