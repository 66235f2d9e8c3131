"""Redis with a user, a password and TLS: the whole path over it, and what is refused. The password is told nowhere."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from core import settings
from core.errors import SettingsError, StoreUnavailable
from core.store import Store
from core.store.connection import connect, tls_options
from rapport import doctor, status
from tests.conftest import forget_settings
from tests.security.tls import PASSWORD, Secured, certificate, secured_redis
from tests.waiting import eventually
from workers.app import broker_url

ROOT = Path(__file__).parent.parent.parent
WORKER = "celery --quiet -A tests.workers.gated_worker worker --without-gossip --without-mingle --without-heartbeat"
TLS_HANDSHAKE = b"\x16\x03"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_redis(tmp_path_factory.mktemp("tls")) as server:
        yield server
        assert all(greeting.startswith(TLS_HANDSHAKE) for greeting in server.greetings if greeting), "nothing in clear"


@pytest.fixture(autouse=True)
def hidden(secured: Secured, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Look for the password in everything that is said."""
    yield
    said = "".join(capfd.readouterr()) + caplog.text
    assert "hunter2" not in said


def run(url: str, *command: str, **more: object) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"REDIS_URL": url, "PYTHONPATH": "."}
    done = subprocess.run(  # type: ignore[call-overload]
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, **more
    )
    assert "hunter2" not in done.stdout + done.stderr
    return done


def test_the_whole_path_runs_over_it(secured: Secured, tmp_path: Path) -> None:
    with connect(secured.url()) as client:
        client.set("gate:open", 1)
    environment = os.environ | {"REDIS_URL": secured.url(), "PYTHONPATH": ".", "RAPPORT_WORKER_ID": "w1"}
    with (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", *WORKER.split()], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    try:
        eventually(lambda: connect(secured.url()).exists("rapport:worker:w1"), 30)
        done = run(secured.url(), "channels", "terminal", input="hello\n")
        assert done.stdout == "reply to hello\n", done.stderr
        told = json.loads(run(secured.url(), "rapport", "status", "--json").stdout)
        assert [one["id"] for one in told["workers"]] == ["w1"]
        assert "answers." in run(secured.url(), "rapport", "doctor").stdout
    finally:
        worker.terminate()
        worker.wait(20)
    assert "hunter2" not in (tmp_path / "log").read_text()


def wrong(secured: Secured, folder: Path) -> dict[str, str]:
    other = certificate(folder, "other")
    return {
        "password": secured.url(password="hunter2-wrong"),
        "authority": secured.url(authority=other),
        "no authority": secured.url().partition("?")[0],
        "host": secured.url(host="127.0.0.1"),
        "file": secured.url(authority=folder / "none.pem"),
    }


@pytest.mark.parametrize("what", ["password", "authority", "no authority", "host", "file"])
def test_what_is_wrong_is_refused_and_not_shown(
    secured: Secured, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", wrong(secured, tmp_path)[what])
    forget_settings()
    report = status.examine()
    assert report.status == "down"
    assert "does not answer" in report.why[0]
    (found,) = (one for one in doctor.examine() if one.what == "redis")
    assert found.state == "broken"
    store = Store(settings.redis_url(), settings.load(), lambda person: person)
    with pytest.raises(StoreUnavailable) as refused:
        store.ping()
    store.close()
    assert "hunter2" not in f"{report} {found} {refused.getrepr(showlocals=False)}"


@pytest.mark.parametrize("what", ["no authority", "host"])
def test_a_worker_checks_the_certificate_too(
    secured: Secured, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery's own default for rediss:// is to take any certificate."""
    from workers import app as workers_app

    monkeypatch.setenv("REDIS_URL", wrong(secured, tmp_path)[what])
    forget_settings()
    fresh = type(workers_app.app)("rapport")
    fresh.add_defaults(workers_app._configuration)
    with fresh.connection_for_read() as connection, pytest.raises(Exception, match="certificate verify failed"):
        connection.default_channel.client.ping()
    monkeypatch.setenv("REDIS_URL", secured.url())
    forget_settings()
    right = type(workers_app.app)("rapport")
    right.add_defaults(workers_app._configuration)
    with right.connection_for_read() as connection:
        assert connection.default_channel.client.ping()


def test_how_tls_is_done_can_be_said_in_the_address() -> None:
    told = tls_options(
        "rediss://:p@h:1/0?ssl_cert_reqs=none&ssl_check_hostname=false&ssl_ca_certs=/a%20b.pem&protocol=3"
    )
    assert told == {"ssl_cert_reqs": "none", "ssl_check_hostname": False, "ssl_ca_certs": "/a b.pem"}
    assert tls_options("rediss://h") == {"ssl_cert_reqs": "required"}
    assert tls_options("redis://h?ssl_ca_certs=/a") == {}
    assert broker_url("rediss://u:p%2F@h:1/0?ssl_ca_certs=/a") == "rediss://u:p%2F@h:1/0"


@pytest.mark.parametrize("end", [":port/0", "/0?ssl_check_hostname=perhaps&ssl_min_version=new", ":99999999/0"])
def test_an_address_that_is_none_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    url = f"rediss://u:{quote(PASSWORD, safe='')}@host{end}"
    with pytest.raises(SettingsError, match="REDIS_URL is not a valid address") as refused:
        tls_options(url)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__
    assert "hunter2" not in repr(settings.load())
