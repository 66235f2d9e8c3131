"""Targets at the edge: what networks send, and what becomes of a reply on its way to them."""

import contextlib
import html
import json
import re
from typing import Any

from hypothesis import example
from hypothesis import strategies as st

from channels import text
from channels.discord import feedback as discord_feedback
from channels.discord import parse as discord
from channels.discord import render as discord_render
from channels.slack import markup, render
from channels.slack import parse as slack
from channels.telegram import feedback as telegram_feedback
from channels.telegram import parse as telegram
from channels.telegram import render as telegram_render
from channels.telegram.entities import to_markdown
from core.events import MessageEvent, event_of
from tests.fuzz.table import GROWING, LEAVES, TEXT, assert_steady, recorded, target

# What every parser of a network may raise for a payload that is none; whoever calls it catches these.
DOCUMENTED = (KeyError, TypeError, ValueError, AttributeError)
SLACK_ME = slack.Me(team="T024TEAM1", user="U0BOTBOT1", bot="B0BOTBOT1", name="Rapport")
TELEGRAM_ME = telegram.Me(7000000001, "RapportTestBot")
DISCORD_ME = discord.Me("900000000000000001", frozenset({"900000000000000010"}))
NAMES = {"U0ADALOVE": "Ada", "U0BOBMARL": "B*o*b"}
SHOWABLE = TEXT.filter(lambda markdown: bool(markdown.strip(" \n\r\t\0\u200b\u2060")))


class Around:
    """A server in which the bot takes part in every thread."""

    def channel(self, channel_id: str) -> str | None:
        return "general" if channel_id.endswith("1") else None

    def role(self, role_id: str) -> str | None:
        return "cooks" if role_id.endswith("1") else None

    def takes_part(self, channel_id: str) -> bool:
        return True

    def hides(self, channel_id: str) -> bool:
        return channel_id.endswith("2")

    def branches(self, channel_id: str) -> bool:
        return channel_id.endswith("1")


def assert_whole(event: MessageEvent | None) -> None:
    """Fail if what a parser made cannot go through Redis and come back as it was."""
    if event is not None:
        assert event_of(event.model_dump_json()) == event
        assert event.id.startswith(f"{event.address.channel}:")


@target(recorded("slack"))
def slack_events(payload: dict[str, Any]) -> None:
    with contextlib.suppress(*DOCUMENTED):
        slack.people_in(payload["event"], SLACK_ME)
        slack.thread_in_doubt(payload["event"], SLACK_ME)
    with contextlib.suppress(*DOCUMENTED):
        assert_whole(slack.parse(payload, SLACK_ME, takes_part=True, names=NAMES, other_bots=True))
    with contextlib.suppress(*DOCUMENTED):
        assert_whole(slack.parse_slash(payload, SLACK_ME, NAMES))


@target(recorded("telegram"))
def telegram_updates(update: dict[str, Any]) -> None:
    with contextlib.suppress(*DOCUMENTED):
        assert_whole(telegram.parse(update, TELEGRAM_ME, other_bots=True, continues=lambda message: True))
    with contextlib.suppress(*DOCUMENTED):
        telegram.bare(update, TELEGRAM_ME)
    with contextlib.suppress(*DOCUMENTED):
        telegram_feedback.pressed(update)
    with contextlib.suppress(*DOCUMENTED):
        telegram_feedback.reacted(update)


@target(recorded("discord"))
def discord_events(payload: dict[str, Any]) -> None:
    with contextlib.suppress(*DOCUMENTED):
        assert_whole(discord.parse(payload["d"], DISCORD_ME, Around(), other_bots=True))
    with contextlib.suppress(*DOCUMENTED):
        assert_whole(discord.parse_command(payload["d"], Around()))
    with contextlib.suppress(*DOCUMENTED):
        discord_feedback.pressed(payload["d"])
    with contextlib.suppress(*DOCUMENTED):
        discord_feedback.reacted(str(payload["t"]), payload["d"], DISCORD_ME.id)


ENTITY = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["bold", "italic", "code", "pre", "blockquote", "text_link", "mention", "spoiler"]),
        "offset": st.integers(-1, 40),
        "length": st.integers(-1, 40),
    },
    optional={"url": LEAVES, "language": LEAVES},
)


@target(st.tuples(TEXT, st.lists(ENTITY, max_size=8)))
def telegram_entities(drawn: tuple[str, list[dict[str, Any]]]) -> None:
    """No character that is to be seen gets lost, whatever the entities say."""
    said, entities = drawn
    told = iter(to_markdown(said, entities, lambda whole, span: False))
    assert all(character in told for character in "".join(said.split()))


@target(TEXT)
def slack_markup(said: str) -> None:
    """What holds the place of an address never stays, be it in the text already, and no mention of the bot does."""
    told = markup.to_markdown(said, own="U0BOBMARL", name="Rapport", names=NAMES, emoji={"tada": "🎉"})
    assert told == told.strip()
    assert "\0" not in told or "`" in said  # code stays as it was typed
    assert "<@U0BOBMARL>" not in told or "&" in said


@target(GROWING, examples=2)
def time_to_read_what_networks_send(growing: tuple[str, str, str]) -> None:
    def telegrams(said: str) -> object:
        marks = [{"type": "bold", "offset": at, "length": 1} for at in range(0, min(len(said), 2000), 2)]
        return to_markdown(said, marks[:100], lambda whole, span: False)  # Telegram allows 100

    assert_steady(lambda said: markup.to_markdown(said, own="U1", name="R", names={}, emoji={}), growing)
    assert_steady(lambda said: discord.plain(said, Around(), {}, DISCORD_ME), growing)
    assert_steady(telegrams, growing)


@target(st.tuples(SHOWABLE, st.integers(2, 60)))
def parts_of_a_reply(drawn: tuple[str, int]) -> None:
    """Joined they are the text, each fits, none is blank; and what was cut once is not cut again."""
    markdown, limit = drawn
    for fits in (text.within(limit), text.within_utf16(limit)):
        parts = text.split(markdown, fits)
        assert "".join(part.text for part in parts) == markdown
        assert all(fits(part.shown) and part.shown.strip() for part in parts)


@target(TEXT)
def slack_rendering(markdown: str) -> None:
    """Nobody is notified, lengths are kept, and what is sent twice is not marked twice."""
    safe = render.harmless(markdown)
    assert render.harmless(safe) == safe
    assert safe.replace(render.JOINER, "") == markdown.replace(render.JOINER, "")
    assert not re.search(r"<!(?:channel|here|everyone)|<@[A-Z0-9]", safe, re.IGNORECASE)
    assert len(render.fallback(markdown * 200).encode()) <= render.FALLBACK + len(render.JOINER.encode())
    assert not re.search(r"[<>]", render.escaped(markdown))
    shown = render.streamable(markdown)
    assert render.harmless(markdown).startswith(shown)
    json.dumps(render.blocks(markdown, "1"))


@target(TEXT)
def telegram_rendering(markdown: str) -> None:
    """The HTML is what Telegram takes: its own tags alone, closed in order; no mention, and only web links."""
    rendered = telegram_render.render(markdown)
    opened: list[str] = []
    for close, name in re.findall(r"<(/?)([a-z]+)[^>]*>", rendered.html):
        assert name in ("b", "i", "u", "s", "a", "code", "pre", "blockquote")
        if close:
            assert opened.pop() == name
        else:
            opened.append(name)
    assert not opened
    assert not re.sub(r"<[^<>]*>", "", rendered.html).count("<")
    assert all(
        telegram_render.WEB.match(html.unescape(link)) for link in re.findall(r'<a href="([^"]*)"', rendered.html)
    )
    assert telegram_render.fits(markdown) == (
        telegram_render.units(rendered.shown) <= 4000 and rendered.entities <= 100
    )


@target(TEXT)
def discord_rendering(markdown: str) -> None:
    """Never longer than it was, never empty, and the same if it is rendered again."""
    sent = discord_render.render(markdown)
    assert sent
    assert len(sent) <= max(1, len(markdown))
    assert discord_render.render(sent) == sent or "](" in markdown  # an image of an image
    assert len(discord_render.thread_name(markdown)) <= discord_render.THREAD_NAME_LIMIT


@target(GROWING, examples=2)
@example(("", "<b>", ""))  # a tag that never closes was looked for up to the end, and each of them anew
def time_to_send_a_reply(growing: tuple[str, str, str]) -> None:
    """From the text to what the network is sent, over all of the parts."""

    def to_slack(markdown: str) -> object:
        return [(render.blocks(part.shown, None), render.fallback(part.shown)) for part in render.parts(markdown)]

    def to_telegram(markdown: str) -> object:
        telegram_render.render.cache_clear()
        return [telegram_render.render(part.shown) for part in text.split(markdown, telegram_render.fits)]

    def to_discord(markdown: str) -> object:
        return [discord_render.render(part.shown) for part in discord_render.split(markdown)]

    for send in (to_slack, to_telegram, to_discord):
        with contextlib.suppress(ValueError):  # blank
            assert_steady(send, growing)
    assert_steady(render.streamable, growing)
