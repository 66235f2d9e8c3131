"""How a long text becomes messages: nothing is lost, everything fits, and nothing that belongs together is parted."""

import html
import time
from collections.abc import Iterable, Iterator
from itertools import accumulate

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from channels.text import Part, split, within, within_utf16

FAMILY = "👨‍👩‍👧‍👦"
LIMITS = st.integers(60, 400)
WORDS = [
    "a",
    "word",
    "Sentence.",
    "Why?",
    "e.g.",
    "🇩🇪🇫🇷🇯🇵",
    FAMILY,
    "👍🏽",
    "ẹ́ǵ",
    "你好世界。",
    "日本語、",
    "한국어",
    "नमस्ते",
    "(x)",
]
LONG = ["x" * 90, "界" * 70, FAMILY * 5, "🇩🇪🇫🇷" * 9, "**bold words**", "~~gone~~", "a very *fine* thing"]
STRAY = ["**", "`", "[", "](", "<", "\\", "\u200b", "|", "___"]
# None is longer than the smallest of LIMITS.
WHOLE = [
    "[the manual](https://example.com/manual)",
    "![a cat](https://example.com/cat.png 'Cat')",
    "[two words](/x_(y))",
]
WHOLE += [
    "<https://example.com>",
    "https://example.com/a/long/path?with=query&more=1",
    "`pip install rapport`",
    "``a ` b``",
]
WHOLE += ["[![badge](/b.svg)](https://example.com)", "<@U123|some one>"]
CODE = ["x = 1", "    return x", "", "# [no](link) `here", "print('a b c d')", "- not an item", "y" * 40]


def joined(words: st.SearchStrategy[str], size: int = 25) -> st.SearchStrategy[str]:
    return st.lists(words, min_size=1, max_size=size).map(" ".join)


def prose(words: list[str]) -> st.SearchStrategy[str]:
    return st.tuples(st.sampled_from(["", "", "# ", "- ", "  - ", "3. ", "> "]), joined(st.sampled_from(words))).map(
        "".join
    )


def fence(marks: tuple[str, str], lines: list[str]) -> str:
    return "\n".join([marks[0], *lines, marks[1]])


def table(rows: int) -> str:
    return "| a | b |\n|---|---|\n" + "\n".join(f"| {n} | b {n} |" for n in range(rows))


def texts(*blocks: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    gaps = st.sampled_from(["\n\n", "\n\n", "\n\n \n", "\r\n\r\n"])
    pairs = st.lists(st.tuples(st.one_of(*blocks), gaps), min_size=1, max_size=10)
    return pairs.map(lambda pairs: "".join(block + gap for block, gap in pairs))


FENCES = st.builds(
    fence,
    st.sampled_from([("```", "```"), ("```python", "```"), ("~~~ sh", "~~~~"), ("````md", "````")]),
    st.lists(st.sampled_from(CODE), min_size=1, max_size=40).filter(any),
)
TABLES = st.integers(1, 30).map(table)
CALM = texts(prose(WORDS + WHOLE), prose(WORDS + LONG), FENCES, TABLES)
WILD = st.one_of(
    texts(prose(WORDS + LONG + STRAY + WHOLE), FENCES, TABLES, st.sampled_from(["```", "```py\n" + "z" * 200])),
    st.text(alphabet="`*_[]()<>|~#-=.:! \n\t>aB\u0301🇩👨\u200d\u200b\\/h", min_size=1, max_size=900),
).filter(lambda text: bool(text.strip(" \n\r\t\u200b")))


def borders(parts: Iterable[Part]) -> list[int]:
    """Where the parts begin, and where the last one ends."""
    return [0, *accumulate(len(part.text) for part in parts)]


def test_a_text_that_fits_is_one_part() -> None:
    assert split("\n Hello **you**. \n", within(20)) == [Part("\n Hello **you**. \n", "Hello **you**.")]


@given(WILD, LIMITS)
def test_nothing_is_lost_and_everything_fits(text: str, limit: int) -> None:
    parts = split(text, within(limit))
    assert "".join(part.text for part in parts) == text
    assert all(len(part.shown) <= limit and part.shown.strip() for part in parts)


@given(WILD, st.integers(60, 300))
def test_any_rule_of_what_fits_is_kept(text: str, limit: int) -> None:
    def rendered(shown: str) -> bool:
        return len(html.escape(shown)) <= limit

    def moody(shown: str) -> bool:
        return len(shown) < 2 or (len(shown) <= limit and len(shown) % 7 != 3)

    for fits in (rendered, moody, within_utf16(limit)):
        parts = split(text, fits)
        assert "".join(part.text for part in parts) == text
        assert all(fits(part.shown) for part in parts)


@given(WILD, st.integers(2, 30))
def test_limits_too_small_for_anything_cut_characters(text: str, limit: int) -> None:
    parts = split(text, within_utf16(limit))
    assert "".join(part.text for part in parts) == text
    assert all(part.shown.strip() and within_utf16(limit)(part.shown) for part in parts)


@given(WILD, LIMITS)
def test_no_grapheme_is_cut(text: str, limit: int) -> None:
    graphemes = [found.start() for found in regex.finditer(r"\X", text) if len(found[0]) < 60]
    longer = {pos for found in regex.finditer(r"\X", text) if len(found[0]) >= 60 for pos in range(*found.span())}
    assert set(borders(split(text, within(limit)))) <= {*graphemes, *longer, len(text)}


@given(
    st.lists(st.tuples(st.sampled_from(WORDS + LONG + WHOLE), st.sampled_from([" ", "\n", " (", ") ", ""])), min_size=1)
)
def test_what_must_stay_whole_does(tokens: list[tuple[str, str]]) -> None:
    text, inside = "", set()
    for token, gap in tokens:
        if token in WHOLE:
            text += " " * text.endswith(("!", "\\", "`", "/"))
            inside |= set(range(len(text) + 1, len(text) + len(token)))
        text += token + (gap if "://" not in token or token[-1] in ")>" else " ")
        text += " " * (token in WHOLE and token[-1] == "`" and not gap)
    assert not inside & set(borders(split(text, within(60))))


@given(CALM, LIMITS)
def test_code_that_fits_a_message_is_never_cut_and_other_code_goes_on_in_a_new_fence(text: str, limit: int) -> None:
    def codes(markdown: str) -> Iterator[tuple[str, list[str]]]:
        lines = markdown.splitlines()
        for token in MarkdownIt("commonmark").parse(markdown):
            if token.type == "fence":
                assert token.map
                begin, end = token.map
                assert lines[end - 1].strip("> ").startswith(token.markup)
                assert end - 1 > begin
                yield token.info, token.content.split("\n")

    parts = split(text, within(limit))
    source = [(info, line) for info, lines in codes(text) for line in lines if line.strip()]
    shown = [(info, line) for part in parts for info, lines in codes(part.shown) for line in lines if line.strip()]
    assert shown == source
    starts = borders(parts)
    for found in regex.finditer(r"(?ms)^(```|~~~|````)\w*.*?^\1~?`?(?=\r?$)", text):
        if len(found[0]) <= limit:
            assert not any(found.start() < start < found.end() for start in starts)


@given(CALM, LIMITS, st.floats(0, 1))
def test_a_text_that_grows_keeps_the_parts_before_its_last_two(text: str, limit: int, share: float) -> None:
    begun = text[: round(share * len(text))]
    if begun.strip():
        early, late = split(begun, within(limit)), split(text, within(limit))
        assert early[:-2] == late[: len(early[:-2])]


def shown(text: str, limit: int) -> list[str]:
    parts = split(text, within(limit))
    assert "".join(part.text for part in parts) == text
    return [part.shown for part in parts]


def test_paragraphs_are_better_breaks_than_lines_and_lines_than_sentences() -> None:
    assert shown("One. Or two.\n\nThree. Four.\nFive. Six.", 30) == ["One. Or two.", "Three. Four.\nFive. Six."]
    assert shown("One. Or two.\nThree, four. Five six seven.", 30) == ["One. Or two.", "Three, four. Five six seven."]
    assert shown("One, e.g. two. Three four five six seven.", 30) == ["One, e.g. two.", "Three four five six seven."]
    assert shown("一二三四五。六七八九十一二三", 10) == ["一二三四五。", "六七八九十一二三"]
    assert shown("one two three four", 10) == ["one two", "three four"]


def test_a_better_break_that_leaves_a_small_part_is_left_out() -> None:
    assert shown("Hi.\n\n" + "word " * 12, 30) == [
        "Hi.\n\nword word word word word",
        "word word word word word word",
        "word",
    ]


def test_a_heading_or_announcement_goes_with_what_follows() -> None:
    assert shown("Some words before it.\n\n## Next\n\nMore words.", 35) == [
        "Some words before it.",
        "## Next\n\nMore words.",
    ]
    code = "```py\nprint(1)\nprint(2)\n```"
    assert shown(f"Some words before it.\n\nLike so:\n\n{code}", 45) == ["Some words before it.", f"Like so:\n\n{code}"]
    assert shown(f"Some words.\n\nLike so:\n\n{code}", 30) == ["Some words.\n\nLike so:", code]


def test_code_too_long_for_a_message_is_cut_at_line_ends() -> None:
    code = "".join(f"    line{n}\n" for n in range(4))
    assert shown(f"```py\n{code}```\nIt is done.", 36) == [
        "```py\n    line0\n    line1\n```",
        "```py\n    line2\n    line3\n```",
        "It is done.",
    ]


def test_a_table_too_long_for_a_message_repeats_its_head() -> None:
    head = "| n |\n|---|"
    rows = [f"| {n} |" for n in range(6)]
    assert shown("\n".join([head, *rows]), 35) == ["\n".join([head, *rows[:4]]), "\n".join([head, *rows[4:]])]


def test_a_list_that_goes_on_is_moved_to_the_left() -> None:
    text = "- fruit\n    - apples\n    - pears\n    - plums\n- roots"
    assert shown(text, 36) == ["- fruit\n    - apples\n    - pears", "- plums\n- roots"]


def test_a_list_marker_is_not_left_alone() -> None:
    assert shown("- one two three\n- " + "x" * 20, 24) == ["- one two three", "- " + "x" * 20]


@pytest.mark.parametrize(
    ("begun", "seen"),
    [
        ("Look:\n\n```py", "Look:"),
        ("Look:\n\n```py\nx = 1", "Look:\n\n```py\nx = 1\n```"),
        ("Look:\n\n```py\nx = 1\n``", "Look:\n\n```py\nx = 1\n```"),
        ("Look:\n\n```py\nx = 1\n```", "Look:\n\n```py\nx = 1\n```"),
        ("```py", "```py\n```"),
    ],
)
def test_a_fence_that_is_still_being_written_is_closed(begun: str, seen: str) -> None:
    assert shown(begun, 100) == [seen]


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\n"])
def test_blank_text_has_no_parts(text: str) -> None:
    with pytest.raises(ValueError, match="blank"):
        split(text, within(10))


def test_a_limit_that_nothing_fits_is_an_error() -> None:
    with pytest.raises(ValueError, match="not even one character"):
        split("x", within(0))


def test_utf16_counts_what_telegram_counts() -> None:
    assert within_utf16(2)("👍")
    assert not within_utf16(1)("👍")
    assert within_utf16(3)("abc")


PARAGRAPH = "Some words, as they are: `code`, [a link](https://example.com). And a second sentence. " * 4
SLOW = {
    "prose": f"{PARAGRAPH}\n\n",
    "one line": PARAGRAPH,
    "one word": "x",
    "flags": "🇩🇪",
    "marks": "\u0301",
    "brackets": "[a](",
    "ticks": "`a``b```c ",
    "stars": "**a *b _c ",
    "lines": "a\n",
    "headings": "# a\n",
    "rules": "|-\n",
    "fences": "```\na\n```\nb `c`\n",
}


@pytest.mark.parametrize("kind", SLOW)
def test_time_and_questions_stay_within_bounds(kind: str) -> None:
    text = (SLOW[kind] * 40_000)[:40_000]
    asked = 0

    def fits(shown: str) -> bool:
        nonlocal asked
        asked += 1
        return len(shown) <= 4000

    before = time.thread_time()
    parts = split(text, fits)
    # What is quadratic takes seconds; the usual is 5 to 60 ms.
    assert time.thread_time() - before < 0.5
    assert asked <= 16 * len(parts)
