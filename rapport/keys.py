"""``rapport keys``: who may call the HTTP API and open the chat page. Takes effect while the web channel runs."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from core import settings
from core.errors import RapportError
from core.settings import Settings
from core.store import Store
from rapport.stack import PrivateRedis, data_folder, url_of_running

if TYPE_CHECKING:
    from channels.web.settings import Web

app = typer.Typer(no_args_is_help=True, help="Keys of the HTTP API and the chat page (docs/security.md).")
Name = Annotated[str, typer.Argument(help="Whose key it is: a program, a machine, a person.")]


@app.command()
def add(name: Name) -> None:
    """Make a key and print it. It is shown this once: only its hash is kept."""
    with _store() as store:
        first = not store.api_keys.all()
        key = store.api_keys.add(name)
    typer.echo(key)
    typer.echo(f"This is the key {name}. Keep it now: it cannot be shown again.", err=True)
    if first:
        typer.echo("From now on every caller needs a key, on this machine too.", err=True)


@app.command("list")
def list_keys() -> None:
    """List the names of the keys, and since when there is each."""
    with _store() as store:
        known = store.api_keys.all()
    for name, key in known.items():
        typer.echo(f"{name:<40} since {key.made:%Y-%m-%d %H:%M} UTC")
    if not known:
        typer.echo("There are no keys.")


@app.command()
def remove(name: Name) -> None:
    """Throw a key away. Whoever has it is let in no more, from about a second later on."""
    with _store() as store:
        if not store.api_keys.remove(name):
            raise RapportError(f"There is no key {name}. `rapport keys list` shows those that there are.")
        left = store.api_keys.all()
    typer.echo(f"The key {name} opens nothing any more.")
    if not left:
        typer.echo(
            "No named key is left. Unless WEB_API_KEY is set, this machine needs none now, and others are not let in."
        )


def names(url: str, conf: Settings) -> list[str]:
    """Return the names of the keys in this Redis; raises StoreUnavailable."""
    with closing(Store(url, conf, _never_woken)) as store:
        return list(store.api_keys.all())


def refuse_open_door(web: "Web", named: list[str]) -> None:
    """Raise SettingsError if the web channel would not start, as others could reach the bot without a key."""
    from channels.web.settings import api_key, refuse_open_door

    refuse_open_door(web, has_key=bool(api_key() or named))


@contextmanager
def _store() -> Iterator[Store]:
    """Have the store of the running Rapport, or, where none runs, that of the data folder."""
    conf = settings.load()
    if conf.redis_url and conf.redis_url.get_secret_value():
        with closing(Store(url_of_running(conf), conf, _never_woken)) as store:
            yield store
        return
    with (
        PrivateRedis(data_folder(conf), lambda note: None) as private,
        closing(Store(private.url, conf, _never_woken)) as store,
    ):
        yield store


def _never_woken(person: str) -> str:
    raise RuntimeError(f"nobody is woken here (asked to wake {person})")
