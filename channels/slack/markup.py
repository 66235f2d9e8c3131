"""What people wrote in Slack, as plain Markdown: mentions by name, links, emoji, emphasis, escapes. Pure.

Slack sends "mrkdwn": ``<@U1>``, ``<#C1|name>``, ``<!here>``, ``<https://a.b|label>``, ``*bold*``, ``~struck~``,
``:emoji:``, and ``&amp; &lt; &gt;`` for what was typed as it stands.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_TOKEN = re.compile(r"<([^<>\n]*)>")
_BOLD = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])")
_STRUCK = re.compile(r"(?<![\w~])~(?=\S)([^~\n]+?)(?<=\S)~(?![\w~])")
_BULLET = re.compile(r"^(\s*)[•◦▪]\s+", re.MULTILINE)
_EMOJI = re.compile(r":([a-z0-9_+'-]+)(?:::skin-tone-([2-6]))?:")
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)")

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
    """
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
            chr(int(code, 16)) for code in element["unicode"].split("-")
        )
        for element in _elements(blocks)
        if element.get("type") == "emoji" and element.get("unicode")
    }


def _elements(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        yield node
        yield from _elements(node.get("elements"))
    elif isinstance(node, list):
        for item in node:
            yield from _elements(item)


def _unaddressed(text: str, own: str) -> str:
    mention = rf"<@{re.escape(own)}(?:\|[^<>]*)?>"
    text = re.sub(rf"\A(?:\s*{mention}[\s,:]*)+", "", text)
    return re.sub(rf"(?:[\s,]*{mention}\s*)+\Z", "", text)


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
