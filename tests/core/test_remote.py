"""How models on servers are named in the settings."""

import pytest

from core import remote, settings
from core.errors import SettingsError


@pytest.mark.parametrize(
    ("name", "url", "model", "key_variable", "host"),
    [
        ("http://gpu-1:8000/v1#Qwen/Q", "http://gpu-1:8000/v1", "Qwen/Q", "OPENAI_API_KEY", "gpu-1:8000"),
        ("https://api.host/v1#a@b:1", "https://api.host/v1", "a@b:1", "OPENAI_API_KEY", "api.host"),
        ("https://MY_API_KEY@host/x/v1#m", "https://host/x/v1", "m", "MY_API_KEY", "host"),
        ("http://[::1]:8080/v1#m", "http://[::1]:8080/v1", "m", "OPENAI_API_KEY", "[::1]:8080"),
    ],
)
def test_a_name_is_an_address_and_a_model(name: str, url: str, model: str, key_variable: str, host: str) -> None:
    assert remote.is_remote(name)
    read = remote.parse(name)
    assert read == remote.RemoteModel(url, model, key_variable)
    assert read.host == host


@pytest.mark.parametrize("name", ["models/starter-chat", "someone/http", "/srv/models/x", "gpt2"])
def test_folders_and_names_of_the_hub_are_not_remote(name: str) -> None:
    assert not remote.is_remote(name)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("http://host:8000/v1", "names no model"),
        ("http://host:8000/v1#", "names no model"),
        ("http:///v1#m", "no host"),
        ("http://host:99999/v1#m", "ort"),
        ("http://host:0/v1#m", "port 0"),
        ("https://sk-very-secret@host/v1#m", "a key does not belong"),
        ("https://MY_API_KEY:very-secret@host/v1#m", "a key does not belong"),
        ("https://host/v1?key=very-secret#m", "question mark"),
    ],
)
@pytest.mark.parametrize("variable", ["RAPPORT_GENERATION__MODEL", "RAPPORT_GENERATION__FALLBACK"])
def test_what_is_wrong_ends_the_start_with_a_line_that_tells_no_secret(
    name: str, what: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f'["models/starter-chat", "{name}"]' if "FALLBACK" in variable else name)
    with pytest.raises(SettingsError, match=what) as caught:
        settings.load()
    assert "[generation]" in str(caught.value)
    assert "very-secret" not in str(caught.value)


def test_the_order_begins_with_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_GENERATION__MODEL", "http://host/v1#m")
    monkeypatch.setenv("RAPPORT_GENERATION__FALLBACK", '["models/starter-chat"]')
    assert settings.load().generation.order == ("http://host/v1#m", "models/starter-chat")


@pytest.mark.parametrize(
    ("name", "clear"),
    [
        ("http://gpu-1:8000/v1#m", True),
        ("http://10.0.0.2/v1#m", True),
        ("https://host/v1#m", False),
        ("http://localhost:1/v1#m", False),
        ("http://127.0.0.1:1/v1#m", False),
        ("http://[::1]:1/v1#m", False),
    ],
)
def test_what_others_on_the_network_can_read_is_known(name: str, clear: bool) -> None:
    assert remote.parse(name).in_clear is clear
