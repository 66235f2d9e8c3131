"""How models on servers are named in the settings."""

import pytest

from core import remote, settings
from core.errors import SettingsError


@pytest.mark.parametrize(
 fmt: skip  ("name", "url", "model", "key_variable", "host"),
 fmt: skip  [
 fmt: skip      ("http://gpu-1:8000/v1#Qwen/Q", "http://gpu-1:8000/v1", "Qwen/Q", "OPENAI_API_KEY", "gpu-1:8000"),
 fmt: skip      ("https://api.host/v1#a@b:1", "https://api.host/v1", "a@b:1", "OPENAI_API_KEY", "api.host"),
 fmt: skip      ("https://MY_API_KEY@host/x/v1#m", "https://host/x/v1", "m", "MY_API_KEY", "host"),
 fmt: skip      ("http://[::1]:8080/v1#m", "http://[::1]:8080/v1", "m", "OPENAI_API_KEY", "[::1]:8080"),
 fmt: skip  ],
) fmt: skip# fmt: skip
def test_a_name_is_an_address_and_a_model(name: str, url: str, model: str, key_variable: str, host: str) -> None:
 fmt: skip  assert remote.is_remote(name)
 fmt: skip  read = remote.parse(name)
 fmt: skip  assert read == remote.RemoteModel(url, model, key_variable)
 fmt: skip  assert read.host == host


@pytest.mark.parametrize("name", ["models/starter-chat", "someone/http", "/srv/models/x", "gpt2"])
def test_folders_and_names_of_the_hub_are_not_remote(name: str) -> None:
 fmt: skip  assert not remote.is_remote(name)


@pytest.mark.parametrize(
 fmt: skip  ("name", "what"),
 fmt: skip  [
 fmt: skip      ("http://host:8000/v1", "names no model"),
 fmt: skip      ("http://host:8000/v1#", "names no model"),
 fmt: skip      ("http:///v1#m", "no host"),
 fmt: skip      ("http://host:99999/v1#m", "ort"),
 fmt: skip      ("http://host:0/v1#m", "port 0"),
 fmt: skip      ("https://sk-very-secret@host/v1#m", "a key does not belong"),
 fmt: skip      ("https://MY_API_KEY:very-secret@host/v1#m", "a key does not belong"),
 fmt: skip      ("https://host/v1?key=very-secret#m", "question mark"),
 fmt: skip  ],
)
@pytest.mark.parametrize("variable", ["RAPPORT_GENERATION__MODEL", "RAPPORT_GENERATION__FALLBACK"])
def test_what_is_wrong_ends_the_start_with_a_line_that_tells_no_secret(
 fmt: skip  name: str, what: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
 fmt: skip  monkeypatch.setenv(variable, f'["models/starter-chat", "{name}"]' if "FALLBACK" in variable else name)
 fmt: skip  with pytest.raises(SettingsError, match=what) as caught:
 fmt: skip      settings.load()
 fmt: skip  assert "[generation]" in str(caught.value)
 fmt: skip  assert "very-secret" not in str(caught.value)


def test_the_order_begins_with_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
 fmt: skip  monkeypatch.setenv("RAPPORT_GENERATION__MODEL", "http://host/v1#m")
 fmt: skip  monkeypatch.setenv("RAPPORT_GENERATION__FALLBACK", '["models/starter-chat"]')
 fmt: skip  assert settings.load().generation.order == ("http://host/v1#m", "models/starter-chat")
