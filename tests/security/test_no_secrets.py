"""No secret is ever printed: all of them are set, every error that can be provoked is, and all that is said is read.

The servers here are the worst there could be: they refuse, and say all that they were sent in their refusal.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from channels.__main__ import make_adapter
from core import settings
from core.dialogue import Prompt, PromptMessage, Tone
from core.errors import RapportError
from core.sections import Generation
from core.store import Store
from rapport import doctor, status
from tests.conftest import forget_settings
from workers.engine.remote import RemoteEngine

ROOT = Path(__file__).parent.parent.parent
MARK = "hunter2"
SECRETS = {
    "SLACK_BOT_TOKEN": f"xoxb-1111111111-{MARK}slackbot",
    "SLACK_APP_TOKEN": f"xapp-1-{MARK}-slack-app-token-of-some-length",
    "SLACK_SIGNING_SECRET": f"{MARK}0123456789abcdef0123456789",
    "TELEGRAM_BOT_TOKEN": f"123456:{MARK}_telegram_token_of_some_length",
    "DISCORD_BOT_TOKEN": f"MTIzNDU2Nzg5MDEyMzQ1Njc4.{MARK}.discord_token_of_some_length",
    "WEB_API_KEY": f"{MARK}-web-key-of-some-length-0123456789",
    "OPENAI_API_KEY": f"sk-{MARK}-openai-key-of-some-length",
    "OTHER_API_KEY": f"sk-{MARK}-another-key-of-some-length",
    "REDIS_URL": f"redis://:{MARK}-redis@127.0.0.1:9/0",
}
PLATFORMS = ("SLACK_API_URL", "TELEGRAM_API_URL", "DISCORD_API_URL", "DISCORD_GATEWAY_URL")


class Mirror(BaseHTTPRequestHandler):
    """Answers with the status that the path begins with, and with everything that it was sent."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode("utf-8", "replace")
        told = f"{self.path} {dict(self.headers)} {body}"
        code = int(self.path.split("/")[1])
        error = {"message": told, "type": told, "code": told}
        answer = {"ok": False, "error": error if "/v1" in self.path else told, "description": told, "message": told}
        if "api.slack" in self.path or "/auth.test" in self.path or "/apps." in self.path:
            answer["error"] = told
        raw = json.dumps(answer | {"error_code": code, "code": 0}).encode()
        with suppress(OSError):  # whoever asked has gone
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def mirror() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def all_secrets(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Iterator[None]:
    """Set all secrets, log all there is, and read everything that was said in the end."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    for name in PLATFORMS:
        monkeypatch.setenv(name, f"{'ws' if 'GATEWAY' in name else 'http'}://127.0.0.1:9")
    monkeypatch.setenv("RAPPORT_STACK__DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RAPPORT_LOG__LEVEL", "DEBUG")
    forget_settings()
    yield
    assert MARK not in "".join(capfd.readouterr())
    told = [text for text in (record.getMessage() for record in caplog.records) if MARK in text]
    assert not told, "messages must not hold any, even if the formatter would take it out"


def said(*command: str, until: str = "") -> str:
    """Run a program until it ends or has said something that matches; return all of it, which holds no secret."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=dict(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    too_late = threading.Timer(40, process.kill)
    too_late.start()
    lines: list[str] = []
    assert process.stdout
    with process.stdout as output:
        for line in output:
            lines.append(line)
            if until and re.search(until, line):
                process.kill()
    process.wait()
    too_late.cancel()
    text = "".join(lines)
    assert MARK not in text, text
    return text


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("rapport", "doctor"), "no answer from the one REDIS_URL names"),
        (("rapport", "status", "--json"), "does not answer"),
        (("rapport", "dead", "list"), "does not answer"),
    ],
)
def test_commands_without_their_redis(command: tuple[str, ...], expected: str) -> None:
    assert expected in " ".join(said(*command).split())


@pytest.mark.parametrize(
    ("channel", "trouble"),
    [
        ("slack", "refused"),
        ("slack", "failing"),
        ("telegram", "refused"),
        ("telegram", "failing"),
        ("discord", "refused"),  # it hears of a failing one only after half a minute
    ],
)
def test_a_network_that_repeats_what_it_was_sent(
    mirror: str, redis_server: object, channel: str, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)  # type: ignore[attr-defined]
    for name in PLATFORMS[:-1]:
        monkeypatch.setenv(name, f"{mirror}/{401 if trouble == 'refused' else 500}")
    told = rf" [WE] {channel} channels.*{channel.capitalize()}|^{channel}: .*{channel.upper()}"
    assert re.search(told, said("channels", channel, until=told), re.MULTILINE), "it says what is wrong"


@pytest.mark.parametrize(
    ("code", "who"), [(400, ""), (401, ""), (401, "OTHER_API_KEY@"), (413, ""), (429, ""), (500, "OTHER_API_KEY@")]
)
def test_a_model_server_that_repeats_what_it_was_sent(mirror: str, code: int, who: str) -> None:
    name = f"{mirror.replace('http://', f'http://{who}')}/{code}/v1#model"
    engine = RemoteEngine(name, Generation(model=name, timeout_s=2))
    errors: list[str] = []
    prompt = Prompt(messages=(PromptMessage(role="user", content="hello"),), tone=Tone(name="plain", guidance="Be."))
    with suppress(RapportError):
        engine.check(2)
        raise AssertionError("it was refused nothing")
    try:
        engine.submit(prompt).result(5)
    except RapportError as error:
        errors += [str(error), repr(error)]
    engine.close()
    assert errors
    assert not [error for error in errors if MARK in error], errors
    assert MARK not in repr(vars(engine.server))


def test_the_doctor_and_a_model_server_that_refuses(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_GENERATION__MODEL", f"{mirror}/401/v1#model")
    forget_settings()
    found = list(doctor.examine())
    assert any(one.state == "broken" and "generation" in one.what for one in found)
    assert MARK not in repr(found)
    assert MARK not in status.examine().model_dump_json()


@pytest.mark.parametrize("name", [*SECRETS])
@pytest.mark.parametrize("value", [f"{MARK}\n{MARK}", f"redis://:{MARK}@h:p"])
def test_a_secret_of_the_wrong_form(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    forget_settings()
    told = [one.text for one in doctor.examine()]
    with suppress(RapportError):
        Store(settings.redis_url(), settings.load(), lambda person: person).close()
    for channel in ("slack", "telegram", "discord", "web"):
        try:
            make_adapter(channel)
        except RapportError as error:
            told.append(str(error))
    assert not [text for text in told if MARK in text], told


@pytest.mark.parametrize(
    "lines",
    [
        f'[telegram]\ntoken = "{MARK}"',
        f'[slack]\nbot_token = "{MARK}"',
        f'[secrets]\nkey = "{MARK}"',
        f'[generation]\nmodel = ["{MARK}"]',
        f'[web]\nport = "{MARK}"',
        f'[inbox]\nlease_s = "{MARK}"',
        f'redis_url = "{MARK}"',
        f'[web\nkey = "{MARK}"',
    ],
)
def test_a_secret_that_stands_in_the_settings(lines: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(lines, "utf-8")
    monkeypatch.setenv("RAPPORT_SETTINGS", str(file))
    forget_settings()
    told = []
    for read in (
        settings.load,
        lambda: make_adapter("telegram"),
        lambda: make_adapter("slack"),
        lambda: make_adapter("web"),
    ):
        try:
            read()
        except RapportError as error:
            told.append(str(error))
    assert told, "it is no valid file"
    assert not [text for text in told if MARK in text], told


@pytest.mark.parametrize(
    "variable", ["RAPPORT_GENERATION", "RAPPORT_SAFETY__LINKS", "RAPPORT_WEB__PORT", "RAPPORT_X__Y"]
)
def test_a_secret_in_the_wrong_variable(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, MARK)
    forget_settings()
    told = [one.text for one in doctor.examine()]
    assert any(variable in text for text in told)
    assert MARK not in str(told)


def test_nothing_that_holds_a_secret_shows_it() -> None:
    from channels.discord.settings import credentials as discord
    from channels.slack.settings import credentials as slack
    from channels.telegram.settings import credentials as telegram

    for held in (settings.load(), discord(), slack(), telegram()):
        for shown in (repr(held), str(held), f"{held}"):
            assert MARK not in shown
    assert MARK not in settings.load().model_dump_json()
