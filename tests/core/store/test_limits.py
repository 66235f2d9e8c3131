"""How much a person and a workspace may write. Time passes by moving what the buckets hold, not by waiting."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from core import settings
from core.dialogue import Address
from core.events import MessageEvent, Reply
from core.store import Refusal, Store, keys

ADDRESS = Address(channel="test", space="ada")
PERSON = "test:-:ada"
MakeStore = Callable[..., Store]
INTERVAL_S = 60  # of one message, in these tests: what the tests themselves take is nothing against it


@pytest.fixture
def make_store(redis_url: str) -> MakeStore:
    def make(**inbox: object) -> Store:
        base = settings.load()
        slow = {"person_per_minute": 1, "person_burst": 3, "max_waiting": 10_000} | inbox
        return Store(redis_url, base.model_copy(update={"inbox": base.inbox.model_copy(update=slow)}), lambda p: "wake")

    return make


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    return make_store()


def event(number: object, user: str = "ada", text: str = "hi", address: Address = ADDRESS) -> MessageEvent:
    return MessageEvent(id=f"e{number}", address=address, user=user, text=text)


def taken(store: Store, *numbers: int, user: str = "ada") -> list[bool]:
    return [store.inbox.accept(event(f"{user}{number}", user)) == "accepted" for number in numbers]


def let_pass(store: Store, seconds: float) -> None:
    for key in store.redis.scan_iter("rapport:limit:*"):
        store.redis.set(key, float(str(store.redis.get(key))) - seconds * 1000, keepttl=True)


def refused(store: Store, number: object, user: str = "ada", text: str = "hi") -> Refusal:
    done = store.inbox.accept(event(number, user, text))
    assert isinstance(done, Refusal)
    return done


def test_after_a_burst_there_is_one_more_each_interval(store: Store) -> None:
    assert taken(store, 1, 2, 3, 4) == [True, True, True, False]
    let_pass(store, INTERVAL_S)
    assert taken(store, 5, 6) == [True, False]


@how(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    burst=st.integers(1, 5),
    steps=st.lists(st.one_of(st.just(0), st.sampled_from([10, 30, 60, 90, 400])), min_size=5, max_size=40),
)
def test_it_is_a_token_bucket(make_store: MakeStore, burst: int, steps: list[int]) -> None:
    """Each step lets so many seconds pass (0: none) and then has the person write, as a bucket of tokens allows it."""
    store = make_store(person_burst=burst)
    store.redis.flushall()
    now, tokens, times = 0, float(burst), []
    for number, seconds in enumerate(steps):
        let_pass(store, seconds)
        now += seconds
        tokens = min(tokens + seconds / INTERVAL_S, burst)
        done = store.inbox.accept(event(number))
        assert (done == "accepted") == (tokens > 1 - 1e-6), (now, tokens)
        if done == "accepted":
            tokens -= 1
            times.append(now)
        else:
            assert isinstance(done, Refusal)
            assert done.wait_s == pytest.approx((1 - tokens) * INTERVAL_S, abs=5), "it says when to go on"
    for first in range(len(times)):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + (times[last] - times[first]) / INTERVAL_S + 1e-6


def test_the_wait_that_is_told_is_enough_and_no_more(store: Store) -> None:
    taken(store, 1, 2, 3)
    wait_s = refused(store, 4).wait_s
    let_pass(store, wait_s - 5)
    assert taken(store, 5) == [False]
    let_pass(store, 5)
    assert taken(store, 6) == [True]


def test_what_is_delivered_again_takes_nothing(store: Store) -> None:
    for _ in range(10):
        store.inbox.accept(event(1))
    assert [store.inbox.accept(event(n)) for n in (2, 3)] == ["accepted", "accepted"]
    assert refused(store, 4)
    assert store.inbox.accept(event(1)) == "duplicate", "it is known, whatever the limit says"


def test_a_refused_message_is_taken_when_it_is_sent_again_in_time(store: Store) -> None:
    taken(store, 1, 2, 3)
    refused(store, 4)
    let_pass(store, INTERVAL_S)
    assert store.inbox.accept(event(4)) == "accepted"


def test_each_person_has_a_bucket_of_their_own(store: Store) -> None:
    assert taken(store, 1, 2, 3, 4) == [True, True, True, False]
    assert taken(store, 1, user="bob") == [True]


def test_a_workspace_is_shared_and_a_refusal_takes_from_nobody(make_store: MakeStore) -> None:
    store = make_store(workspace_per_minute=1, workspace_burst=4)
    assert taken(store, 1, 2, 3) == [True] * 3
    assert taken(store, 1, 2, user="bob") == [True, False]
    assert refused(store, "b3", "bob").whose == "workspace"
    assert refused(store, "a4", "ada").whose == "person"
    let_pass(store, INTERVAL_S)
    assert taken(store, 4, user="bob") == [True], "what was refused took nothing of theirs"
    let_pass(store, 9 * INTERVAL_S)
    assert taken(store, 5, 6, 7, user="bob") == [True] * 3
    elsewhere = event("x", "bob").model_copy(update={"workspace": "T2"})
    assert store.inbox.accept(elsewhere) == "accepted"


def test_a_person_is_told_once_in_a_pause(store: Store) -> None:
    taken(store, 1, 2, 3)
    assert [refused(store, number).first for number in (4, 5, 6)] == [True, False, False]
    assert 59_000 < store.redis.pttl(keys.slowed(PERSON)) <= 60_000
    store.redis.delete(keys.slowed(PERSON))
    assert refused(store, 7).first, "the next pause is another one"


def test_a_full_inbox_is_told_once_as_well(make_store: MakeStore) -> None:
    store = make_store(max_waiting=1)
    taken(store, 1)
    assert [refused(store, number) for number in (2, 3)] == [Refusal("full"), Refusal("full", first=False)]


@pytest.mark.parametrize("text", ["/stop", "/help mood", "/FORGET"])
def test_what_makes_the_bot_do_less_is_never_limited(make_store: MakeStore, text: str) -> None:
    store = make_store(max_waiting=4)
    taken(store, 1, 2, 3)
    for number in range(5, 10):
        assert store.inbox.accept(event(number, text=text)) == "accepted"
    assert refused(store, 10, text="/mood").why == "full"
    assert len([n for n in range(11, 40) if store.inbox.accept(event(n, text=text)) == "accepted"]) == 6, (
        "nor may it fill the store"
    )


def test_commands_that_ask_a_model_nothing_but_much_are_limited(store: Store) -> None:
    taken(store, 1, 2, 3)
    assert refused(store, 4, text="/export").why == "slow"


def test_words_of_a_crisis_are_heard_whatever_the_limit_says(store: Store) -> None:
    taken(store, 1, 2, 3)
    assert store.inbox.accept(event(4, text="I want to kill myself")) == "accepted"
    assert refused(store, 5) == Refusal("slow", wait_s=pytest.approx(INTERVAL_S, abs=5)), "and this is to be told"
    assert store.inbox.accept(event(6, text="I want to kill myself")) == "accepted"
    assert not refused(store, 7).first, "it was told"


def test_when_too_many_people_wait_newcomers_are_told_to_come_again(make_store: MakeStore) -> None:
    store = make_store(max_people=2)
    assert [taken(store, 1, user=user) for user in ("ada", "bob")] == [[True], [True]]
    assert refused(store, 1, "cyd") == Refusal("crowded", wait_s=60)
    assert refused(store, 2, "cyd") == Refusal("crowded", wait_s=60, first=False)
    assert taken(store, 2, user="ada") == [True], "who waits already may go on"
    assert store.inbox.accept(event(3, "cyd", "/stop")) == "accepted"
    assert store.inbox.accept(event(4, "dan", "I want to kill myself")) == "accepted"
    own = Address(channel="terminal", space="eve")
    assert store.inbox.accept(event(5, "eve", address=own)) == "accepted"


def test_replies_that_their_network_has_not_taken_count_as_people_who_wait(make_store: MakeStore) -> None:
    store = make_store(max_people=2)
    taken(store, 1)
    claim = store.inbox.claim(PERSON, "worker")
    assert claim
    reply = Reply(id="r", address=ADDRESS, text="ok", in_reply_to=claim.event_ids, person=PERSON)
    store.inbox.commit(claim, 1, [], reply, erase=False, go_on=False)
    assert taken(store, 1, user="bob") == [True]
    assert refused(store, 1, "cyd").why == "crowded"
    other = Address(channel="other", space="cyd")
    assert store.inbox.accept(event(2, "cyd", address=other)) == "accepted", "another network takes its replies"
    store.redis.delete(keys.outbox("test"), keys.WAITING)
    assert taken(store, 3, user="cyd") == [True]


def test_a_terminal_is_its_owners(store: Store) -> None:
    own = Address(channel="terminal", space="ada")
    assert all(store.inbox.accept(event(number, address=own)) == "accepted" for number in range(10))


@pytest.mark.parametrize("per_minute", [9, 14, 17])
def test_an_interval_of_broken_milliseconds_refuses_nobody_for_ever(make_store: MakeStore, per_minute: int) -> None:
    store = make_store(person_per_minute=per_minute, person_burst=1)
    assert taken(store, *range(20)) == [True] + [False] * 19
    for number in range(20, 40):
        assert taken(store, number, user=f"somebody{number}") == [True]


def test_zero_is_no_limit(make_store: MakeStore) -> None:
    store = make_store(person_per_minute=0)
    assert all(taken(store, *range(200)))
    assert not list(store.redis.scan_iter("rapport:limit:*"))


def test_no_person_meets_the_limits_that_ship(redis_url: str) -> None:
    """Somebody forwards 30 messages at once, and writes one every three seconds for five minutes."""
    store = Store(redis_url, settings.load(), lambda person: "wake")
    assert all(taken(store, *range(30)))
    for number in range(100, 200):
        let_pass(store, 3)
        store.redis.delete(keys.inbox(PERSON))  # answered meanwhile
        assert taken(store, number) == [True]


def test_the_marks_go_by_themselves_and_name_nobody(store: Store) -> None:
    taken(store, 1, 2, 3, 4)
    (key,) = store.redis.scan_iter("rapport:limit:*")
    assert "ada" not in key
    assert 0 < store.redis.ttl(key) <= 3 * INTERVAL_S + 1
