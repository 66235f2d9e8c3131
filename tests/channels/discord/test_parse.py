"""Recorded payloads of Discord's gateway, one a case: what becomes of them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.discord.feedback import Press, Reaction, buttons, pressed, reacted
from channels.discord.parse import Me, made_at, parse, parse_command, plain, snowflake_at
from core.events import Attachment, MessageEvent

PAYLOADS = Path(__file__).parents[2] / "payloads" / "discord"
ME = Me("900000000000000001", frozenset({"900000000000000010"}))
ADA, BOB = "940000000000000001", "940000000000000002"
GENERAL, THREAD, DIRECT = "920000000000000001", "920000000000000003", "930000000000000001"
REPLY = "0123456789abcdef0123456789abcdef"


class Around:
    """A server as the adapter knows it."""

    def __init__(self, *, branching: bool = False, kept_back: bool = False) -> None:
        self._branching = branching
        self._kept_back = kept_back

    def channel(self, channel_id: str) -> str | None:
        return {GENERAL: "general", "920000000000000002": "kitchen"}.get(channel_id)

    def role(self, role_id: str) -> str | None:
        return {"900000000000000010": "Rapport", "900000000000000011": "cooks"}.get(role_id)

    def takes_part(self, channel_id: str) -> bool:
        return channel_id == THREAD and not self._kept_back

    def hides(self, channel_id: str) -> bool:
        return channel_id == THREAD and self._kept_back

    def branches(self, channel_id: str) -> bool:
        return self._branching and channel_id == GENERAL


def load(name: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))
    return payload


def message(name: str, **how: Any) -> MessageEvent | None:
    return parse(load(name)["d"], ME, Around(), **how)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("direct", "hello **there**"),
        ("mention", "what is for dinner?"),
        ("mention_nick", "hey and @Bobby, what now?"),
        ("mention_role", "help us"),
        ("reply", "and after that?"),
        ("reply_without_ping", "and after that?"),
        ("thread", "go on"),
        ("thread_mention", "go on"),
        ("typed_command", "/new"),
        ("long", "word " * 399 + "end"),
        ("emoji", "so good 🎉👩‍👩‍👧 :pepper: :dance:"),
        (
            "markup",
            "see #kitchen, ask @cooks at 2026-11-20 14:00 UTC or 2026-11-20 14:00 UTC, use /help, "
            "`<#920000000000000002>` #a-channel @someone #customize",
        ),
        ("forward", "Forwarded message:\n> the oven is broken\n> again"),
    ],
)
def test_what_is_for_the_bot_becomes_plain_markdown(name: str, text: str) -> None:
    event = message(name)
    assert event
    assert event.text == text


@pytest.mark.parametrize(
    "name",
    [
        "mention_other_role",
        "mention_everyone",
        "not_addressed",
        "not_addressed_without_intent",
        "reply_to_person",
        "reply_deleted",
        "thread_foreign",
        "thread_to_person",
        "own",
        "other_bot",
        "webhook",
        "system_join",
        "system_pin",
    ],
)
def test_what_is_not_for_the_bot_is_left_alone(name: str) -> None:
    assert message(name) is None


def test_a_direct_message_has_all_that_is_known() -> None:
    event = message("direct")
    said = load("direct")["d"]
    assert event == MessageEvent(
        id=f"discord:{DIRECT}:{said['id']}",
        address={"channel": "discord", "space": DIRECT, "direct": True},
        user=ADA,
        user_name="Ada",
        text="hello **there**",
        sent_at=datetime(2026, 11, 20, 14, 5, 6, 789000, UTC),
    )
    assert event.person == f"discord:-:{ADA}"


def test_in_a_server_the_name_is_the_one_used_there() -> None:
    event = message("mention_nick")
    assert event
    assert event.user_name == "Countess"
    assert event.address.space == GENERAL
    assert not event.address.direct


def test_a_thread_is_a_space_of_its_own() -> None:
    event = message("thread")
    assert event
    assert (event.address.space, event.address.thread) == (THREAD, None)


@pytest.mark.parametrize("name", ["thread", "thread_kept_back"])
def test_nothing_of_what_is_kept_back_in_a_thread_is_taken(name: str) -> None:
    """Stickers come along all the same."""
    said = load(name)["d"] | {"sticker_items": [{"id": "1", "name": "wave", "format_type": 1}]}
    event = parse(said, ME, Around(kept_back=True))
    assert event
    assert (event.text, event.attachments) == ("", ())
    assert parse(load("thread_to_person")["d"], ME, Around(kept_back=True)) is None


def test_a_forward_without_its_text_says_nothing() -> None:
    event = message("forward_kept_back")
    assert event
    assert event.text == ""


def test_a_mention_that_begins_a_thread_belongs_to_it() -> None:
    said = load("mention")["d"]
    event = parse(said, ME, Around(branching=True))
    assert event
    assert event.address.space == said["id"]
    assert event.id == f"discord:{GENERAL}:{said['id']}"


@pytest.mark.parametrize("name", ["other_bot", "webhook"])
def test_other_bots_are_answered_if_settings_say_so(name: str) -> None:
    assert message(name, other_bots=True)
    assert message("own", other_bots=True) is None


@pytest.mark.parametrize(
    ("name", "attachments"),
    [
        (
            "attachments",
            (
                Attachment(kind="image", name="soup.png"),
                Attachment(kind="file", name="Grandma's recipe"),
                Attachment(kind="audio", name="song.mp3"),
                Attachment(kind="video", name="clip.mp4"),
                Attachment(kind="file", name="notes"),
            ),
        ),
        ("voice_note", (Attachment(kind="voice note", seconds=12.340000152587891),)),
        ("sticker", (Attachment(kind="sticker", name="Wave"),)),
        ("poll", (Attachment(kind="poll", name="Soup or bread?"),)),
        ("forward", (Attachment(kind="image", name="oven.jpg"),)),
    ],
)
def test_attachments_are_named(name: str, attachments: tuple[Attachment, ...]) -> None:
    event = message(name)
    assert event
    assert event.attachments == attachments


@pytest.mark.parametrize(
    ("name", "text", "discreet", "direct"),
    [
        ("slash_mood", "/mood", True, False),
        ("slash_mood_direct", "/mood", False, True),
        ("slash_help_command", "/help forget", True, False),
        ("slash_chat", "what is :pepper: for?", False, False),
        ("slash_chat_group_direct", "hi", False, False),
    ],
)
def test_a_slash_command_is_an_event(name: str, text: str, discreet: bool, direct: bool) -> None:
    event = parse_command(load(name)["d"], Around())
    assert event
    assert (event.text, event.discreet, event.address.direct) == (text, discreet, direct)
    assert event.id == "discord:interaction:1441043000000000000"
    assert event.sent_at == made_at("1441043000000000000")


@pytest.mark.parametrize("name", ["slash_unknown", "button_up"])
def test_other_interactions_are_no_events(name: str) -> None:
    assert parse_command(load(name)["d"], Around()) is None


@pytest.mark.parametrize(
    ("name", "press"),
    [
        ("button_up", Press(ADA, REPLY, "up")),
        ("button_down_direct", Press(ADA, REPLY, "down")),
        ("button_foreign", None),
        ("slash_mood", None),
    ],
)
def test_a_button_says_who_rates_what(name: str, press: Press | None) -> None:
    assert pressed(load(name)["d"]) == press


@pytest.mark.parametrize(
    ("name", "verdict", "withdrawn"),
    [("reaction_up", "up", False), ("reaction_down", "down", False), ("reaction_removed", "up", True)],
)
def test_a_reaction_rates_a_message(name: str, verdict: Any, withdrawn: bool) -> None:
    payload = load(name)
    said = payload["d"]
    assert reacted(payload["t"], said, ME.id) == Reaction(ADA, GENERAL, said["message_id"], verdict, withdrawn)


@pytest.mark.parametrize("name", ["reaction_own", "reaction_foreign"])
def test_other_reactions_rate_nothing(name: str) -> None:
    assert reacted(load(name)["t"], load(name)["d"], ME.id) is None


def test_buttons_fit_discords_limit() -> None:
    pair = buttons(REPLY)[0]["components"]
    assert all(len(button["custom_id"]) <= 100 for button in pair)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("<@900000000000000001>, hello", "hello"),
        ("<@900000000000000001>", ""),
        ("why <@900000000000000001>?", "why?"),
        ("```\n<@900000000000000001>\n```", "```\n<@900000000000000001>\n```"),
        ("<t:99999999999999999999>", "<t:99999999999999999999>"),
        ("<t:999999999999999:R>", "<t:999999999999999:R>"),
        ("1 <3 2 <> <@> <#>", "1 <3 2 <> <@> <#>"),
    ],
)
def test_odd_mark_up(written: str, read: str) -> None:
    assert plain(written, Around(), me=ME) == read


def test_ids_and_times_go_back_and_forth() -> None:
    moment = datetime(2026, 11, 20, 14, 5, 6, tzinfo=UTC)
    assert made_at(str(snowflake_at(moment))) == moment
    assert snowflake_at(datetime(2000, 1, 1, tzinfo=UTC)) == 0
