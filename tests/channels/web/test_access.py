"""Who may call: the key, other sites' pages, foreign host names, and who sees whose conversation."""

import asyncio
import http.client
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from channels.web.adapter import WebAdapter
from channels.web.settings import Web, api_key, is_loopback
from core import settings
from core.dialogue import Address, Turn
from core.errors import SettingsError, StoreUnavailable
from core.store import keys
from tests.channels.web.conftest import KEY
from tests.channels.web.stack import RedisServer, Stack

ROOT = Path(__file__).parents[3]
HELLO = {"message": "hello", "user": "ada"}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("path", ["/history?user=ada", "/commands", "/openapi.json", "/nothing"])
def test_reading_needs_the_key(locked: Stack, path: str) -> None:
    with locked.client() as client:
        answer = client.get(path)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthorized"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get(path, headers=bearer(KEY)).status_code in (200, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../history?user=eve",
        "/static/%2e%2e/history?user=eve",
        "/static/..%2fhistory?user=eve",
        "/hooks/../history?user=eve",
        "/hooks/%2e%2e/history?user=eve",
        "/%68istory?user=eve",
        "/HISTORY?user=eve",
        "//history?user=eve",
        "/history/?user=eve",
        "/history;/static/x?user=eve",
        "/./history?user=eve",
        "/healthz/../history?user=eve",
        "http://localhost/history?user=eve",
        "/history%00/static/?user=eve",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "TRACE"])
def test_no_spelling_of_an_address_goes_round_the_key(locked: Stack, path: str, method: str) -> None:
    said = Turn(
        role="user", text="not for everybody", at=datetime.now(UTC), address=Address(channel="web", space="eve")
    )
    locked.store.redis.rpush(keys.history("web:api:eve"), said.model_dump_json())
    caller = http.client.HTTPConnection("127.0.0.1", locked.port, timeout=15)
    caller.request(method, path, headers={"X-Original-URL": "/", "X-Rewrite-URL": "/", "X-HTTP-Method-Override": "GET"})
    answer = caller.getresponse()
    assert answer.status in (400, 401, 404, 405)
    assert b"everybody" not in answer.read()
    caller.close()


@pytest.mark.parametrize("path", ["/chat", "/chat/stream"])
@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x"])
def test_talking_needs_the_key(locked: Stack, path: str, value: str | None) -> None:
    with locked.client() as client:
        headers = {"Authorization": value} if value is not None else {}
        assert client.post(path, json=HELLO, headers=headers).status_code == 401


def test_strange_bytes_are_just_a_wrong_key(locked: Stack) -> None:
    with locked.client() as client:
        answer = client.post("/chat", json=HELLO, headers={b"Authorization": b"Bearer \xff\xe4"})
        assert answer.status_code == 401


def test_with_the_key_one_may_talk(locked: Stack) -> None:
    with locked.client(headers=bearer(KEY)) as client:
        assert client.post("/chat", json=HELLO).json()["response"] == "you said hello"


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/static/app.js", "/static/style.css", "/static/icon.svg", "/healthz", "/readyz"]
)
def test_probes_and_the_empty_page_are_open(locked: Stack, path: str) -> None:
    with locked.client() as client:
        assert client.get(path).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "["])
def test_a_foreign_host_name_is_refused(client: httpx.Client, host: str) -> None:
    answer = client.get("/history", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden_host"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "[::1]:8080"])
def test_own_host_names_are_taken(client: httpx.Client, host: str) -> None:
    assert client.get("/commands", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"])
def test_pages_of_other_sites_may_not_call(client: httpx.Client, origin: str) -> None:
    answer = client.post("/chat", json=HELLO, headers={"Origin": origin})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden_origin"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_browser_says_who_asks_and_that_counts(client: httpx.Client, site: str) -> None:
    """A GET of another site's page has no Origin; it would bring a new visitor's cookie over the one there is."""
    for path in ("/history", "/commands", "/openapi.json"):
        answer = client.get(path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"})
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "forbidden_origin"
        assert "set-cookie" not in answer.headers
    assert client.post("/chat", json=HELLO, headers={"Sec-Fetch-Site": site}).status_code == 403
    # A link from elsewhere to the page itself works.
    assert client.get("/", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}).status_code == 200
    for own in ("same-origin", "none"):
        assert client.get("/history", headers={"Sec-Fetch-Site": own}).status_code == 200


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP"])
@pytest.mark.parametrize("path", ["/", "/history", "/commands"])
def test_what_a_proxy_passes_on_is_not_from_this_machine(client: httpx.Client, name: str, path: str) -> None:
    """Proxies call by our own address, and would open a page without a key to everybody."""
    answer = client.get(path, headers={name: "127.0.0.1"})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden_proxy"
    assert "rapport keys add" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/chat", "/chat/stream", "/history", "/commands"])
def test_no_other_site_is_let_in_by_cors(stack: Stack, locked: Stack, path: str) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    for one, origin in ((stack, stack.base), (stack, "https://evil.example"), (locked, "https://evil.example")):
        with one.client() as client:
            for answer in (
                client.options(path, headers=asks | {"Origin": origin}),
                client.get(path, headers=bearer(KEY) | {"Origin": origin}),
            ):
                assert not [name for name in answer.headers if name.startswith("access-control")]


def test_every_answer_has_the_security_headers(locked: Stack) -> None:
    with locked.client() as client:
        answers = [
            client.get("/"),
            client.get("/static/app.js"),
            client.get("/healthz"),
            client.get("/history"),
            client.get("/nothing", headers=bearer(KEY)),
            client.get("/history", params={"user": "ada"}, headers=bearer(KEY)),
            client.post("/chat", json={}, headers=bearer(KEY)),
            client.post("/chat", json=HELLO, headers=bearer(KEY)),
            client.post("/chat/stream", json=HELLO, headers=bearer(KEY)),
            client.post("/hooks/nothing"),
        ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "geolocation=()" in answer.headers["permissions-policy"]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in answer.headers
    for answer in answers[:3]:
        assert answer.headers["cache-control"] == "no-cache"
    for answer in answers[3:]:
        assert "no-store" in answer.headers["cache-control"]


def test_the_own_page_may_call(stack: Stack, client: httpx.Client) -> None:
    assert client.post("/chat", json=HELLO, headers={"Origin": stack.base}).status_code == 200


def test_the_visitor_is_a_random_cookie_out_of_reach_of_callers(client: httpx.Client) -> None:
    assert "set-cookie" not in client.get("/").headers
    first = client.get("/history")
    cookie = first.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert part in cookie
    visitor = client.cookies["rapport_person"]
    assert len(visitor) == 32
    assert client.post("/chat", json={"message": "between us"}).json()["response"] == "you said between us"
    assert [entry["text"] for entry in client.get("/history").json()] == ["between us", "you said between us"]
    assert client.cookies["rapport_person"] == visitor
    # A caller who knows the id, by whatever way, is somebody else under that name.
    assert client.get("/history", params={"user": visitor}).json() == []


def test_behind_https_the_cookie_is_for_https_and_this_host_alone(locked: Stack) -> None:
    proxy = bearer(KEY) | {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.5", "Host": "bot.example"}
    with locked.client(headers=proxy) as client:
        first = client.get("/history").headers["set-cookie"]
        for part in ("__Host-rapport_person=", "Secure", "HttpOnly", "SameSite=strict", "Path=/"):
            assert part in first
        assert "Domain" not in first
        visitor = first.partition(";")[0]
        said = client.post("/chat", json={"message": "between us"}, headers={"Cookie": visitor})
        assert said.json()["response"] == "you said between us"
        # A neighbour under the same domain can set a cookie without the prefix only.
        tossed = visitor.removeprefix("__Host-")
        assert client.post("/chat", json={"message": "hi"}, headers={"Cookie": tossed}).status_code == 422


@pytest.mark.parametrize("forged", ["x", "A" * 32, "0" * 31, "api:ada"])
def test_a_cookie_that_was_not_given_out_is_none(stack: Stack, forged: str) -> None:
    with stack.client(cookies={"rapport_person": forged}) as client:
        assert client.post("/chat", json={"message": "hi"}).json()["error"]["code"] == "no_user"
        assert "rapport_person" in client.get("/history").headers["set-cookie"]


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("bot.example", False),
        ("localhost.example", False),
    ],
)
def test_what_counts_as_this_machine(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def run(adapter: WebAdapter) -> None:
    """Serve, where the start is to fail."""

    async def never(event: object) -> bool:
        raise AssertionError

    asyncio.run(adapter.run(never))
    asyncio.run(adapter.close())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "bot.example"])
def test_no_open_door_without_a_key(host: str, web_redis: RedisServer) -> None:
    with pytest.raises(SettingsError, match=r"rapport keys add NAME`, or set WEB_API_KEY"):
        run(WebAdapter(Web(host=host), None, settings.load(), web_redis.url(3)))


def test_no_open_door_if_the_keys_cannot_be_read() -> None:
    with pytest.raises(StoreUnavailable):
        run(WebAdapter(Web(host="0.0.0.0"), None, settings.load(), "redis://127.0.0.1:1"))


def test_the_process_ends_with_one_clear_line(web_redis: RedisServer) -> None:
    env = os.environ | {"REDIS_URL": web_redis.url(3), "RAPPORT_WEB__HOST": "0.0.0.0", "WEB_API_KEY": ""}
    ended = subprocess.run(
        [sys.executable, "-m", "channels", "web"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert "WEB_API_KEY is not set. Make a key" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_ends_the_start(stack: Stack, web_redis: RedisServer) -> None:
    with pytest.raises(SettingsError, match="RAPPORT_WEB__PORT"):
        run(WebAdapter(Web(port=stack.port), None, settings.load(), web_redis.url()))


def test_the_start_says_that_a_key_is_needed(web_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "channels.web"):
        Stack(web_redis.url(4), key=KEY, host="0.0.0.0").close()
    assert "every call needs an API key" in caplog.text
    assert KEY not in caplog.text


def test_the_key_may_stand_in_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEB_API_KEY", raising=False)
    (tmp_path / "env").write_text("WEB_API_KEY=from-the-env-file\nOTHER=1\n")
    monkeypatch.setenv("RAPPORT_ENV_FILE", str(tmp_path / "env"))
    assert api_key() == "from-the-env-file"
    monkeypatch.setenv("WEB_API_KEY", " ")
    assert api_key() is None


def test_a_key_that_could_be_guessed_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_API_KEY", "letmein")
    with pytest.raises(SettingsError, match="fewer than 16 characters") as told:
        api_key()
    assert "letmein" not in str(told.value)
