"""From a setting to a model in memory: name or folder, device, number format, and errors that say what to change.

How a loaded model is used is not decided here; that is in chat.py and encoder.py.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from core.errors import ModelMissing, SettingsError
from core.sections import Generation
from core.settings import resolve_model
from workers.engine import precision

# Of every model: no code of its own is run, and no weights are read that can hold code (pickles, *.bin).
SAFELY: dict[str, Any] = {"trust_remote_code": False, "use_safetensors": True}


@dataclass(frozen=True)
class LoadedChat:
    """A chat model ready for use: in evaluation mode, on its device."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    encoder_decoder: bool


def end_tokens(chat: LoadedChat) -> frozenset[int]:
    """Return the ids that end a reply: some models name only the end of a text, and their tokenizer that of a turn."""
    own = chat.model.generation_config
    assert own is not None
    return frozenset({*as_list(own.eos_token_id), *as_list(chat.tokenizer.eos_token_id)})


def as_list(ids: int | list[int] | torch.Tensor | None) -> list[int]:
    """Return ids as configurations have them, one, several or none, as a list."""
    if ids is None:
        return []
    return [ids] if isinstance(ids, int) else [int(one) for one in ids]


def pick_device(name: str, section: str) -> torch.device:
    """Return the device a setting names; "auto" is CUDA where there is one, else the CPU.

    Raises:
        SettingsError: the name is no device, or this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(
            f'Setting [{section}] device = "{name}" is no device. Use "auto", "cpu", "cuda" or "cuda:1".'
        ) from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SettingsError(
            f'Setting [{section}] device = "{name}", but this machine shows {torch.cuda.device_count()} CUDA devices. '
            'Use "auto" or "cpu", or correct the number.'
        )
    return device


def pick_dtype(device: torch.device) -> torch.dtype:
    """Return float32 on the CPU, where half precision is slow without special units, and bfloat16 elsewhere."""
    return torch.float32 if device.type == "cpu" else torch.bfloat16


def load_config(name: str, section: str, key: str = "model") -> tuple[str, PretrainedConfig]:
    """Return (folder or hub name, configuration) of the model that ``[section] key`` names.

    Raises:
        ModelMissing: no such folder or hub name, no configuration, or a kind this transformers release lacks.
    """
    source = resolve_model(name)
    folder = Path(source)
    setting = f'[{section}] {key} = "{name}"'
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelMissing(
                f"Setting {setting}: the folder {source} has no config.json. "
                "Put a model saved with save_pretrained there, or name another folder."
            )
    elif folder.is_absolute() or name.startswith((".", "models/")) or name.count("/") > 1:
        raise ModelMissing(
            f"Setting {setting}: there is no such folder. Correct the name, restore the folder from the repository, "
            "or name a model on the Hugging Face hub."
        )
    try:
        return source, AutoConfig.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # the hub client raises many kinds
        raise missing(setting, source, error) from error


def load_chat(settings: Generation, section: str = "generation", key: str = "model") -> LoadedChat:
    """Load the chat model that ``settings.model`` names; it stands in ``[section] key``.

    Raises:
        ModelMissing: there is none, or it is a causal model without a chat template.
        SettingsError: the device does not exist.
    """
    device = pick_device(settings.device, section)
    precision.check(settings.precision, device, section)
    source, config = load_config(settings.model, section, key)
    setting = f'[{section}] {key} = "{settings.model}"'
    encoder_decoder = bool(config.is_encoder_decoder)
    kind = AutoModelForSeq2SeqLM if encoder_decoder else AutoModelForCausalLM
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        model: PreTrainedModel = kind.from_pretrained(source, **SAFELY, **precision.loading(settings.precision, device))
    except Exception as error:
        raise missing(setting, source, error) from error
    if not tokenizer.chat_template and not encoder_decoder:
        raise ModelMissing(
            f"Setting {setting}: this model has no chat template, so it was not trained to converse. "
            "Use its instruction-tuned variant (often named -Instruct or -Chat)."
        )
    return LoadedChat(precision.placed(model, settings.precision, device), tokenizer, device, encoder_decoder)


def missing(setting: str, source: str, error: Exception) -> ModelMissing:
    """Return the error for a model that did not load, with the first line of the reason."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if "trust_remote_code" in str(error):
        reason = "it needs code of its own, which is never run here."
    elif "safetensors" in reason:
        reason = "it has no *.safetensors, and weights in other files (*.bin), which can hold code, are never read."
    if Path(source).is_dir():
        return ModelMissing(
            f"Setting {setting}: the model in {source} cannot be loaded: {reason} "
            "Restore its files, or name another model."
        )
    return ModelMissing(
        f"Setting {setting}: no such folder, and the Hugging Face hub gave no such model: {reason} "
        "Correct the name, or check the connection; offline, use a folder."
    )
