"""Settings: ``settings.toml`` and the environment, typed and validated. Secrets come from the environment alone.

Precedence: environment (``RAPPORT_SECTION__KEY``), then ``.env``, then settings.toml, then the default here.
A channel's own section is declared in that channel's room and read with ``load_section``; core knows only the
names of the rooms.
"""

import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from dotenv import dotenv_values
from pydantic import BaseModel, Field, SecretStr, ValidationError, create_model, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as SourceError

from core.errors import SettingsError
from core.sections import (
    TONES,
    Access,
    Bot,
    DeadLetters,
    Generation,
    History,
    Inbox,
    Log,
    Mood,
    Safety,
    SentimentSettings,
    Stack,
    ToneRow,
    Worker,
)

ROOT = Path(__file__).resolve().parent.parent
CHANNELS = ("terminal", "web", "slack", "telegram", "discord")
# The channels whose room reads a section of its own; any other section would be read by nobody.
CHANNEL_SECTIONS = ("web", "slack", "telegram", "discord")
S = TypeVar("S", bound=BaseModel)
# Also the end of a queue's name. Small letters, as the environment knows no others.
ModelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]


class Settings(BaseSettings):
    """Everything that core and workers read, one attribute a section."""

    model_config = SettingsConfigDict(
        env_prefix="RAPPORT_", env_nested_delimiter="__", extra="ignore", frozen=True, env_file_encoding="utf-8"
    )

    bot: Bot = Bot()
    generation: Generation = Generation()
    sentiment: SentimentSettings = SentimentSettings()
    tone: dict[str, ToneRow] = Field({}, validate_default=True)
    mood: Mood = Mood()
    safety: Safety = Safety()
    access: Access = Access()
    history: History = History()
    inbox: Inbox = Inbox()
    dead_letters: DeadLetters = DeadLetters()
    models: dict[ModelName, Generation] = {}
    route: dict[str, str] = {}
    worker: Worker = Worker()
    stack: Stack = Stack()
    log: Log = Log()
    redis_url: SecretStr | None = Field(None, validation_alias="REDIS_URL")

    @field_validator("tone", mode="before")
    @classmethod
    def _fill_from_the_defaults(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        for name, row in table.items():
            # At the start, as a row under a wrong name would silently never be used.
            if name not in TONES:
                raise SettingsError(f"Section [tone.{name}] is unknown. Known: {', '.join(TONES)}. Correct its name.")
            if not isinstance(row, dict):
                raise SettingsError(
                    f'Setting [tone] {name} is no section. Write [tone.{name}] and below it name = "...".'
                )
        return {name: row | table.get(name, {}) for name, row in TONES.items()}

    @model_validator(mode="before")
    @classmethod
    def _models_differ_from_generation(cls, sections: Any) -> Any:
        models, base = sections.get("models"), sections.get("generation", {})
        if not isinstance(models, dict) or not isinstance(base, dict):
            return sections
        return sections | {
            "models": {name: base | row if isinstance(row, dict) else row for name, row in models.items()}
        }

    @model_validator(mode="after")
    def _names_models_that_are_there(self) -> "Settings":
        known = ", ".join(self.models) or "none"
        for place, name in self.route.items():
            channel, *workspace = place.split(":")
            if channel not in CHANNELS or len(workspace) > 1 or "" in workspace:
                raise SettingsError(
                    f'Setting [route] "{place}" names no channel or workspace. Write one of {", ".join(CHANNELS)}, or '
                    'with one of its workspaces, such as "slack:T0123".'
                )
            if name and name not in self.models:
                raise SettingsError(
                    f'Setting [route] "{place}" = "{name}": there is no [models.{name}]. Known: {known}.'
                )
        if self.worker.serves and self.worker.serves not in self.models:
            name = self.worker.serves
            raise SettingsError(f'Setting [worker] serves = "{name}": there is no [models.{name}]. Known: {known}.')
        return self

    def model_for(self, person: str) -> str:
        """Return which of [models] answers the person with this key; "" is [generation] itself."""
        channel, workspace, *_ = [*person.split(":", 2), ""]
        return next((self.route[place] for place in (f"{channel}:{workspace}", channel) if place in self.route), "")

    @property
    def models_in_use(self) -> tuple[str, ...]:
        """The names of [models] that somebody is routed to; "" for [generation], which answers all others, is first."""
        return ("", *(name for name in self.models if name in self.route.values()))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment before .env before settings.toml."""
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls, settings_file())


def settings_file() -> Path:
    """Return the path of settings.toml: ``RAPPORT_SETTINGS``, or the one beside the code."""
    return Path(os.environ.get("RAPPORT_SETTINGS", ROOT / "settings.toml"))


def env_file() -> Path:
    """Return the path of .env, be it there or not: ``RAPPORT_ENV_FILE``, or the one beside the code."""
    return Path(os.environ.get("RAPPORT_ENV_FILE", ROOT / ".env"))


def variables() -> dict[str, str]:
    """Return the variables of .env with the environment over them, all places of secrets; may raise SettingsError."""
    try:
        return {name: value or "" for name, value in (dotenv_values(env_file()) | os.environ).items()}
    except UnicodeDecodeError:
        raise SettingsError(_not_text(env_file())) from None


@cache
def load() -> Settings:
    """Return the settings; raises SettingsError naming section, key and remedy."""
    _refuse_unknown_sections(settings_file(), set(Settings.model_fields) - {"redis_url"} | set(CHANNEL_SECTIONS))
    loaded = _validated(Settings)
    assert isinstance(loaded, Settings)
    # Whatever reads [generation] in a worker means the model that this worker serves.
    served = loaded.models.get(loaded.worker.serves, loaded.generation)
    return loaded.model_copy(update={"generation": served})


@cache
def load_section(name: str, model: type[S]) -> S:
    """Return a channel's own section of settings.toml with the environment over it; raises SettingsError."""
    holder = create_model(f"{model.__name__}File", __base__=Settings, **{name: (model, model())})  # type: ignore[call-overload]
    section = getattr(_validated(holder), name)
    assert isinstance(section, model)
    return section


def redis_url() -> str:
    """Return the address of Redis; raises SettingsError when REDIS_URL is not set."""
    url = load().redis_url
    if url is None or not url.get_secret_value():
        raise SettingsError(
            "REDIS_URL is not set. Set it (redis://localhost:6379/0) in the environment or .env, "
            "or start with `rapport chat` or `rapport up`, which run a private Redis."
        )
    return url.get_secret_value()


def resolve_model(name: str) -> str:
    """Return a folder's absolute path where ``name`` is a folder below the project, else the name (a hub name)."""
    folder = ROOT / name
    return str(folder) if folder.is_dir() else name


def _validated(model: type[BaseSettings]) -> Any:
    try:
        return model(_env_file=env_file())
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(model, item) for item in error.errors())) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{settings_file()} is not valid TOML: {error}. Correct that line.") from None
    except UnicodeDecodeError:
        raise SettingsError(_not_text(settings_file(), env_file())) from None
    except SourceError as error:
        raise SettingsError(_explain_variable(error)) from None


def _explain_variable(error: SourceError) -> str:
    """Name the variable that is no JSON where it must be; what it holds may be a secret."""
    held = getattr(error.__cause__, "doc", None)
    names = [name for name, value in variables().items() if name.upper().startswith("RAPPORT_") and value == held]
    which = f"Environment variable {' or '.join(names)}" if names else f"An environment variable ({error})"
    return f"""{which} cannot be read. Write a list as '["a", "b"]' and a section as '{{"key": "value"}}'."""


def _explain(model: type[BaseSettings], item: Any) -> str:
    section, *rest = [str(part) for part in item["loc"]]
    key = ".".join(rest)
    where = f"[{section}] {key}".strip()
    if item["type"] == "extra_forbidden":
        field = {"tone": ToneRow, "models": Generation}.get(section, model.model_fields[section].annotation)
        known = ", ".join(getattr(field, "model_fields", {})) or "none"
        return f"Setting {where} is unknown. Known keys in [{section}]: {known}. Remove it or correct its name."
    variable = f"RAPPORT_{section}__{key}".upper().replace(".", "__")
    return f"Setting {where}: {item['msg']}. Correct it in settings.toml, or in {variable} if that is set."


def _not_text(*paths: Path) -> str:
    """Name the one of these files that is not UTF-8; what the decoder says of it shows what stands there."""
    for path in paths:
        try:
            path.read_text("utf-8")
        except UnicodeDecodeError as error:
            return f"{path} is not UTF-8 text, from its byte {error.start} on. Save it as UTF-8."
        except OSError:
            continue
    return f"{paths[0]} could not be read as UTF-8 text. Try again."


def _refuse_unknown_sections(path: Path, known: set[str]) -> None:
    try:
        sections = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing. Restore it, or set RAPPORT_SETTINGS to your own file.") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}. Correct that line.") from None
    except UnicodeDecodeError:
        raise SettingsError(_not_text(path)) from None
    for name in sorted(sections.keys() - known):
        raise SettingsError(
            f"Section [{name}] of {path.name} is unknown. Known: {', '.join(sorted(known))}. Remove it or correct it."
        )
    for variable in os.environ:
        section, found, _ = variable.removeprefix("RAPPORT_").partition("__")
        if variable.startswith("RAPPORT_") and found and section.lower() not in known:
            raise SettingsError(f"Environment variable {variable} names no section. Known: {', '.join(sorted(known))}.")
