"""Recorded payloads, one per case, and properties of the conversion to Markdown."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.telegram.entities import to_markdown
from channels.telegram.feedback import Pressed, Reacted, keyboard, pressed, reacted
from channels.telegram.parse import Me, bare, parse
from core.events import Address, Attachment, MessageEvent

PAYLOADS = Path(__file__).parents[2] / "payloads" / "telegram"
ME = Me(7000000001, "RapportTestBot")
GROUP = "-1002000000001"


def payload(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))
    return loaded


def event(name: str, **how: Any) -> MessageEvent:
    found = parse(payload(name), ME, **how)
    assert found
    return found


def test_a_direct_message() -> None:
    found = event("direct")
    assert found.id == "telegram:7000000001:1001:10"
    assert found.address == Address(channel="telegram", space="1001", direct=True)
    assert (found.person, found.user_name, found.text) == ("telegram:-:1001", "Ada Byron", "I had a long day")
    assert found.sent_at.timestamp() == 1795430400
    assert found.quiet_s == 0
    assert not found.attachments


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("group_mention", "how are you?"),
        ("group_text_mention", "hey, tell us something"),
        ("group_mention_of_others", "did @carol and Dan see today"),
        ("reply_to_bot", "why?"),
        ("reply_thread", "and this?"),
        ("command_at_this_bot", "/help mood"),
        ("command_bare_in_group", "/help"),
    ],
)
def test_what_is_for_the_bot_in_a_group(name: str, text: str) -> None:
    found = event(name)
    assert found.text == text
    assert found.address == Address(channel="telegram", space=GROUP, direct=False)


@pytest.mark.parametrize(
    "name",
    [
        "group_chatter",
        "reply_to_person",
        "topic_chatter",
        "edit",
        "own_message",
        "other_bot",
        "channel_post",
        "automatic_forward",
        "command_at_other_bot",
        "command_unknown_in_group",
        "joined",
        "callback",
        "reaction",
        "blocked",
    ],
)
def test_what_is_not(name: str) -> None:
    assert parse(payload(name), ME) is None


@pytest.mark.parametrize("name", ["/forget", "/new", "/Stop"])
def test_what_erases_or_interrupts_must_be_for_us_by_name_in_a_group(name: str) -> None:
    def said(text: str, **fields: Any) -> dict[str, Any]:
        update = payload("command_bare_in_group")
        length = len(text.split()[0])
        entities = [{"type": "bot_command", "offset": 0, "length": length}]
        update["message"] |= {"text": text, "entities": entities} | fields
        return update

    assert parse(said(name), ME, continues=lambda message: True) is None
    asked = bare(said(name), ME)
    assert asked
    assert (asked.name, asked.person, asked.message_id) == (name.lower(), "telegram:-:1001", 35)
    for update in (
        said(f"{name}@RapportTestBot"),
        said(name, reply_to_message=payload("reply_to_bot")["message"]["reply_to_message"]),
        said(name, chat=payload("direct")["message"]["chat"]),
    ):
        found = parse(update, ME)
        assert found
        assert found.text == name.lower()
        assert bare(update, ME) is None
    for text in (f"{name}@OtherBot", "/help", f"well {name}"):
        assert bare(said(text), ME) is None


def test_other_bots_are_heard_if_settings_say_so() -> None:
    assert event("other_bot", other_bots=True).text == "hello bot"
    assert parse(payload("own_message"), ME, other_bots=True) is None


def test_a_topic_is_a_thread() -> None:
    address = event("topic_mention").address
    assert (address.space, address.thread, address.direct) == ("-1002000000002", "77", False)
    address = event("private_topic").address
    assert (address.space, address.thread, address.direct) == ("1001", "5", True)
    assert event("reply_thread").address.thread is None  # a chain of answers is no topic
    update = payload("topic_mention")
    update["message"]["message_thread_id"] = 1
    general = parse(update, ME)
    assert general
    assert general.address.thread is None


def test_an_anonymous_administrator_is_the_group() -> None:
    found = event("anonymous_admin")
    assert (found.user, found.user_name, found.text) == (GROUP, "Testers", "status?")


@pytest.mark.parametrize(
    ("name", "text"),
    [("command", "/mood"), ("command_with_argument", "/help new"), ("command_start", "/help")],
)
def test_commands(name: str, text: str) -> None:
    assert event(name).text == text


@pytest.mark.parametrize(
    ("name", "text", "attachment"),
    [
        ("photo", "What do you make of **this**?", Attachment(kind="image")),
        ("voice", "", Attachment(kind="voice note", seconds=12)),
        ("document", "", Attachment(kind="file", name="report.pdf")),
        ("sticker", "", Attachment(kind="sticker", name="🥳")),
        ("location", "", Attachment(kind="location")),
        ("venue", "", Attachment(kind="location", name="Opera")),
        ("animation", "", Attachment(kind="GIF", name="cat.mp4", seconds=3)),
    ],
)
def test_attachments(name: str, text: str, attachment: Attachment) -> None:
    found = event(name)
    assert (found.text, found.attachments) == (text, (attachment,))


def test_parts_of_something_larger_wait_for_the_rest() -> None:
    assert event("album_part").quiet_s == 1.0
    assert event("long").quiet_s == 1.0
    update = payload("group_chatter")
    assert parse(update, ME, continues=lambda message: bool(message["message_id"] == 23))


def test_formatting_becomes_markdown() -> None:
    assert event("emoji").text == "😀 I am 🧑‍🚀 **happy** 🇳🇴 *today*"
    assert event("formatted").text == (
        "😀 **Bold** *italic* ***both*** under ~~gone~~ spoiler `code` and [a link](https://example.org/a?b=1&c=2)\n"
        "```python\nprint('x')\n```\n> quoted\n> lines\nplain https://example.org @carol #tag"
    )


def test_marks_stand_at_words_and_backticks_are_kept() -> None:
    def told(text: str, *entities: dict[str, Any]) -> str:
        return to_markdown(text, entities, lambda whole, span: False)

    assert told("a  b  c", {"type": "bold", "offset": 1, "length": 4}) == "a  **b**  c"
    assert told("a`b", {"type": "code", "offset": 0, "length": 3}) == "``a`b``"
    assert told("`b", {"type": "code", "offset": 0, "length": 2}) == "`` `b ``"
    assert told("x```y", {"type": "pre", "offset": 1, "length": 4}) == "x\n````\n```y\n````"
    outside = {"type": "bold", "offset": 1, "length": 9}
    assert told("ab", outside) == "ab"


@given(st.text(), st.lists(st.tuples(st.integers(-3, 40), st.integers(-3, 40))))
def test_marks_that_markdown_lacks_change_nothing(text: str, places: list[tuple[int, int]]) -> None:
    entities = [{"type": "underline", "offset": offset, "length": length} for offset, length in places]
    assert to_markdown(text, entities, lambda whole, span: False) == text


KINDS = ["bold", "italic", "strikethrough", "text_link", "underline", "blockquote", "code", "pre", "mention"]
ENTITY = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS), "offset": st.integers(0, 30), "length": st.integers(1, 30)}
)


@given(st.text(max_size=30), st.lists(ENTITY, max_size=8))
def test_no_character_of_the_text_is_lost(text: str, entities: list[dict[str, Any]]) -> None:
    told = to_markdown(text, entities, lambda whole, span: False)
    kept = iter(told)
    assert all(character in kept for character in "".join(text.split()))


@given(st.text(), st.text())
def test_offsets_count_utf16_units(before: str, inside: str) -> None:
    inside = f"x{inside}x"
    units = [len(part.encode("utf-16-le", "surrogatepass")) // 2 for part in (before, inside)]
    entity = {"type": "bold", "offset": units[0], "length": units[1]}
    assert to_markdown(f"{before}{inside}!", [entity], lambda whole, span: False) == f"{before}**{inside}**!"


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_a_bad_payload_raises_what_is_documented(body: Any) -> None:
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
        parse({"update_id": 1, "message": body}, ME)


def test_feedback() -> None:
    reply = "0123456789abcdef0123456789abcdef"
    assert pressed(payload("callback")) == Pressed("4382bfdwdsb323b2d9", "1001", reply, "up", (), "1001", "41", True)
    assert pressed(payload("callback_foreign")) is None
    assert pressed(payload("direct")) is None
    assert reacted(payload("reaction")) == Reacted("1001", "up", (), GROUP, "19")
    assert reacted(payload("reaction_removed")) == Reacted("1001", None, ("down",), GROUP, "19")
    for name in ("reaction_neutral", "reaction_anonymous", "direct"):
        assert reacted(payload(name)) is None


@pytest.mark.parametrize(
    ("old", "new", "verdict", "withdrawn"),
    [
        ("❤", "🤔", None, ("up",)),
        ("🤔", "", None, None),
        ("❤", "👎", "down", ("up",)),
        ("🤔", "👍", "up", ()),
        ("👍", "🔥", None, None),
        ("❤", "❤👎", "down", ()),
        ("❤👎", "❤", "up", ("down",)),
        ("❤👎", "🤔", None, ("up", "down")),
    ],
)
def test_what_a_change_of_reactions_says(
    old: str, new: str, verdict: str | None, withdrawn: tuple[str, ...] | None
) -> None:
    update = payload("reaction")
    for key, emoji in (("old_reaction", old), ("new_reaction", new)):
        update["message_reaction"][key] = [{"type": "emoji", "emoji": one} for one in emoji]
    found = reacted(update)
    assert (found and (found.verdict, found.withdrawn)) == (None if withdrawn is None else (verdict, withdrawn))


def test_a_button_takes_back_what_it_shows() -> None:
    update = payload("callback")
    taken = {}
    for word in ("not-up", "not-down", "none"):
        update["callback_query"]["data"] = f"{word}:0123456789abcdef"
        found = pressed(update)
        assert found
        assert found.verdict is None
        taken[word] = found.withdrawn
    assert taken == {"not-up": ("up",), "not-down": ("down",), "none": ("up", "down")}


def test_the_keyboard_shows_the_choice_and_fits_the_platform() -> None:
    reply = "f" * 32
    assert keyboard(reply) == [[("👍", f"up:{reply}"), ("👎", f"down:{reply}")]]
    assert keyboard(reply, "down") == [[("👍", f"up:{reply}"), ("👎 ✓", f"not-down:{reply}")]]
    assert all(len(data.encode()) <= 64 for _, data in keyboard(reply)[0])
