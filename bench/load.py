"""How much Rapport carries, what it does when more comes, and whether it grows: load, overload and soak.

    python -m bench.load [--models instant starter] [--seconds 12] [--people 2000] [--pictures docs/pictures]
    python -m bench.load --soak 30 [--models instant] [--rate 15]

2,000 people write to the doubles of Slack, Telegram and Discord and to the web channel (bench/crowd.py); in between are
the real channel processes, a real Celery worker and a private Redis, all on this machine. The load is open-loop:
messages come by a Poisson process whatever the system does, and latency counts from when a message was due, so that a
system that stalls cannot hide it. Rates rise until less is answered than comes; then twice the peak is offered, which
should be answered nearly as fast as before, with a line that is bounded and people who are told their number. After
each rate the ledger is checked: everything taken is answered once.

``--models instant`` answers at once, so what is measured is all but the models; ``starter`` are the shipped models.
The tables go to standard output as Markdown, progress to standard error, all samples to a file in ``--keep``, which
``python -m bench.soak`` reads again.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import psutil
import redis

from bench.channels import percentiles
from bench.crowd import Crowd, Ledger, Message
from bench.soak import GENERATOR, draw_memory, report_memory
from core.store import keys
from rapport.stack import PrivateRedis

ROOT = Path(__file__).parent.parent
CHANNELS = ("web", "slack", "telegram", "discord")
RATES = {
    "instant": (20, 40, 60, 80, 100, 130, 160, 200),
    "starter": (1, 2, 4, 6, 8, 12, 16, 24),
}
KEEPS_UP = 0.9  # of what is offered must be answered, or it is saturated
FEW = 5  # messages on their way when a rate ends are no sign of anything
START_S, END_S, SETTLE_S = 180.0, 20.0, 180.0
SAMPLE_S, SOAK_SAMPLE_S = 0.5, 5.0
WARM_UP_S = 5.0


@dataclass(frozen=True)
class Step:
    """What was measured at one rate. Seconds; ``cpu``: share of one core by process; ``deepest``: by queue."""

    rate: float
    keeps_up: bool
    throughput: float
    latency: dict[str, float]
    late_p99: float
    drained_s: float
    deepest: dict[str, int]
    cpu: dict[str, float]
    told: int
    ledger: Ledger


class Stack:
    """The processes of Rapport, their resources and their queues. ``folder`` gets their logs."""

    def __init__(self, models: str, crowd: Crowd, server: PrivateRedis, folder: Path) -> None:
        self.url = server.url
        shipped = {"BENCH_MODELS": "shipped"} if models == "starter" else {}
        self._environment = os.environ | crowd.environment | shipped
        self._environment |= {"REDIS_URL": server.url, "RAPPORT_ENV_FILE": os.devnull}
        self._folder = folder
        flags = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        self._running = {
            "worker": self._start("worker", "celery", "--quiet", "-A", "bench.instant_worker", "worker", *flags),
            **{name: self._start(name, "channels", name) for name in CHANNELS},
        }
        self._processes = {name: psutil.Process(running.pid) for name, running in self._running.items()}
        self._processes |= {"redis": psutil.Process(server.pid), GENERATOR: psutil.Process()}
        self._redis = redis.Redis.from_url(server.url, decode_responses=True)

    def _start(self, name: str, module: str, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self._folder / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", module, *arguments]
            return subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=subprocess.STDOUT)

    def check(self) -> None:
        """End the program if a process has ended."""
        for name, running in self._running.items():
            if running.poll() is not None:
                sys.exit(f"{name} ended:\n{(self._folder / f'{name}.log').read_text('utf-8', 'replace')[-4000:]}")

    def ready(self) -> bool:
        """Tell whether the worker has its models."""
        return any('"ready":true' in str(self._redis.get(key)) for key in self._redis.scan_iter(keys.worker("*")))

    def sample(self) -> dict[str, Any]:
        """Return the moment, queues, memory in MB and processor time in seconds of each process."""
        people, line, wake_ups = (
            int(self._redis.zcard(keys.WAITING)),
            int(self._redis.zcard(keys.LINE)),
            int(self._redis.llen(keys.QUEUE)),
        )
        outbox = sum(int(self._redis.xlen(keys.outbox(name))) for name in CHANNELS)
        memory, cpu = {}, {}
        for name, process in self._processes.items():
            with process.oneshot():
                memory[name] = process.memory_info().rss / 1e6
                cpu[name] = sum(process.cpu_times()[:2])
        return {
            "at": time.monotonic(),
            "queues": {
                "people": people,
                "line": line,
                "in hand": people - line,
                "outbox": outbox,
                "wake-ups": wake_ups,
            },
            "memory": memory,
            "cpu": cpu,
        }

    def stop(self) -> None:
        """End the processes in peace."""
        for running in self._running.values():
            running.terminate()
        for running in self._running.values():
            try:
                running.wait(END_S)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
        self._redis.close()


class Sampler:
    """Samples in a thread while the ``with`` block runs; each is written to ``file`` at once."""

    def __init__(self, stack: Stack, every_s: float, file: Path) -> None:
        self.samples: list[dict[str, Any]] = []
        self._stack = stack
        self._every_s = every_s
        self._file = file
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    def _work(self) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            while True:
                self.samples.append(self._stack.sample())
                print(json.dumps(self.samples[-1]), file=file, flush=True)
                if self._closing.wait(self._every_s):
                    return


@contextmanager
def running(models: str, options: argparse.Namespace) -> Iterator[tuple[Crowd, Stack]]:
    """Run everything; yields when people can write and the models are warm."""
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        server = closing.enter_context(PrivateRedis(folder, print))
        crowd = Crowd(options.people, options.seed, folder)
        crowd.start()
        closing.callback(crowd.stop)
        stack = Stack(models, crowd, server, folder)
        closing.callback(stack.stop)
        wait_until(lambda: stack.ready() and crowd.arrive(), stack, START_S, "the processes did not start")
        settle(write(crowd, RATES[models][0], WARM_UP_S, Random(options.seed), stack), crowd, stack)
        yield crowd, stack


def wait_until(condition: Callable[[], object], stack: Stack, seconds: float, otherwise: str = "") -> float:
    """Return how long it took; end the program if it takes too long and ``otherwise`` says what that means."""
    began = time.monotonic()
    while not condition() and time.monotonic() < began + seconds:
        stack.check()
        time.sleep(0.05)
    if otherwise and time.monotonic() >= began + seconds:
        sys.exit(otherwise)
    return time.monotonic() - began


def write(crowd: Crowd, rate: float, seconds: float, chance: Random, stack: Stack) -> list[Message]:
    """Have people write for so long, at moments of a Poisson process."""
    written: list[Message] = []
    end = time.monotonic() + seconds
    due = time.monotonic() + chance.expovariate(rate)
    while due < end:
        time.sleep(max(0.0, due - time.monotonic()))
        written.append(crowd.say(due))
        due += chance.expovariate(rate)
        if len(written) % 100 == 0:
            stack.check()
    return written


def settle(messages: Sequence[Message], crowd: Crowd, stack: Stack) -> tuple[float, Ledger]:
    """Wait until everything taken is answered; return how long that took, and the ledger."""
    end = time.monotonic() + SETTLE_S
    began = time.monotonic()
    while (ledger := crowd.check(messages, stack.url)).lost + ledger.unheard and time.monotonic() < end:
        stack.check()
        time.sleep(0.5)
    last = max((max(message.answers.values()) for message in messages if message.answers), default=began)
    return max(0.0, last - began), ledger


def measure(crowd: Crowd, stack: Stack, rate: float, seconds: float, options: argparse.Namespace) -> Step:
    """Offer a rate for so long, let everything be answered, and return what was measured."""
    chance = Random(f"{options.seed} {rate}")
    with Sampler(stack, SAMPLE_S, options.keep / "samples.jsonl") as sampler:
        began = time.monotonic()
        messages = write(crowd, rate, seconds, chance, stack)
        end = time.monotonic()
        samples = list(sampler.samples)
        drained_s, ledger = settle(messages, crowd, stack)
    # From the second third on: at first the line grows, and what is answered is what came a moment before.
    since = began + seconds / 3
    offered = sum(since <= message.due < end for message in messages)
    answered = sum(since <= when < end for message in messages for when in message.answers.values())
    left = sum(not one.answers or min(one.answers.values()) > end for one in messages)
    places = {f"{one.network} {one.person}" for one in messages if one.told_number} | crowd.told_numbers
    crowd.told_numbers = set()
    return Step(
        rate=rate,
        keeps_up=answered >= KEEPS_UP * offered or left <= max(FEW, (1 - KEEPS_UP) * len(messages)),
        throughput=answered / (end - since),
        latency={
            name: value / 1000
            for name, value in percentiles([one.latency_s for one in messages if one.answers]).items()
        },
        late_p99=percentiles([one.sent - one.due for one in messages])["p99"] / 1000,
        drained_s=drained_s,
        deepest={name: max(one["queues"][name] for one in sampler.samples) for name in samples[0]["queues"]},
        cpu={name: (samples[-1]["cpu"][name] - used) / (end - began) for name, used in samples[0]["cpu"].items()},
        told=len(places),
        ledger=ledger,
    )


def curve(models: str, options: argparse.Namespace) -> list[Step]:
    """Raise the rate until it is too much, then offer twice the peak; return the steps, the overload last."""
    steps: list[Step] = []
    with running(models, options) as (crowd, stack):
        for rate in RATES[models]:
            steps.append(measure(crowd, stack, rate, options.seconds, options))
            say_step(models, steps[-1])
            if len(steps) > 1 and not any(step.keeps_up for step in steps[-2:]):
                break
        peak = max(step.throughput for step in steps)
        steps.append(measure(crowd, stack, round(2 * peak), 2 * options.seconds, options))
        say_step(models, steps[-1])
        if crowd.violations:
            say(f"  {len(crowd.violations)} calls were against the rules of a network: {crowd.violations[0]}\n")
    return steps


def soak(models: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Offer a constant rate for many minutes; return the samples, which are in a file as well."""
    with running(models, options) as (crowd, stack):
        file = options.keep / f"soak-{models}.jsonl"
        file.unlink(missing_ok=True)
        with Sampler(stack, SOAK_SAMPLE_S, file) as sampler:
            chance = Random(options.seed)
            messages: list[Message] = []
            for minute in range(1, options.soak + 1):
                messages += write(crowd, options.rate, 60, chance, stack)
                say(f"  minute {minute} of {options.soak}: {memory_line(sampler.samples[-1])}\n")
            _, ledger = settle(messages, crowd, stack)
        row = percentiles([one.latency_s for one in messages if one.answers])
        print(f"{options.soak} minutes at {options.rate:g} messages a second: {ledger.written:,} written,")
        print(f"{ledger.taken:,} taken, {ledger.refused} refused, {ledger.lost} lost, {ledger.doubled} doubled,")
        print(f"{ledger.reordered} reordered; latency p50 {row['p50']:.0f} ms, p99 {row['p99']:.0f} ms.\n")
        return sampler.samples


def say(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


def memory_line(sample: dict[str, Any]) -> str:
    return ", ".join(f"{name} {megabytes:.0f} MB" for name, megabytes in sample["memory"].items())


def say_step(models: str, step: Step) -> None:
    latency = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in step.latency.items())
    say(f"  {models}, {step.rate:g} a second: {step.throughput:.1f} answered a second, {latency}, {step.ledger}\n")


def report(models: str, steps: Sequence[Step]) -> str:
    """Return the table and what is to be said of it, as Markdown."""
    columns = ["offered a second", "answered a second", "p50 s", "p95 s", "p99 s", "most people waiting"]
    columns += ["most in outboxes", "told their number", "refused", "lost", "doubled", "reordered", "drained after s"]
    lines = [f"Models: {models}.", "", f"| {' | '.join(columns)} |", "|" + " ---: |" * len(columns)]
    for step in steps:
        cells = [f"{step.rate:g}", f"{step.throughput:.1f}", *(f"{step.latency[p]:.2f}" for p in ("p50", "p95", "p99"))]
        cells += [str(step.deepest[name]) for name in ("people", "outbox")]
        ledger = step.ledger
        cells += map(str, (step.told, ledger.refused, ledger.lost + ledger.unheard, ledger.doubled, ledger.reordered))
        lines.append(f"| {' | '.join(cells)} | {step.drained_s:.1f} |")
    peak = max(steps[:-1], key=lambda step: step.throughput)
    used = ", ".join(f"{name} {share:.0%}" for name, share in peak.cpu.items())
    late_s = max(step.late_p99 for step in steps)
    lines += ["", f"Peak: {peak.throughput:.1f} a second; with twice that offered (the last row)"]
    lines += [f"{steps[-1].throughput / peak.throughput:.0%} of it. Share of one core at the peak: {used}."]
    lines += [f"The load generator was late by at most {late_s:.2f} s (p99 of a step)."]
    return "\n".join(lines)


def put(document: Path, name: str, text: str) -> None:
    """Put a text between the marks of this name in a document."""
    found = document.read_text("utf-8")
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, rest = found.split(begin)
    document.write_text(f"{before}{begin}{text}\n{end}{rest.split(end)[1]}", "utf-8")


def curve_name(models: str) -> str:
    return "load-curve.svg" if models == "instant" else f"load-curve-{models}.svg"


def picture(folder: Path, curves: dict[str, list[Step]]) -> None:
    """Draw the saturation curve of each kind of models."""
    from bench.plots import Lines, draw

    for models, steps in curves.items():
        steps = sorted(steps, key=lambda step: step.rate)
        rates = [step.rate for step in steps]
        peak = max(step.throughput for step in steps)
        latency = {name: (rates, [step.latency[name] for step in steps]) for name in ("p50", "p95", "p99")}
        throughput = {"answered": (rates, [step.throughput for step in steps]), "offered": (rates, rates)}
        marks = {peak: "saturated"}
        draw(
            folder / curve_name(models),
            f"Load on one machine ({models} models)",
            Lines("messages a second", "messages offered a second", throughput, marks=marks),
            Lines("seconds to the reply", "messages offered a second", latency, log=True, marks=marks),
        )


def main() -> int:
    """Measure, report; return 1 if anything was lost, doubled or out of order."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--models", nargs="+", choices=RATES, default=list(RATES))
    args.add_argument("--seconds", type=float, default=12, help="of one rate; the overload takes twice as long")
    args.add_argument("--people", type=int, default=2000)
    args.add_argument("--seed", type=int, default=0)
    args.add_argument("--soak", type=int, metavar="MINUTES", help="no curve, but a constant rate for so long")
    args.add_argument("--rate", type=float, default=15, help="of the soak, messages a second")
    args.add_argument("--warm-up", type=float, default=6, help="of the soak, minutes that the slope leaves out")
    args.add_argument("--keep", type=Path, default=ROOT / "build" / "load", help="folder for the samples")
    args.add_argument("--pictures", type=Path, help="draw the plots into this folder, too")
    args.add_argument("--document", type=Path, help="put the tables of the curve there, too, between its marks")
    options = args.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # in order, so that no process is left behind

    if options.soak:
        for models in options.models:
            samples = soak(models, options)
            report_memory(samples, options.warm_up)
            if options.pictures:
                name = "load-soak.svg" if models == "instant" else f"load-soak-{models}.svg"
                draw_memory(options.pictures / name, samples, options.warm_up, f"{models} models")
        return 0
    curves = {models: curve(models, options) for models in options.models}
    text = "\n\n".join(report(models, steps) for models, steps in curves.items())
    print(text)
    if options.document:
        shown = (f"![Load with {models} models](pictures/{curve_name(models)})" for models in curves)
        put(options.document, "load", "\n\n".join([text, *shown]))
    if options.pictures:
        picture(options.pictures, curves)
    ledgers = [step.ledger for steps in curves.values() for step in steps]
    return int(any(one.lost + one.unheard + one.doubled + one.reordered for one in ledgers))


if __name__ == "__main__":
    sys.exit(main())
