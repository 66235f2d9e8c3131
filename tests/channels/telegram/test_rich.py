"""Messages that clients send in blocks, and messages of kinds that we do not know."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.telegram.attachments import SERVICE, UNKNOWN
from channels.telegram.parse import parse
from channels.telegram.rich import UNREADABLE, read
from core.attachments import confession
from core.events import Attachment, MessageEvent
from tests.channels.telegram.conftest import Listening
from tests.channels.telegram.test_parse import ME, event, payload
from tests.platforms.telegram import NAME, TelegramDouble
from tests.waiting import until

MENTION = {"type": "mention", "text": f"@{NAME}", "username": NAME}


def paragraph(*text: Any) -> dict[str, Any]:
    return {"type": "paragraph", "text": list(text)}


def in_group(*blocks: dict[str, Any]) -> MessageEvent | None:
    update = payload("rich_group_mention")
    update["message"]["rich_message"]["blocks"] = list(blocks)
    return parse(update, ME)


def test_blocks_become_markdown() -> None:
    found = event("rich")
    assert (
        found.text
        == f"""## My week

It was **hard**, see [this page](https://example.org/a) 😀 `x=1`

- sleep
  1. early
  2. long
- a *walk*

- [x] done
- [ ] to do

| day | mood |
| --- | --- |
| Monday | **low** |
| Tuesday |  |

Moods

```python
print('x')
```

> one
>{" "}
> two
> — Bob

**More**

hidden

---

$$a^2$$

the hill
— me

from tomorrow

{UNREADABLE}"""
    )
    assert found.attachments == (Attachment(kind="image"), Attachment(kind="voice note", seconds=12))


def test_a_mention_in_a_rich_message_counts_and_goes() -> None:
    assert event("rich_group_mention").text == "what is missing?\n\n- bread\n- milk"
    assert parse(payload("rich_group_chatter"), ME) is None
    named = {"type": "text_mention", "text": "Rapport", "user": {"id": ME.id}}
    cell = {"type": "table", "cells": [[{"text": ["for ", {"type": "bold", "text": named}]}]]}
    for block in (paragraph({"type": "bold", "text": MENTION}, " hi"), paragraph(f"hi @{NAME.lower()}"), cell):
        assert in_group(block)


def test_a_command_in_a_rich_message() -> None:
    found = in_group(paragraph({"type": "bot_command", "text": f"/help@{NAME}", "bot_command": "/help"}, " mood"))
    assert found
    assert found.text == "/help mood"
    assert in_group(paragraph("/help@OtherBot"), paragraph(MENTION)) is None
    bare = in_group(paragraph("/help"), {"type": "divider"})
    assert bare
    assert bare.text.startswith("/help")
    assert in_group(paragraph({"type": "code", "text": f"/help@{NAME}"})) is None


def test_blocks_are_preferred_to_a_text_that_holds_less() -> None:
    update = payload("rich_group_mention")
    update["message"]["text"] = "This message is not supported by your version of Telegram"
    found = parse(update, ME)
    assert found
    assert found.text.startswith("what is missing?")


@pytest.mark.parametrize("blocks", [None, "x", [3], [{"type": "heading", "text": "x", "size": "y"}], []])
def test_what_cannot_be_read_at_all_is_said(blocks: Any) -> None:
    update = payload("rich")
    update["message"]["rich_message"] = {"blocks": blocks}
    found = parse(update, ME)
    assert found
    assert found.attachments == (UNKNOWN,)


def test_depth_has_an_end() -> None:
    block: dict[str, Any] = paragraph("x")
    text: Any = "x"
    for _ in range(5000):
        block, text = {"type": "details", "summary": "s", "blocks": [block]}, {"type": "bold", "text": text}
    assert UNREADABLE in read({"blocks": [block]}).text
    assert UNREADABLE in read({"blocks": [paragraph(text)]}).text


TEXT: st.SearchStrategy[Any] = st.recursive(
    st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries({"type": st.sampled_from(["bold", "url", "spoiler", "glowing"]), "text": inner})
    ),
    max_leaves=6,
)
BLOCK: st.SearchStrategy[Any] = st.recursive(
    st.fixed_dictionaries({"type": st.sampled_from(["paragraph", "heading", "pre", "footer", "new"]), "text": TEXT}),
    lambda inner: (
        st.fixed_dictionaries(
            {"type": st.sampled_from(["blockquote", "details", "collage", "new"])}
            | {"blocks": st.lists(inner, max_size=3), "summary": TEXT}
        )
        | st.fixed_dictionaries(
            {"type": st.just("list")}
            | {"items": st.lists(st.fixed_dictionaries({"label": st.just("•"), "blocks": st.lists(inner, max_size=2)}))}
        )
        | st.fixed_dictionaries(
            {"type": st.just("table"), "cells": st.lists(st.lists(st.fixed_dictionaries({"text": TEXT}), max_size=2))}
        )
    ),
    max_leaves=5,
)


def words(part: Any, key: str = "") -> str:
    """Every text in it, in order."""
    if isinstance(part, str):
        return part if key in ("text", "summary") else ""
    if isinstance(part, dict):
        inside = {name: part[name] for name in ("summary", *part) if name in part}
        inside = inside if part.get("type") == "details" else {k: v for k, v in inside.items() if k != "summary"}
        return "".join(words(value, name) for name, value in inside.items())
    return "".join(words(one, key) for one in part)


@given(st.lists(BLOCK, max_size=4))
def test_no_character_of_a_rich_message_is_lost(blocks: list[Any]) -> None:
    kept = iter(read({"blocks": blocks}).text)
    assert all(character in kept for character in "".join(words(blocks).split()))


@given(st.recursive(st.none() | st.integers() | st.text(), lambda i: st.lists(i) | st.dictionaries(st.text(), i)))
def test_a_bad_rich_message_raises_what_is_documented(body: Any) -> None:
    with contextlib.suppress(KeyError, TypeError, AttributeError):
        read({"blocks": [{"type": "paragraph", "text": body}, body]})


@pytest.mark.parametrize(("name", "kind"), [("gift", "gift"), ("unknown_kind", UNKNOWN.kind)])
def test_no_kind_of_message_is_passed_over(name: str, kind: str) -> None:
    found = event(name)
    assert (found.text, found.attachments) == ("", (Attachment(kind=kind),))


def test_a_message_of_which_nothing_came_through_is_answered_too() -> None:
    update = payload("direct")
    del update["message"]["text"]
    found = parse(update, ME)
    assert found
    assert found.attachments == (UNKNOWN,)
    assert confession(found.attachments, alone=True).startswith("Thank you. I only read text, so I cannot open your ")


@pytest.mark.parametrize("field", sorted(SERVICE))
def test_what_telegram_itself_tells_is_no_message(field: str) -> None:
    update = payload("direct")
    del update["message"]["text"]
    update["message"][field] = {"type": "x"}
    assert parse(update, ME) is None


async def test_a_list_and_what_nobody_knows_are_heard(double: TelegramDouble, listening: Listening) -> None:
    blocks = payload("rich_group_mention")["message"]["rich_message"]["blocks"]
    double.say("", fields={"rich_message": {"blocks": blocks[1:]}})
    double.say("", place="group", mention=False, fields={"rich_message": {"blocks": blocks}})
    double.say("", fields={"hologram": {}})
    double.say("", fields={"new_chat_title": "Testers"})
    double.say("last")
    await until(lambda: "last" in listening.texts)
    assert listening.texts == ["- bread\n- milk", "what is missing?\n\n- bread\n- milk", "", "last"]
    assert listening.events[2].attachments == (UNKNOWN,)
