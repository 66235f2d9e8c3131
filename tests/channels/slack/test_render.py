"""Replies as Slack takes them: harmless, whole, within the limits."""

import re

from hypothesis import given
from hypothesis import strategies as st

from channels.slack import render
from tests.platforms import slack_rules

TRICKY = st.text(alphabet="<>!@#^|_*`~\n\\& .chanelrvyosubtmU1W", max_size=80) | st.sampled_from(
    [
        "<!channel>",
        "<!here|x>",
        "@everyone",
        "a <@U123> b",
        "<!subteam^S1|@team>",
        "<!CHANNEL>",
        "x@here.org",
        "<<!here>",
    ]
)


@given(TRICKY)
def test_nothing_notifies_people(text: str) -> None:
    assert not slack_rules.pings(render.harmless(text))
    assert not slack_rules.pings(render.escaped(text))
    assert render.harmless(text).replace(render.JOINER, "") == text.replace(render.JOINER, "")


@given(st.lists(TRICKY, min_size=1, max_size=4))
def test_a_stream_only_ever_adds(pieces: list[str]) -> None:
    text, shown = "", ""
    for character in "".join(pieces):
        text += character
        now = render.streamable(text)
        assert now.startswith(shown)
        assert now == now.rstrip(), "a call with nothing but white space would be refused"
        shown = now
    assert render.harmless(text).startswith(shown)
    assert not slack_rules.pings(shown)


def test_what_is_no_mention_stays_as_it_is() -> None:
    text = "<!DOCTYPE html> <!-- x --> me@here.org a <b> @ada @channels"

    assert render.harmless(text) == text


def test_a_long_reply_is_split_within_the_limit() -> None:
    text = "\n\n".join(f"Paragraph {number}: " + "words and more words " * 40 for number in range(60))

    found = render.parts(text)

    assert "".join(part.text for part in found) == text
    assert all(len(render.harmless(part.shown)) <= render.LIMIT for part in found)
    assert len(found) == len(text) // render.LIMIT + 1


def test_a_text_full_of_mentions_still_fits() -> None:
    found = render.parts("@here " * 4000)

    assert all(len(render.harmless(part.shown)) <= render.LIMIT for part in found)


def test_the_notification_is_plain_and_escaped() -> None:
    markdown = "# Hello\n**Tom & [Jerry](https://example.com)**\n```py\na < b\n```\n> quoted"

    assert render.fallback(markdown) == "Hello\nTom &amp; Jerry\na &lt; b\nquoted"
    assert render.fallback("```\n```") != ""
    assert len(render.fallback("x" * 20_000)) == render.FALLBACK


def test_the_buttons_name_the_reply_and_are_as_slack_wants_them() -> None:
    blocks = render.blocks("**Hi**", "r" * 32)

    slack_rules.check_blocks(blocks)
    values = re.findall(r"(up|down):(r{32})", str(blocks))
    assert values == [("up", "r" * 32), ("down", "r" * 32)]
    assert len(render.blocks("Hi", None)) == 1


def test_a_message_is_known_by_its_metadata() -> None:
    metadata = render.metadata("abc-001")

    slack_rules.check_metadata(metadata)
    assert render.key_of({"metadata": metadata}) == "abc-001"
    assert render.key_of({"metadata": {"event_type": "other", "event_payload": {"key": "abc-001"}}}) == ""
    assert render.key_of({}) is None


@given(st.text(alphabet="&<>я🙂a;@chanel s", min_size=1, max_size=60), st.integers(50, 200))
def test_the_text_of_a_notification_fits_an_update_and_cuts_no_entity(piece: str, times: int) -> None:
    found = render.fallback(piece * times)

    slack_rules.check_update({"text": found})
    assert re.fullmatch(r"(?:[^&<>]|&(?:amp|lt|gt);)*", found)
    assert not slack_rules.pings(found)
