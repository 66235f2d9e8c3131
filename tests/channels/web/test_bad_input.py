"""What cannot be taken: a clear answer in the one shape, and nothing is lost or stored."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from core.store import keys
from tests.channels.web.stack import RedisServer, Stack
from tests.waiting import eventually

JSON = {"Content-Type": "application/json"}
MEGABYTE = b'{"user": "ada", "message": "' + b"x" * 1_000_000 + b'"}'


@pytest.mark.parametrize("path", ["/chat", "/chat/stream"])
@pytest.mark.parametrize(
    ("body", "status", "code", "names"),
    [
        (b"", 422, "invalid", "JSON object"),
        (b"[]", 422, "invalid", "JSON object"),
        (b"{", 400, "bad_json", "not valid JSON"),
        (b"[" * 50_000, 400, "bad_request", "body"),
        (b'{"message": "\xff\xfe", "user": "ada"}', 400, "bad_request", "body"),
        (b'{"user": "ada"}', 422, "invalid", '"message" is missing'),
        (b'{"message": 5, "user": "ada"}', 422, "invalid", '"message"'),
        (b'{"message": null, "user": "ada"}', 422, "invalid", '"message"'),
        (b'{"message": "", "user": "ada"}', 422, "empty", "empty"),
        (b'{"message": " \\n\\u0000 ", "user": "ada"}', 422, "empty", "empty"),
        (b'{"message": "hi"}', 422, "no_user", '"user" is missing'),
        (b'{"message": "hi", "user": ""}', 422, "invalid", '"user"'),
        (b'{"message": "hi", "user": "  "}', 422, "invalid", '"user"'),
        (b'{"message": "hi", "user": "a\\nb"}', 422, "invalid", '"user": use printable characters'),
        (b'{"message": "hi", "user": "a\\u0000"}', 422, "invalid", '"user"'),
        (b'{"message": "hi", "user": "' + b"a" * 101 + b'"}', 422, "invalid", '"user"'),
        (b'{"message": "hi", "user": "ada", "id": "a b"}', 422, "invalid", '"id"'),
        (b'{"message": "hi", "user": "ada", "usr": 1}', 422, "invalid", '"usr" is not known'),
        (b'{"message": "' + b"x" * 8001 + b'", "user": "ada"}', 413, "too_long", "8,001"),
        (MEGABYTE, 413, "too_large", "larger than"),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else str(value)[:20],
)
def test_a_bad_request_is_told_what_is_wrong(
    client: httpx.Client, path: str, body: bytes, status: int, code: str, names: str
) -> None:
    answer = client.post(path, content=body, headers=JSON)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    assert names in error["message"]
    assert set(answer.json()) == {"error"}


def test_a_large_body_of_unknown_length_is_refused_too(client: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(MEGABYTE), 10_000):
            yield MEGABYTE[start : start + 10_000]

    answer = client.post("/chat", content=pieces(), headers=JSON)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def test_a_message_of_the_longest_length_is_taken(client: httpx.Client) -> None:
    # Each character takes twelve bytes as escaped JSON.
    body = b'{"user": "long", "message": "' + b"\\ud83d\\ude42" * 4000 + b'"}'
    assert client.post("/chat", content=body, headers=JSON).status_code == 200


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_only_json_is_taken(client: httpx.Client, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = client.post("/chat", content=b'{"message": "hi", "user": "ada"}', headers=headers)
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "wrong_type"


def test_control_characters_of_a_message_are_dropped(client: httpx.Client) -> None:
    answer = client.post("/chat", json={"message": "a\x00b\x1bc\td", "user": "ctl"})
    assert answer.json()["response"] == "you said abc\td"


def test_an_unknown_page_and_method_have_the_same_shape(client: httpx.Client) -> None:
    assert client.get("/nothing").json()["error"]["code"] == "not_found"
    assert client.get("/static/../adapter.py").status_code == 404
    assert client.get("/chat").json()["error"]["code"] == "method_not_allowed"


def test_a_bad_user_in_the_history_is_refused(client: httpx.Client) -> None:
    answer = client.get("/history", params={"user": "a\tb"})
    assert answer.status_code == 422
    assert '"user"' in answer.json()["error"]["message"]


def test_too_many_waiting_messages_are_refused(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(inbox={"max_waiting": 2}, reply_timeout_s=0.1)
    with stack.client() as client:
        statuses = [client.post("/chat", json={"message": "hi", "user": "ada"}).status_code for _ in range(3)]
        assert statuses == [504, 504, 429]
        answer = client.post("/chat/stream", json={"message": "hi", "user": "ada"})
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "too_many"
        assert answer.headers["retry-after"]
        assert stack.store.redis.llen(keys.inbox("web:api:ada")) == 2


def test_redis_away_is_told_and_passes(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = RedisServer(tmp_path_factory.mktemp("away"))
    stack = Stack(server.url())
    try:
        stack.start_worker()
        with stack.client() as client:
            server.stop()
            for answer in (
                client.post("/chat", json={"message": "hi", "user": "ada"}),
                client.post("/chat/stream", json={"message": "hi", "user": "ada"}),
                client.get("/history", params={"user": "ada"}),
            ):
                assert answer.status_code == 503
                assert answer.json()["error"]["code"] == "unavailable"
                assert str(server.port) not in answer.text
                assert answer.headers["retry-after"]
            assert client.get("/healthz").status_code == 200
            assert client.get("/readyz").json() == {"status": "not ready", "redis": "away", "workers": 0}
            server.start()
            eventually(lambda: client.get("/readyz").status_code == 200)
            again = client.post("/chat", json={"message": "hi", "user": "ada"})
            assert again.json()["response"] == "you said hi"
    finally:
        stack.close()
        server.stop()
