"""The precision setting: what can be had works, what cannot says what to do."""

from pathlib import Path

import pytest
import torch

from core.errors import SettingsError
from core.sections import Generation
from tests.workers.engine import tiny
from tests.workers.engine.test_chat import WAIT_S, serving
from tests.workers.engine.tiny import prompt
from workers.engine import passes, precision
from workers.engine.loading import load_chat
from workers.engine.scheduler import Scheduler


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny.save_llama(tmp_path_factory.mktemp("starter"), tiny.starter_tokenizer())


@pytest.mark.parametrize("name", ["auto", "fp32", "bf16", "int8"])
def test_each_precision_of_a_cpu_writes_token_by_token(starter: str, name: str) -> None:
    with serving(starter, precision=name) as engine:
        assert isinstance(engine._batcher, Scheduler)
        assert engine.submit(prompt("hello")).result(WAIT_S).completion_tokens == 24


def test_int8_holds_small_weights(starter: str) -> None:
    model = load_chat(Generation(model=starter, device="cpu", precision="int8")).model
    kinds = {type(module).__module__ for module in model.modules() if type(module).__name__ == "Linear"}
    assert kinds == {"torch.ao.nn.quantized.dynamic.modules.linear"}


def test_blenderbot_can_have_it_too(tmp_path: Path) -> None:
    with serving(tiny.save_blenderbot(tmp_path), precision="int8") as engine:
        assert engine.submit(prompt("hello")).result(WAIT_S).completion_tokens == 24


def test_what_a_cpu_cannot_have_is_refused_at_the_start(starter: str) -> None:
    with pytest.raises(SettingsError, match=r'\[generation\] precision = "int4" is for GPUs'):
        load_chat(Generation(model=starter, device="cpu", precision="int4"))


def test_a_release_of_torch_without_dynamic_quantisation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.ao.quantization, "quantize_dynamic")
    with pytest.raises(SettingsError, match='Use "fp32"'):
        precision.check("int8", torch.device("cpu"))


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_a_gpu_needs_bitsandbytes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="pip install bitsandbytes accelerate"):
        precision.check(name, torch.device("cuda"))
    precision.check("bf16", torch.device("cuda"))


@pytest.mark.parametrize(("units", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_is_what_the_cpu_is_fast_with(
    starter: str, monkeypatch: pytest.MonkeyPatch, units: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": units})
    assert load_chat(Generation(model=starter, device="cpu")).model.dtype == dtype


def test_half_precision_on_a_cpu_meets_few_shapes(starter: str) -> None:
    """For each shape of matrix that it meets, oneDNN keeps code: a worker grew by a gigabyte."""
    chat = load_chat(Generation(model=starter, device="cpu", precision="bf16"))
    widths: set[int] = set()
    embed = chat.model.get_input_embeddings()
    with serving(chat, precision="bf16", max_new_tokens=2) as engine:
        embed.register_forward_pre_hook(lambda _, given: widths.add(given[0].shape[1]))
        waiting = [engine.submit(prompt(" ".join(["again"] * count))) for count in range(1, 60, 3)]
        assert all(one.result(WAIT_S).text for one in waiting)
    assert len(widths) > 2
    assert all(width == 1 or width % 32 == 0 for width in widths)


@pytest.mark.parametrize(("pause_s", "tokens"), [(0, 64), (1000, 1024)])
def test_so_much_is_read_at_once_as_a_pause_allows(
    starter: str, monkeypatch: pytest.MonkeyPatch, pause_s: float, tokens: int
) -> None:
    monkeypatch.setattr(passes, "_PAUSE_S", pause_s)
    with serving(starter, batch=16) as engine:
        assert isinstance(engine._batcher, Scheduler)
        assert engine._batcher._portion == tokens


def test_little_room_means_few_rows_and_is_said(starter: str, caplog: pytest.LogCaptureFixture) -> None:
    # 2 layers x 2 heads x 16 wide x keys and values x 4 bytes: 512 bytes a token, 256.5 KiB a slot
    with serving(starter, cache_gib=1.1e-3, batch=16) as engine:
        assert "raise cache_gib" in caplog.text
        assert isinstance(engine._batcher, Scheduler)
        assert engine._batcher._most == 4
        waiting = [engine.submit(prompt("hello", *["more"] * (2 * at))) for at in range(8)]
        assert all(one.result(WAIT_S).text for one in waiting)


def test_room_that_is_not_there_names_the_setting(starter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "_IDLE", 10**12)  # more than any machine can address
    with (
        pytest.raises(SettingsError, match=r"Set \[generation\] cache_gib lower"),
        serving(starter, cache_gib=1e12),
    ):
        pass
