"""Where the time goes from `rapport chat` to the first prompt and the first reply.

    python -m bench.startup [--rounds 3]

Each round starts the whole stack on an empty data folder at a pseudo-terminal, types one message as soon as the
prompt is there, and notes when each stage was reached. The figures are medians, in seconds after the start.
"""

import argparse
import os
import pty
import signal
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from core.errors import StoreUnavailable
from core.settings import load
from core.store import Store

ROOT = Path(__file__).parent.parent
STAGES = ("Redis answers", "prompt", "models are ready", "first reply")


def measure() -> dict[str, float]:
    """Return the seconds after which each stage was reached."""
    with tempfile.TemporaryDirectory() as data:
        began = time.perf_counter()
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(ROOT)
            os.execve(
                sys.executable, [sys.executable, "-m", "rapport", "chat"], os.environ | {"RAPPORT_STACK__DATA": data}
            )
        shown = bytearray()
        threading.Thread(target=_read, args=(terminal, shown), daemon=True).start()
        store = Store(f"unix://{data}/redis/redis.sock", load(), lambda person: person)
        reached: dict[str, float] = {}
        try:
            while len(reached) < len(STAGES):
                for stage, there in {
                    "Redis answers": lambda: _answers(store),
                    "prompt": lambda: b"\x1b[?2004h" in shown,  # it listens for pasted text, too
                    "models are ready": lambda: _answers(store) and any(sign.ready for sign in store.workers.alive()),
                    # The mood and the reply are the first lines after the echo of what was typed.
                    "first reply": lambda: b"plain" in shown and _replied(store),
                }.items():
                    if stage not in reached and there():
                        reached[stage] = time.perf_counter() - began
                        if stage == "prompt":
                            os.write(terminal, b"hello\r")
                time.sleep(0.01)
        finally:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
        return reached


def _read(terminal: int, shown: bytearray) -> None:
    try:
        while part := os.read(terminal, 4096):
            shown.extend(part)
            if b"\x1b[6n" in part:
                os.write(terminal, b"\x1b[1;1R")
    except OSError:
        pass  # the program has ended


def _answers(store: Store) -> bool:
    try:
        store.ping()
    except StoreUnavailable:
        return False
    return True


def _replied(store: Store) -> bool:
    return any(
        len(store.people.history(key.partition("history:")[2])) >= 2 for key in store.redis.keys("rapport:history:*")
    )


def main() -> None:
    """Measure and print."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--rounds", type=int, default=3)
    rounds = [measure() for _ in range(args.parse_args().rounds)]
    print("seconds after `rapport chat`:")
    for stage in STAGES:
        print(f"{stage:18}{statistics.median(one[stage] for one in rounds):7.2f}")


if __name__ == "__main__":
    main()
