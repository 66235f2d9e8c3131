"""``rapport status``: how a running Rapport is, for people and for monitoring. It reads Redis and changes nothing.

What is wrong with an installation, and how to mend it, is said by doctor.py.
"""

import platform
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core import settings
from core.errors import RapportError
from core.events import Letter
from core.process import release
from core.settings import CHANNELS, Settings
from core.store import Store, WorkerSign
from core.store.overview import ChannelState
from rapport import procfile
from rapport.dead import kind
from rapport.stack import url_of_running

RECENT = timedelta(hours=1)
UNSENT_S = 300  # networks make a reply wait for a minute or two at times
NEARLY_FULL = 0.9


class Level(IntEnum):
    """How it is; the number is the exit code."""

    fine = 0
    degraded = 1
    down = 2


class Channel(BaseModel):
    """One channel. ``expected``: it is set up here. ``oldest_s``: the oldest reply that waits to be sent."""

    name: str
    expected: bool
    processes: list[dict[str, Any]]
    senders: list[str]
    outbox: int
    oldest_s: float | None


class Report(BaseModel):
    """All of it, as ``--json`` prints it: the fields are described in docs/operations.md."""

    status: str
    why: list[str]
    at: datetime
    versions: dict[str, str]
    redis: dict[str, int] = {}
    channels: list[Channel] = []
    workers: list[dict[str, Any]] = []
    queue: dict[str, Any] = {}
    dead_letters: dict[str, Any] = {}


def run(*, as_json: bool) -> int:
    """Print how it is; return the exit code: 0 fine, 1 degraded, 2 down."""
    report = examine()
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        _print(report)
    return Level[report.status].value


def examine() -> Report:
    """Return the report; what cannot be read at all is down."""
    try:
        conf = settings.load()
        store = Store(url_of_running(conf), conf, _never_woken)
        try:
            return _examine(conf, store)
        finally:
            store.close()
    except RapportError as error:
        return Report(status=Level.down.name, why=[str(error)], at=datetime.now(UTC), versions=_versions())


def _examine(conf: Settings, store: Store) -> Report:
    server = store.overview.server()
    expected = procfile.configured_channels()
    channels = [_channel(name, name in expected, store.overview.channel(name)) for name in CHANNELS]
    workers = store.workers.alive()
    queue = store.overview.queue([worker.id for worker in workers])
    letters = store.letters.all()
    report = Report(
        status=Level.fine.name,
        why=[],
        at=datetime.now(UTC),
        versions=_versions() | {"redis": server.version},
        redis={"memory_bytes": server.used, "memory_limit_bytes": server.limit},
        channels=[channel for channel in channels if channel.expected or channel.processes or channel.outbox],
        workers=[worker.model_dump() | {"leases": store.overview.leases_of(worker.id)} for worker in workers],
        queue=vars(queue),
        dead_letters=_letters(letters, store.letters.count()[1]),
    )
    faults = list(_faults(report, workers, conf))
    worst = max((level for level, _ in faults), default=Level.fine)
    return report.model_copy(update={"status": worst.name, "why": [text for _, text in sorted(faults, reverse=True)]})


def _faults(report: Report, workers: list[WorkerSign], conf: Settings) -> Iterator[tuple[Level, str]]:
    yield from _unserved(workers, conf)
    if not any(channel.processes for channel in report.channels):
        yield Level.down, "No channel has a living process: nothing comes in or goes out."
    for channel in report.channels:
        if (channel.expected or channel.outbox) and not channel.senders:
            yield Level.degraded, f"{channel.name}: no process sends; {channel.outbox} replies wait."
        elif (channel.oldest_s or 0) > UNSENT_S:
            yield Level.degraded, f"{channel.name}: a reply has been waiting for {channel.oldest_s:.0f} s to be sent."
    waited_s, limit_s = report.queue["oldest_s"] or 0, conf.generation.timeout_s
    if waited_s > limit_s:
        text = (
            f"The oldest message has been waiting for {waited_s:.0f} s, longer than a reply may take ({limit_s:.0f} s)."
        )
        yield Level.degraded, text
    if report.dead_letters["unanswered_last_hour"]:
        text = f"{report.dead_letters['unanswered_last_hour']} messages of the last hour could not be answered."
        yield Level.degraded, f"{text} See `rapport dead list`."
    used, limit = report.redis["memory_bytes"], report.redis["memory_limit_bytes"]
    if limit and used >= NEARLY_FULL * limit:
        yield Level.degraded, f"Redis has used {used / limit:.0%} of its memory; when it is full, nothing is taken in."


def _unserved(workers: list[WorkerSign], conf: Settings) -> Iterator[tuple[Level, str]]:
    served = {worker.serves for worker in workers if worker.ready}
    if not served:
        how = "the models are being loaded" if workers else "none gives a sign of life"
        yield Level.down, f"No worker is ready ({how}): nothing is answered."
        return
    for name in conf.models_in_use:
        if name not in served:
            what = f"[models.{name}]" if name else "[generation]"
            whose = ", ".join(place for place, model in conf.route.items() if model == name) or "all without a route"
            yield Level.degraded, f"No ready worker serves {what}: {whose} must wait."


def _channel(name: str, expected: bool, state: ChannelState) -> Channel:
    return Channel(
        name=name,
        expected=expected,
        processes=[{"name": one.name, "pid": one.pid, "version": one.release} for one in state.processes],
        senders=list(state.senders),
        outbox=state.outbox,
        oldest_s=state.oldest_s,
    )


def _letters(letters: list[Letter], ever: int) -> dict[str, Any]:
    recent = [letter for letter in letters if datetime.now(UTC) - letter.at < RECENT]
    where = Counter(letter.outbox.partition(".")[0] or "inbox" for letter in letters)
    return {
        "kept": len(letters),
        "ever": ever,
        "last_hour": len(recent),
        "unanswered_last_hour": sum(kind(letter) == "message" for letter in recent),
        "oldest_s": (datetime.now(UTC) - letters[0].at).total_seconds() if letters else None,
        "where": dict(sorted(where.items())),
    }


def _versions() -> dict[str, str]:
    return {"rapport": release(), "python": platform.python_version()}


def _print(report: Report) -> None:
    console = Console(highlight=False, soft_wrap=True)
    colour = {"fine": "green", "degraded": "yellow", "down": "red"}[report.status]
    console.print(Text(report.status, f"bold {colour}"))
    for text in report.why:
        console.print(Text(f"  {text}", colour))
    if not report.queue:
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for what, text in _rows(report):
        table.add_row(what, Text(text))
    console.print(table)


def _rows(report: Report) -> Iterator[tuple[str, str]]:
    for channel in report.channels:
        sends = f"{channel.senders[0]} sends" if len(channel.senders) == 1 else f"{len(channel.senders)} send"
        waits = f", the oldest for {channel.oldest_s:.0f} s" if channel.oldest_s is not None else ""
        yield channel.name, f"{len(channel.processes)} processes, {sends}; {channel.outbox} replies to be sent{waits}"
    for worker in report.workers:
        state = "ready" if worker["ready"] else "loading"
        text = f"{worker['id']} (pid {worker['pid']}, {worker['version'] or 'unknown'}) is {state}, answers"
        yield "worker", f"{text} {worker['leases']} people; {worker['chat_model']}, {worker['encoder']}"
    queue = report.queue
    waited = f", the oldest written {queue['oldest_s']:.0f} s ago" if queue["oldest_s"] is not None else ""
    yield "waiting", f"{queue['messages']} messages of {queue['people']} people{waited}; {queue['wake_ups']} wake-ups"
    yield "leases", f"{queue['leases']}, of these {queue['stranded']} of workers that give no sign of life"
    letters = report.dead_letters
    where = "".join(f", {name}: {number}" for name, number in letters["where"].items())
    yield "dead", f"{letters['kept']} kept ({letters['last_hour']} of the last hour){where}; {letters['ever']} ever"
    limit = report.redis["memory_limit_bytes"]
    limited = f" of {limit / 2**20:.0f}" if limit else ""
    yield "redis", f"{report.versions['redis']}, {report.redis['memory_bytes'] / 2**20:.1f}{limited} MiB"
    yield "rapport", f"{report.versions['rapport']} on Python {report.versions['python']}"


def _never_woken(person: str) -> str:
    raise RuntimeError(f"nobody is woken here (asked to wake {person})")
