"""``python -m channels NAME``: composition root of one channel process. Only the adapter asked for is imported."""

import asyncio
import importlib
import logging
import signal
import sys

from channels.base import Adapter, Hook
from channels.runner import Runner
from core import logs, settings
from core.errors import RapportError
from core.store import Store

# Networks that can call us, and the secret without which they are not asked (and their SDK is not imported).
HOOKED = {"slack": "SLACK_SIGNING_SECRET", "telegram": "TELEGRAM_BOT_TOKEN"}
USAGE = f"usage: python -m channels NAME, with NAME one of {', '.join(settings.CHANNELS)}"


def make_adapter(name: str) -> Adapter:
    """Return the adapter of this name; its module has a function ``make_adapter``."""
    room = importlib.import_module(f"channels.{name}")
    adapter: Adapter = room.make_adapter(make_hooks()) if name == "web" else room.make_adapter()
    return adapter


def make_hooks() -> list[Hook]:
    """Return where networks call us by HTTP, for those that are set up so; the web channel's server serves them."""
    hooks = []
    known = settings.variables()
    for name, token in HOOKED.items():
        if known.get(token, "").strip() and (hook := importlib.import_module(f"channels.{name}").make_hook()):
            hooks.append(hook)
    return hooks


async def serve(name: str) -> None:
    """Run the channel until its conversation ends or the process is asked to stop."""
    from workers.app import WakeUps

    adapter = make_adapter(name)
    store = Store(settings.redis_url(), settings.load(), WakeUps())
    runner = Runner(adapter, store, settings.load().inbox)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, runner.stop)
    try:
        await runner.run()
    finally:
        store.close()


def main() -> int:
    """Return the exit code of the process."""
    names = sys.argv[1:]
    if len(names) != 1 or names[0] not in settings.CHANNELS:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        logs.set_up(settings.load().log, names[0])
        asyncio.run(serve(names[0]))
    except RapportError as error:
        print(f"{names[0]}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name != f"channels.{names[0]}":
            raise
        logging.getLogger(__name__).error("channel %s is not part of this release", names[0])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
