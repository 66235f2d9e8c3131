"""Who calls too often is told when to go on, each time: a caller waits for an answer."""

from collections.abc import Callable

import httpx

from core.store import keys
from tests.channels.web.stack import Stack


def test_a_caller_is_told_each_time(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(inbox={"person_per_minute": 1, "person_burst": 1}, reply_timeout_s=0.1)

    def post(user: str, message_id: str | None = None) -> httpx.Response:
        return client.post("/chat", json={"message": "hi", "user": user, "id": message_id})

    with stack.client() as client:
        assert post("ada", "1").status_code == 504, "taken"
        assert post("ada", "1").status_code == 504, "sent again, it costs nothing"
        for _ in range(2):
            answer = post("ada")
            assert answer.status_code == 429
            assert answer.json()["error"]["code"] == "too_fast"
            assert 50 <= int(answer.headers["retry-after"]) <= 60
        assert post("bob").status_code == 504
    assert stack.store.redis.llen(keys.inbox("web:api:ada")) == 1


def test_one_too_many_is_told_to_come_again(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(inbox={"max_people": 1}, reply_timeout_s=0.1)
    with stack.client() as client:
        assert client.post("/chat", json={"message": "hi", "user": "ada"}).status_code == 504, "taken"
        answer = client.post("/chat/stream", json={"message": "hi", "user": "bob"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "60"
    assert answer.json()["error"]["code"] == "crowded"
    assert stack.store.redis.llen(keys.inbox("web:api:bob")) == 0
