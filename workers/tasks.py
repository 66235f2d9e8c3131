"""Thin tasks: what Celery calls in a worker process. The work itself is in runtime.py."""

import logging
import os
import signal
import threading
from typing import Any, NoReturn

from celery.signals import setup_logging, worker_init, worker_shutdown, worker_shutting_down

from core import logs, settings
from core.errors import RapportError
from workers.app import DRAIN, app
from workers.runtime import Runtime

log = logging.getLogger(__name__)

END_S = 20.0  # a worker whose engine is broken has so long to end in order
STALLED_END_S = 2.0  # one that no wake-up reaches: it may not hear that it is to end either, and nobody is answered
_runtime: Runtime | None = None


@setup_logging.connect
def _logging(**_: Any) -> None:
    logs.set_up(settings.load().log, "worker")


# With the threads pool Celery sends worker_init, and only that; models must not be loaded at import.
@worker_init.connect
def _start(**_: Any) -> None:
    global _runtime
    try:
        _logging()  # Celery asks for it only after this signal
        _runtime = Runtime.start(
            settings.load(), settings.redis_url(), lambda: _end(END_S), lambda: _end(STALLED_END_S)
        )
    except RapportError as error:
        log.critical("%s", error)
        _give_up()
    except Exception:
        # Celery would go on, and a worker without models would eat wake-ups.
        log.critical("the worker cannot start", exc_info=True)
        _give_up()


@worker_shutting_down.connect
def _ending(**_: Any) -> None:
    if _runtime:
        _runtime.take_no_more()


@worker_shutdown.connect
def _stop(**_: Any) -> None:
    if _runtime:
        _runtime.close()
        if _runtime.broken:
            raise SystemExit(os.EX_SOFTWARE)  # Celery's own code would be 0, which supervisors take for success


def _give_up() -> NoReturn:
    """End at once: threads of models that were loaded halfway would abort the process while the interpreter ends."""
    logging.shutdown()
    os._exit(1)


def _end(patience_s: float) -> None:
    """End this process, in order if that can be done: a thread that hangs in a model cannot be ended."""
    deadline = threading.Timer(patience_s, _end_by_force, [patience_s])
    deadline.daemon = True
    deadline.start()
    os.kill(os.getpid(), signal.SIGTERM)


def _end_by_force(patience_s: float) -> None:
    log.critical("this worker did not end within %.0f s and is ended by force", patience_s)
    logging.shutdown()
    os._exit(os.EX_SOFTWARE)


@app.task(name=DRAIN, ignore_result=True)
def drain(person: str) -> None:
    """Answer what waits in this person's inbox."""
    assert _runtime is not None
    _runtime.wake(person)
