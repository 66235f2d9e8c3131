"""Signs of life of the workers: what readiness checks and the supervisor look at."""

from typing import cast

import redis
from pydantic import BaseModel, ValidationError

from core.store import keys
from core.store.connection import translated

PULSE_TTL_S = 60  # of a worker that was killed


class WorkerSign(BaseModel):
    """One worker that lives: its id, process and models. ``ready`` once these are loaded and wake-ups reach it.

    ``serves`` is the name in [models] of what it loaded; "" is [generation].
    """

    id: str
    pid: int
    host: str
    ready: bool
    chat_model: str = ""
    encoder: str = ""
    serves: str = ""
    version: str = ""


class Workers:
    """Signs of life. Thread-safe."""

    def __init__(self, client: "redis.Redis", ttl_s: float) -> None:
        self._redis = client
        self._ttl_ms = int(ttl_s * 1000)

    def beat(self, sign: WorkerSign) -> None:
        """Say that this worker lives, until the lease time has passed."""
        with translated():
            self._redis.set(keys.worker(sign.id), sign.model_dump_json(), px=self._ttl_ms)

    def send_pulse(self, worker: str, message: str) -> None:
        """Put a message into a worker's own queue, in place of the one before if that is still there."""
        queue = keys.pulse(worker)
        with translated(), self._redis.pipeline() as together:
            together.delete(queue)
            together.lpush(queue, message)
            together.expire(queue, PULSE_TTL_S)
            together.execute()

    def gone(self, worker: str) -> None:
        """Take the sign away: the worker has ended."""
        with translated():
            self._redis.delete(keys.worker(worker), keys.pulse(worker))

    def alive(self) -> list[WorkerSign]:
        """Return the workers that have given a sign lately, but for those of releases that write it in another way."""
        with translated():
            names = list(self._redis.scan_iter(match=keys.worker("*"), count=1000))
            found = cast(list[str | None], self._redis.mget(names)) if names else []
        return [sign for raw in found if raw and (sign := _sign(raw))]


def _sign(raw: str) -> WorkerSign | None:
    try:
        return WorkerSign.model_validate_json(raw)
    except ValidationError:
        return None
