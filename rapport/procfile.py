"""What the stack consists of: the processes of the Procfile, and which channels are configured."""

import importlib
import shlex
import socket
import sys
import uuid
from collections.abc import Mapping
from contextlib import closing

from core import settings
from core.errors import SettingsError
from core.process import VARIABLE
from core.settings import ROOT
from core.store import Store
from rapport.supervisor import Child, Launch

# Without these a network does not let the bot in; of those behind a bar one is enough.
SECRETS: Mapping[str, tuple[str, ...]] = {
    "slack": ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN|SLACK_SIGNING_SECRET"),
    "telegram": ("TELEGRAM_BOT_TOKEN",),
    "discord": ("DISCORD_BOT_TOKEN",),
}


def command(name: str) -> tuple[str, ...]:
    """Return the command of a process of the Procfile, run by this very Python; raises SettingsError."""
    try:
        lines = (ROOT / "Procfile").read_text("utf-8").splitlines()
    except OSError as error:
        raise SettingsError(f"{ROOT / 'Procfile'} cannot be read ({error.strerror}). Restore it.") from None
    for line in lines:
        found, _, text = line.partition(":")
        if found.strip() == name:
            program, *arguments = shlex.split(text)
            return (sys.executable if program == "python" else program, *arguments)
    raise SettingsError(f"The Procfile has no line for {name}. Restore it.")


def missing_secrets(channel: str) -> list[str]:
    """Return the secrets that this channel needs and that stand neither in the environment nor in .env."""
    known = settings.variables()
    return [
        " or ".join(names)
        for names in (needed.split("|") for needed in SECRETS[channel])
        if not any(known.get(name, "").strip() for name in names)
    ]


def configured_channels() -> list[str]:
    """Return the networks whose secrets are set; raises SettingsError where some are set and some are not."""
    configured = []
    for channel, needed in SECRETS.items():
        missing = missing_secrets(channel)
        if not missing:
            configured.append(channel)
        elif len(missing) < len(needed):
            raise SettingsError(
                f"{channel} is half configured: {' and '.join(missing)} is not set. "
                "Set it in .env or the environment, or remove the others to go without this channel."
            )
    return configured


def refuse_wrong_settings(channel: str) -> None:
    """Raise SettingsError for what would end this channel's process at its start."""
    room = importlib.import_module(f"channels.{channel}.settings")  # light: no SDK
    settings.load_section(channel, getattr(room, channel.capitalize()))
    room.credentials()


class WorkerProcess:
    """One worker of the stack: each start has an id of its own, and what a dead one held is freed at once."""

    def __init__(self, redis_url: str, command: tuple[str, ...], serves: str = "") -> None:
        self._redis_url = redis_url
        self._command = command
        self._serves = serves
        self.id = ""

    def launch(self) -> Launch:
        """Say how to start the next one."""
        self.id = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
        return Launch(
            self._command,
            {"RAPPORT_WORKER_ID": self.id, "REDIS_URL": self._redis_url, "RAPPORT_WORKER__SERVES": self._serves},
        )

    def clean_up(self, child: Child) -> None:
        """Free what the dead one held, without waiting for its leases to run out; raises StoreUnavailable."""
        from workers.app import WakeUps  # late: it costs a start that has no deaths nothing

        with closing(Store(self._redis_url, settings.load(), WakeUps())) as store:
            store.inbox.break_leases(self.id)
            store.workers.gone(self.id)
            store.inbox.sweep()  # another worker, if there is one, takes over now


class ChannelProcess:
    """One channel of the stack: what a dead one left unsent can be taken over at once."""

    def __init__(self, redis_url: str, name: str) -> None:
        self._redis_url = redis_url
        self._name = name
        self.id = ""

    def launch(self) -> Launch:
        """Say how to start the next one."""
        self.id = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
        return Launch(command(self._name), {VARIABLE: self.id})

    def clean_up(self, child: Child) -> None:
        """Let another process send its replies, without waiting until its right runs out; raises StoreUnavailable."""
        with closing(Store(self._redis_url, settings.load(), _never_woken)) as store:
            store.outbox(self._name).resign(self.id)


def _never_woken(person: str) -> str:
    raise RuntimeError(f"nobody is woken here (asked to wake {person})")
