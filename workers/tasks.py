"""Thin tasks: what Celery calls in a worker process. The work itself is in runtime.py."""

import logging
from typing import Any

from celery.signals import setup_logging, worker_init, worker_shutdown

from core import logs, settings
from core.errors import RapportError
from workers.app import DRAIN, app
from workers.runtime import Runtime

_runtime: Runtime | None = None


@setup_logging.connect
def _logging(**_: Any) -> None:
    logs.set_up(settings.load().log, "worker")


# With the threads pool Celery sends worker_init, and only that; models must not be loaded at import.
@worker_init.connect
def _start(**_: Any) -> None:
    global _runtime
    try:
        _runtime = Runtime.start(settings.load(), settings.redis_url())
    except RapportError as error:
        logging.getLogger(__name__).critical("%s", error)
        raise SystemExit(1) from None


@worker_shutdown.connect
def _stop(**_: Any) -> None:
    if _runtime:
        _runtime.close()


@app.task(name=DRAIN, ignore_result=True)
def drain(person: str) -> None:
    """Answer what waits in this person's inbox."""
    assert _runtime is not None
    _runtime.drain(person)
