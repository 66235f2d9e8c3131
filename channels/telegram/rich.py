"""A rich message -> Markdown with the mentions and commands in it (pure). Not here: which messages are for the bot.

Since Bot API 10.1 clients send lists, tables and what is pasted with its formatting this way: all content is in
``rich_message.blocks``, and ``text`` is missing or holds less. A text within is a string, a list of texts, or an object
with a type and a text. Kinds that we do not know yet keep their text; where they have none, that is said.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from channels.telegram.attachments import attachments
from channels.telegram.entities import MARKS, around, code, fenced
from core.events import Attachment

UNREADABLE = "[a part that I cannot read]"
DEEPEST = 50  # Telegram nests no deeper than 16; with lists of texts that is less than 50 here
# What Telegram finds in a plain text, should it not have been looked for in this one.
MENTION = re.compile(r"(?<![\w/])(@\w{3,32})\b")
COMMAND = re.compile(r"/[A-Za-z0-9_]{1,64}(?:@\w{3,32})?(?!\S)")
# A stretch of text, with the entity that it is.
Piece = tuple[str, Mapping[str, Any] | None]
Pieces = list[Piece]


@dataclass(frozen=True)
class Rich:
    """What a rich message says. ``entities`` are mentions and commands, as those of a plain text."""

    text: str
    entities: tuple[Mapping[str, Any], ...]
    attachments: tuple[Attachment, ...]


def read(message: Mapping[str, Any]) -> Rich:
    """Return what a rich_message says; raises KeyError, TypeError or AttributeError if it is none."""
    reader = _Reader()
    text, offset, entities = "", 0, []
    for part, entity in reader.blocks(message["blocks"], 0):
        length = _units(part)
        if entity:
            entities.append({**entity, "offset": offset, "length": length})
        text, offset = text + part, offset + length
    command = COMMAND.match(text)
    if command and not any(entity["offset"] == 0 for entity in entities):
        entities.append({"type": "bot_command", "offset": 0, "length": _units(command[0])})
    return Rich(text, tuple(entities), tuple(reader.found))


class _Reader:
    """Reads blocks. ``found`` are the attachments on the way."""

    def __init__(self) -> None:
        self.found: list[Attachment] = []

    def blocks(self, blocks: Sequence[Mapping[str, Any]], depth: int, between: str = "\n\n") -> Pieces:
        if depth > DEEPEST:
            return [(UNREADABLE, None)]
        return _joined([self._block(block, depth + 1) for block in blocks], between)

    def _block(self, block: Mapping[str, Any], depth: int) -> Pieces:
        text = _inline(block.get("text", ""), depth)
        match block.get("type"):
            case "heading":
                return [("#" * min(6, max(1, block.get("size", 1))) + " ", None), *_replaced(text, "\n", " ")]
            case "pre":
                return [(fenced(_plain(text), block.get("language", "")), None)]
            case "mathematical_expression":
                return [(f"$${block['expression']}$$", None)]
            case "divider" | "anchor":
                return [("---", None)] if block["type"] == "divider" else []
            case "list":
                return _joined([self._item(item, depth) for item in block["items"]], "\n")
            case "blockquote" | "expandable_blockquote" | "pullquote":
                inside = _joined([self._inside(block, text, depth), _credit(block, depth)], "\n")
                return _replaced([("> ", None), *inside], "\n", "\n> ")
            case "table":
                return _joined([_table(block["cells"], depth), _inline(block.get("caption", ""), depth)], "\n\n")
            case "details":
                summary = _marked(_inline(block["summary"], depth), "**", "**")
                return _joined([summary, self.blocks(block["blocks"], depth)], "\n\n")
            case "buttons":
                return _joined([[("[", None), *_inline(one["text"], depth), ("]", None)] for one in block["buttons"]])
        return self._other(block, text, depth)

    def _other(self, block: Mapping[str, Any], text: Pieces, depth: int) -> Pieces:
        """Read a paragraph, a medium, several of them together, or what we do not know."""
        held = attachments(block)
        self.found += held
        caption = block.get("caption") or {}
        below = caption.get("text", "") if isinstance(caption, Mapping) else caption
        credit = _credit(caption, depth) if isinstance(caption, Mapping) else []
        said = _joined([self._inside(block, text, depth), _inline(below, depth), credit], "\n")
        known = held or block.get("type") in ("paragraph", "footer", "collage", "slideshow")
        return said if known or said else [(UNREADABLE, None)]

    def _inside(self, block: Mapping[str, Any], text: Pieces, depth: int) -> Pieces:
        return _joined([text, self.blocks(block.get("blocks", ()), depth)], "\n\n")

    def _item(self, item: Mapping[str, Any], depth: int) -> Pieces:
        label = str(item.get("label", ""))
        # Labels of numbered lists are kept as they are shown: "3.", "c.", "iv."
        mark = (f"{label}." if label.isdigit() else label) if re.search(r"\w", label) else "-"
        if item.get("has_checkbox"):
            mark += " [x]" if item.get("is_checked") else " [ ]"
        inside = self.blocks(item.get("blocks", ()), depth, "\n")
        return [(f"{mark} ", None), *_replaced(inside, "\n", "\n" + " " * (len(mark.split()[0]) + 1))]


def _inline(text: Any, depth: int) -> Pieces:
    """Return a text with its marks; in code nothing is a mention."""
    if isinstance(text, str):
        parts = MENTION.split(text)  # every second one is a mention
        return [(part, {"type": "mention"} if at % 2 else None) for at, part in enumerate(parts) if part]
    if depth > DEEPEST:
        return [(UNREADABLE, None)]
    if text is None:
        return []
    if not isinstance(text, Mapping):
        return [piece for part in text for piece in _inline(part, depth + 1)]
    kind, inside = text.get("type"), text.get("text", "")
    if kind in ONE_PIECE:
        return [ONE_PIECE[kind](text, _plain(_inline(inside, depth + 1)))]
    if kind == "button":
        return _inline(text["button"]["text"], depth + 1)
    pieces = _inline(inside, depth + 1)
    if kind == "url":
        url = text.get("url")
        return _marked(pieces, "[", f"]({url})") if url and url != _plain(pieces) else pieces
    if mark := MARKS.get(str(kind)):
        return _marked(pieces, mark, mark)
    return pieces if pieces or kind == "anchor" else [(UNREADABLE, None)]


# Texts that are one thing: how they are written, given themselves and the text in them.
ONE_PIECE: dict[Any, Callable[[Mapping[str, Any], str], Piece]] = {
    "mention": lambda text, plain: (f"@{(text.get('username') or plain).lstrip('@')}", {"type": "mention"}),
    "text_mention": lambda text, plain: (plain, {"type": "text_mention", "user": text["user"]}),
    "bot_command": lambda text, plain: (plain or text["bot_command"], {"type": "bot_command"}),
    "code": lambda text, plain: (code(plain), None),
    "custom_emoji": lambda text, plain: (text.get("alternative_text") or plain, None),
    "mathematical_expression": lambda text, plain: (f"${text['expression']}$", None),
}


def _credit(block: Mapping[str, Any], depth: int) -> Pieces:
    credit = _inline(block.get("credit", ""), depth)
    return [("— ", None), *credit] if credit else []


def _table(rows: Sequence[Sequence[Mapping[str, Any]]], depth: int) -> Pieces:
    """Return a table of Markdown, which must have a head: the first row."""
    lines = []
    for row in rows:
        cells = [_replaced(_inline(cell.get("text", ""), depth), "\n", " ") for cell in row]
        lines.append([("| ", None), *_joined([cell or [("", None)] for cell in cells], " | "), (" |", None)])
    lines.insert(1, [("|" + " --- |" * max(map(len, rows), default=1), None)])
    return _joined(lines, "\n")


def _joined(parts: Sequence[Pieces], between: str = " ") -> Pieces:
    """Put parts one after the other, without those in which nothing is."""
    out: Pieces = []
    for part in filter(None, parts):
        out += [(between, None), *part] if out else [*part]
    return out


def _marked(pieces: Pieces, before: str, after: str) -> Pieces:
    """Put marks around; spaces at the ends stay outside."""
    if len(pieces) == 1 and pieces[0][1] is None:
        return [(around(pieces[0][0], before, after), None)]
    return [(before, None), *pieces, (after, None)] if _plain(pieces).strip() else pieces


def _replaced(pieces: Pieces, old: str, new: str) -> Pieces:
    return [(text.replace(old, new), entity) for text, entity in pieces]


def _plain(pieces: Pieces) -> str:
    return "".join(text for text, _ in pieces)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
