"""Whether the configured models are there, without loading them: seconds sooner than the worker would tell."""

from collections.abc import Iterator
from pathlib import Path

from core.errors import ModelMissing
from core.remote import is_remote
from core.settings import Settings, resolve_model


def configured(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield (section, key, name) of each model."""
    sections = {"generation": settings.generation}
    sections |= {f"models.{name}": settings.models[name] for name in settings.models_in_use[1:]}
    for section, conf in sections.items():
        for name in conf.order:
            yield section, "model" if name == conf.model else "fallback", name
    yield "sentiment", "model", settings.sentiment.model


def is_folder(name: str) -> bool:
    """Say whether a name means a folder, be it there or not; else it is one of the Hugging Face hub."""
    return Path(resolve_model(name)).is_absolute() or name.startswith((".", "models/")) or name.count("/") > 1


def refuse_missing(settings: Settings) -> None:
    """Raise ModelMissing for a model folder that is not there or not whole. No server is asked."""
    for section, key, name in configured(settings):
        if not is_remote(name) and (wrong := problem(name)):
            raise ModelMissing(f'Setting [{section}] {key} = "{name}": {wrong}')


def problem(name: str) -> str | None:
    """Return what is wrong with a model folder and how to put it right; None for a whole one or a hub name."""
    if not is_folder(name):
        return None
    folder = Path(resolve_model(name))
    restore = "Restore it from the repository, correct the name, or name a model of the Hugging Face hub."
    if not folder.is_dir():
        return f"there is no such folder. {restore}"
    for what, patterns in (("config.json", ("config.json",)), ("weights (*.safetensors)", ("*.safetensors",))):
        files = [file for pattern in patterns for file in folder.glob(pattern)]
        if not files:
            return f"the folder has no {what}. {restore}"
        for file in files:
            try:
                file.open("rb").close()
            except OSError as error:
                return f"{file.name} cannot be read ({error.strerror}). Change its owner or permissions."
    return None


def is_downloaded(name: str) -> bool:
    """Say whether a model of the hub is in the local cache, at least its configuration."""
    from huggingface_hub import try_to_load_from_cache  # late: few need it

    return isinstance(try_to_load_from_cache(name, "config.json"), str)
