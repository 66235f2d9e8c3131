"""Keys: named ones that come and go while the channel runs, and what happens to who tries wrong ones."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from channels.web.attempts import BURST, INTERVAL_S, REMEMBERED, Attempts
from channels.web.keyring import KeyRing
from core.errors import StoreUnavailable
from core.store import ApiKey
from tests.channels.web.conftest import KEY
from tests.channels.web.stack import RedisServer, Stack
from tests.waiting import eventually

HELLO = {"message": "hello", "user": "ada"}
MakeStack = Callable[..., Stack]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def status(stack: Stack, key: str | None = None, **headers: str) -> int:
    with stack.client() as client:
        return client.get("/commands", headers=headers | (bearer(key) if key else {})).status_code


def known(stack: Stack, number: int) -> None:
    """Wait until the channel has seen that there are so many named keys; asking with them would count as guessing."""
    eventually(lambda: len(stack.adapter._keys._named or ()) == number)


def test_keys_come_and_go_while_the_channel_runs(make_stack: MakeStack) -> None:
    stack = make_stack(key=KEY)
    assert status(stack, KEY) == 200
    laptop, shop = stack.store.api_keys.add("laptop"), stack.store.api_keys.add("shop")
    known(stack, 2)
    assert status(stack, laptop) == 200
    assert status(stack, shop) == 200
    assert status(stack, KEY) == 200
    stack.store.api_keys.remove("laptop")
    known(stack, 1)
    assert status(stack, laptop) == 401
    assert status(stack, shop) == 200


def test_with_the_first_key_everybody_needs_one(make_stack: MakeStack) -> None:
    stack = make_stack()
    stack.start_worker()
    assert status(stack) == 200
    key = stack.store.api_keys.add("laptop")
    eventually(lambda: status(stack) == 401)
    with stack.client(headers=bearer(key)) as client:
        assert client.post("/chat", json=HELLO).json()["response"] == "you said hello"
        # From elsewhere, too: a key is what counts then, be it through a proxy.
        assert client.get("/commands", headers={"Host": "bot.example", "X-Forwarded-For": "203.0.113.5"}).is_success
    assert status(stack, Host="evil.example") == 401
    stack.store.api_keys.remove("laptop")
    eventually(lambda: status(stack) == 200)
    assert status(stack, Host="evil.example") == 403


def test_a_hash_is_no_key(make_stack: MakeStack) -> None:
    stack = make_stack()
    key = stack.store.api_keys.add("laptop")
    known(stack, 1)
    assert status(stack, key) == 200
    assert status(stack, stack.store.api_keys.all()["laptop"].sha256) == 401
    assert status(stack, key[:-1]) == 401
    assert status(stack, f"{key}x") == 401


def test_until_it_is_known_whether_there_are_keys_nobody_is_let_in(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = RedisServer(tmp_path_factory.mktemp("later"))
    server.stop()
    stack = Stack(server.url())
    try:
        with stack.client() as client:
            assert client.get("/commands").json()["error"]["code"] == "unavailable"
            for path in ("/healthz", "/", "/static/app.js"):
                assert client.get(path).status_code == 200
            server.start()
            eventually(lambda: client.get("/commands").status_code == 200)
    finally:
        stack.close()
        server.stop()


def test_keys_of_before_count_while_redis_is_away(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = RedisServer(tmp_path_factory.mktemp("away"))
    stack = Stack(server.url())
    try:
        key = stack.store.api_keys.add("laptop")
        eventually(lambda: status(stack) == 401)
        server.stop()
        assert status(stack, key) == 200
        assert status(stack) == 401
    finally:
        stack.close()
        server.stop()


def test_every_key_is_compared_to_its_end() -> None:
    """No time tells which key it was: none is left out, and no comparison stops at the first difference."""

    class Watched(list[str]):
        looks = 0

        def __iter__(self):  # type: ignore[no-untyped-def]
            for one in super().__iter__():
                Watched.looks += 1
                yield one

    ring = KeyRing(KEY, dict)
    ring._named = Watched(["0" * 64] * 5)
    assert ring.admits(KEY.encode())
    assert Watched.looks == 5
    assert not ring.admits(b"wrong")
    assert Watched.looks == 10


async def test_what_cannot_be_read_changes_nothing() -> None:
    def away() -> dict[str, ApiKey]:
        raise StoreUnavailable("Redis: away")

    ring = KeyRing(None, away)
    with pytest.raises(StoreUnavailable):
        ring.is_needed()
    with pytest.raises(StoreUnavailable):
        await ring.look()
    watching = asyncio.create_task(ring.watch())
    await asyncio.sleep(0)
    assert not watching.done()
    watching.cancel()


def test_who_tries_many_keys_must_wait(make_stack: MakeStack) -> None:
    stack = make_stack(key=KEY)
    for number in range(BURST):
        assert status(stack, f"guess-number-{number}") == 401
    with stack.client() as client:
        answer = client.get("/commands", headers=bearer("one-more-guess-of-it"))
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "too_many_attempts"
        assert 1 <= int(answer.headers["retry-after"]) <= INTERVAL_S
        assert client.post("/chat", json=HELLO, headers=bearer(KEY)).status_code == 429, "else it is no limit"
        # Nobody guesses a named key, so a neighbour behind the same address need not wait for who tries.
        key = stack.store.api_keys.add("laptop")
        known(stack, 1)
        assert client.get("/commands", headers=bearer(key)).status_code == 200
        # What needs no key, and what brings none, is as before.
        assert client.get("/healthz").status_code == 200
        assert client.get("/commands").status_code == 401
    # Others are not held up: a proxy on this machine says who calls.
    elsewhere = {"X-Forwarded-For": "203.0.113.9"}
    assert status(stack, KEY, **elsewhere) == 200
    for number in range(BURST):
        assert status(stack, f"guess-number-{number}", **elsewhere) == 401
    assert status(stack, KEY, **elsewhere) == 429
    # What the caller put before the proxy's word changes nothing.
    assert status(stack, KEY, **{"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}) == 429


def test_no_key_at_all_is_no_guess(make_stack: MakeStack) -> None:
    stack = make_stack(key=KEY)
    for _ in range(2 * BURST):
        assert status(stack) == 401
    assert status(stack, KEY) == 200


def test_no_key_is_ever_logged(make_stack: MakeStack, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        stack = make_stack(key=KEY)
        key = stack.store.api_keys.add("laptop")
        known(stack, 1)
        wrong = "rapport_nearly-the-right-one"
        for number in range(BURST + 2):
            assert status(stack, f"{wrong}{number}") in (401, 429)
        assert status(stack, key) == 200
    # Ours, and what the servers' own loggers say; not those of the client that sends them.
    said = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("http"))
    for secret in (KEY, key, wrong):
        assert secret not in said


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_patience_comes_back_with_time() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(BURST):
        assert attempts.wait_s("203.0.113.1") == 0
        attempts.failed("203.0.113.1")
    assert attempts.wait_s("203.0.113.1") == INTERVAL_S
    clock.now += INTERVAL_S
    assert attempts.wait_s("203.0.113.1") == 0
    attempts.failed("203.0.113.1")
    assert attempts.wait_s("203.0.113.1") == INTERVAL_S
    clock.now += BURST * INTERVAL_S
    for _ in range(BURST):
        assert attempts.wait_s("203.0.113.1") == 0
        attempts.failed("203.0.113.1")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.1", "203.0.113.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("203.0.113.1", "::ffff:203.0.113.1", True),
        ("", "", True),
        ("nonsense", "other nonsense", False),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:
    attempts = Attempts(Clock())
    for _ in range(BURST):
        attempts.failed(one)
    assert (attempts.wait_s(other) > 0) is same


def test_many_addresses_do_not_fill_the_memory() -> None:
    attempts = Attempts(Clock())
    for number in range(REMEMBERED + 50):
        attempts.failed(f"address {number}")
    assert len(attempts._full_at) == REMEMBERED


def test_only_a_proxy_that_was_named_is_believed(make_stack: MakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.7")
    stack = make_stack(key=KEY)
    for number in range(BURST):
        # We are no proxy now, so each of these counts for our own address.
        assert status(stack, f"guess-number-{number}", **{"X-Forwarded-For": f"203.0.113.{number}"}) == 401
    assert status(stack, KEY, **{"X-Forwarded-For": "203.0.113.99"}) == 429
