"""Slow and many clients, with raw sockets: whoever keeps the server waiting is sent away, and others are served."""

import contextlib
import json
import resource
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from channels.web import connections
from core.dialogue import Address, Turn
from core.store import keys
from tests.channels.web.conftest import KEY
from tests.channels.web.stack import Stack
from tests.waiting import eventually

HEAD = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
MakeStack = Callable[..., Stack]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.4)
    monkeypatch.setattr(connections, "STALL_S", 0.4)


@contextlib.contextmanager
def connected(stack: Stack, *said: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", stack.port), timeout=15) as caller:
        for part in said:
            caller.sendall(part)
        yield caller


def heard(caller: socket.socket) -> bytes:
    """Return all that comes until the server closes the connection."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while part := caller.recv(65536):
            got += part
    return got


def trickle(caller: socket.socket, text: bytes) -> bytes:
    """Send byte by byte, for as long as the server bears it; return what it says."""
    caller.settimeout(0.02)
    got, closed = b"", False
    for number in range(len(text)):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            caller.send(text[number : number + 1])
        try:
            part = caller.recv(65536)
            got, closed = got + part, not part
        except TimeoutError:
            continue
        except ConnectionResetError:
            closed = True
        if closed:
            return got
    raise AssertionError("the server bore it to the end")


def code(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert b"x-content-type-options: nosniff" in head
    return str(json.loads(body)["error"]["code"])


def serves(stack: Stack) -> bool:
    with connected(stack, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") as caller:
        return heard(caller).startswith(b"HTTP/1.1 200")


@pytest.mark.usefixtures("hurried")
def test_a_head_that_comes_byte_by_byte_is_not_waited_for(make_stack: MakeStack) -> None:
    stack = make_stack()
    with connected(stack) as caller:
        answer = trickle(caller, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X-Filler: 1\r\n" * 1000)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout")
    assert code(answer) == "too_slow"
    assert serves(stack)


@pytest.mark.usefixtures("hurried")
def test_a_body_that_comes_byte_by_byte_is_not_waited_for(make_stack: MakeStack) -> None:
    stack = make_stack()
    with connected(stack, HEAD + b"Content-Length: 5000\r\n\r\n") as caller:
        answer = trickle(caller, b" " * 4999)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout")
    assert code(answer) == "too_slow"
    with connected(stack, HEAD + b"Transfer-Encoding: chunked\r\n\r\n") as caller:
        assert code(trickle(caller, b"1\r\n \r\n" * 1000)) == "too_slow"
    assert serves(stack)


@pytest.mark.usefixtures("hurried")
def test_a_second_request_may_not_be_slower_than_the_first(make_stack: MakeStack) -> None:
    stack = make_stack()
    with connected(stack, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") as caller:
        assert caller.recv(65536).startswith(b"HTTP/1.1 200")
        assert b"HTTP/1.1 408" in trickle(caller, b"GET /healthz HTTP/1.1\r\n" + b"X-Filler: 1\r\n" * 1000)


@pytest.mark.usefixtures("hurried")
def test_a_body_that_nobody_reads_is_not_taken_for_ever(make_stack: MakeStack) -> None:
    stack = make_stack(key=KEY)
    with connected(stack, HEAD + b"Content-Length: 5000\r\n\r\n") as caller:
        answer = trickle(caller, b" " * 4999)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"408" not in answer


@pytest.mark.usefixtures("hurried")
def test_a_connection_that_says_nothing_is_closed_without_a_word(make_stack: MakeStack) -> None:
    stack = make_stack()
    with connected(stack) as caller:
        assert heard(caller) == b""


@pytest.mark.usefixtures("hurried")
def test_a_reply_that_takes_long_is_waited_for(make_stack: MakeStack) -> None:
    stack = make_stack(reply_timeout_s=1.5)
    body = b'{"message": "hi", "user": "ada"}'
    with connected(stack, HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as caller:
        assert heard(caller).startswith(b"HTTP/1.1 504")


@pytest.mark.usefixtures("hurried")
def test_who_does_not_read_the_answer_is_sent_away(make_stack: MakeStack) -> None:
    stack = make_stack()
    place = Address(channel="web", space="ada")
    said = Turn(role="user", text="x" * 8000, at=datetime.now(UTC), address=place).model_dump_json()
    stack.store.redis.rpush(keys.history("web:api:ada"), *[said] * 50)
    with stack.client() as client:
        whole = len(client.get("/history", params={"user": "ada"}).content)
    # More than the kernel keeps for one who does not read: many answers, each asked for behind the other.
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.settimeout(15)
        caller.connect(("127.0.0.1", stack.port))
        caller.sendall(b"GET /history?user=ada HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
        eventually(lambda: not _connections(stack))
        got = len(heard(caller))
    assert got < 200 * whole
    assert serves(stack)


def _connections(stack: Stack) -> list[object]:
    """Return the server's side of what is connected now."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table][1:]
    mine = f":{stack.port:04X}"
    return [row for row in rows if row[1].endswith(mine) and row[3] == "01"]


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 300_000,
        b"GET /" + b"x" * 300_000,
    ],
    ids=["tls", "space", "two lengths", "negative length", "large header", "large address"],
)
def test_what_is_no_request_is_told_so(stack: Stack, said: bytes) -> None:
    with connected(stack) as caller:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            caller.sendall(said + b"\r\n\r\n")
        answer = heard(caller)
    # What has come and was not read makes the kernel drop the answer.
    assert not answer or (answer.startswith(b"HTTP/1.1 400") and code(answer) == "bad_request")
    assert serves(stack)


def test_a_large_head_is_refused_even_if_it_comes_at_once(stack: Stack) -> None:
    filler = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 900) for number in range(20))
    with connected(stack, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + filler + b"\r\n") as caller:
        caller.shutdown(socket.SHUT_WR)
        answer = heard(caller)
    assert answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))


def test_when_there_are_too_many_the_one_that_keeps_us_waiting_longest_goes(
    make_stack: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = make_stack()
    monkeypatch.setattr(connections, "MOST", 5)
    with contextlib.ExitStack() as room:
        slow = [room.enter_context(connected(stack, b"GET / HTTP/1.1\r\n")) for _ in range(5)]
        for number in range(3):
            assert serves(stack), number
        assert heard(slow[0]) == b""
        slow[4].sendall(b"Host: localhost\r\nConnection: close\r\n\r\n")
        assert heard(slow[4]).startswith(b"HTTP/1.1 200")


def test_who_is_being_answered_is_not_sent_away_for_others(
    make_stack: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = make_stack(reply_timeout_s=30)
    monkeypatch.setattr(connections, "MOST", 2)
    body = b'{"message": "hi", "user": "ada"}'
    request = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with connected(stack, request) as one, connected(stack, request) as other:
        eventually(lambda: stack.waiting() == 2)
        with connected(stack) as third:
            answer = heard(third)
        assert answer.startswith(b"HTTP/1.1 503")
        assert code(answer) == "crowded"
        stack.start_worker()
        assert heard(one).startswith(b"HTTP/1.1 200")
        assert heard(other).startswith(b"HTTP/1.1 200")
    assert serves(stack)


def test_there_are_never_more_connections_than_files(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = resource.RLIM_INFINITY
    for limit, most in ((1024, 900), (256, 132), (64, 1), (5000, connections.MOST), (endless, connections.MOST)):
        monkeypatch.setattr(resource, "getrlimit", lambda which, limit=limit: (limit, endless))
        assert connections.most() == most


@pytest.mark.parametrize(
    ("now", "allowed", "then"),
    [(1024, 4096, 2124), (256, 1024, 1024), (256, resource.RLIM_INFINITY, 2124), (5000, 5000, None)],
)
def test_more_files_are_asked_for_where_they_are_allowed(
    monkeypatch: pytest.MonkeyPatch, now: int, allowed: int, then: int | None
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (now, allowed))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: asked.append(limits))
    connections.allow_files()
    assert asked == ([(then, allowed)] if then else [])
