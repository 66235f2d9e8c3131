"""Errors at the start name the setting and what to change."""

from pathlib import Path

import pytest

from core.errors import ModelMissing, SettingsError
from core.sections import Generation, SentimentSettings
from tests.workers.engine import tiny
from workers.engine.chat import ChatEngine
from workers.engine.encoder import Encoder


@pytest.mark.parametrize("name", ["models/no-such-model", "./nowhere", "/no/such/folder"])
def test_missing_folder(name: str) -> None:
    with pytest.raises(ModelMissing, match=r"\[generation\] model = .*no such folder"):
        ChatEngine.load(Generation(model=name))
    with pytest.raises(ModelMissing, match=r"\[sentiment\] model = .*no such folder"):
        Encoder.load(SentimentSettings(model=name))


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"no config\.json"):
        ChatEngine.load(Generation(model=str(tmp_path)))


def test_folder_with_a_broken_model(tmp_path: Path) -> None:
    name = tiny.save_llama(tmp_path, tiny.starter_tokenizer())
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelMissing, match="cannot be loaded"):
        ChatEngine.load(Generation(model=name))


def test_unreachable_hub_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelMissing, match="offline, use a folder"):
        ChatEngine.load(Generation(model="rapport-tests/no-such-model"))


def test_causal_model_without_a_chat_template(tmp_path: Path) -> None:
    tok = tiny.starter_tokenizer()
    tok.chat_template = None
    with pytest.raises(ModelMissing, match="no chat template"):
        ChatEngine.load(Generation(model=tiny.save_llama(tmp_path, tok)))


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_no_such_device(device: str) -> None:
    with pytest.raises(SettingsError, match=r"\[generation\] device"):
        ChatEngine.load(Generation(device=device))
