"""Who may import whom (the table in docs/architecture.md), and that adapters stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"core", "channels", "workers", "rapport", "training"}
HEAVY = {"torch", "transformers", "openai"}
SDKS = {"slack_bolt", "slack_sdk", "telegram", "discord", "prompt_toolkit"}
SDKS |= {"fastapi", "starlette", "uvicorn", "prometheus_client"}
# Room -> what its files may not import.
FORBIDDEN = {
    "core": {"channels", "workers", "rapport", "training", "celery", "kombu", "asyncio", *HEAVY, *SDKS},
    "channels": {"workers", "rapport", "training", "celery", *HEAVY},
    "workers": {"channels", "rapport", "training", *SDKS},
    "workers/engine": {"channels", "rapport", "training", "redis", "celery", "core.store", "core.events", *SDKS},
    "training": {"channels", "celery", "rapport", "redis"},
}
# The composition root of a channel process sends wake-ups; the store alone talks to Redis.
ALLOWED = {("channels/__main__.py", "workers.app")}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / room).rglob("*.py")
        for name in imported(path)
        for forbidden in FORBIDDEN[room]
        if (name == forbidden or name.startswith(forbidden + "."))
        and not any(str(path.relative_to(ROOT)) == where and name.startswith(what) for where, what in ALLOWED)
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_store_talks_to_redis() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for room in ("core", "channels", "workers")
        for path in (ROOT / room).rglob("*.py")
        if "redis" in {name.partition(".")[0] for name in imported(path)} and "core/store" not in str(path)
    ]
    assert not wrong


def test_only_the_web_channel_speaks_to_prometheus() -> None:
    found = {
        str(path.relative_to(ROOT))
        for room in OURS
        for path in (ROOT / room).rglob("*.py")
        if "prometheus_client" in {name.partition(".")[0] for name in imported(path)}
    }
    assert found == {"channels/web/metrics.py"}


def test_adapters_do_not_know_each_other() -> None:
    shared = {"base", "text", "incoming", "runner", "live", "delivery", "__main__"}
    rooms = {path.stem for path in (ROOT / "channels").iterdir()} - shared
    for room in rooms:
        place = ROOT / "channels" / room
        files = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
        for path in files:
            others = {name.split(".")[1] for name in imported(path) if name.startswith("channels.")}
            assert not (others & rooms) - {room}, path


def test_product_files_stay_readable_in_one_sitting() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {count}"
        for room in OURS
        for path in (ROOT / room).rglob("*.py")
        if (count := len(path.read_text("utf-8").splitlines())) > 400
    ]
    assert not long


# Nobody is called with these.
TOKENS = {
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_APP_TOKEN": "xapp-1",
    "TELEGRAM_BOT_TOKEN": "123456:abcdefghijklmnopqrstuvwxyz",
    "DISCORD_BOT_TOKEN": "MTIzNDU2Nzg5MDEyMzQ1Njc4.abcdef.abcdefghijklmnopqrstuvwxyz",
}


@pytest.mark.parametrize("channel", ["terminal", "web", "slack", "telegram", "discord"])
def test_a_channel_process_is_light(channel: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No torch, transformers or openai, and less than 120 MB resident, with the adapter made and the wake-ups ready."""
    for name, value in TOKENS.items():
        monkeypatch.setenv(name, value)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from channels.__main__ import make_adapter\n"
        "from channels.runner import Runner\n"
        "from core import settings\n"
        "from core.store import Store\n"
        "from workers.app import WakeUps\n"
        f"adapter = make_adapter({channel!r})\n"
        "store = Store(settings.redis_url(), settings.load(), WakeUps())\n"
        "Runner(adapter, store, settings.load().inbox)\n"
        "store.ping()\n"
        "heavy = {'torch', 'transformers', 'openai'} & set(sys.modules)\n"
        # VmHWM, the peak since exec; ru_maxrss would count that of the process that started this one.
        "status = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())\n"
        "print(int(status['VmHWM'].split()[0]) // 1024, *heavy)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    megabytes, *heavy = out.stdout.split()
    assert not heavy
    assert int(megabytes) < 120
