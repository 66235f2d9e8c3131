"""How soon a person sees that the bot has heard them, and a network that it has: with all workers busy.

    python -m bench.channels [--people 24] [--messages 300] [--rate 20] [--rounds 2] [--busy 0] [--only slack ...]

For each network its double of the tests on loopback, and at it first a bot that keeps nothing (bench/bare_bot.py),
then the real channel process on a private Redis; no worker runs, so nothing is ever taken on. ``--busy`` adds processes
that only compute, as workers on the same machine do. The rounds alternate. People write in an open loop: at a fixed
rate, whatever the bot does.

Acknowledged: from the delivery of an event to the network's acknowledgement. Discord has none for messages; there
every other writing is a slash command, which must be answered within 3 s. Sign of life: from the writing of a person's
first message to typing, status or reaction in that conversation. Later messages get none of their own while it goes
on, so there are as many signs as people; newcomers are spread over the whole measurement.
"""

import argparse
import json
import logging
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.store import keys
from rapport.stack import PrivateRedis, connect
from tests.platforms.base import Double
from tests.platforms.discord import DiscordDouble
from tests.platforms.slack import Slack
from tests.platforms.telegram import TelegramDouble

ROOT = Path(__file__).parent.parent
BARE, OURS = "bare bot", "rapport"
BOTS = {BARE: "bench.bare_bot", OURS: "channels"}
DOUBLES = {"slack": Slack, "telegram": TelegramDouble, "discord": DiscordDouble}
START_S = 30.0
PATIENCE_S = 10.0  # for the last acknowledgements and signs
WARM = 5  # people who are seen before the measurement begins
SIGN_GOAL_S = 1.0
ACK_GOALS_S = {"slack": 3.0, "telegram": None, "discord": 1.0}


@dataclass(frozen=True)
class Turn:
    """One writing. ``first``: the person has not written before."""

    user: str
    first: bool = False
    command: bool = False


@dataclass
class Taken:
    """What was measured of one bot at one network, in seconds; ``lost``: acknowledgements and signs that never came."""

    acknowledged: list[float] = field(default_factory=list)
    signs: list[float] = field(default_factory=list)
    lost: int = 0
    violations: list[str] = field(default_factory=list)

    def add(self, more: "Taken") -> None:
        self.acknowledged += more.acknowledged
        self.signs += more.signs
        self.lost += more.lost
        self.violations += more.violations


def plan(people: int, messages: int, *, commands: bool) -> list[Turn]:
    """Return who writes when: the same for every bot."""
    chance = random.Random(0)
    turns: list[Turn] = []
    known = 0
    for number in range(messages):
        if known * messages <= number * people:
            turns.append(Turn(f"person{known}", first=True))
            known += 1
        elif commands and number % 2:
            # Of people who do nothing else: a deferred command is a sign of life of its own.
            turns.append(Turn(f"caller{chance.randrange(known)}", command=True))
        else:
            turns.append(Turn(f"person{chance.randrange(known)}"))
    return turns


def place(double: Any, user: str) -> str:
    """Return how the double's signs call the direct conversation with this person."""
    if double.name == "telegram":
        return str(double.chats.place("direct", user)[0].id)
    if double.name == "slack":
        return f"{double.home.id}/{double.home.direct(double.home.user(user)).id}"
    return str(double.place("direct", user))


def write(double: Any, turn: Turn) -> str:
    """Have a person write; return what acknowledgements call it."""
    return str(double.command("help", user=turn.user).id if turn.command else double.say("hello", user=turn.user))


def measure(network: str, bot: str, redis_url: str, options: argparse.Namespace) -> Taken:
    """Let people write to one bot, and return what they and the network saw."""
    with connect(redis_url) as redis:
        redis.flushall()
    double = DOUBLES[network]()
    if isinstance(double, Slack):
        double.retry_after_s = ()  # an acknowledgement that is too late shall be missing, not come for a repetition
    with ExitStack() as stack:
        double.start()
        stack.callback(double.stop)
        alive = stack.enter_context(process(BOTS[bot], double, redis_url, options.messages))
        wait_until(double.connected, alive, "the bot did not connect")
        warm_up(double, alive)
        written = drive(double, plan(options.people, options.messages, commands=network == "discord"), options.rate)
        taken = collect(double, written, alive)
        if bot == OURS:
            wait_until(lambda: stored(redis_url) >= len(written), alive, f"{network}: not all messages were stored")
        return taken


def stored(redis_url: str) -> int:
    """Return how many events wait for a worker."""
    with connect(redis_url) as redis:
        return sum(int(redis.llen(inbox)) for inbox in redis.scan_iter(keys.inbox("*"), count=1000))


@contextmanager
def busy(number: int) -> Iterator[None]:
    """Have so many processes compute for nothing."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for one in processes:
            one.kill()
            one.wait()


@contextmanager
def process(module: str, double: Double, redis_url: str, messages: int) -> Iterator[Callable[[], None]]:
    """Run a bot; the value is a function that raises if it has ended."""
    with tempfile.TemporaryFile() as log:
        environment = os.environ | double.environment
        environment |= {"REDIS_URL": redis_url, "RAPPORT_ENV_FILE": os.devnull}
        environment["RAPPORT_INBOX__MAX_WAITING"] = str(messages)  # one person may write all of them
        environment["RAPPORT_INBOX__PERSON_PER_MINUTE"] = "0"
        command = [sys.executable, "-m", module, double.name]
        running = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)

        def alive() -> None:
            if running.poll() is not None:
                log.seek(0)
                sys.exit(f"{module} {double.name} ended:\n{log.read().decode(errors='replace')[-4000:]}")

        try:
            yield alive
        finally:
            server_log = logging.getLogger("aiohttp.server")
            server_log.disabled = True  # a call that breaks off now is no error of the double
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(15)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
            server_log.disabled = False


def wait_until(
    condition: Callable[[], object], alive: Callable[[], None], otherwise: str, seconds: float = START_S
) -> None:
    end = time.monotonic() + seconds
    while not condition():
        alive()
        if time.monotonic() > end:
            sys.exit(otherwise)
        time.sleep(0.01)


def warm_up(double: Double, alive: Callable[[], None]) -> None:
    """Return when connections are made and signs are shown: a channel that has just started is not measured."""
    end = time.monotonic() + START_S
    seen = number = 0
    while seen < WARM:
        alive()
        if time.monotonic() > end:
            sys.exit(f"{double.name}: there is no sign of life")
        number += 1
        user = f"early{number}"
        write(double, Turn(user))
        if double.name == "discord":
            write(double, Turn(f"{user}caller", command=True))
        look_until, where = time.monotonic() + 0.5, place(double, user)
        while not (found := any(there == where for there, _ in list(double.signs))) and time.monotonic() < look_until:
            time.sleep(0.01)
        seen += found


def drive(double: Double, turns: list[Turn], rate: float) -> list[tuple[Turn, str, float]]:
    """Have people write at a fixed rate; return each turn with its identity and when it began."""
    written = []
    began = time.monotonic()
    for number, turn in enumerate(turns):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        at = time.monotonic()
        written.append((turn, write(double, turn), at))
    return written


def collect(double: Double, written: list[tuple[Turn, str, float]], alive: Callable[[], None]) -> Taken:
    """Wait for the last acknowledgements and signs, and return the times."""
    to_acknowledge = {identity for turn, identity, _ in written if turn.command or double.name != "discord"}
    newcomers = {place(double, turn.user): at for turn, _, at in written if turn.first}

    def found() -> Taken:
        signs = defaultdict(list)
        for where, at in list(double.signs):
            signs[where].append(at)
        taken = Taken(
            [seconds for identity, seconds in list(double.acknowledged) if identity in to_acknowledge],
            [signs[where][0] - at for where, at in newcomers.items() if where in signs],
            violations=list(double.violations),
        )
        taken.lost = len(to_acknowledge) + len(newcomers) - len(taken.acknowledged) - len(taken.signs)
        return taken

    end = time.monotonic() + PATIENCE_S
    while (taken := found()).lost and time.monotonic() < end:
        alive()
        time.sleep(0.05)
    return taken


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return milliseconds."""
    if len(seconds) < 2:
        return dict.fromkeys(("p50", "p95", "p99"), math.nan)
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {name: cuts[at - 1] * 1000 for name, at in (("p50", 50), ("p95", 95), ("p99", 99))}


def figures(taken: Taken) -> dict[str, dict[str, float]]:
    return {"acknowledged": percentiles(taken.acknowledged), "sign": percentiles(taken.signs)}


COLUMNS = [("acknowledged", "p50"), ("acknowledged", "p95"), ("acknowledged", "p99"), ("sign", "p50"), ("sign", "p95")]


def report(results: dict[str, dict[str, Taken]]) -> bool:
    """Print the table; return whether the goals are met and nothing was lost."""
    print(f"\n{'milliseconds':22}{'acknowledged':>22}{'sign of life':>26}")
    print(f"{'':22}" + "".join(f"{name:>9}" for _, name in COLUMNS) + f"{'events':>9}{'signs':>7}{'lost':>6}")
    good = True
    for network, bots in results.items():
        rows = {bot: figures(taken) for bot, taken in bots.items()}
        for bot, taken in bots.items():
            cells = "".join(f"{rows[bot][kind][name]:9.1f}" for kind, name in COLUMNS)
            counts = f"{len(taken.acknowledged):9}{len(taken.signs):7}{taken.lost:6}"
            print(f"{network + ', ' + bot:22}{cells}{counts}")
        ratios = "".join(f"{rows[OURS][kind][name] / rows[BARE][kind][name]:9.2f}" for kind, name in COLUMNS)
        print(f"{'  times the bare bot':22}{ratios}")
        good &= judge(network, bots[OURS], rows[OURS])
    return good


def judge(network: str, taken: Taken, row: dict[str, dict[str, float]]) -> bool:
    """Say what is not as it must be; return whether all is."""
    problems = [f"{taken.lost} acknowledgements or signs never came"] if taken.lost else []
    problems += [f"against the rules of the network: {violation}" for violation in sorted(set(taken.violations))]
    if row["sign"]["p95"] > SIGN_GOAL_S * 1000:
        problems.append(f"the goal of the sign of life is a p95 of {SIGN_GOAL_S:g} s")
    if (goal := ACK_GOALS_S[network]) and row["acknowledged"]["p99"] > goal * 1000:
        problems.append(f"the goal of the acknowledgement is a p99 of {goal:g} s")
    for problem in problems:
        print(f"  {network}: {problem}")
    return not problems


def say(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


def main() -> int:
    """Measure all, report; return 1 if a goal is missed."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--people", type=int, default=24, help="Slack lets a bot react to 30 at once")
    args.add_argument("--messages", type=int, default=300, help="of one measurement")
    args.add_argument("--rate", type=float, default=20, help="messages a second")
    args.add_argument("--rounds", type=int, default=2)
    args.add_argument("--busy", type=int, default=0, help="processes that compute beside it, as local workers do")
    args.add_argument("--only", nargs="+", choices=DOUBLES, default=list(DOUBLES), metavar="NETWORK")
    args.add_argument("--json", type=Path, help="write the figures there, too")
    options = args.parse_args()

    results = {network: {bot: Taken() for bot in BOTS} for network in options.only}
    with tempfile.TemporaryDirectory() as data, PrivateRedis(Path(data), print) as redis, busy(options.busy):
        for number in range(options.rounds):
            for network in options.only:
                for bot in BOTS:
                    say(f"  round {number + 1}/{options.rounds}: {network}, {bot}: ")
                    taken = measure(network, bot, redis.url, options)
                    results[network][bot].add(taken)
                    row = figures(taken)
                    say(f"acknowledged p99 {row['acknowledged']['p99']:.1f} ms, ")
                    say(f"sign of life p95 {row['sign']['p95']:.1f} ms\n")
    good = report(results)
    if options.json:
        rows = {network: {bot: figures(taken) for bot, taken in bots.items()} for network, bots in results.items()}
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
