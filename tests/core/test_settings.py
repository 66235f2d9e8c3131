from pathlib import Path

import pytest

from core import sections, settings
from core.errors import SettingsError

SHIPPED = (settings.ROOT / "settings.toml").read_text("utf-8")


class Room(sections.Section):
    """A channel's own section."""

    host: str = "127.0.0.1"
    port: int = 8080
    reply_timeout_s: float = 1


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write settings.toml, and forget what was read before."""
    monkeypatch.setenv("RAPPORT_SETTINGS", str(tmp_path / "settings.toml"))
    monkeypatch.setenv("RAPPORT_ENV_FILE", str(tmp_path / ".env"))
    monkeypatch.delenv("REDIS_URL", raising=False)

    def write(text: str) -> None:
        (tmp_path / "settings.toml").write_text(text)
        settings.load.cache_clear()
        settings.load_section.cache_clear()

    yield write
    settings.load.cache_clear()
    settings.load_section.cache_clear()


def refusal() -> str:
    with pytest.raises(SettingsError) as caught:
        settings.load()
    return str(caught.value)


def test_what_ships_is_valid_and_states_the_defaults(written) -> None:
    written(SHIPPED)
    shipped = settings.load()
    written("")
    bare = settings.load()
    for section in ("generation", "sentiment", "mood", "history", "inbox", "worker", "stack", "log", "tone"):
        assert getattr(shipped, section) == getattr(bare, section), section


def test_the_environment_comes_before_the_file(written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_GENERATION__MODEL", "gpt2")
    monkeypatch.setenv("RAPPORT_WEB__PORT", "9000")
    written('[generation]\nmodel = "other"\ntop_p = 0.5\n[web]\nport = 1\nhost = "h"\n')
    assert settings.load().generation.model == "gpt2"
    assert settings.load().generation.top_p == 0.5
    assert settings.load_section("web", Room) == Room(host="h", port=9000)


def test_secrets_come_from_the_env_file(written, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("REDIS_URL=redis://:hunter2@h:1/0\nSLACK_BOT_TOKEN=xoxb\n")
    written("")
    assert settings.redis_url() == "redis://:hunter2@h:1/0"
    assert "hunter2" not in repr(settings.load())


def test_a_missing_redis_url_says_what_to_do(written) -> None:
    written("")
    with pytest.raises(SettingsError, match="rapport chat"):
        settings.redis_url()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[generation]\nmodle = 'x'", ["[generation] modle", "unknown", "model, fallback"]),
        ("[generatoin]\nmodel = 'x'", ["[generatoin]", "unknown", "generation"]),
        ("[generation]\nmax_new_tokens = 'many'", ["[generation] max_new_tokens", "integer", "settings.toml"]),
        ("[history]\nmax_turns = 0", ["[history] max_turns", "greater than or equal to 2"]),
        ("[tone.happy]\nguidence = 'x'", ["[tone]", "happy.guidence", "Known keys", "name, guidance, temperature"]),
        ("[tone.hapy]\nguidance = 'x'", ["[tone.hapy]", "unknown", "grateful, happy"]),
        ("[tone.happy]\nname = '<|end|>'", ["[tone]", "happy.name"]),
        ("[tone]\nhappy = 'cheerful'", ["[tone] happy", "[tone.happy]"]),
        ("[tone.happy]\ntemperature = 3", ["[tone]", "happy.temperature", "less than or equal to 2"]),
        ("[terminal]", ["[terminal]", "unknown", "web"]),
        ("[smoke]\nany = 1", ["[smoke]", "unknown", "web"]),
        ("[generation\nmodel = 'x'", ["not valid TOML", "line 1"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(written, text: str, words: list[str]) -> None:
    written(text)
    message = refusal()
    assert all(word in message for word in words), message


def test_a_wrong_variable_is_named(written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_GENERATOIN__MODEL", "x")
    written("")
    assert "RAPPORT_GENERATOIN__MODEL" in refusal()


def test_a_list_in_a_variable_is_told_how_it_is_written(written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_GENERATION__FALLBACK", "models/starter-chat")
    written("")
    message = refusal()
    assert all(word in message for word in ("RAPPORT_GENERATION__FALLBACK", '["a", "b"]')), message
    monkeypatch.setenv("RAPPORT_GENERATION__FALLBACK", '["models/starter-chat"]')
    written("[generation]\nmodel = 'a/b'")
    assert settings.load().generation.fallback == ("models/starter-chat",)


def test_a_section_in_one_variable_is_told_without_what_it_holds(written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_GENERATION", "hunter2")
    written("")
    message = refusal()
    assert "RAPPORT_GENERATION" in message
    assert "hunter2" not in message


def test_no_model_is_asked_twice(written) -> None:
    written('[generation]\nfallback = ["a/spare", "a/small"]\n[models.small]\nmodel = "a/small"\n')
    assert settings.load().models["small"].order == ("a/small", "a/spare")


def test_a_tone_that_is_left_out_has_its_default(written) -> None:
    written("[tone.happy]\nname = 'playful'\n")
    table = settings.load().tone
    assert list(table) == list(sections.TONES)
    assert table["happy"].name == "playful"
    assert table["happy"].guidance == sections.TONES["happy"]["guidance"], "key by key"
    assert table["sad"].guidance == sections.TONES["sad"]["guidance"]


def test_a_variable_can_change_one_tone(written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_TONE__ANGRY__GUIDANCE", "Be kind.")
    written(SHIPPED)
    table = settings.load().tone
    assert list(table) == list(sections.TONES)
    assert table["angry"].guidance == "Be kind."
    assert table["angry"].name == "calm"


def test_a_missing_file_is_named(written, tmp_path: Path) -> None:
    written("")
    (tmp_path / "settings.toml").unlink()
    assert str(tmp_path / "settings.toml") in refusal()


def test_an_unknown_key_of_a_channel_is_named(written) -> None:
    written("[web]\nprot = 1")
    with pytest.raises(SettingsError, match=r"\[web\] prot is unknown. Known keys in \[web\]: host, port"):
        settings.load_section("web", Room)
