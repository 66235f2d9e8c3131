"""What a Markdown text is made of, as far as one must know it to cut the text: used by channels.text alone.

Not a Markdown parser: it knows where paragraphs, lines, sentences and words begin, which stretches are fenced code or
tables, and which short things (links, inline code, emphasis) must stay whole. Linear in time for any text, as every
draft of a reply is read anew.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import regex

# White space as Python sees it, and the invisible characters that networks count as nothing as well.
WHITE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace()) + "\u200b\u2060\ufeff"
_W = f"[{re.escape(WHITE)}]"
_SPACE = re.compile(f"{_W}*+")
_LINE = re.compile(r"[^\n]*\n?")
# A longer info string is no info string: it could not be repeated in every part.
_FENCE = re.compile(r"(?P<prefix>[ \t]*(?:>[ \t]?)*)(?P<item>(?:[-*+]|\d{1,9}[.)])[ \t]+)?(?P<mark>`{3,}|~{3,})")
_INFO = 100
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*")
_DELIMITER = re.compile(r"(?=[^|\n]*+\|)(?=[^-\n]*+-)[ \t|:-]++")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
# What a paragraph follows: a heading, a line all in bold, a short line with a colon at its end.
_LEADS_IN = re.compile(r" {0,3}#{1,6}[ \t].*|[ \t]*(\*\*|__)[^*_]{1,120}\1:?|.{1,120}[:：]")
_MARKERS = re.compile(r"[ \t]*+(?:(?:[-*+]|\d{1,9}[.)]|#{1,6}|>)[ \t]++)+(?:\[[ xX]\][ \t]+)?")
_LINK_TEXT = r"(?:[^\[\]\\\n]|\\.|\n(?![ \t]*\n)|\[[^\[\]\n]*+\](?:\([^\s()]*+\))?)*+"
_LINK_TARGET = r"""(?:<[^<>\n]*+>|(?:[^\s()\\]|\\.|\([^\s()]*+\))*+)(?:[ \t]+(?:"[^"\n]*+"|'[^'\n]*+'))?"""
_TICKS = re.compile(r"`+")
_ATOM = re.compile(
    rf"""(?P<escape>\\.)
    |(?P<ticks>`++)
    |(?P<whole>
        !?\[{_LINK_TEXT}\]\({_LINK_TARGET}\)
        |(?:https?://|www\.)[^\s<>。，、）」]++
        |<[^<>\s][^<>\n]{{0,500}}+>
        |(?P<strong>\*\*|__|~~|\|\|)(?=\S)(?:(?!://|(?P=strong))[^\n`\[<\\]){{1,200}}+(?<=\S)(?P=strong)
        |(?<![\w*])\*(?=[^\s*])(?:(?!://)[^\n*`\[<\\]){{1,200}}+\*(?!\w)
        |(?<!\w)_(?=[^\s_])(?:(?!://)[^\n_`\[<\\]){{1,200}}+_(?!\w)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_FINE = re.compile(
    rf"""(?P<end>(?<![.!?…])[.!?…]++["'”’»)\]*_~]*+{_W}++|[。！？]++[」』”’）]*+{_W}*+)"""
    rf"|(?P<word>[，、；：]{_W}*+|{_W}++)"
)
# A character that belongs to the one before it, whatever that is.
_CONTINUES = regex.compile(r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]")
_GRAPHEME = regex.compile(r"\X")


@dataclass(frozen=True)
class Block:
    """A fence or a table: kept whole if it fits, else cut at positions between ``inner`` and ``stop``, both excluded.

    ``end`` is where its last line ends; for a fence that is never closed it lies behind the text.
    """

    start: int
    end: int
    inner: int
    stop: int
    opening: str
    closing: str
    bare: str


class Fine(NamedTuple):
    """Breaks in a line: all, and those of them that are good. Behind a list's marker, for one, is a bad place."""

    places: list[int]
    sentences: list[int]
    words: list[int]


@dataclass
class Outline:
    """What a text is made of, read once. Positions are offsets at which a part may begin, or ``stop``.

    ``stop`` is where the visible text ends. What a stream has just begun to write, a fence without a line of code or
    the first backticks that may close one, is not visible yet.
    """

    text: str
    stop: int = 0
    blocks: list[Block] = field(default_factory=list)
    paragraphs: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)  # paragraphs as well
    weak: set[int] = field(default_factory=set)  # lines that should not be parted from the line before
    atoms: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stop = len(self.text.rstrip(WHITE))
        self._rows = [(match.start(), match[0].rstrip(WHITE)) for match in _LINE.finditer(self.text) if match[0]]
        self.first = next((start for start, line in self._rows if line), 0)
        self._barriers = [start for start, line in self._rows if not line or _MARKERS.match(line)]
        self._fine: dict[int, Fine] = {}
        self._graphemes: dict[int, list[int]] = {}
        self._read_rows()
        self._block_starts = [block.start for block in self.blocks]
        self._read_atoms()
        self._atom_starts = [start for start, _ in self.atoms]
        for places in (self.lines, self.paragraphs):
            places[:] = [pos for pos in sorted(places) if self.first < pos < self.stop and not self.atom_around(pos)]
            places.append(self.stop)

    def _read_rows(self) -> None:
        index, gap, weak, listing = 0, True, False, False
        while index < len(self._rows):
            start, line = self._rows[index]
            if not line:
                gap, index = True, index + 1
                continue
            listing = _ITEM.match(line) is not None or (listing and (line[0] in " \t" or not gap))
            after = self._read_block(index, listing)
            underline = not gap and _UNDERLINE.fullmatch(line) is not None
            self._add(start, gap or after > index, weak or underline)
            weak = underline or (after == index and _LEADS_IN.fullmatch(line) is not None)
            gap, index = after > index, max(after, index + 1)

    def _add(self, pos: int, paragraph: bool, weak: bool) -> None:
        self.lines.append(pos)
        if weak:
            self.weak.add(pos)
        elif paragraph:
            self.paragraphs.append(pos)

    def _read_block(self, index: int, listing: bool) -> int:
        """Read the fence or table that begins in this row; returns the row after it, this row if there is none."""
        line = self._rows[index][1]
        opener = _FENCE.match(line)
        if opener and (listing or len(opener["prefix"].expandtabs(4)) < 4 or ">" in opener["prefix"]):
            info = line[opener.end() :]
            if len(info) <= _INFO and (opener["mark"][0] == "~" or "`" not in info):
                return self._read_fence(index, opener)
        if "|" in line and index + 1 < len(self._rows) and _DELIMITER.fullmatch(self._rows[index + 1][1]):
            return self._read_table(index)
        return index

    def _read_fence(self, index: int, opener: re.Match[str]) -> int:
        rows, text = self._rows, self.text
        start, line = rows[index]
        mark, prefix = opener["mark"], opener["prefix"] + " " * len(opener["item"] or "")
        after = next((at for at in range(index + 1, len(rows)) if _closes(rows[at][1], mark)), len(rows))
        body = [row for row in rows[index + 1 : after] if _code(row[1])]
        if after < len(rows):
            end = rows[after][0] + len(rows[after][1])
        else:
            end = len(text) + 1
            if body and mark.startswith(_code(body[-1][1])):
                body.pop()
            seen = body[-1] if body else (start, line)
            self.stop = seen[0] + len(seen[1])
            if not body and start > self.first:
                self.stop = len(text[:start].rstrip(WHITE))
                return len(rows)
        inner = body[0][0] + len(body[0][1]) - len(_code(body[0][1])) if body else len(text)
        stop = body[-1][0] + len(body[-1][1]) if body else 0
        opening = f"{prefix}{line[opener.start('mark') :]}\n"
        self.blocks.append(Block(start, end, inner, stop, opening, f"\n{prefix}{mark}", f"{prefix}{mark}\n"))
        self.lines += [at for at, _ in body[1:]]
        return min(after + 1, len(rows))

    def _read_table(self, index: int) -> int:
        rows = self._rows
        after = next((at for at in range(index + 2, len(rows)) if "|" not in rows[at][1]), len(rows))
        end = rows[after - 1][0] + len(rows[after - 1][1])
        inner = rows[index + 2][0] if after > index + 2 else len(self.text)
        head = f"{rows[index][1]}\n{rows[index + 1][1]}\n"
        self.blocks.append(Block(rows[index][0], end, inner, end, head, "", ""))
        self.lines += [at for at, _ in rows[index + 3 : after]]
        return after

    def _read_atoms(self) -> None:
        fences = [block for block in self.blocks if block.closing]
        edges = [0, *(pos for block in fences for pos in (block.start, block.end)), len(self.text)]
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            self._read_prose(start, end)

    def _read_prose(self, pos: int, end: int) -> None:
        """Find what must stay whole in a stretch without fences."""
        runs: dict[int, list[int]] = {}
        for run in _TICKS.finditer(self.text, pos, end):
            runs.setdefault(len(run[0]), []).append(run.start())
        while found := _ATOM.search(self.text, pos, end):
            pos = found.end()
            if found["escape"]:
                continue
            if found["ticks"]:
                size = len(found["ticks"])
                alike = runs.get(size, [])  # none if the first of them was escaped
                later = bisect_left(alike, pos)
                if later == len(alike) or self._barrier(pos) < alike[later]:
                    continue
                pos = alike[later] + size
            self.atoms.append((found.start(), pos))

    def _barrier(self, pos: int) -> int:
        """Return where the next line begins that inline code cannot reach into."""
        index = bisect_left(self._barriers, pos)
        return self._barriers[index] if index < len(self._barriers) else len(self.text)

    def block_around(self, pos: int) -> Block | None:
        """Return the fence or table that this position lies in or at the start of."""
        index = bisect_right(self._block_starts, pos) - 1
        return self.blocks[index] if index >= 0 and pos < self.blocks[index].end else None

    def atom_around(self, pos: int) -> tuple[int, int] | None:
        """Return the atom that a cut at this position would part."""
        index = bisect_left(self._atom_starts, pos) - 1
        return self.atoms[index] if index >= 0 and pos < self.atoms[index][1] else None

    def ink(self, pos: int) -> int:
        """Return the first position from here on that shows something."""
        match = _SPACE.match(self.text, pos)
        return match.end() if match else pos

    def fine(self, pos: int) -> Fine:
        """Return where the words of this position's line begin, and the sentences."""
        index = bisect_right(self.lines, pos) - 1
        start, end = self.lines[index] if index >= 0 else self.first, self.lines[index + 1]
        if start not in self._fine:
            self._fine[start] = self._read_fine(start, end)
        return self._fine[start]

    def _read_fine(self, start: int, end: int) -> Fine:
        fine = Fine([], [], [])
        markers = _MARKERS.match(self.text, start, end)
        start = markers.end() if markers else start
        if markers and start < end:
            fine.places.append(start)
        for found in _FINE.finditer(self.text, start, end):
            pos = found.end()
            if found.start() == start or pos >= end or self.atom_around(pos) or _CONTINUES.match(self.text, pos):
                continue
            fine.places.append(pos)
            (fine.sentences if found["end"] and not self.text[pos].islower() else fine.words).append(pos)
        return fine

    def graphemes(self, start: int, end: int) -> list[int]:
        """Return where the graphemes between two positions begin."""
        if end not in self._graphemes or self._graphemes[end][0] > start:
            self._graphemes[end] = list(self._read_graphemes(start, end))
        places = self._graphemes[end]
        return places[bisect_right(places, start) :]

    def _read_graphemes(self, pos: int, end: int) -> Iterator[int]:
        """Read piece by piece, as each of a row of flags takes as long to find as it is far from the beginning."""
        size = 500
        while pos < end:
            piece = self.text[pos : min(pos + size, end)]
            starts = [found.start() for found in _GRAPHEME.finditer(piece)]
            if pos + len(piece) == end:
                starts.append(len(piece))
            elif len(starts) == 1:
                size *= 2
                continue
            yield from (pos + start for start in starts[:-1])
            pos += starts[-1]


def _code(line: str) -> str:
    return line.lstrip(" \t>")


def _closes(line: str, mark: str) -> bool:
    code = _code(line)
    return len(code) >= len(mark) and not code.strip(mark[0])
