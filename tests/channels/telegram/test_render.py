"""What people see of a Markdown text, as the strict parser of the double reads it."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from channels.telegram.render import JOINER, TEXT_UNITS, fits, quiet, render, units
from channels.text import split
from tests.platforms.telegram_text import BadText, Formatted, read


def shown(markdown: str) -> Formatted:
    rendered = render(markdown)
    parsed = read(rendered.html, "HTML")
    assert parsed.text == rendered.shown.rstrip()
    return parsed


def marks(markdown: str) -> list[tuple[str, str]]:
    """Each entity with the text it covers."""
    parsed = shown(markdown)
    data = parsed.text.encode("utf-16-le")
    return [
        (e["type"], data[2 * e["offset"] : 2 * (e["offset"] + e["length"])].decode("utf-16-le"))
        for e in parsed.entities
    ]


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("plain & <simple> text", "plain & <simple> text"),
        ("a\nb", "a\nb"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("# Title\ntext", "Title\n\ntext"),
        ("- a\n- b\n  - c\n- d", "• a\n• b\n   • c\n• d"),
        ("3. a\n4. b", "3. a\n4. b"),
        ("1. a\n\n   more\n\n2. b", "1. a\n\n   more\n\n2. b"),
        ("a\n\n---\n\nb", "a\n\n———\n\nb"),
        ("> a\n> > b\n\nc", "a\n\nb\n\nc"),
        ("| a | long |\n|---|---|\n| 1 | **2** |", "a | long\n--+-----\n1 | 2"),
        ("![a cat](https://x.org/c.png)", "a cat"),
        ("a<br>b <u>c</u> <x>d</x>", "a\nb c <x>d</x>"),
        (r"\*not bold\* 2 * 3 * 4", "*not bold* 2 * 3 * 4"),
        ("&lt;b&gt; &copy;", "<b> ©"),
        ("[mail](mailto:a@b.org)", "mail (mailto:a@b.org)"),
    ],
)
def test_what_people_read(markdown: str, text: str) -> None:
    assert shown(markdown).text == text


def test_marks() -> None:
    assert marks("😀 **b** *i* ***bi*** ~~s~~ <u>u</u> `c<` [l](https://x.org?a=1&b=%22)") == [
        ("bold", "b"),
        ("italic", "i"),
        ("bold", "bi"),
        ("italic", "bi"),
        ("strikethrough", "s"),
        ("underline", "u"),
        ("code", "c<"),
        ("text_link", "l"),
    ]
    assert marks("## A *b*\n> q\n\n```py\nif a < b:\n    pass\n```") == [
        ("bold", "A b"),
        ("italic", "b"),
        ("blockquote", "q"),
        ("pre", "if a < b:\n    pass"),
    ]
    assert shown("```py\nx\n```").entities[0]["language"] == "py"
    assert "language" not in shown('```"><b>\nx\n```').entities[0]


def test_code_within_a_list_keeps_its_lines() -> None:
    assert marks("- a\n\n  ```\n  x = 1\n    y\n  ```\n- b")[0] == ("pre", "x = 1\n  y")


def test_a_wide_table_becomes_a_list() -> None:
    table = (
        "| City | What one should see there |\n|---|---|\n| Oslo | the opera house by the fjord |\n| Rome | all of it |"
    )
    assert shown(table).text == (
        "City: Oslo\nWhat one should see there: the opera house by the fjord\n\n"
        "City: Rome\nWhat one should see there: all of it"
    )


@pytest.mark.parametrize(
    "markdown",
    [
        "@ada and @everyone, also (@bob)",
        "@**ada**",
        "[x](tg://user?id=1001)",
        "[@ada](tg://user?id=1001)",
        "<a href='tg://user?id=1001'>x</a>",
        "tg://user?id=1001",
        'https://x.org"@ada',
        "| @ada |\n|---|\n| @bob |",
        f"| @ada |\n|---|\n| @bob {'x' * 60} |",
        "![@ada](mailto:@bob)",
        "# @ada",
        "*@ada*",
        "<u>@ada</u>",
        "https://@durov hi",
        "https://x,@durov",
        "http://localhost/@durov",
        "https://x.org,@durov",
        "https://x.org:@durov",
        "a.b@https://x/@durov",
        "readme.md/@durov",
        "@@durov",
    ],
)
def test_nobody_is_pinged(markdown: str) -> None:
    assert not {"mention", "text_mention"} & {entity["type"] for entity in shown(markdown).entities}
    plain = read(quiet(markdown), None).entities
    assert not {"mention", "text_mention"} & {entity["type"] for entity in plain}


def test_an_address_is_one_only_where_nothing_stands_before_it() -> None:
    """Telegram reads the whole text at once: for it, a.b@https ends in the midst of the address."""
    for text in ("a.b@**https://x.org/@durov**", "a.b@https://x.org/@durov", "a.b@<u>*https://x.org/@durov*</u>"):
        assert f"/@{JOINER}durov" in shown(text).text
    for text in ("see **https://x.org/@durov**", "*https://x.org/@durov*", "one\nhttps://x.org/@durov"):
        assert JOINER not in shown(text).text


def test_addresses_and_code_stay_as_they_are() -> None:
    for text in (
        "a@b.org",
        "https://example.org/@ada",
        "HTTPS://Example.org:8080/a?b=@ada,@bob",
        "youtube.com/@name",
        "(t.me/@x)",
        "`@ada`",
        "```\n@ada\n```",
        "meet @ 5",
    ):
        assert JOINER not in shown(text).text
        assert JOINER not in quiet(text) or "`" in text


ALPHABET = st.sampled_from(
    [
        *"ab \n\n*_~`#>-|<>&[]()!\\1.@:/\"'=😀é",
        "```",
        "**",
        "<u>",
        "</u>",
        "<b>",
        "</b>",
        "- ",
        "@ada",
        "https://",
        "x.org",
        "/@ada",
    ]
)
MARKDOWN = st.lists(ALPHABET, max_size=120).map("".join)


@given(MARKDOWN)
@settings(max_examples=400)
@example("<u>**a</u>**")
@example("<u><b></u></b>")
@example("**<u>a**</u>")
def test_whatever_it_is_telegram_can_parse_it(markdown: str) -> None:
    rendered = render(markdown)
    if not rendered.shown.strip():
        with pytest.raises(BadText, match=r"message text is empty|message must be non-empty"):
            read(rendered.html, "HTML")
        return
    parsed = read(rendered.html, "HTML")
    assert parsed.text == rendered.shown.rstrip()
    ours = [e for e in parsed.entities if e["type"] not in ("url", "mention", "bot_command")]
    assert len(ours) <= rendered.entities
    assert not {"mention", "text_mention"} & {entity["type"] for entity in parsed.entities}


@given(st.lists(st.text("abcdef", min_size=1), min_size=1))
def test_no_word_is_lost(words: list[str]) -> None:
    for markdown in ("\n\n".join(f"- **{word}**" for word in words), " ".join(f"*{word}*" for word in words)):
        assert [text for _, text in marks(markdown)] == words


@given(
    st.lists(
        st.sampled_from(
            [
                "word ",
                "**bold** ",
                "`code` ",
                "[link](https://example.org/long/address) ",
                "😀",
                "\n\n",
                "\n- item ",
                "\n\n```py\nx = 1\ny = 2\n```\n\n",
            ]
        ),
        min_size=300,
        max_size=900,
    ).map("".join)
)
@settings(max_examples=15, deadline=None)
def test_parts_fit_and_lose_nothing(markdown: str) -> None:
    if not markdown.strip():
        return
    parts = split(markdown, fits)
    assert "".join(part.text for part in parts) == markdown
    for part in parts:
        parsed = read(render(part.shown).html, "HTML")
        assert units(parsed.text) <= TEXT_UNITS
        assert len([e for e in parsed.entities if e["type"] != "url"]) <= 100


def test_many_formats_are_split_before_telegram_drops_some() -> None:
    assert not fits("**a** b " * 101)
    assert fits("**a** b " * 100)
    assert not fits("😀" * 2001)
    assert fits("😀" * 2000)


def test_a_long_link_does_not_count() -> None:
    assert fits(json.dumps([f"[a](https://example.org/{'x' * 300})"] * 20))
