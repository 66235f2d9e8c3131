"""Text as Telegram has it: lengths in UTF-16 units, the strict HTML of parse_mode, entities that clients find.

The HTML parser follows the rules and the error texts of the Bot API: lower-cased names from a fixed list, every tag
closed in order, four named entities and numeric ones, and nothing else.
"""

import html
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

TAGS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "a": "text_link",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
}
NOTHING_TO_SEE = ("Zs", "Zl", "Zp", "Cc", "Cf")
MAX_TEXT = 4096
MAX_ENTITIES = 100
CHARACTER = re.compile(r"&(?:(lt|gt|amp|quot)|#(\d+)|#x([0-9a-fA-F]+));")
ATTRIBUTE = re.compile(r"""\s+([^\s=>/"']+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9.\-]+)))?""")
USER_LINK = re.compile(r"tg:(?://)?user\?id=(\d+)")
# An address has a dot in its host; without https:// its ending must be one that Telegram knows (here are four of them).
# A mention is everywhere else, whatever stands before it that is no part of a word.
FOUND = re.compile(
    r"(?P<url>(?:https?://(?:[\w~-]+\.)+[^\W\d_]{2,}|(?<![\w/#@.-])(?:[\w~-]+\.)+(?:com|org|net|me)(?![\w~.-]))"
    r"(?::\d{1,5})?(?:[/?#][^\s<>\"«»\u2000-\u206f]*)?)"
    r"|(?P<bot_command>(?<![\w/<>])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?)"
    r"|(?P<mention>(?<!\w)@[A-Za-z0-9_]{2,32}\b)"
)


class BadText(Exception):
    """The Bot API refuses the text; the message is its description without the leading "Bad Request: "."""


@dataclass(frozen=True)
class Formatted:
    """A text after parsing."""

    text: str
    entities: list[dict[str, Any]]


def units(text: str) -> int:
    """Return the length as Telegram counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def read(
    text: str, parse_mode: str | None, entities: list[dict[str, Any]] | None = None, *, changed: bool = False
) -> Formatted:
    """Return the text of a message to be sent; raises BadText. ``changed``: one that is there is edited."""
    if not text.strip():
        raise BadText("message text is empty")
    if parse_mode is None:
        parsed = Formatted(text, list(entities or []))
    elif parse_mode.lower() == "html":
        parsed = _html(text)
    else:
        raise BadText(f"unsupported parse_mode {parse_mode}")
    trimmed = parsed.text.rstrip()
    if all(unicodedata.category(character) in NOTHING_TO_SEE for character in trimmed):
        raise BadText("message must be non-empty")
    if units(trimmed) > MAX_TEXT:
        raise BadText("MESSAGE_TOO_LONG" if changed else "message is too long")
    taken = [(entity["offset"], entity["offset"] + entity["length"]) for entity in parsed.entities]
    found = [
        entity for entity in find(trimmed) if not any(begin <= entity["offset"] < end for begin, end in taken)
    ]  # a client or server finds no mention within code or a link
    return Formatted(trimmed, (parsed.entities + found)[:MAX_ENTITIES])


def find(text: str) -> list[dict[str, Any]]:
    """Return the commands, mentions and addresses that Telegram finds in a plain text."""
    return [
        {"type": str(match.lastgroup), "offset": units(text[: match.start()]), "length": units(match[0])}
        for match in FOUND.finditer(text)
    ]


def _html(text: str) -> Formatted:
    out: list[str] = []
    length = 0
    entities: list[dict[str, Any]] = []
    open_tags: list[tuple[str, str, int]] = []  # name, argument, offset
    position = 0
    while position < len(text):
        if text[position] == "<":
            position = (_close if text[position + 1 : position + 2] == "/" else _open)(
                text, position, open_tags, entities, length
            )
            continue
        character, position = _character(text, position)
        out.append(character)
        length += units(character)
    if open_tags:
        raise BadText(f"can't parse entities: Can't find end tag corresponding to start tag \"{open_tags[-1][0]}\"")
    entities.sort(key=lambda entity: (entity["offset"], -entity["length"]))
    return Formatted("".join(out), entities)


def _character(text: str, position: int) -> tuple[str, int]:
    if match := CHARACTER.match(text, position):
        return html.unescape(match[0]), match.end()
    return text[position], position + 1


def _open(text: str, begin: int, open_tags: list[tuple[str, str, int]], _: list[dict[str, Any]], length: int) -> int:
    at = f"at byte offset {len(text[:begin].encode())}"
    named = re.compile(r"<([^\s>]*)").match(text, begin)
    assert named
    name, position = named[1].lower(), named.end()
    if position == len(text):
        raise BadText(f"can't parse entities: Unclosed start tag {at}")
    if name not in TAGS:
        raise BadText(f'can\'t parse entities: Unsupported start tag "{name}" {at}')
    argument = ""
    while match := ATTRIBUTE.match(text, position):
        value = html.unescape(match[2] or match[3] or match[4] or "")
        if (name, match[1]) in (("a", "href"), ("span", "class")):
            argument = value
        elif (name, match[1]) == ("code", "class") and value.startswith("language-"):
            argument = value.removeprefix("language-")
        position = match.end()
    rest = re.compile(r"\s*>").match(text, position)
    if not rest:
        raise BadText(f"can't parse entities: Unclosed start tag {at}")
    if name == "span" and argument != "tg-spoiler":
        raise BadText(f'can\'t parse entities: Tag "span" must have class "tg-spoiler" {at}')
    open_tags.append((name, argument, length))
    return rest.end()


def _close(
    text: str, begin: int, open_tags: list[tuple[str, str, int]], entities: list[dict[str, Any]], length: int
) -> int:
    at = f"at byte offset {len(text[:begin].encode())}"
    if not open_tags:
        raise BadText(f"can't parse entities: Unexpected end tag {at}")
    match = re.compile(r"</([^\s>]*)\s*>").match(text, begin)
    if not match:
        raise BadText(f"can't parse entities: Unclosed end tag {at}")
    name, argument, offset = open_tags.pop()
    if match[1] and match[1].lower() != name:
        raise BadText(f'can\'t parse entities: Unmatched end tag {at}, expected "</{name}>", found "{match[0]}"')
    if length > offset:
        _add(entities, name, argument, offset, length - offset)
    return match.end()


def _add(entities: list[dict[str, Any]], name: str, argument: str, offset: int, length: int) -> None:
    entity: dict[str, Any] = {"type": TAGS[name], "offset": offset, "length": length}
    if name == "a":
        if user := USER_LINK.match(argument):
            entity |= {"type": "text_mention", "user": {"id": int(user[1])}}
        elif re.match(r"(https?|tg|ton)://.", argument):
            entity["url"] = argument
        else:
            return  # no address that Telegram knows: the text stays, the link goes
    elif name == "pre":
        inner = [e for e in entities if e["type"] == "code" and e["offset"] == offset and e["length"] == length]
        for code in inner:
            entities.remove(code)
            if code.get("language"):
                entity["language"] = code["language"]
    elif name == "code" and argument:
        entity["language"] = argument
    entities.append(entity)
