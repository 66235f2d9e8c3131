"""Parts, progress and budget, on a real Redis; the network is a list that fails as it is told."""

import itertools
from datetime import datetime

import pytest

from channels.delivery import Delivery, Message, MessageGone
from channels.text import Part, split, within
from core import settings
from core.dialogue import Address
from core.errors import DeliveryLater, DeliveryRefused, DeliveryUnsure, LeaseLost, StoreUnavailable
from core.events import Draft, Reply
from core.store import Bucket, Store

ADDRESS = Address(channel="list", space="ada")
EVERYWHERE = Bucket("all", per_s=1000, burst=100)
LONG = "First part here.\n\nSecond part here.\n\nThird part here."


class Wall:
    """What people see: messages by id. ``trouble`` holds what the next calls do: an error, before or after they act."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}
        self.calls: list[str] = []
        self.trouble: list[tuple[str, Exception]] = []
        self.messages: list[Message] = []
        self.findable = True
        self.can_tell = True
        self.since: list[datetime] = []
        self._ids = itertools.count(1)
        self._keys: dict[str, str] = {}

    def split(self, text: str) -> list[Part]:
        return split(text, within(20))

    def budget(self, message: Message, *, editing: bool) -> list[Bucket]:
        return [Bucket("wall", per_s=1000, burst=100), EVERYWHERE]

    async def post(self, message: Message) -> str:
        self._fail("before post")
        number = f"m{next(self._ids)}"
        self.shown[number] = ("again: " if message.repeated else "") + message.shown
        self._keys[message.key] = number
        self.calls.append("post")
        self.messages.append(message)
        self._fail("after post")
        return number

    async def edit(self, message_id: str, message: Message) -> None:
        self._fail("before edit")
        if message_id not in self.shown:
            raise MessageGone("deleted")
        self.shown[message_id] = message.shown
        self.calls.append("edit")
        self.messages.append(message)

    async def delete(self, message_id: str, message: Message) -> None:
        self._fail("before delete")
        del self.shown[message_id]
        self.calls.append("delete")

    async def find(self, message: Message, since: datetime) -> str | None:
        self.calls.append("find")
        self.since.append(since)
        return self._keys.get(message.key) if self.findable else None

    def _fail(self, when: str) -> None:
        if self.trouble and self.trouble[0][0] == when:
            raise self.trouble.pop(0)[1]


@pytest.fixture
def store(redis_url: str) -> Store:
    return Store(redis_url, settings.load(), lambda person: "wake")


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def delivery(wall: Wall, store: Store) -> Delivery:
    return Delivery(wall, store, "list")


def reply(text: str = LONG, number: str = "r" * 32) -> Reply:
    return Reply(id=number, address=ADDRESS, text=text, in_reply_to=("e1",), person="p", finish_reason="stop")


def draft(text: str, number: str = "r" * 32) -> Draft:
    return Draft(reply_id=number, address=ADDRESS, in_reply_to=("e1",), text=text)


def texts(wall: Wall) -> list[str]:
    return list(wall.shown.values())


PARTS = ["First part here.", "Second part here.", "Third part here."]


async def test_a_long_reply_arrives_in_parts_in_order(delivery: Delivery, wall: Wall, store: Store) -> None:
    await delivery.send(reply())
    assert texts(wall) == PARTS
    assert [message.last for message in wall.messages] == [False, False, True]
    assert len({message.key for message in wall.messages}) == 3
    assert all(len(message.key) <= 25 for message in wall.messages)
    assert store.notes("list").get("reply:ada:m2") == "r" * 32


async def test_whoever_sends_it_again_sends_only_what_is_missing(delivery: Delivery, wall: Wall, store: Store) -> None:
    wall.trouble = [("before post", DeliveryLater("wait", 1))]
    with pytest.raises(DeliveryLater):
        await delivery.send(reply())
    await delivery.send(reply())
    again = Delivery(wall, store, "list")
    await again.send(reply())
    assert texts(wall) == PARTS
    assert wall.calls == ["post"] * 3


@pytest.mark.parametrize("when", ["before post", "after post"])
async def test_what_may_have_arrived_is_looked_for(wall: Wall, store: Store, when: str) -> None:
    wall.trouble = [(when, DeliveryUnsure("no answer"))]
    with pytest.raises(DeliveryUnsure):
        await Delivery(wall, store, "list").send(reply())
    await Delivery(wall, store, "list").send(reply())
    assert [text.removeprefix("again: ") for text in texts(wall)] == PARTS
    assert wall.calls.count("find") == 1


async def test_where_it_cannot_be_found_it_is_repeated_once_and_marked(wall: Wall, store: Store) -> None:
    wall.findable = wall.can_tell = False
    wall.trouble = [("after post", DeliveryUnsure("no answer"))]
    with pytest.raises(DeliveryUnsure):
        await Delivery(wall, store, "list").send(reply())
    await Delivery(wall, store, "list").send(reply())
    assert texts(wall) == [PARTS[0], f"again: {PARTS[0]}", *PARTS[1:]]


async def test_a_doubt_outlives_a_refusal(wall: Wall, delivery: Delivery) -> None:
    wall.findable = wall.can_tell = False
    wall.trouble = [("after post", DeliveryUnsure("no answer")), ("before post", DeliveryLater("flood", 0.01))]
    for error in (DeliveryUnsure, DeliveryLater):
        with pytest.raises(error):
            await delivery.send(reply())
    await delivery.send(reply())
    assert texts(wall) == [PARTS[0], f"again: {PARTS[0]}", *PARTS[1:]]


async def test_a_repeat_stays_marked_when_it_is_changed(wall: Wall, store: Store) -> None:
    wall.findable = wall.can_tell = False
    wall.trouble = [("after post", DeliveryUnsure("no answer"))]
    with pytest.raises(DeliveryUnsure):
        await Delivery(wall, store, "list").draft(draft("First"))
    await Delivery(wall, store, "list").draft(draft("First part"))
    await Delivery(wall, store, "list").send(reply("First part here."))
    assert [message.repeated for message in wall.messages] == [False, True, True]


async def test_one_doubt_costs_one_repeat_and_there_are_three_at_most(wall: Wall, delivery: Delivery) -> None:
    wall.findable = wall.can_tell = False
    wall.trouble = [("after post", DeliveryUnsure("no answer")) for _ in range(4)]
    for error in (*[DeliveryUnsure] * 4, DeliveryRefused):
        with pytest.raises(error):
            await delivery.send(reply("Hello."))
    assert texts(wall) == ["Hello.", *["again: Hello."] * 3]
    await delivery.send(reply("Hello."))  # as somebody wants it to be tried again
    assert texts(wall) == ["Hello.", *["again: Hello."] * 4]


async def test_who_may_send_no_more_posts_and_edits_nothing(wall: Wall, delivery: Delivery, store: Store) -> None:
    await delivery.draft(draft("First"))
    store.outbox("list").lead("another")
    with pytest.raises(LeaseLost):
        await delivery.send(reply("First part here."))
    with pytest.raises(LeaseLost):
        await delivery.send(reply("Other.", "o" * 32))
    assert texts(wall) == ["First"]


async def test_what_another_process_has_sent_meanwhile_is_known(wall: Wall, delivery: Delivery, store: Store) -> None:
    await delivery.draft(draft("First"))
    await Delivery(wall, store, "list").send(reply("First part here."))
    await delivery.draft(draft("First part"))
    await delivery.send(reply("First part here."))
    assert texts(wall) == ["First part here."]
    assert wall.calls == ["post", "edit"]


async def test_a_mark_that_could_not_be_written_is_no_doubt(
    wall: Wall, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall.findable = wall.can_tell = False
    mark = delivery._parts.mark

    def noted_but_no_answer(*args: object) -> None:
        mark(*args)  # type: ignore[arg-type]
        monkeypatch.undo()
        raise StoreUnavailable("away")

    monkeypatch.setattr(delivery._parts, "mark", noted_but_no_answer)
    with pytest.raises(StoreUnavailable):
        await delivery.send(reply("Hello."))
    await delivery.send(reply("Hello."))
    assert texts(wall) == ["Hello."]


async def test_a_refusal_is_no_doubt(wall: Wall, delivery: Delivery) -> None:
    wall.trouble = [("before post", DeliveryRefused("blocked"))]
    with pytest.raises(DeliveryRefused):
        await delivery.send(reply())
    await delivery.send(reply())
    assert texts(wall) == PARTS
    assert "find" not in wall.calls


async def test_a_flood_holds_all_processes(delivery: Delivery, wall: Wall, store: Store) -> None:
    wall.trouble = [("before post", DeliveryLater("flood", 30, flood=True))]
    with pytest.raises(DeliveryLater):
        await delivery.send(reply())
    assert 29 < store.pace("list").take(wall.budget(wall_message(), editing=False)) <= 31


async def test_a_flood_everywhere_holds_all_places(delivery: Delivery, wall: Wall, store: Store) -> None:
    wall.trouble = [("before post", DeliveryLater("flood", 30, flood=True, everywhere=True))]
    with pytest.raises(DeliveryLater):
        await delivery.send(reply())
    assert store.pace("list").take([EVERYWHERE]) > 29


async def test_a_doubt_is_as_old_as_its_first_attempt(delivery: Delivery, wall: Wall) -> None:
    wall.findable = False
    wall.trouble = [("after post", DeliveryUnsure("no answer")), ("before post", DeliveryUnsure("no answer"))]
    for _ in range(2):
        with pytest.raises(DeliveryUnsure):
            await delivery.send(reply())
    await delivery.send(reply())
    assert len(wall.since) == 2
    assert len(set(wall.since)) == 1


async def test_redis_away_after_the_post_is_no_doubt_for_who_posted(
    delivery: Delivery, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, times = delivery._parts, itertools.count()
    save = parts.save

    def away(*args: object) -> None:
        if next(times) == 1:
            raise StoreUnavailable("away")
        save(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(parts, "save", away)
    with pytest.raises(StoreUnavailable):
        await delivery.send(reply())
    await delivery.send(reply())
    assert texts(wall) == PARTS
    assert wall.calls == ["post"] * 3


async def test_an_empty_reply_is_refused(delivery: Delivery) -> None:
    with pytest.raises(DeliveryRefused, match="empty"):
        await delivery.send(reply(" \n"))


async def test_what_shows_nothing_is_no_draft_yet_but_a_reply_all_the_same(delivery: Delivery, wall: Wall) -> None:
    await delivery.draft(draft("\u200b"))
    assert texts(wall) == []
    await delivery.send(reply("\u200b"))
    assert texts(wall) == ["\u200b"]


async def test_only_replies_of_the_model_are_rated(delivery: Delivery, wall: Wall) -> None:
    await delivery.send(reply("yes"))
    await delivery.send(reply("list", "c" * 32).model_copy(update={"finish_reason": "command"}))
    assert [message.rateable for message in wall.messages] == [True, False]


def wall_message() -> Message:
    return Message(ADDRESS, "r", 0, "t", "t", True, True, ("e1",))
