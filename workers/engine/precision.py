"""The setting ``[generation] precision``: in which number format a chat model is held and computed.

On a CPU int8 is torch's dynamic quantisation: linear layers hold 8-bit weights, and activations are rounded anew for
each pass. On a GPU 4 and 8 bit are bitsandbytes'.
"""

import importlib.util
import warnings
from typing import Any

import torch
from transformers import BitsAndBytesConfig, PreTrainedModel

from core.errors import SettingsError

_STEP = 32
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def fast_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16, also for a CPU that multiplies matrices of it; float32 for others, which are slow with it."""
    has_units = device.type != "cpu" or torch.cpu.get_capabilities().get("amx_bf16", False)
    return torch.bfloat16 if has_units else torch.float32


def rounded(length: int, dtype: torch.dtype, device: torch.device) -> int:
    """Return how many columns to compute where ``length`` are needed.

    In half precision on a CPU oneDNN makes code for each shape of matrix and keeps it. A thousand shapes take a
    gigabyte, and each new one takes longer than the arithmetic; rounded up there are some dozens.
    """
    if length == 1 or device.type != "cpu" or dtype == torch.float32:
        return length
    return -(-length // _STEP) * _STEP


def check(precision: str, device: torch.device, section: str = "generation") -> None:
    """Raise SettingsError if this device cannot have this precision."""
    setting = f'Setting [{section}] precision = "{precision}"'
    if device.type == "cpu":
        if precision == "int4":
            raise SettingsError(f'{setting} is for GPUs. On a CPU use "int8", "fp32" or "bf16".')
        if precision == "int8" and _quantize_dynamic() is None:
            raise SettingsError(f'{setting}: this release of torch has no dynamic quantisation any more. Use "fp32".')
    elif precision in ("int8", "int4"):
        missing = [name for name in ("bitsandbytes", "accelerate") if importlib.util.find_spec(name) is None]
        if missing:
            raise SettingsError(f'{setting} needs `pip install {" ".join(missing)}` on a GPU, or use "bf16".')


def loading(precision: str, device: torch.device) -> dict[str, Any]:
    """Return the arguments for ``from_pretrained``."""
    if device.type == "cpu":
        base = torch.float32 if precision == "int8" else fast_dtype(device)
        return {"dtype": _DTYPES.get(precision, base)}
    if precision in ("int8", "int4"):
        config = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_8bit=precision == "int8",
            load_in_4bit=precision == "int4",
            bnb_4bit_compute_dtype=torch.bfloat16,
            bnb_4bit_quant_type="nf4",
        )
        return {"dtype": torch.bfloat16, "quantization_config": config, "device_map": {"": device}}
    return {"dtype": _DTYPES.get(precision, torch.bfloat16)}


def placed(model: PreTrainedModel, precision: str, device: torch.device) -> PreTrainedModel:
    """Return the loaded model on its device, quantised if that is still to be done, in evaluation mode."""
    if device.type == "cpu" and precision == "int8":
        quantize = _quantize_dynamic()
        assert quantize is not None  # looked for by check()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is deprecated, and nothing as fast has taken its place
            quantize(model, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)
    elif "device_map" not in loading(precision, device):
        model.to(device)  # type: ignore[arg-type]
    model.eval()  # type: ignore[no-untyped-call]
    return model


def _quantize_dynamic() -> Any:
    quantization = getattr(torch.ao, "quantization", None)
    return getattr(quantization, "quantize_dynamic", None)
