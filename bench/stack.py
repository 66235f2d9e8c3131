"""What the benchmarks of the path start: a private Redis and one worker, with limits that only people need off."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rapport.stack import PrivateRedis

INSTANT = ("celery", "-A", "bench.instant_worker", "worker", "--without-gossip", "--without-mingle")
REAL = ("rapport", "worker")


@contextmanager
def running(program: tuple[str, ...] = INSTANT) -> Iterator[int]:
    """Start Redis, name it in the environment, start the worker; yield the worker's process number."""
    with tempfile.TemporaryDirectory() as data, PrivateRedis(Path(data), print) as redis:
        os.environ["REDIS_URL"] = redis.url
        os.environ["RAPPORT_INBOX__PERSON_PER_MINUTE"] = "0"  # these write faster than people do
        os.environ["RAPPORT_LOG__LEVEL"] = "WARNING"
        worker = subprocess.Popen([sys.executable, "-m", *program])
        try:
            yield worker.pid
        finally:
            worker.terminate()
            worker.wait()
