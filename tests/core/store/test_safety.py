"""What the commit does for safety: the note to a person, and the counters."""

import pytest

from core import settings
from core.dialogue import Address
from core.errors import LeaseLost
from core.events import MessageEvent, Reply, reply_id
from core.store import Claim, Store, keys
from tests.waiting import eventually

ADDRESS = Address(channel="test", space="ada")
PERSON = "test:-:ada"
DESK = Address(channel="desk", space="1", direct=False)


@pytest.fixture
def store(redis_url: str) -> Store:
    return Store(redis_url, settings.load(), lambda person: f"wake {person}")


def claim(store: Store, number: int, user: str = "ada") -> Claim:
    store.inbox.accept(MessageEvent(id=f"e{number}", address=ADDRESS, user=user, text=f"text {number}"))
    taken = store.inbox.claim(f"test:-:{user}", "w1")
    assert taken
    return taken


def answer(store: Store, taken: Claim, *, note: bool = True, erase: bool = False, pause_s: int = 3600) -> None:
    event = taken.events[0]
    reply = Reply(id=reply_id([event.id]), address=ADDRESS, text="yes", in_reply_to=(event.id,), person=taken.person)
    notice = Reply(id=f"n{event.id}", address=DESK, text="look after them", in_reply_to=(), person=taken.person)
    store.inbox.commit(
        taken,
        1,
        (),
        reply,
        erase=erase,
        go_on=False,
        decisions=("crisis suicide",) if note else ("abuse", "refused slur"),
        notice=notice if note else None,
        notice_pause_s=pause_s,
    )


def notes(store: Store) -> list[str]:
    return [Reply.model_validate_json(fields["reply"]).id for _, fields in store.redis.xrange(keys.outbox("desk"))]


def test_the_note_goes_into_the_outbox_that_the_settings_name(store: Store) -> None:
    answer(store, claim(store, 1))
    assert notes(store) == ["ne1"]
    assert store.redis.xlen(keys.outbox("test")) == 1


def test_one_note_about_a_person_in_a_while(store: Store) -> None:
    for number in (1, 2):
        answer(store, claim(store, number))
    answer(store, claim(store, 3, "bob"))
    assert notes(store) == ["ne1", "ne3"]
    assert store.counts.all() == {"crisis suicide": 3, "note held back": 1, "note sent": 2}
    assert 0 < store.redis.ttl(keys.told(PERSON)) <= 3600
    store.redis.pexpire(keys.told(PERSON), 1)  # as if time had passed
    eventually(lambda: not store.redis.exists(keys.told(PERSON)))
    answer(store, claim(store, 4))
    assert notes(store) == ["ne1", "ne3", "ne4"]


def test_a_commit_that_was_applied_or_lost_tells_nobody_again(store: Store) -> None:
    taken = claim(store, 1)
    answer(store, taken)
    store.redis.delete(keys.told(PERSON))
    with pytest.raises(LeaseLost):
        answer(store, taken)
    late = claim(store, 2)
    store.inbox.break_leases("w1")
    with pytest.raises(LeaseLost):
        answer(store, late)
    assert notes(store) == ["ne1"]
    assert store.counts.all() == {"crisis suicide": 1, "note sent": 1}


def test_decisions_are_counted_without_a_note(store: Store) -> None:
    for number in (1, 2):
        answer(store, claim(store, number), note=False)
    assert store.counts.all() == {"abuse": 2, "refused slur": 2}
    assert notes(store) == []


def test_nothing_about_a_person_is_left_after_forget(store: Store) -> None:
    answer(store, claim(store, 1))
    answer(store, claim(store, 2), note=False, erase=True)
    assert not store.redis.exists(keys.told(PERSON))
    assert not any("ada" in decision for decision in store.counts.all())
