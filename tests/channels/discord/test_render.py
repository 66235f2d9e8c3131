"""Markdown as Discord shows it, in parts that fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.discord.render import BLANK, TEXT_LIMIT, render, split, thread_name

PIECES = st.sampled_from(
    ["# head\n", "#### deep\n", "word ", "line\n", "\n\n", "```py\n", "```\n", "- item\n", "😀", "👩‍👩‍👧", "[a](http://b)",
     "![i](http://p.png)", "**bold** ", "`code` ", "| a | b |\n|---|---|\n| 1 | 2 |\n", "x" * 300, "@everyone "]
)  # fmt: skip


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("# One\n## Two\n### Three", "# One\n## Two\n### Three"),
        ("#### Four\ntext", "**Four**\ntext"),
        ("###### **Six** ##", "**Six**"),
        ("```\n#### not a heading\n```\n#### Four", "```\n#### not a heading\n```\n**Four**"),
        ("```\n#### not closed", "```\n#### not closed"),
        ("see ![soup](http://a/b.png)!", "see [soup](http://a/b.png)!"),
        ("#hashtag and #### inside", "#hashtag and #### inside"),
        ("", BLANK),
    ],
)
def test_what_discord_does_not_know_is_put_otherwise(markdown: str, shown: str) -> None:
    assert render(markdown) == shown


@given(st.lists(PIECES, min_size=1, max_size=60).map("".join).filter(lambda text: text.strip()))
def test_parts_lose_nothing_and_fit_when_rendered(markdown: str) -> None:
    try:
        parts = split(markdown)
    except ValueError:
        return  # nothing to be seen
    assert "".join(part.text for part in parts) == markdown
    assert all(0 < len(render(part.shown)) <= TEXT_LIMIT for part in parts)


def test_code_goes_on_as_code() -> None:
    first, *_, last = split("```py\n" + "print('soup')\n" * 400 + "```")
    assert first.shown.startswith("```py\n")
    assert first.shown.endswith("\n```")
    assert last.shown.startswith("```py\n")


def test_two_thousand_emoji_are_one_message() -> None:
    assert len(split("😀" * 2000)) == 1
    assert len(split("😀" * 2001)) == 2


def test_the_name_of_a_thread_fits() -> None:
    assert thread_name("what  is\nfor dinner?") == "what is for dinner?"
    assert len(thread_name("word " * 50)) <= 100
    assert thread_name("word " * 50).endswith("…")
