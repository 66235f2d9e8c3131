"""Dead letters: written with what gives up, replayed once, bounded, erased."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from core import settings
from core.dialogue import Address, Turn
from core.events import Letter, MessageEvent, Reply, event_of, reply_id, reply_of
from core.store import Claim, Store, keys
from core.store.dead import oldest

ADDRESS = Address(channel="test", space="ada")
PERSON = "test:-:ada"
MakeStore = Callable[..., Store]


@pytest.fixture
def make_store(redis_url: str) -> MakeStore:
    def make(**letters: object) -> Store:
        base = settings.load()
        changed = base.model_copy(update={"dead_letters": base.dead_letters.model_copy(update=letters)})
        return Store(redis_url, changed, lambda person: f"wake {person}")

    return make


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    return make_store()


def bury(store: Store, number: int, person: str = PERSON, entry: str = "*") -> None:
    reply = Reply(id=f"r{number}", address=ADDRESS, text="t", in_reply_to=("e",), person=person)
    store.redis.xadd(keys.outbox("test"), {"reply": reply.model_dump_json()}, id=entry)
    refuse(store)


def refuse(store: Store, reason: str = "the bot was blocked") -> None:
    outbox = store.outbox("test")
    outbox.open()
    for delivery in outbox.read("one", 10):
        outbox.bury(delivery, reason)


def claim(store: Store) -> Claim:
    taken = store.inbox.claim(PERSON, "w1")
    assert taken
    return taken


def give_up(store: Store, *ids: str) -> None:
    """As a worker does after its last attempt at these messages."""
    for one in ids:
        store.inbox.accept(MessageEvent(id=one, address=ADDRESS, user="ada", text=f"text {one}"))
    store.inbox.defer(claim(store), 0, why="GenerationFailed: \n it\tbroke " + "x" * 999)
    taken = claim(store)
    turns = [Turn(role="user", text=e.text, at=e.sent_at, address=ADDRESS, failed=True) for e in taken.events]
    sorry = Reply(id=reply_id(ids), address=ADDRESS, text="sorry", in_reply_to=ids, person=PERSON)
    store.inbox.commit(taken, len(ids), turns, sorry, erase=False, go_on=True, unanswered=True)


def only(store: Store) -> Letter:
    (letter,) = store.letters.all()
    return letter


def outbox_ids(store: Store) -> list[str]:
    found = store.redis.xrange(keys.outbox("test"))
    return [reply.id for _, fields in found if (reply := reply_of(fields["reply"]))]


def test_a_message_without_an_answer_is_kept_with_the_reason(store: Store) -> None:
    give_up(store, "e1", "e2")
    letter = only(store)
    assert letter.reason.startswith("no answer after 1 attempts: GenerationFailed: it broke xxx")
    assert len(letter.reason) < 300
    assert [event.id for raw in letter.events if (event := event_of(raw))] == ["e1", "e2"]
    assert not store.redis.exists(keys.trouble(PERSON))


def test_a_replayed_message_is_answered_under_another_name_and_stands_in_the_history_once(store: Store) -> None:
    give_up(store, "e1", "e2")
    letter = only(store)
    store.redis.delete(keys.QUEUE)
    assert store.letters.replay(letter)
    assert not store.letters.replay(letter), "it is gone already"
    assert store.people.history(PERSON) == []
    assert store.redis.lrange(keys.QUEUE, 0, -1) == [f"wake {PERSON}"]
    taken = claim(store)
    assert [event.id for event in taken.events] == ["e1", "e2"]
    assert [event.again for event in taken.events] == [1, 1]
    assert reply_id(["e1"], taken.events[0].again) not in outbox_ids(store), "the apology has the other name"
    assert taken.attempt == 1
    assert store.letters.all() == []


def test_a_network_that_repeats_a_replayed_message_is_not_heard_twice(store: Store) -> None:
    give_up(store, "e1")
    store.letters.replay(only(store))
    assert store.inbox.accept(MessageEvent(id="e1", address=ADDRESS, user="ada", text="text e1")) == "duplicate"


def test_a_message_that_comes_between_keeps_its_place_before_a_replayed_one(store: Store) -> None:
    give_up(store, "e1")
    store.inbox.accept(MessageEvent(id="e2", address=ADDRESS, user="ada", text="x"))
    store.letters.replay(only(store))
    assert [event.id for event in claim(store).events] == ["e2", "e1"]


def test_a_replayed_reply_goes_out_under_its_own_name_once(store: Store) -> None:
    bury(store, 1)
    letter = only(store)
    assert (letter.outbox, letter.person, letter.reason) == ("test", PERSON, "the bot was blocked")
    assert store.letters.replay(letter)
    assert not store.letters.replay(letter)
    assert outbox_ids(store) == ["r1"]
    assert store.letters.all() == []


def test_a_reply_that_fails_again_is_as_old_as_it_was(store: Store) -> None:
    bury(store, 1)
    first = only(store)
    store.letters.replay(first)
    refuse(store)
    second = only(store)
    assert second.id != first.id
    assert second.since == first.at
    assert oldest(second) == oldest(first)


def test_a_reply_is_as_old_as_when_it_was_written(store: Store) -> None:
    bury(store, 1, entry="1767323040000-0")
    for _ in range(2):
        assert oldest(only(store)) == datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "however late it was given up"
        store.letters.replay(only(store))
        refuse(store)


def test_the_outbox_of_a_single_process_is_not_kept_for_ever(store: Store) -> None:
    own = ADDRESS.model_copy(update={"via": "tty1"})
    reply = Reply(id="r", address=own, text="t", in_reply_to=("e",), person=PERSON)
    store.redis.xadd(keys.outbox("test.tty1"), {"reply": reply.model_dump_json()})
    outbox = store.outbox("test.tty1")
    outbox.open()
    (delivery,) = outbox.read("one", 10)
    outbox.bury(delivery, "gone")
    store.redis.delete(keys.outbox("test.tty1"))
    store.letters.replay(only(store))
    assert 0 < store.redis.ttl(keys.outbox("test.tty1")) <= 86400


@pytest.mark.parametrize("raw", ['{"id": "from the future", "person": "test:-:ada"}', "no json", "[]"])
def test_what_cannot_be_read_can_be_replayed_all_the_same(store: Store, raw: str) -> None:
    store.redis.xadd(keys.outbox("test"), {"reply": raw})
    refuse(store)
    letter = only(store)
    assert letter.person == (PERSON if "future" in raw else "")
    store.letters.replay(letter)
    (entry,) = store.redis.xrange(keys.outbox("test"))
    assert entry[1]["reply"] == raw
    store.redis.rpush(keys.inbox(PERSON), raw)
    assert store.inbox.claim(PERSON, "w1") is None
    (letter,) = [one for one in store.letters.all() if one.reason == "the event cannot be read"]
    store.letters.replay(letter)
    assert store.redis.llen(keys.inbox(PERSON)) == 1


def test_only_so_many_are_kept_and_all_are_counted(make_store: MakeStore) -> None:
    store = make_store(keep=3)
    for number in range(5):
        bury(store, number)
    assert [json.loads(letter.reply or "")["id"] for letter in store.letters.all()] == ["r2", "r3", "r4"]
    assert store.letters.count() == (3, 5)


def test_old_ones_are_erased_by_the_sweep(make_store: MakeStore) -> None:
    bury(make_store(), 1)
    make_store(keep_days=0.01).inbox.sweep()
    assert make_store().letters.count() == (1, 1)
    make_store(keep_days=1e-9).inbox.sweep()
    assert make_store().letters.count() == (0, 1)


def test_a_person_takes_theirs_along_and_leaves_the_others(store: Store) -> None:
    bury(store, 1)
    bury(store, 2, "test:-:bob")
    give_up(store, "e1")
    assert len(store.letters.of(PERSON)) == 2
    assert store.letters.drop(PERSON) == 2
    assert only(store).person == "test:-:bob"


def test_a_letter_that_cannot_be_read_is_still_its_persons_and_can_be_erased(store: Store) -> None:
    bury(store, 1)
    for raw in (f'{{"person": "{PERSON}", "something": "else"}}', "no json", "[]"):
        store.redis.xadd(keys.DEAD, {"letter": raw})
    store.redis.xadd(keys.DEAD, {"other": "field"})
    assert [letter.reason for letter in store.letters.all()] == ["the bot was blocked"] + [
        "the letter cannot be read"
    ] * 4
    for letter in store.letters.all()[1:]:
        with pytest.raises(ValueError, match="names no outbox"):
            store.letters.replay(letter)
    assert store.letters.drop(PERSON) == 2
    assert store.letters.purge(store.letters.all()) == 3
    assert store.letters.count() == (0, 1)
