"""A running `rapport up`, on data and a port of its own."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from core.dialogue import Turn
from core.store import keys
from core.store.connection import connect
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent


class Up:
    """A running `rapport up`."""

    def __init__(self, data: Path, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._data = data
        self._log = (data / "up.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rapport", "up"],
            cwd=ROOT,
            env=os.environ | {"RAPPORT_STACK__DATA": str(data), "RAPPORT_WEB__PORT": str(self.port)} | environment,
            stdout=self._log,
            stderr=self._log,
        )
        try:
            eventually(self.ready, 90)
        except BaseException:
            self.close()  # else it would run on, and slow down every test that follows
            raise

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def workers(self) -> list[dict[str, object]]:
        with connect(f"unix://{self._data}/redis/redis.sock") as client:
            return [json.loads(client.get(key) or "{}") for key in client.scan_iter("rapport:worker:*")]

    def history(self, user: str) -> list[Turn]:
        with connect(f"unix://{self._data}/redis/redis.sock") as client:
            return [Turn.model_validate_json(raw) for raw in client.lrange(f"rapport:history:web:api:{user}", 0, -1)]

    def idle(self, channel: str) -> bool:
        """Tell whether everything is answered and the network has the answers."""
        with connect(f"unix://{self._data}/redis/redis.sock") as client:
            return not client.exists(keys.WAITING) and not client.xlen(keys.outbox(channel))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._log.close()
