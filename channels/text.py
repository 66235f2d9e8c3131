"""Markdown text in parts that fit a message of a network. Pure: how a network renders text is the adapter's affair.

A text is read once into an outline (channels.outline), then cut greedily from the left. For each part the breaks of
the best kind are tried first; finer ones only if the better would leave the part small.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from channels.outline import WHITE, Fine, Outline

Fits = Callable[[str], bool]


@dataclass(frozen=True)
class Part:
    """One message's share of a text.

    Attributes:
        text: The slice of the source; the parts' texts joined are the source.
        shown: What to show: the slice without white space around it. Where code in a fence or a table goes on from
            part to part, the fence is closed at the end of one and opened again, with its info string, in the next,
            and the table's head is repeated. The rest of an indented list is moved to the left.
    """

    text: str
    shown: str


def within(limit: int) -> Fits:
    """Return whether a text has at most ``limit`` characters (code points)."""
    return lambda shown: len(shown) <= limit


def within_utf16(limit: int) -> Fits:
    """Return whether a text has at most ``limit`` UTF-16 code units, as Telegram and Discord's clients count."""
    return lambda shown: len(shown) <= limit and len(shown.encode("utf-16-le", "surrogatepass")) <= 2 * limit


def split(text: str, fits: Fits) -> list[Part]:
    """Cut a Markdown text into parts that fit a message each.

    Breaks lie between paragraphs, else between lines, sentences, words, graphemes; a better break is left out only if
    the part would have less than a third of what it could hold. Code in a fence, a table, a link, an image, an
    address, inline code and short emphasis stay whole if they fit a message of their own. A heading goes with what
    follows it. No part shows only white space.

    As the cut is greedy from the left, a text that grows at its end keeps the parts before its last two, except where
    the growth changes how earlier text is to be read (a link or an emphasis that is closed only much later).

    Args:
        text: Markdown with something to show.
        fits: Says whether a message may show a text. It should say yes to every beginning of a text that it says yes
            to; where it does not, parts fit all the same, but may be shorter than need be.

    Raises:
        ValueError: The text is blank, or not even one character fits.
    """
    outline = Outline(text)
    if not outline.stop:
        raise ValueError("blank text has no parts")
    parts: list[Part] = []
    start, window = 0, (len(text), len(text))
    while start < outline.stop:
        cut = _Cut(outline, fits, start, window)
        end = cut.end()
        parts.append(Part(text[start : end if end < outline.stop else len(text)], cut.shown(start, end)))
        start, window = end, (cut.fit - start, cut.misfit - start)
    return parts


class _Style(IntEnum):
    """How a fence or table that is cut goes on. The plainer ones are for limits that leave no room for the others."""

    FULL = 0
    BARE = 1
    NONE = 2


class _Cut:
    """The search for the end of the part that begins at ``start``.

    ``fit`` is the furthest end known to fit, ``misfit`` the nearest one known not to. What is found does not depend on
    the order of the questions, so it does not on ``window``, these two of the part before, which saves most of them.
    """

    def __init__(self, outline: Outline, fits: Fits, start: int, window: tuple[int, int]) -> None:
        self.outline = outline
        self.fits = fits
        self.start = start
        self.window = window
        self._begin(_Style.FULL)

    def _begin(self, style: _Style) -> None:
        self.style = style
        self.fit, self.misfit = self.start, self.outline.stop + 1
        self.fitting: set[int] = set()
        self.fine = Fine([], [], [])

    def end(self) -> int:
        """Return the best end of this part."""
        for style in _Style:
            self._begin(style)
            end = self._search()
            if end > self.start:
                return self._sure(end)
        self._narrow(self._allowed(range(self.start + 1, self.misfit)))
        if self.fit == self.start:
            raise ValueError("not even one character fits")
        return self.fit

    def _sure(self, end: int) -> int:
        """Return this end if it fits; else, as ``fits`` says no to a beginning of what it said yes to, another."""
        if end in self.fitting or self._fits(self.start, end):
            return end
        return max(self.fitting)

    def _search(self) -> int:
        """Try breaks from best to worst; returns ``start`` if not even a grapheme fits."""
        outline = self.outline
        self._narrow(outline.paragraphs)
        if end := self._good():
            return end
        self._narrow(outline.lines)
        block = outline.block_around(self.fit)
        if block and block.start > self.start and self._alone(block.start, block.end):
            self.fit = block.start
            end = max(self._ends())
            return end if end and self._alone(end, block.end) else self.fit
        if end := self._good():
            return end
        if block and self.fit > self.start and self._alone(self.fit, self.misfit):
            return self._good(finest=True) or max(self._ends()) or self.fit  # code is cut at line ends if possible
        self.fine = outline.fine(self.fit)
        self._narrow(self._allowed(self.fine.places))
        if end := self._good():
            return end
        word = self.fit
        self._narrow(self._allowed(outline.graphemes(word, min(self.misfit, outline.stop))))
        atom = outline.atom_around(self.fit)
        if atom and atom[0] > self.start and self._alone(*atom):
            self.fit = word = atom[0]
        elif end := self._good(finest=True):
            return end
        return self.fit if self.fit > word else max(self._ends()) or self.fit

    def _good(self, finest: bool = False) -> int:
        """Return the best end so far that fills a third of what the part could hold, or 0.

        How much it could hold is not known while only the end of the text is too far: there more text may come.
        """
        if self.fit < self.outline.stop == self.misfit and not finest:
            return 0
        for end in self._ends():
            if 3 * (end - self.start) >= self.misfit - self.start:
                return end
            if 3 * (end - self.start) > self.fit - self.start and not finest:
                return 0  # it may be good enough after all, once finer breaks have told how much fits
        return 0

    def _ends(self) -> list[int]:
        """Return the last possible end of each kind, 0 for a kind without one."""
        kinds = (self.outline.paragraphs, self.fine.sentences, self.fine.words)
        paragraph, sentence, word = (_last(places, self.fit) for places in kinds)
        ends = (paragraph, self._line(), sentence, word)
        return [end if end > self.start else 0 for end in ends]

    def _line(self) -> int:
        outline, lines = self.outline, self.outline.lines
        index = bisect_right(lines, self.fit) - 1
        while index >= 0 and (pos := lines[index]) > self.start:
            block = outline.block_around(pos)
            if block and self.start <= block.start < pos and block.end <= self.fit:
                index = bisect_left(lines, block.start)
            elif pos in outline.weak:
                index -= 1
            else:
                return pos
        return 0

    def _allowed(self, places: Sequence[int]) -> list[int]:
        """Leave out positions at which a fence or table cannot be cut, and those that would begin with white space."""
        block = self.outline.block_around(self.fit) if self.style < _Style.NONE else None
        low, high = (block.inner, block.stop) if block else (self.fit, self.outline.stop)
        low, high = max(low, self.fit, self.outline.ink(self.start)), min(high, self.misfit)
        near = places[bisect_right(places, low) : bisect_left(places, high)]
        return [pos for pos in near if self.outline.text[pos] not in WHITE]

    def _narrow(self, places: Sequence[int]) -> None:
        """Move ``fit`` and ``misfit`` together until no place lies between them."""
        low, high = bisect_right(places, self.fit) - 1, bisect_left(places, self.misfit)
        usual, size = self.window
        while low + 1 < high:
            probe = min(max(bisect_right(places, self.start + size) - 1, low + 1), high - 1)
            if not self._fits(self.start, places[probe]):
                high, self.misfit = probe, places[probe]
                break
            low, size = probe, 2 * size
            self.fit = places[probe]
            self.fitting.add(self.fit)
        probe = bisect_right(places, self.start + usual) - 1
        while low + 1 < high:
            if not low < probe < high:
                probe = (low + high) // 2
            if self._fits(self.start, places[probe]):
                low, self.fit = probe, places[probe]
                self.fitting.add(self.fit)
            else:
                high, self.misfit = probe, places[probe]

    def _alone(self, start: int, end: int) -> bool:
        return self._fits(start, min(end, self.outline.stop))

    def _fits(self, start: int, end: int) -> bool:
        return self.fits(self.shown(start, end))

    def shown(self, start: int, end: int) -> str:
        """Return what a part between these positions shows."""
        outline = self.outline
        shown = outline.text[max(start, outline.first) : min(end, outline.stop)].rstrip(WHITE)
        before, after = outline.block_around(start), outline.block_around(end)
        if before and before.start < start and self.style < _Style.NONE:
            shown = (before.bare if self.style else before.opening) + shown
        if after and after.start < end and self.style < _Style.NONE:
            shown += after.closing
        return _to_the_left(shown) if shown[0] in WHITE else shown


def _to_the_left(shown: str) -> str:
    """Take the first line's indentation from it and from the lines that have it as well."""
    indentation = shown[: len(shown) - len(shown.lstrip(WHITE))]
    lines = shown.split("\n")
    for index, line in enumerate(lines):
        if line.strip(WHITE) and not line.startswith(indentation):
            break
        lines[index] = line[len(indentation) :]
    return "\n".join(lines)


def _last(places: list[int], limit: int) -> int:
    """Return the last place that is not behind the limit, 0 if there is none."""
    index = bisect_right(places, limit)
    return places[index - 1] if index else 0
