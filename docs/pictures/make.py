"""Makes the pictures of the README and of docs/performance.md from the running program.

    pip install pyte playwright pillow && python docs/pictures/make.py [terminal] [web] [together]

terminal.svg: `rapport chat` at a pseudo-terminal, read with the terminal emulator pyte, drawn with rich.
web.png: the chat page of `rapport up` in Chromium. together.gif: two people at two pages, at the same time, as fast as
it went. All talk to the models that ship, on data of their own.
"""

import base64
import io
import itertools
import os
import pty
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from rich.console import Console
from rich.style import Style
from rich.text import Text

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
COLUMNS, LINES, PORT = 88, 26, 8765
SAID = [
    "hi, my name is Ada",
    "my order is three weeks late and nobody answers!",
    "it finally came today, I'm so happy!!",
    "what's my name?",
]
TOGETHER = [
    ("hi there!", "I lost my keys and I am late for work, everything goes wrong today"),
    ("hello", "we won the match and I scored the last goal!!"),
]
FILM_S, FRAME_S, GAP = 3.0, 0.05, 20
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def wait_for(condition, seconds: float = 60) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the program did not get there in time")
        time.sleep(0.1)


def terminal(data: str) -> None:
    """Draw a conversation at the terminal."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        size = {"COLUMNS": str(COLUMNS), "LINES": str(LINES), "TERM": "xterm-256color", "RAPPORT_STACK__DATA": data}
        os.execve(sys.executable, [sys.executable, "-m", "rapport", "chat"], os.environ | size)
    import fcntl
    import struct
    import termios

    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    received = bytearray()

    def read() -> None:
        try:
            while part := os.read(fd, 4096):
                received.extend(part)
                stream.feed(part)
                if b"\x1b[6n" in part:
                    os.write(fd, f"\x1b[{screen.cursor.y + 1};{screen.cursor.x + 1}R".encode())
        except OSError:
            pass

    threading.Thread(target=read, daemon=True).start()

    def prompts() -> int:
        return sum(line.startswith(">") for line in screen.display)

    for number, line in enumerate(SAID):
        wait_for(lambda n=number: prompts() == n + 1)
        time.sleep(0.5)
        for key in line:
            os.write(fd, key.encode())
            time.sleep(0.01)
        os.write(fd, b"\r")
    wait_for(lambda: prompts() == len(SAID) + 1)
    time.sleep(0.5)
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    for y in range(max(y for y, line in enumerate(screen.display) if line.strip()) + 1):
        console.print(_line(screen, y))
    console.save_svg(str(HERE / "terminal.svg"), title="make chat")
    os.write(fd, b"\x04")
    os.waitpid(pid, 0)


def _line(screen: pyte.Screen, y: int) -> Text:
    text = Text()
    for x in range(COLUMNS):
        cell = screen.buffer[y][x]
        # pyte knows no faint text; what rich prints faint is the mood line, which is indented.
        faint = " · " in screen.display[y] and screen.display[y].startswith("  ")
        text.append(cell.data, Style(bold=cell.bold, dim=faint))
    text.rstrip()
    return text


@contextmanager
def _browser(data: str) -> Iterator[Browser]:
    """Run `rapport up` and a browser."""
    env = os.environ | {"RAPPORT_STACK__DATA": data, "RAPPORT_WEB__PORT": str(PORT)}
    program = subprocess.Popen([sys.executable, "-m", "rapport", "up"], cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    try:
        wait_for(_ready)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            yield browser
            browser.close()
    finally:
        program.terminate()
        program.wait()


def _say(page: Page, line: str, number: int) -> None:
    """Say a line and wait for the reply, which is that many in the conversation."""
    page.get_by_role("textbox", name="Message").fill(line)
    page.keyboard.press("Enter")
    expect(page.locator("#log .bot")).to_have_count(number, timeout=60_000)


def web(data: str) -> None:
    """Take a picture of the chat page."""
    with _browser(data) as browser:
        page = browser.new_page(viewport={"width": 900, "height": 760}, device_scale_factor=1.5)
        page.goto(f"http://127.0.0.1:{PORT}/")
        for number, line in enumerate(SAID, 1):
            _say(page, line, number)
        page.wait_for_timeout(1800)  # the colours fade in
        page.screenshot(path=str(HERE / "web.png"))


def together(data: str) -> None:
    """Film two people who write at the same time."""
    with _browser(data) as browser:
        pages = [browser.new_page(viewport={"width": 420, "height": 420}) for _ in TOGETHER]
        for page, (hello, _) in zip(pages, TOGETHER, strict=True):
            page.goto(f"http://127.0.0.1:{PORT}/")
            _say(page, hello, 1)
        for page, (_, line) in zip(pages, TOGETHER, strict=True):
            page.get_by_role("textbox", name="Message").fill(line)
        seen: list[tuple[float, int, bytes]] = []
        for number, page in enumerate(pages):
            _film(page, lambda data, number=number: seen.append((time.monotonic(), number, data)))
        for page in pages:
            page.keyboard.press("Enter")
        pages[0].wait_for_timeout(1000 * FILM_S)
    _save(seen)


def _film(page: Page, keep: Callable[[bytes], None]) -> None:
    """Hand over each new picture of a page."""
    session = page.context.new_cdp_session(page)

    def frame(event: dict) -> None:
        session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})
        keep(base64.b64decode(event["data"]))

    session.on("Page.screencastFrame", frame)
    session.send("Page.startScreencast", {"format": "png"})


def _save(seen: list[tuple[float, int, bytes]]) -> None:
    """Write together.gif: both pages beside each other, at each moment when one of them changed."""
    shots: dict[int, Image.Image] = {}
    frames: list[Image.Image] = []
    times: list[float] = []
    for at, number, data in seen:
        shots[number] = Image.open(io.BytesIO(data)).convert("RGB")
        if len(shots) == len(TOGETHER) and (not times or at - times[-1] > FRAME_S):
            wide, high = shots[0].size
            frame = Image.new("RGB", ((wide + GAP) * len(shots) - GAP, high), "white")
            for place, shot in shots.items():
                frame.paste(shot, (place * (wide + GAP), 0))
            frames.append(frame.quantize(24))
            times.append(at)
    waits = [int(1000 * (after - before)) for before, after in itertools.pairwise(times)]
    frames[0].save(HERE / "together.gif", save_all=True, append_images=frames[1:], duration=[*waits, 2500], loop=0)


def _ready() -> bool:
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{PORT}/readyz").status == 200
    except OSError:
        return False


if __name__ == "__main__":
    ways = {"terminal": terminal, "web": web, "together": together}
    for make in [ways[name] for name in sys.argv[1:]] or ways.values():
        with tempfile.TemporaryDirectory() as folder:
            make(folder)
