"""``rapport doctor``: all that Rapport needs, how it is, how to put it right. Makes nothing but the data folder."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import redis
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core import remote, settings
from core.errors import EngineError, ModelMissing, RapportError
from core.safety import helpline
from core.sections import Generation
from core.settings import Settings
from core.store import Store
from rapport import keys, models, procfile
from rapport.stack import OLDEST, answers, connect, data_folder, find_server, running_url

State = Literal["fine", "off", "warning", "broken"]
SIGNS: dict[State, str] = {
    "fine": "[green]✓ fine[/]",
    "off": "[dim]– off[/]",
    "warning": "[yellow]! look[/]",
    "broken": "[red]✗ broken[/]",
}


@dataclass(frozen=True)
class Finding:
    """One row: what was looked at, how it is, and what to do if it is not fine."""

    what: str
    state: State
    text: str


def report() -> bool:
    """Print the table; return whether nothing that is needed is broken."""
    findings = list(examine())
    table = Table(title="Rapport", title_justify="left", show_lines=False)
    for column in ("what", "state", "found, and what to do"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        table.add_row(Text(finding.what), SIGNS[finding.state], Text(finding.text))
    Console().print(table)
    return all(finding.state != "broken" for finding in findings)


def examine() -> Iterator[Finding]:
    """Yield the findings; one that goes wrong does not keep the others from being made."""
    try:
        conf = settings.load()
    except RapportError as error:
        for line in str(error).splitlines():
            yield Finding("settings", "broken", line)
        return
    yield Finding("settings", "fine", f"{settings.settings_file()}: {', '.join(Settings.model_fields)}")
    if overridden := sorted(name for name in os.environ if name.startswith("RAPPORT_") and "__" in name):
        yield Finding("settings", "fine", f"from the environment instead: {', '.join(overridden)}")
    for what, check in CHECKS.items():
        try:
            yield from check(conf)
        except RapportError as error:
            yield Finding(what, "broken", str(error))


def _data(conf: Settings) -> Iterator[Finding]:
    yield Finding("data folder", "fine", f"{data_folder(conf)} can be written")


def _redis(conf: Settings) -> Iterator[Finding]:
    given = conf.redis_url.get_secret_value() if conf.redis_url else ""
    url = given or running_url(data_folder(conf))
    if not url:
        binary, version = find_server()
        text = f"REDIS_URL is not set: `rapport chat` and `rapport up` start a private one ({binary.name} {version})"
        yield Finding("redis", "fine", text)
        yield Finding("worker", "off", "none runs; `rapport chat` and `rapport up` start one")
        return
    try:
        with closing(connect(url)) as client:
            yield from _server(client, "the one REDIS_URL names" if given else "the private one of a running Rapport")
    except redis.RedisError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        remedy = "Start it, or correct REDIS_URL in .env or the environment; unset it for a private one."
        yield Finding("redis", "broken", f"no answer from the one REDIS_URL names: {reason} {remedy}")
        return
    yield from _workers(conf, url)


def _server(client: "redis.Redis", which: str) -> Iterator[Finding]:
    info = client.info()
    version = str(info.get("valkey_version") or info["redis_version"])
    # A Valkey states the Redis that it is compatible with as its redis_version.
    new_enough = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2]) >= OLDEST
    need = "" if new_enough else " It must be 6.2 or newer: update it."
    yield Finding("redis", "fine" if new_enough else "broken", f"{which}, version {version}, answers.{need}")
    policy = info.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        yield Finding("redis memory", "fine", "maxmemory-policy is noeviction: nothing is thrown away")
    else:
        text = (
            f"maxmemory-policy is {policy}: messages can be lost. Run: redis-cli config set maxmemory-policy noeviction"
        )
        yield Finding("redis memory", "warning" if policy == "unknown" else "broken", text)
    if info.get("aof_enabled"):
        yield Finding("redis persistence", "fine", "append-only file: a restart loses a second at most")
    else:
        text = "no append-only file: a restart can lose messages. Run: redis-cli config set appendonly yes"
        yield Finding("redis persistence", "warning", text)


def _workers(conf: Settings, url: str) -> Iterator[Finding]:
    with closing(Store(url, conf, wake_up=_never)) as store:
        signs = store.workers.alive()
        counts = store.counts.all()
    for sign in signs:
        text = f"{sign.id} on {sign.host}, process {sign.pid}: {sign.chat_model}"
        yield Finding("worker", "fine" if sign.ready else "warning", text if sign.ready else f"{text} is being loaded")
    for name in conf.models_in_use if signs else ():
        if name not in {sign.serves for sign in signs}:
            whose = ", ".join(place for place, model in conf.route.items() if model == name) or "all without a route"
            start = f"RAPPORT_WORKER__SERVES={name} rapport worker" if name else "rapport worker"
            text = (
                f"none serves {f'[models.{name}]' if name else '[generation]'}: {whose} must wait. Start one: {start}"
            )
            yield Finding("worker", "warning", text)
    if not signs:
        text = "none gives a sign of life: messages wait. Start `rapport up` or `rapport worker`."
        yield Finding("worker", "warning", text)
    decided = ", ".join(f"{decision}: {number}" for decision, number in counts.items())
    yield Finding("safety decisions", "fine", decided or "none so far")


def _never(person: str) -> str:
    raise AssertionError("the doctor wakes nobody")


def _models(conf: Settings) -> Iterator[Finding]:
    for section, key, name in models.configured(conf):
        what = f"{key} [{section}]"
        if remote.is_remote(name):
            yield _remote(what, name, conf.models.get(section.removeprefix("models."), conf.generation))
            continue
        wrong = models.problem(name)
        if wrong:
            yield Finding(what, "broken", f"{name}: {wrong}")
        elif models.is_folder(name):
            yield Finding(what, "fine", f"{name}: the folder is there and can be read")
        elif models.is_downloaded(name):
            yield Finding(what, "fine", f"{name}, of the Hugging Face hub, is downloaded")
        else:
            yield Finding(what, "fine", f"{name}, of the Hugging Face hub, is downloaded at the first start")


def _remote(what: str, name: str, conf: Generation) -> Finding:
    """Have a model on a server say one token: only then address, key and name are known to be right."""
    from workers.engine.remote import RemoteEngine  # late: few have one

    with closing(RemoteEngine(name, conf)) as engine:
        began = time.monotonic()
        try:
            engine.check()
        except ModelMissing as error:
            return Finding(what, "broken", str(error))
        except EngineError as error:
            others = len(conf.order) > 1
            then = "Another engine is asked instead." if others else "Until it answers, replies fail."
            return Finding(what, "warning" if others else "broken", f"{error} {then}")
        took = f"{name}: it answers, after {time.monotonic() - began:.1f} s"
        if engine.sends_key_in_clear:
            return Finding(what, "warning", f"{took}. Its key crosses the network unencrypted: use https if you can.")
    return Finding(what, "fine", took)


def _safety(conf: Settings) -> Iterator[Finding]:
    yield Finding("safety", "fine", f"in a crisis people are told: {helpline(conf.safety)}")
    channel = conf.safety.notify.partition(":")[0]
    if channel and procfile.missing_secrets(channel):
        text = (
            f"[safety] notify names {channel}, which is not set up: nobody is told of a crisis. See docs/{channel}.md"
        )
        yield Finding("safety", "broken", text)


def _web(conf: Settings) -> Iterator[Finding]:
    from channels.web.settings import Web, api_key

    web, key = settings.load_section("web", Web), api_key()
    url = conf.redis_url.get_secret_value() if conf.redis_url else running_url(data_folder(conf))
    named = keys.names(url, conf) if url and answers(url) else []
    keys.refuse_open_door(web, named)
    which = [*(["WEB_API_KEY"] if key else []), *named]
    needs_key = f"callers need a key ({', '.join(which)})" if which else "this machine alone, no key needed"
    yield Finding("channel web", "fine", f"{web.host}, port {web.port}: {needs_key}")


def _networks(conf: Settings) -> Iterator[Finding]:
    for channel, needed in procfile.SECRETS.items():
        what = f"channel {channel}"
        missing = procfile.missing_secrets(channel)
        if missing:
            state: State = "off" if len(missing) == len(needed) else "broken"
            yield Finding(
                what, state, f"to use it, set {' and '.join(missing)} in .env; docs/{channel}.md has the steps"
            )
            continue
        try:
            procfile.refuse_wrong_settings(channel)
        except RapportError as error:
            yield Finding(what, "broken", str(error))
        else:
            names = [name for one in needed for name in one.split("|") if settings.variables().get(name, "").strip()]
            yield Finding(what, "fine", f"set: {', '.join(names)}")


CHECKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "data folder": _data,
    "redis": _redis,
    "models": _models,
    "safety": _safety,
    "channel web": _web,
    "channels": _networks,
}
