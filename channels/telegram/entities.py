"""A Telegram text with its entities -> plain Markdown (pure). Not here: which messages are for the bot.

Entities count in UTF-16 units; a character outside the Basic Multilingual Plane is two of them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MARKS = {"bold": "**", "italic": "*", "strikethrough": "~~"}
BACKTICKS = re.compile(r"`+")
# Telegram allows no deeper nesting than its kinds of entities; what is deeper was not made by Telegram.
DEEPEST = 20


@dataclass(frozen=True)
class Span:
    """An entity in code points of the text."""

    kind: str
    begin: int
    end: int
    entity: Mapping[str, Any]


def spans(text: str, entities: Sequence[Mapping[str, Any]]) -> list[Span]:
    """Return the entities, outer ones first, in code points; those that do not lie within the text are left out."""
    index = [position for position, character in enumerate(text) for _ in range(2 if character > "\uffff" else 1)]
    index.append(len(text))
    found = []
    for entity in entities:
        begin, length = entity["offset"], entity["length"]
        if 0 <= begin < len(index) and length > 0 and begin + length < len(index):
            found.append(Span(entity["type"], index[begin], index[begin + length], entity))
    return sorted(found, key=lambda span: (span.begin, -span.end))


def to_markdown(text: str, entities: Sequence[Mapping[str, Any]], removed: Callable[[str, Span], bool]) -> str:
    """Return the text as Markdown, without the spans that ``removed`` (given the text and a span) says yes to.

    Marks that Markdown does not have (underline, spoiler, custom emoji) go, their text stays. Nothing is escaped:
    a model and a person read this, no renderer.
    """
    found = spans(text, entities)
    gone = [_with_space(text, span) for span in found if removed(text, span)]
    kept = [span for span in found if not removed(text, span)]
    return _Writer(text, gone).write(0, len(text), kept, 0)


class _Writer:
    def __init__(self, text: str, gone: Sequence[tuple[int, int]]) -> None:
        self._text = text
        self._gone = gone

    def write(self, begin: int, end: int, inside: Sequence[Span], depth: int) -> str:
        """Return the text from ``begin`` to ``end``, where these spans lie."""
        out = ""
        position = begin
        waiting = list(inside)
        while waiting:
            span = waiting.pop(0)
            stop = min(span.end, end)
            if span.begin < position or stop <= span.begin or depth > DEEPEST:
                continue  # overlaps with one before: Telegram sends no such entities
            children = []
            while waiting and waiting[0].begin < stop:
                children.append(waiting.pop(0))
            out += self._plain(position, span.begin)
            out = self._marked(out, span, stop, children, depth)
            position = stop
        return out + self._plain(position, end)

    def _marked(self, out: str, span: Span, stop: int, children: Sequence[Span], depth: int) -> str:
        literal = self._plain(span.begin, stop)
        if span.kind == "pre":
            block = fenced(literal, span.entity.get("language", ""))
            before = "" if not out or out.endswith("\n") else "\n"
            after = "" if self._text[stop : stop + 1] in ("", "\n") else "\n"
            return f"{out}{before}{block}{after}"
        if span.kind == "code":
            return out + code(literal)
        inner = self.write(span.begin, stop, children, depth + 1)
        if span.kind in ("blockquote", "expandable_blockquote"):
            before = "" if not out or out.endswith("\n") else "\n"
            return out + before + "\n".join(f"> {line}".rstrip() for line in inner.split("\n"))
        return out + around(inner, *_marks(span))

    def _plain(self, begin: int, end: int) -> str:
        out, position = "", begin
        for gone_begin, gone_end in self._gone:
            if gone_end > position and gone_begin < end:
                out += self._text[position : max(position, gone_begin)]
                position = max(position, gone_end)
        return out + self._text[position:end]


def _marks(span: Span) -> tuple[str, str]:
    if span.kind == "text_link":
        return "[", f"]({span.entity.get('url', '')})"
    mark = MARKS.get(span.kind, "")
    return mark, mark


def around(inner: str, before: str, after: str) -> str:
    """Put marks around a text; spaces at its ends stay outside, where Markdown wants them."""
    words = inner.strip()
    if not words or not before:
        return inner
    lead = inner[: len(inner) - len(inner.lstrip())]
    return f"{lead}{before}{words}{after}{inner[len(lead) + len(words) :]}"


def fenced(literal: str, language: str) -> str:
    """Return a block of code."""
    fence = "`" * max(3, _longest(literal) + 1)
    return f"{fence}{language}\n{literal.rstrip()}\n{fence}"


def code(literal: str) -> str:
    """Return code within a line."""
    ticks = "`" * (_longest(literal) + 1)
    pad = " " if literal.startswith("`") or literal.endswith("`") else ""
    return f"{ticks}{pad}{literal}{pad}{ticks}"


def _longest(literal: str) -> int:
    return max(map(len, BACKTICKS.findall(literal)), default=0)


def _with_space(text: str, span: Span) -> tuple[int, int]:
    """Return what goes with a mention: the comma or colon after an address, and the space that would be doubled."""
    begin, end = span.begin, span.end
    if not text[:begin].strip() and text[end : end + 1] in (",", ":"):
        end += 1
    if text[end : end + 1] == " ":
        return begin, end + 1
    while begin and text[begin - 1] == " ":
        begin -= 1
    return begin, end
