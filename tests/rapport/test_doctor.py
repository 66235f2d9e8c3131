from collections.abc import Iterator
from pathlib import Path

import pytest

from core import settings
from core.store import Store, WorkerSign
from rapport import doctor
from rapport.doctor import Finding
from rapport.stack import PrivateRedis, connect


@pytest.fixture(autouse=True)
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installation in which nothing is missing; returns its model folder."""
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "model.safetensors"):
        (model / name).touch()
    monkeypatch.setenv("RAPPORT_GENERATION__MODEL", str(model))
    monkeypatch.setenv("RAPPORT_SENTIMENT__MODEL", str(model))
    monkeypatch.setenv("RAPPORT_STACK__DATA", str(tmp_path / "data"))
    return model


def findings() -> dict[str, Finding]:
    settings.load.cache_clear()
    return {finding.what: finding for finding in doctor.examine()}


def broken() -> dict[str, str]:
    return {what: finding.text for what, finding in findings().items() if finding.state == "broken"}


def test_a_whole_installation_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.report()
    said = " ".join(capsys.readouterr().out.split())
    assert "model [generation]" in said
    assert "start a private one" in findings()["redis"].text
    assert findings()["worker"].state == "off"


def test_a_missing_model_folder_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_GENERATION__MODEL", "models/no-such-model")
    assert list(broken()) == ["model [generation]"]
    assert "there is no such folder. Restore it" in broken()["model [generation]"]
    assert not doctor.report()


def test_a_model_folder_without_weights_is_broken(whole: Path) -> None:
    (whole / "model.safetensors").unlink()
    assert "the folder has no weights" in broken()["model [sentiment]"]


def test_a_name_of_the_hub_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_GENERATION__MODEL", "someone/some-model")
    found = findings()["model [generation]"]
    assert found.state == "fine"
    assert "downloaded at the first start" in found.text


def test_a_wrong_key_is_broken_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_INBOX__LEASE", "3")
    assert "[inbox] lease is unknown" in broken()["settings"]


def test_a_redis_that_is_away_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/nothing.sock")
    assert list(broken()) == ["redis"]
    assert "correct REDIS_URL" in broken()["redis"]


def test_an_address_that_is_none_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "localhost")
    assert "REDIS_URL is not a valid address" in broken()["redis"]


def test_a_redis_that_may_throw_messages_away_is_broken(redis_url: str) -> None:
    with connect(redis_url) as client:
        assert findings()["redis memory"].state == "fine"
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert "maxmemory-policy is allkeys-lru" in broken()["redis memory"]
        finally:
            client.config_set("maxmemory-policy", "noeviction")


def test_a_redis_that_keeps_nothing_is_worth_a_look(redis_url: str) -> None:
    assert findings()["redis persistence"].state == "warning"


def test_workers_are_known_by_their_signs_of_life(redis_url: str) -> None:
    assert findings()["worker"].state == "warning"
    store = Store(redis_url, settings.load(), lambda person: person)
    store.workers.beat(WorkerSign(id="w1", pid=7, host="here", ready=True, chat_model="models/starter-chat"))
    found = findings()["worker"]
    store.close()
    assert (found.state, found.text) == ("fine", "w1 on here, process 7: models/starter-chat")


def test_a_worker_whose_models_are_not_loaded_yet_is_told_so(redis_url: str) -> None:
    store = Store(redis_url, settings.load(), lambda person: person)
    store.workers.beat(WorkerSign(id="w1", pid=7, host="here", ready=False, chat_model="models/starter-chat"))
    found = findings()["worker"]
    store.close()
    assert found.state == "warning"
    assert found.text == "w1 on here, process 7: models/starter-chat is being loaded"


def test_a_running_private_redis_is_examined(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with PrivateRedis(tmp_path / "data", print):
        found = findings()
    assert "the private one of a running Rapport" in found["redis"].text
    assert found["redis persistence"].state == "fine"


def test_tokens_are_told_as_set_or_not_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "123456:very-secret-and-as-long-as-it-must-be")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-very-secret")
    found = findings()
    assert [found[f"channel {name}"].state for name in ("slack", "telegram", "discord")] == ["broken", "fine", "off"]
    assert "SLACK_APP_TOKEN" in found["channel slack"].text
    doctor.report()
    assert "very-secret" not in capsys.readouterr().out


def test_a_token_of_the_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("DISCORD_BOT_TOKEN=MTIzNDU2Nzg5MDEyMzQ1Njc4.abcdef.very-secret-and-long-enough\n")
    monkeypatch.setenv("RAPPORT_ENV_FILE", str(tmp_path / ".env"))
    assert findings()["channel discord"].state == "fine"


def test_what_can_be_no_token_is_told_before_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "my-secret")
    found = findings()["channel telegram"]
    assert found.state == "broken"
    assert "@BotFather" in found.text
    assert "my-secret" not in found.text


def test_the_helpline_in_force_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "findahelpline.com" in findings()["safety"].text
    monkeypatch.setenv("RAPPORT_SAFETY__COUNTRY", "us")
    assert "988" in findings()["safety"].text


def test_a_note_that_nobody_could_be_sent_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_SAFETY__NOTIFY", "discord:123")
    assert "nobody is told of a crisis" in broken()["safety"]
    monkeypatch.setenv("DISCORD_BOT_TOKEN", "MTIzNDU2Nzg5MDEyMzQ1Njc4.abcdef.abcdefghijklmnopqrstuvwxyz")
    assert findings()["safety"].state == "fine"


def test_what_was_decided_for_safety_is_counted(redis_url: str) -> None:
    assert findings()["safety decisions"].text == "none so far"
    with connect(redis_url) as client:
        client.hset("rapport:counts", mapping={"crisis suicide": 2, "abuse": 5})
    assert findings()["safety decisions"].text == "abuse: 5, crisis suicide: 2"
