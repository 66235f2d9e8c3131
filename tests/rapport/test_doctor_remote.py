"""What the doctor says of models that run on servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core import settings
from rapport import doctor
from rapport.doctor import Finding
from tests.platforms.openai import Fault, OpenAIDouble

KEY = "sk-very-secret-0123456789"


@pytest.fixture
def server() -> Iterator[OpenAIDouble]:
    double = OpenAIDouble()
    double.start()
    yield double
    double.release()
    double.stop()


@pytest.fixture
def findings(server: OpenAIDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAPPORT_STACK__DATA", str(tmp_path))

    def examine(model: str = "", *fallback: str) -> dict[str, Finding]:
        monkeypatch.setenv("RAPPORT_GENERATION__MODEL", model or server.name)
        monkeypatch.setenv("RAPPORT_GENERATION__FALLBACK", str(list(fallback)).replace("'", '"'))
        settings.load.cache_clear()
        return {finding.what: finding for finding in doctor.examine()}

    return examine


def test_a_server_that_answers_is_fine(findings, server: OpenAIDouble, capsys: pytest.CaptureFixture[str]) -> None:
    found = findings(server.name, "models/starter-chat")
    assert found["model [generation]"].state == "fine"
    assert f"{server.name}: it answers" in found["model [generation]"].text
    assert found["fallback [generation]"].state == "fine"
    assert server.seen[0].body["max_tokens"] == 1
    assert doctor.report()


def test_a_refused_key_is_broken_and_says_which(
    findings, server: OpenAIDouble, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.manners.key = KEY
    found = findings()["model [generation]"]
    assert found.state == "broken"
    assert "it wants a key. Set OPENAI_API_KEY in .env" in found.text
    monkeypatch.setenv("GPU_API_KEY", "sk-wrong-9876543210")
    found = findings(server.name.replace("//", "//GPU_API_KEY@"))["model [generation]"]
    assert found.state == "broken"
    assert "it refuses the key in GPU_API_KEY" in found.text
    assert not doctor.report()
    said = "".join(capsys.readouterr())
    assert "9876543210" not in said
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert findings()["model [generation]"].state == "fine"


def test_an_unknown_model_is_broken_with_those_that_are_there(findings, server: OpenAIDouble) -> None:
    found = findings(f"{server.url}#llama3")["model [generation]"]
    assert found.state == "broken"
    assert "It serves: double/chat." in found.text


def test_a_server_that_is_away_is_broken_unless_another_stands_in(findings, server: OpenAIDouble) -> None:
    away = "http://127.0.0.1:9/v1#m"
    found = findings(away)["model [generation]"]
    assert found.state == "broken"
    assert "cannot be reached" in found.text
    found = findings(server.name, away)["fallback [generation]"]
    assert found.state == "warning"
    assert "Another engine is asked instead" in found.text


def test_a_server_with_much_to_do_is_worth_a_look(findings, server: OpenAIDouble) -> None:
    server.faults = [Fault("busy", wait="60")]
    assert findings(server.name, "models/starter-chat")["model [generation]"].state == "warning"


def test_a_missing_folder_in_the_order_is_named(findings, server: OpenAIDouble) -> None:
    found = findings(server.name, "models/none")["fallback [generation]"]
    assert found.state == "broken"
    assert "there is no such folder" in found.text
