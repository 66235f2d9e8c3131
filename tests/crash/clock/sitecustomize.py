"""Every Python process that finds this folder on its PYTHONPATH loads this first: its wall clock jumps when told to.

A file in the folder CRASH_CLOCKS, called as the process, holds by how many seconds its clock is to be off. Beside it
(.read) stands what the process reads off its clock from then on.
"""

import os
import threading
import time
from pathlib import Path

import time_machine

POLL_S = 0.02


def follow(told: Path) -> None:
    done = ""
    travel: time_machine.travel | None = None
    while True:
        time.sleep(POLL_S)
        wanted = told.read_text() if told.exists() else ""
        if wanted == done:
            continue
        if travel:
            travel.stop()
            travel = None
        if float(wanted):
            travel = time_machine.travel(time.time() + float(wanted), tick=True)
            travel.start()
        done = wanted
        told.with_suffix(".read").write_text(f"{wanted} {time.time()}")


name = os.environ.get("RAPPORT_WORKER_ID") or os.environ.get("RAPPORT_PROCESS_ID")
if name:
    threading.Thread(target=follow, args=(Path(os.environ["CRASH_CLOCKS"]) / name,), daemon=True).start()
