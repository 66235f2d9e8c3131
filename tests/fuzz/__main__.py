"""Fuzzing for as long as one likes: `python -m tests.fuzz --seconds 60 [TARGET ...]`, one target after the other.

Each target runs in a process of its own, in which atheris looks for inputs that reach new code of the product. What it
learnt stays in .fuzz/TARGET, and the next run goes on from there; the first one begins with inputs that the target
takes, made from the recorded payloads and the pieces of table.py. An input that fails is shown and kept beside them.
"""

import argparse
import contextlib
import importlib
import os
import random
import re
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.fuzz.table import TARGETS

CORPORA = Path(__file__).parents[2] / ".fuzz"
ROOMS = ["core", "channels", "workers"]
SEEDS = 100
SEED_BYTES = 800
HANGS_S = 60
MAX_MIB = 6000


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.fuzz")
    options.add_argument("targets", nargs="*", metavar="TARGET", help="all, if none is named")
    options.add_argument("--seconds", type=int, default=60, help="for each target")
    options.add_argument("--at-once", type=int, default=1)
    options.add_argument("--alone", action="store_true", help="in this process")
    asked = options.parse_args()
    if asked.alone:
        _fuzz(asked.targets[0], asked.seconds)
    else:
        sys.exit(_all(asked.targets, asked.seconds, asked.at_once))


def _fuzz(name: str, seconds: int) -> None:
    import atheris

    with atheris.instrument_imports(include=ROOMS):
        targets = _targets(name)
    test = targets[name].hypothesis.fuzz_one_input

    def take(data: bytes) -> None:
        try:
            test(data)
        except Exception:
            traceback.print_exc()  # with what was drawn, which atheris leaves out
            raise

    folder = CORPORA / name
    if not folder.is_dir():
        folder.mkdir(parents=True)
        until = time.monotonic() + seconds / 4
        for number in range(SEEDS):
            if time.monotonic() > until:  # some targets take long over each input
                break
            taken = test(random.Random(number).randbytes(SEED_BYTES))
            if taken:
                (folder / f"seed-{number}").write_bytes(taken)
    limits = [f"-max_total_time={seconds}", f"-timeout={HANGS_S}", f"-rss_limit_mb={MAX_MIB}", "-max_len=4096"]
    atheris.Setup(
        [sys.argv[0], *limits, f"-artifact_prefix={CORPORA}/{name}-", "-print_final_stats=1", str(folder)],
        take,
    )
    atheris.Fuzz()


def _targets(wanted: str = "") -> dict[str, Any]:
    """Return the table as far as the target that is wanted: to import the models' libraries takes seconds."""
    for module in ("networks", "said", "engine"):
        importlib.import_module(f"tests.fuzz.{module}")
        if wanted in TARGETS:
            break
    return TARGETS


def _all(names: list[str], seconds: int, at_once: int) -> int:
    """Run these targets, or all; print a line for each, and what an input that failed did; return the exit code."""
    waiting, running, failed = list(names or _targets()), [], 0
    CORPORA.mkdir(exist_ok=True)
    print(f"{'target':<34}{'runs':>10}{'corpus':>8}{'coverage':>10}{'seconds':>9}  result", flush=True)
    while waiting or running:
        while waiting and len(running) < at_once:
            name = waiting.pop(0)
            log = CORPORA / f"{name}.log"
            command = [sys.executable, "-m", "tests.fuzz", "--alone", "--seconds", str(seconds), name]
            with log.open("wb") as out:
                process = subprocess.Popen(
                    command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"}
                )
            running.append((name, log, process, time.monotonic()))
        for one in running[:]:
            name, log, process, since = one
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(0.5)
                running.remove(one)
                failed += code != 0
                _print(name, log.read_text("utf-8", "replace"), time.monotonic() - since, code)
    return 1 if failed else 0


def _print(name: str, log: str, took_s: float, code: int) -> None:
    runs = re.findall(r"stat::number_of_executed_units: *(\d+)|^#(\d+)\s", log, re.MULTILINE)
    seen = re.findall(r"cov: (\d+)", log)
    kept = re.findall(r"corp: (\d+)", log)
    count = max((int(one or other) for one, other in runs), default=0)
    fine = "fine" if code == 0 else f"FAILED, see {CORPORA.name}/{name}.log"
    print(
        f"{name:<34}{count:>10,}{(kept or ['-'])[-1]:>8}{(seen or ['-'])[-1]:>10}{took_s:>9.0f}  {fine}",
        flush=True,
    )
    if code:
        told = [
            line
            for line in log.splitlines()
            if re.match(r" +(File .*(tests/fuzz|/core/|/channels/|/workers/))|\w*Error|drawn: ", line)
        ]
        print("\n".join(f"    {line[:300]}" for line in told[:12]), flush=True)


if __name__ == "__main__":
    main()
