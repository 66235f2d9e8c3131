"""``rapport dead``: what could not be delivered or answered, to be looked at, tried again or erased.

Here alone is the text of such messages shown, to whoever may read the store anyway; the logs never have it.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core import settings
from core.errors import InputError, RapportError
from core.events import Letter, event_of, reply_of
from core.store import Store
from core.store.dead import oldest
from core.store.parts import TTL_S
from rapport.stack import url_of_running

app = typer.Typer(no_args_is_help=True, help="What could not be delivered or answered (docs/operations.md).")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@app.command("list")
def list_letters() -> None:
    """List the dead letters, oldest first, without their texts."""
    with _store() as store:
        letters = store.letters.all()
    if not letters:
        typer.echo("There are no dead letters.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "age", "what", "where", "reason"):
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for letter in letters:
        table.add_row(*map(Text, (letter.id, age(letter.at), kind(letter), _where(letter), letter.reason)))
    # A pipe has no width that a line must fit into.
    Console(width=None if sys.stdout.isatty() else 1000).print(table)


@app.command()
def show(letter_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Show one dead letter, with all that was said."""
    with _store() as store:
        (letter,) = _chosen(store, letter_id, every=False)
    for name, value in _fields(letter):
        typer.echo(f"{name + ':':<10}{value}")


@app.command()
def replay(
    letter_id: Annotated[str | None, typer.Argument(metavar="ID")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them, oldest first.")] = False,
    force: Annotated[bool, typer.Option(help=r"Also what is older than \[dead_letters] replay_hours.")] = False,
) -> None:
    """Try again: a reply goes into its outbox, messages into their inbox. Exit code 1 if something was left."""
    hours = settings.load().dead_letters.replay_hours
    left = 0
    with _store(wakes=True) as store:
        for letter in _chosen(store, letter_id, every=every):
            said_before = datetime.now(UTC) - oldest(letter)
            if said_before > timedelta(hours=hours) and not force:
                left += 1
                typer.echo(f"{letter.id} is left: it is from {age(oldest(letter))} ago. --force replays it.")
                continue
            try:
                done = store.letters.replay(letter)
            except ValueError as error:
                left += 1
                typer.echo(f"{letter.id} is left: {error}.")
                continue
            typer.echo(f"{letter.id} {_outcome(letter, said_before) if done else 'is gone already.'}")
    raise typer.Exit(1 if left else 0)


@app.command()
def purge(
    letter_id: Annotated[str | None, typer.Argument(metavar="ID")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    older_than: Annotated[str | None, typer.Option(help="Those that are older, such as 7d, 12h or 30m.")] = None,
) -> None:
    """Erase one dead letter, all, or the old ones. There is no way back."""
    if older_than and (letter_id or every):
        raise InputError("usage", "Name an ID, --all or --older-than, not two of them.")
    before = datetime.now(UTC) - _duration(older_than) if older_than else None
    with _store() as store:
        chosen = store.letters.all() if before else _chosen(store, letter_id, every=every)
        letters = [letter for letter in chosen if not before or letter.at < before]
        typer.echo(f"Erased: {store.letters.purge(letters)}")


def age(since: datetime) -> str:
    """Return how long ago that was, in the largest unit that fits."""
    seconds = max((datetime.now(UTC) - since).total_seconds(), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def kind(letter: Letter) -> str:
    """Return in a word what a letter holds."""
    return "message" if letter.reply is None else "reply"


@contextmanager
def _store(*, wakes: bool = False) -> Iterator[Store]:
    if wakes:
        from workers.app import WakeUps  # late: Celery costs half a second

    store = Store(url_of_running(settings.load()), settings.load(), WakeUps() if wakes else _never_woken)
    try:
        yield store
    finally:
        store.close()


def _chosen(store: Store, letter_id: str | None, *, every: bool) -> Sequence[Letter]:
    if bool(letter_id) == every:
        raise InputError("usage", "Name the ID of one (`rapport dead list` shows them), or --all.")
    letters = store.letters.all()
    if every:
        return letters
    found = [letter for letter in letters if letter.id == letter_id]
    if not found:
        raise RapportError(f"There is no dead letter {letter_id}. `rapport dead list` shows those that there are.")
    return found


def _where(letter: Letter) -> str:
    return letter.outbox or letter.person


def _fields(letter: Letter) -> Iterator[tuple[str, str]]:
    yield "id", letter.id
    yield "what", kind(letter)
    yield "given up", f"{letter.at:%Y-%m-%d %H:%M:%S} UTC, {age(letter.at)} ago"
    if letter.given_up:
        yield "at first", f"{letter.given_up:%Y-%m-%d %H:%M:%S} UTC: it was replayed since"
    yield "person", letter.person or "unknown"
    yield "reason", letter.reason
    if letter.reply is not None:
        reply = reply_of(letter.reply)
        yield "outbox", letter.outbox
        yield "reply", reply.id if reply else "cannot be read"
        yield "answers", ", ".join(reply.in_reply_to) if reply else "unknown"
        yield "text", reply.text if reply else letter.reply
    for raw in letter.events:
        event = event_of(raw)
        yield "event", event.id if event else "cannot be read"
        if event:
            yield "said", f"{event.sent_at:%Y-%m-%d %H:%M:%S} UTC"
        yield "text", event.text if event else raw


def _outcome(letter: Letter, said_before: timedelta) -> str:
    if letter.reply is None:
        return f"waits in the inbox of {letter.person} again."
    known = said_before < timedelta(seconds=TTL_S)
    # What is known of the parts of a reply is kept so long; see core/store/parts.py.
    return f"is in the outbox {letter.outbox} again" + ("." if known else "; parts that had arrived may come twice.")


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d+)([mhd])", text.strip())
    if not found:
        raise InputError("usage", f"--older-than {text} is no time. Write a number with m, h or d, such as 7d.")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _never_woken(person: str) -> str:
    raise RuntimeError(f"nobody is woken here (asked to wake {person})")
