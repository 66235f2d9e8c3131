"""Recorded payloads of Slack as MessageEvents, or None where the bot is not meant."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.slack import markup
from channels.slack.parse import Me, parse, parse_slash, people_in, thread_in_doubt
from core import commands
from core.events import Address, Attachment, MessageEvent

FOLDER = Path(__file__).parents[2] / "payloads" / "slack"
ME = Me(team="T024TEAM1", user="U0BOTBOT1", bot="B0BOTBOT1", name="Rapport")
NAMES = {"U0ADALOVE": "Ada", "U0BOBMARL": "Bob"}


def payload(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return found


def parsed(name: str, **known: Any) -> MessageEvent | None:
    return parse(payload(name), ME, names=NAMES, **known)


def heard(name: str, **known: Any) -> MessageEvent:
    event = parsed(name, **known)
    assert event is not None
    return event


def test_a_direct_message() -> None:
    assert heard("direct") == MessageEvent(
        id="slack:T024TEAM1:D0ADADIRECT:1763715601.000101",
        address=Address(channel="slack", space="T024TEAM1/D0ADADIRECT", thread=None, direct=True),
        user="U0ADALOVE",
        workspace="T024TEAM1",
        user_name="Ada",
        text="I finally passed my driving test!",
        prefix="/rapport ",
        sent_at=datetime.fromtimestamp(1763715601.000101, UTC),
    )


def test_a_mention_is_answered_in_its_thread_and_both_of_its_events_are_one() -> None:
    mention = heard("mention")

    assert mention == heard("mention_as_message")
    assert mention.text == "how are you today?"
    assert mention.address == Address(
        channel="slack", space="T024TEAM1/C0GENERAL1", thread="1763715602.000202", direct=False
    )


def test_a_mention_is_one_with_a_label_too_and_wherever_slack_says_so() -> None:
    assert heard("mention_labelled") == heard("mention")
    assert heard("mention_by_other_id").text == "@somebody how are you today?"


@pytest.mark.parametrize(
    "name",
    ["edit", "deletion", "own_message", "other_bot", "other_bot_without_user", "channel_talk", "channel_join"],
)
def test_what_is_not_for_the_bot(name: str) -> None:
    assert parsed(name, takes_part=True) is None


def test_a_thread_is_answered_if_the_bot_takes_part() -> None:
    assert parsed("thread_reply") is None
    assert heard("thread_reply", takes_part=True).address.thread == "1763715602.000202"
    assert heard("thread_reply_to_bot").address.thread == "1763715000.000100"
    assert heard("broadcast").text == "Also for the channel"


def test_what_is_said_to_another_in_a_thread_is_not_for_the_bot() -> None:
    assert parsed("thread_to_another", takes_part=True) is None


def test_the_adapter_looks_up_no_more_than_it_must() -> None:
    doubts = {
        name: thread_in_doubt(payload(name)["event"], ME)
        for name in ("direct", "mention", "channel_talk", "thread_reply", "thread_reply_to_bot", "assistant_message")
    }

    assert {name for name, thread in doubts.items() if thread} == {"thread_reply"}
    assert people_in(payload("markup")["event"], ME) == {"U0ADALOVE", "U0BOBMARL"}
    assert people_in(payload("mention")["event"], ME) == {"U0ADALOVE"}


def test_other_bots_are_answered_only_if_that_is_wanted() -> None:
    assert heard("other_bot", other_bots=True).user == "U0CIBOTUS"
    assert heard("other_bot_without_user", other_bots=True).user == "B0HOOKBOT"
    assert parsed("own_message", other_bots=True) is None


def test_an_assistant_thread_is_a_direct_conversation_in_a_thread() -> None:
    address = heard("assistant_message").address

    assert (address.direct, address.thread) == (True, "1763715500.000100")


def test_a_group_conversation_is_a_shared_place() -> None:
    event = heard("group_direct")

    assert not event.address.direct
    assert event.address.thread == "1763715629.002909"


def test_people_of_other_workspaces_belong_to_the_one_in_which_the_bot_is() -> None:
    assert heard("other_workspace_user").person == "slack:T024TEAM1:U0EXTERNAL"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("emoji", "So happy 🎉 👋🏼 and :party-parrot: ❤️"),
        ("escapes", "if a < b && c > d: say <!channel> &amp;"),
        ("list", "Today:\n- sleep\n    - a lot\n> said nobody"),
        ("mention_amid", "ask @Rapport nothing, @Bob."),
        ("mention_alone", ""),
        (
            "markup",
            "**Please** read [the page](https://example.com/a_b_c?x=1&y=2) and https://example.com/, ask @Bob in "
            "#random or #channel, mail help@example.com, tell @here and @designers by Friday, ~~not~~ "
            "`https://example.com/*code*`",
        ),
        ("shared_message", "What do you make of it?\n\nBob wrote:\n> We lost the **game**.\n> Again."),
    ],
)
def test_marks_become_markdown(name: str, text: str) -> None:
    assert heard(name).text == text


def test_a_long_message_is_kept_whole() -> None:
    assert heard("long").text == ("A very long day. " * 250).strip()


def test_attachments_are_named() -> None:
    assert heard("image").attachments == (Attachment(kind="image", name="IMG_0042.png"),)
    assert heard("voice_note").attachments == (Attachment(kind="voice note", seconds=12),)
    assert heard("voice_note").text == ""
    assert heard("files").attachments == (
        Attachment(kind="file", name="Notes"),
        Attachment(kind="video", name="clip.mp4", seconds=4),
        Attachment(kind="file"),
    )


def test_files_of_a_message_that_is_passed_on_are_named() -> None:
    event = heard("shared_file")

    assert event.attachments == (Attachment(kind="image", name="IMG_0042.png"),)
    assert event.text == "(passed on from Bob)"


def test_a_slash_command_is_answered_to_its_sender_alone() -> None:
    event = parse_slash(payload("slash"), ME)

    assert event.text == "/mood"
    assert event.discreet
    assert not event.address.direct
    assert event.address.space == "T024TEAM1/C0GENERAL1"
    assert event.id == "slack:T024TEAM1:slash:9876543210.1234567890.0a1b2c3d4e5f"
    assert (event.user_name, event.prefix) == ("ada", "/rapport ")


@pytest.mark.parametrize(
    ("typed", "text"),
    [("", "/help"), ("/export", "/export"), ("FORGET ", "/forget"), ("help", "/help"), ("help  /New", "/help /New")],
)
def test_commands_as_people_type_them(typed: str, text: str) -> None:
    assert parse_slash({**payload("slash"), "text": typed}, ME).text == text


@pytest.mark.parametrize(
    "typed",
    [
        "forget about work, tell me a joke",
        "forget\nabout work",
        "/forget about work",
        "help me with my mother",
        "stop it",
        "new day today",
    ],
)
def test_words_that_begin_like_a_command_are_said_to_the_bot(typed: str) -> None:
    event = parse_slash({**payload("slash"), "text": typed}, ME)

    assert event.text == typed.removeprefix("/")
    assert commands.parse(event.text) is None
    assert not event.discreet


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "piece", ["\n", " ", ", ", "•\n", "<@U0BOTBOT1>", "<@U0BOTBOT1> ,\n", "*", "`", "<", ":", "~a"]
)
@pytest.mark.parametrize("end", ["", "x", "<@U0BOTBOT1> x <@U0BOTBOT1"])
def test_no_text_takes_long_to_read(piece: str, end: str) -> None:
    text = (piece * (markup.LONGEST // len(piece)))[: markup.LONGEST - len(end)] + end

    markup.to_markdown(text, own="U0BOTBOT1", name="Rapport", names={}, emoji={})


def test_what_is_far_too_long_is_left_for_the_runner_to_refuse() -> None:
    text = "*a*" * markup.LONGEST

    assert markup.to_markdown(text, own="U0BOTBOT1", name="Rapport", names={}, emoji={}) == text


def test_other_words_after_the_slash_command_are_said_to_the_bot_for_all_to_see() -> None:
    event = parse_slash(payload("slash_talk"), ME, NAMES)

    assert event.text == "I am so tired of @Bob & co"
    assert not event.discreet


@pytest.mark.parametrize(
    "broken",
    [{}, {"event": {"text": "x", "channel_type": "im"}}, {"event": {"channel_type": "im", "channel": "D", "ts": "x"}}],
)
def test_a_payload_that_is_none_is_an_error_of_a_known_kind(broken: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        parse(broken, ME)


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@given(st.text(alphabet=st.characters(exclude_characters="*~`:•◦▪\0", exclude_categories=("Cs",))))
def test_what_was_typed_without_marks_arrives_as_it_was_typed(text: str) -> None:
    got = markup.to_markdown(escaped(text), own="U1", name="R", names={}, emoji={})

    assert got == text.strip()


@given(st.text(alphabet="<>@#!|*~`:&;ampltg U1C\n", max_size=60))
def test_no_text_is_too_strange(text: str) -> None:
    assert isinstance(markup.to_markdown(text, own="U1", name="R", names={"U1C": "Ada"}, emoji={"a": "A"}), str)
