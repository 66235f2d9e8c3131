import json
import logging

import pytest

from core import logs
from core.settings import Log


@pytest.fixture(autouse=True)
def root_logger():
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    yield
    root.handlers[:], level = kept
    root.setLevel(level)


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


def test_json_lines_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(Log(format="json"), "test")
    logging.getLogger("x").warning('a "quoted"\nline')
    fields = json.loads(capsys.readouterr().err)
    assert fields["message"] == 'a "quoted"\nline'
    assert fields["level"] == "WARNING"
    assert fields["process"] == "test"
