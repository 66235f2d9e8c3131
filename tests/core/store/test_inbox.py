"""The guarantees of the path, one by one, on a real Redis."""

from collections.abc import Callable

import pytest

from core import settings
from core.dialogue import Address, Turn
from core.errors import LeaseLost, SettingsError, StoreUnavailable
from core.events import MessageEvent, Reply, reply_id
from core.store import Claim, Refusal, Store, keys
from tests.waiting import eventually

ADDRESS = Address(channel="test", space="ada")
PERSON = "test:-:ada"
MakeStore = Callable[..., Store]


@pytest.fixture
def make_store(redis_url: str) -> MakeStore:
    def make(**inbox: object) -> Store:
        base = settings.load()
        changed = base.model_copy(update={"inbox": base.inbox.model_copy(update=inbox)})
        return Store(redis_url, changed, lambda person: f"wake {person}")

    return make


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    return make_store()


def event(number: int, user: str = "ada") -> MessageEvent:
    return MessageEvent(id=f"e{number}", address=ADDRESS, user=user, text=f"text {number}")


def answer(store: Store, claim: Claim, count: int = 1, *, go_on: bool = True, erase: bool = False) -> Claim | None:
    ids = tuple(one.id for one in claim.events[:count])
    reply = Reply(id=reply_id(ids), address=ADDRESS, text="yes", in_reply_to=ids, person=claim.person)
    turns = [Turn(role="user", text=one.text, at=one.sent_at, address=ADDRESS) for one in claim.events[:count]]
    return store.inbox.commit(claim, count, turns, reply, erase=erase, go_on=go_on)


def claim(store: Store, worker: str = "w1") -> Claim:
    taken = store.inbox.claim(PERSON, worker)
    assert taken is not None
    return taken


def wake_ups(store: Store) -> list[str]:
    return list(reversed(store.redis.lrange(keys.QUEUE, 0, -1)))


def take_wake_ups(store: Store) -> None:
    """As a worker does that dies before it claims."""
    store.redis.delete(keys.QUEUE)


def replies(store: Store) -> list[str]:
    return [fields["reply"] for _, fields in store.redis.xrange(keys.outbox("test"))]


def test_an_event_is_accepted_once(store: Store) -> None:
    assert store.inbox.accept(event(1)) == "accepted"
    assert store.inbox.accept(event(1)) == "duplicate"
    assert [one.id for one in claim(store).events] == ["e1"]
    assert wake_ups(store) == [f"wake {PERSON}"]


def test_an_answered_event_is_still_a_duplicate(store: Store) -> None:
    store.inbox.accept(event(1))
    answer(store, claim(store))
    assert store.inbox.accept(event(1)) == "duplicate"
    assert store.inbox.claim(PERSON, "w1") is None


def test_a_person_may_not_fill_the_store(make_store: MakeStore) -> None:
    store = make_store(max_waiting=2)
    assert [store.inbox.accept(event(n)) for n in range(3)] == ["accepted", "accepted", Refusal("full")]
    answer(store, claim(store), 2)
    assert store.inbox.accept(event(2)) == "accepted", "a refused event was never seen"


def test_only_one_worker_has_a_person(store: Store) -> None:
    store.inbox.accept(event(1))
    claim(store, "w1")
    assert store.inbox.claim(PERSON, "w2") is None


def test_nobody_is_woken_while_a_worker_is_at_it(store: Store) -> None:
    store.inbox.accept(event(1))
    first = claim(store)
    store.inbox.accept(event(2))
    assert len(wake_ups(store)) == 1
    following = answer(store, first)
    assert following is not None, "what arrived meanwhile is worked on without another wake-up"
    assert [one.id for one in following.events] == ["e2"]
    assert answer(store, following) is None
    assert store.redis.zcard(keys.WAITING) == 0


def test_commit_changes_everything_at_once(store: Store) -> None:
    store.inbox.accept(event(1))
    answer(store, claim(store))
    assert store.redis.llen(keys.inbox(PERSON)) == 0
    assert [turn.text for turn in store.people.history(PERSON)] == ["text 1"]
    assert len(replies(store)) == 1
    assert store.redis.exists(keys.lease(PERSON), keys.attempts(PERSON)) == 0


def test_a_worker_whose_lease_is_gone_writes_nothing(store: Store) -> None:
    store.inbox.accept(event(1))
    slow = claim(store, "slow")
    store.inbox.break_leases("slow")
    fast = claim(store, "fast")
    with pytest.raises(LeaseLost):
        answer(store, slow)
    assert replies(store) == []
    answer(store, fast)
    with pytest.raises(LeaseLost):
        answer(store, slow)
    assert len(replies(store)) == 1


def test_a_commit_that_is_sent_twice_counts_once(store: Store) -> None:
    store.inbox.accept(event(1))
    taken = claim(store)
    answer(store, taken)
    with pytest.raises(LeaseLost):
        answer(store, taken)
    assert len(replies(store)) == 1
    assert len(store.people.history(PERSON)) == 1


def test_a_commit_with_the_lease_kept_that_is_sent_twice_counts_once(store: Store) -> None:
    store.inbox.accept(event(1))
    taken = claim(store)
    store.inbox.accept(event(2))
    assert answer(store, taken) is not None
    with pytest.raises(LeaseLost):
        answer(store, taken)
    assert len(replies(store)) == 1


def test_a_lease_runs_out_and_the_sweeper_brings_the_person_back(make_store: MakeStore) -> None:
    store = make_store(lease_s=0.5)
    store.inbox.accept(event(1))
    claim(store, "dead")
    take_wake_ups(store)
    assert store.inbox.sweep() == 0
    eventually(lambda: store.inbox.sweep() == 1)
    assert wake_ups(store) == [f"wake {PERSON}"]
    assert store.inbox.sweep() == 0, "one wake-up at a time"
    assert claim(store, "w2").attempt == 2


def test_a_dead_workers_leases_are_broken_at_once(store: Store) -> None:
    store.inbox.accept(event(1))
    claim(store, "dead")
    assert store.inbox.break_leases("alive") == 0
    assert store.inbox.break_leases("dead") == 1
    take_wake_ups(store)
    assert store.inbox.sweep() == 1
    assert claim(store, "w2").events[0].id == "e1"


def test_a_lease_that_passed_on_is_not_broken(store: Store) -> None:
    store.inbox.accept(event(1))
    claim(store, "dead")
    store.redis.delete(keys.lease(PERSON))
    claim(store, "w2")
    assert store.inbox.break_leases("dead") == 0


def test_renewal_tells_what_became_of_each_lease(store: Store) -> None:
    for number, user in enumerate(("a", "b", "c")):
        store.inbox.accept(event(number, user))
    claims = [store.inbox.claim(f"test:-:{user}", "w1") for user in ("a", "b", "c")]
    store.redis.pexpire(keys.lease("test:-:a"), 100)
    store.redis.delete(keys.lease("test:-:b"))
    store.inbox.request_stop("test:-:c")
    assert store.inbox.renew([one for one in claims if one]) == ["held", "lost", "stop"]
    assert store.redis.pttl(keys.lease("test:-:a")) > 1000
    assert store.inbox.renew([claims[2]]) == ["held"], "stop is said once"  # type: ignore[list-item]


def test_a_stop_is_about_what_is_being_written_now(store: Store) -> None:
    store.inbox.request_stop(PERSON)
    store.inbox.accept(event(1))
    taken = claim(store)
    assert store.inbox.renew([taken]) == ["held"], "said before it was begun"
    store.inbox.request_stop(PERSON)
    store.inbox.accept(event(2))
    following = answer(store, taken)
    assert following is not None
    assert store.inbox.renew([following]) == ["held"], "said too late for the one before"


def test_a_deferred_turn_waits_and_comes_back(make_store: MakeStore) -> None:
    store = make_store(lease_s=0.5)
    store.inbox.accept(event(1))
    take_wake_ups(store)
    store.inbox.defer(claim(store), 0.3)
    assert store.inbox.claim(PERSON, "w1") is None
    assert store.inbox.sweep() == 0
    eventually(lambda: store.inbox.sweep() == 1)
    assert claim(store).attempt == 2


def test_deferring_without_fault_does_not_count(store: Store) -> None:
    store.inbox.accept(event(1))
    store.inbox.defer(claim(store), 0, count=False)
    assert claim(store).attempt == 1


def test_busy_workers_are_not_sent_ever_more_wake_ups(make_store: MakeStore) -> None:
    store = make_store(lease_s=0.5)
    for number in range(20):
        store.inbox.accept(event(number, f"u{number}"))
    store.redis.zadd(keys.WAITING, {f"test:-:u{number}": 0 for number in range(20)})
    assert store.inbox.sweep() == 0
    assert len(wake_ups(store)) == 20


def test_an_event_that_cannot_be_read_blocks_nobody(store: Store) -> None:
    store.inbox.accept(event(1))
    store.redis.lpush(keys.inbox(PERSON), '{"id": "from the future"}')
    store.redis.rpush(keys.inbox(PERSON), '{"id": "also"}')
    taken = claim(store)
    assert [one.id for one in taken.events] == ["e1"]
    assert answer(store, taken) is None
    assert store.inbox.claim(PERSON, "w1") is None
    assert len(store.letters.all()) == 2
    assert store.letters.drop(PERSON) == 2


def test_a_turn_that_cannot_be_read_is_left_out(store: Store) -> None:
    store.inbox.accept(event(1))
    answer(store, claim(store))
    store.redis.rpush(keys.history(PERSON), '{"role": "tool"}')
    store.inbox.accept(event(2))
    assert [turn.text for turn in claim(store).history] == ["text 1"]
    assert len(store.people.history(PERSON)) == 1


def test_a_full_drain_gives_the_thread_back_and_wakes_again(store: Store) -> None:
    for number in range(2):
        store.inbox.accept(event(number))
    before = len(wake_ups(store))
    assert answer(store, claim(store), go_on=False) is None
    assert len(wake_ups(store)) == before + 1
    assert claim(store).events[0].id == "e1"


def test_history_is_capped_and_expires(redis_url: str) -> None:
    base = settings.load()
    small = base.model_copy(update={"history": base.history.model_copy(update={"max_turns": 3, "ttl_days": 1.0})})
    store = Store(redis_url, small, lambda person: "wake")
    for number in range(5):
        store.inbox.accept(event(number))
        answer(store, claim(store))
    assert [turn.text for turn in store.people.history(PERSON)] == ["text 2", "text 3", "text 4"]
    assert 86000 < store.redis.ttl(keys.history(PERSON)) <= 86400


def test_erasing_leaves_nothing(store: Store) -> None:
    store.inbox.accept(event(1))
    answer(store, claim(store))
    store.inbox.accept(event(2))
    taken = claim(store)
    ids = ("e2",)
    reply = Reply(id=reply_id(ids), address=ADDRESS, text="Done", in_reply_to=ids, person=PERSON)
    store.inbox.commit(taken, 1, [], reply, erase=True, go_on=True)
    left = [key for key in store.redis.scan_iter("rapport:*") if PERSON in key]
    assert left == []


def test_an_address_that_is_not_valid_shows_nothing_of_its_password() -> None:
    with pytest.raises(SettingsError, match="%2F") as caught:
        Store("redis://:se/cret@host/0", settings.load(), lambda person: "wake")
    assert "cret" not in str(caught.value)


def test_redis_away_is_an_error_of_ours_without_credentials() -> None:
    store = Store("redis://:hunter2@127.0.0.1:1/0", settings.load(), lambda person: "wake")
    with pytest.raises(StoreUnavailable) as caught:
        store.inbox.accept(event(1))
    assert "hunter2" not in str(caught.value)


def test_what_belongs_together_is_waited_for(make_store: MakeStore) -> None:
    store = make_store(lease_s=1)
    for number in (1, 2, 3):
        store.inbox.accept(event(number).model_copy(update={"quiet_s": 0.5}))
    assert wake_ups(store) == []
    assert store.inbox.claim(PERSON, "w1") is None, "more may come"
    assert eventually(store.inbox.sweep) == 1
    assert [one.id for one in claim(store).events] == ["e1", "e2", "e3"]


def test_waiting_for_more_does_not_hurry_a_message_that_must_wait(store: Store) -> None:
    store.inbox.accept(event(1))
    store.inbox.defer(claim(store), 5)
    store.inbox.accept(event(2).model_copy(update={"quiet_s": 0.01}))
    assert 4000 < store.redis.pttl(keys.later(PERSON)) <= 5000


def test_a_message_waits_until_it_is_answered(store: Store) -> None:
    assert not store.inbox.waits(PERSON)
    store.inbox.accept(event(1))
    assert store.inbox.waits(PERSON)
    answer(store, claim(store))
    assert not store.inbox.waits(PERSON)


def test_ratings_are_erased_with_the_history(store: Store) -> None:
    store.people.rate(PERSON, "r1", "up")
    store.inbox.accept(event(1))
    answer(store, claim(store), erase=True)
    assert not store.redis.exists(keys.feedback(PERSON))
