import json
import logging
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError

from core import logs
from core.events import MessageEvent
from core.sections import Log


@pytest.fixture(autouse=True)
def root_logger():
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.TALKATIVE}
    yield
    root.handlers[:], level = kept
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_secrets_never_reach_the_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-very-secret")
    logs.set_up(Log(), "test")
    try:
        raise ValueError("token xoxb-very-secret was refused")
    except ValueError:
        logging.getLogger("x").exception("at redis://ada:hunter2@host/0 and redis://:swordfish@host/0")
    said = capsys.readouterr().err
    assert "refused" in said
    assert not any(secret in said for secret in ("very-secret", "hunter2", "swordfish"))


def test_each_of_several_tokens_is_a_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-very-secret, xoxb-as-secret")
    logs.set_up(Log(), "test")
    logging.getLogger("x").warning("xoxb-as-secret was refused, and xoxb-very-secret")
    assert "as-secret" not in (said := capsys.readouterr().err)
    assert "very-secret" not in said


def test_json_lines_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(Log(format="json"), "test")
    logging.getLogger("x").warning('a "quoted"\nline')
    fields = json.loads(capsys.readouterr().err)
    assert fields["message"] == 'a "quoted"\nline'
    assert fields["level"] == "WARNING"
    assert fields["process"] == "test"


def test_what_concerns_messages_says_which(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_API_KEY", "quetzal")
    logs.set_up(Log(format="json"), "test")
    log = logging.getLogger("x")
    with logs.about("e1", "quetzal"):
        log.info("one")
        with logs.about("e2"):
            log.info("two")
        log.info("three")
    log.info("four")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line.get("events") for line in lines] == [["e1", "[secret]"], ["e2"], ["e1", "[secret]"], None]


def test_a_thread_says_what_it_is_about_itself(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(Log(format="json"), "test")
    with logs.about("e1"):
        thread = threading.Thread(target=lambda: logging.getLogger("x").info("elsewhere"))
        thread.start()
        thread.join()
    assert "events" not in json.loads(capsys.readouterr().err)


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "ERROR"])
def test_libraries_never_tell_what_networks_say(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(Log(level=level), "test")
    logging.getLogger("slack_sdk.socket_mode.aiohttp").debug("what somebody wrote")
    logging.getLogger("slack_sdk.socket_mode.aiohttp").info("connected")
    logging.getLogger("ours").debug("a step")
    said = capsys.readouterr().err
    assert "somebody" not in said
    assert ("connected" in said) == (level != "ERROR")
    assert ("a step" in said) == (level == "DEBUG")


def test_what_cannot_be_read_is_not_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(Log(), "test")
    written = json.dumps({"text": "my " + "secret"})
    try:
        MessageEvent.model_validate_json(written)
    except ValidationError:
        logging.getLogger("x").exception("it cannot be read")
    said = capsys.readouterr().err
    assert "Field required" in said
    assert "my secret" not in said


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_of_the_env_file_never_reach_the_log(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text(
        "slack_bot_token=xoxb-very-secret\nWEB_API_KEY='schlüssel \"quetzal\"'\nREDIS_URL=redis://ada:hunt%2Fer2@host/0\n"
    )
    monkeypatch.setenv("RAPPORT_ENV_FILE", str(tmp_path / ".env"))
    logs.set_up(Log(format=form), "test")
    try:
        raise ValueError("as the server sees it: hunt/er2")
    except ValueError:
        logging.getLogger("x").exception('xoxb-very-secret, schlüssel "quetzal", hunt%%2Fer2 of %s', "ada")
    said = capsys.readouterr().err
    assert "[secret], [secret], [secret] of ada" in said
    assert not any(part in said for part in ("very-secret", "schl", "quetzal", "er2"))


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("redis://:se/cret@host", "se/cret"),
        ("redis://ada:p@ss#word@host:6379/0", "p@ss#word"),
        ("unix:///run/redis.sock?db=1&password=hunter2&x=1", "hunter2"),
    ],
)
def test_the_password_of_an_address_is_a_secret_even_where_it_is_not_encoded(
    url: str, password: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    logs.set_up(Log(), "test")
    logging.getLogger("x").warning("AUTH %s at %s", password, url)
    said = capsys.readouterr().err
    assert "AUTH [secret] at [secret]" in said
