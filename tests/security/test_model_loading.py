"""A model is data: whatever stands in its folder, nothing of it is run."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.errors import ModelMissing
from core.sections import Generation, SentimentSettings
from rapport.models import problem
from tests.workers.engine import tiny
from workers.engine import loading
from workers.engine.encoder import Encoder

LABELS = ["negative", "neutral", "positive"]


class Trap:
    """What unpickling it runs: it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self._mark),)


def load_chat(folder: Path) -> None:
    loading.load_chat(Generation(model=str(folder), device="cpu"))


def load_encoder(folder: Path) -> None:
    Encoder.load(SentimentSettings(model=str(folder), device="cpu")).close()


KINDS: dict[str, tuple[Callable[[Path], object], Callable[[Path], None]]] = {
    "causal": (lambda folder: tiny.save_llama(folder, tiny.starter_tokenizer()), load_chat),
    "encoder-decoder": (tiny.save_blenderbot, load_chat),
    "classifier": (lambda folder: tiny.save_classifier(folder, LABELS), load_encoder),
    "starter encoder": (
        lambda folder: shutil.copytree("models/starter-encoder", folder, dirs_exist_ok=True),
        load_encoder,
    ),
}


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "it-was-run"


def test_the_trap_works(tmp_path: Path, mark: Path) -> None:
    torch.save({"x": Trap(mark)}, tmp_path / "trap.bin")
    torch.load(tmp_path / "trap.bin", weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize(("kind", "trapped"), [*((kind, True) for kind in KINDS), ("causal", False)])
def test_weights_in_a_pickle_are_refused(tmp_path: Path, mark: Path, kind: str, trapped: bool) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    make, load = KINDS[kind]
    make(folder)
    weights = load_file(folder / "model.safetensors")
    torch.save(weights | ({"trap": Trap(mark)} if trapped else {}), folder / "pytorch_model.bin")
    load(folder)  # with both there, the pickle is not looked at
    (folder / "model.safetensors").unlink()
    with pytest.raises(
        ModelMissing, match=r"no \*\.safetensors, and weights in other files .* are never read"
    ) as refused:
        load(folder)
    assert "weights_only" not in str(refused.value), "no advice that would run it"
    if not (folder / "sentiment_head.safetensors").exists():
        assert "no weights (*.safetensors)" in str(problem(str(folder))), "rapport doctor says so before"
    assert not mark.exists()


def changed(file: Path, **entries: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | entries), "utf-8")


def test_no_detour_leads_to_a_pickle(tmp_path: Path, mark: Path) -> None:
    folder = tmp_path / "model"
    tiny.save_llama(folder, tiny.starter_tokenizer())
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({"trap": Trap(mark)}, folder / "adapter_model.bin")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": dict.fromkeys(weights, "adapter_model.bin")}), "utf-8"
    )
    with pytest.raises(ModelMissing):
        load_chat(folder)
    changed(folder / "config.json", transformers_weights="adapter_model.bin")
    with pytest.raises(ModelMissing):
        load_chat(folder)
    assert not mark.exists()


def test_a_pickle_under_the_name_of_safetensors_is_refused(tmp_path: Path, mark: Path) -> None:
    folder = tmp_path / "model"
    tiny.save_llama(folder, tiny.starter_tokenizer())
    torch.save({"trap": Trap(mark)}, folder / "model.safetensors")
    with pytest.raises(ModelMissing):
        load_chat(folder)
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["causal", "classifier"])
def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path, mark: Path, kind: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    make, load = KINDS[kind]
    make(folder)
    names = ("configuration_trap", "modeling_trap", "tokenization_trap")
    for name in names:
        (folder / f"{name}.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n", "utf-8")
    mapped = {
        "AutoConfig": "configuration_trap.TrapConfig",
        "AutoModelForCausalLM": "modeling_trap.Trap",
        "AutoModelForSequenceClassification": "modeling_trap.Trap",
        "AutoTokenizer": ["tokenization_trap.Trap", None],
    }
    changed(folder / "config.json", auto_map=mapped)
    changed(folder / "tokenizer_config.json", auto_map=mapped)
    load(folder)  # a kind that is known here is loaded with the code that is here
    changed(folder / "config.json", model_type="trap")
    with pytest.raises(ModelMissing, match="needs code of its own, which is never run here"):
        load(folder)
    assert not mark.exists()
