"""The terminal channel: a conversation where one types, or one line after the other from a pipe.

At a terminal: line editing with history (prompt_toolkit), text that appears as it is written, the mood as a faint
line. From a pipe: each line of standard input is one message, its reply goes to standard output and nothing else
does; the mood and all notes go to standard error.
"""

import asyncio
import getpass
import io
import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markdown import Markdown

from channels.base import SIGNS, Accept, Adapter
from core import commands, settings
from core.errors import InputError, StoreUnavailable
from core.events import Address, Draft, Heard, MessageEvent, Reply

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

PATIENCE_S = 20
REDIS_PATIENCE_S = 30


class TerminalAdapter:
    """One person at one terminal. Lives as long as the conversation."""

    name = "terminal"
    text_limit = 100_000
    sign_s = 0.0  # the cursor waits where the answer will be
    sign_budget = SIGNS

    def __init__(self) -> None:
        self._user = getpass.getuser()
        self._typing = sys.stdin.isatty() and sys.stdout.isatty()
        # At the same terminal a later start finds what an earlier one could not print any more.
        place = os.ttyname(sys.stdin.fileno()) if self._typing else uuid.uuid4().hex
        self.via: str | None = f"{socket.gethostname()}.{self._user}.{place}"
        self._conversation: asyncio.Task[None] | None = None
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # an emoji must not be lost to an old locale
        self._address = Address(channel=self.name, space=self._user, via=self.via)
        self._out = Console(highlight=False, soft_wrap=not self._typing)
        self._err = Console(stderr=True, highlight=False)
        self._waiting_for: str | None = None
        self._answered = asyncio.Event()
        self._shown = ""
        self._mood_shown = False

    async def run(self, accept: Accept) -> None:
        """Converse until the input ends."""
        self._conversation = asyncio.current_task()
        try:
            async for line in self._typed_lines() if self._typing else _piped_lines():
                if line.strip():
                    await self._say(line, accept)
        except asyncio.CancelledError:
            self._err.print("[dim]Interrupted.[/]")

    async def send(self, reply: Reply) -> None:
        """Print a reply, or the rest of it if a part was shown as a draft."""
        self._show_mood(reply)
        if not self._typing:
            self._print_piped(reply.text)
        elif self._shown and reply.text.startswith(self._shown):
            self._out.print(reply.text[len(self._shown) :], markup=False)
        else:
            if self._shown:
                self._out.print()
            self._out.print(Markdown(reply.text) if reply.finish_reason == "command" else reply.text, markup=False)
        self._shown, self._mood_shown = "", False
        if self._waiting_for in reply.in_reply_to:
            self._waiting_for = None
            self._answered.set()

    def _print_piped(self, text: str) -> None:
        try:
            print(text, flush=True)
        except BrokenPipeError:  # nobody reads on (`| head -1`): the conversation is over
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if self._conversation:
                self._conversation.cancel()

    async def working(self, heard: Heard) -> None:
        """Never called."""

    async def draft(self, draft: Draft) -> bool:
        """Print what is new of a text that is being written."""
        if not self._typing or self._waiting_for not in draft.in_reply_to:
            return False
        self._show_mood(draft)
        if draft.text.startswith(self._shown):
            self._out.print(draft.text[len(self._shown) :], end="", markup=False)
            self._shown = draft.text
        return True

    async def close(self) -> None:
        """Leave the cursor on a line of its own."""
        if self._shown:
            self._out.print()

    async def _say(self, text: str, accept: Accept) -> None:
        """Send one message and wait for its reply."""
        # Anew each time: prompt_toolkit takes the handler away when its prompt ends.
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupt, accept)
        event = self._event(text)
        self._waiting_for = event.id
        self._answered.clear()
        give_up = asyncio.get_running_loop().time() + REDIS_PATIENCE_S
        while True:
            try:
                await accept(event)
                break
            except InputError as error:
                self._waiting_for = None
                self._err.print(f"[yellow]{error}[/]")
                return
            except StoreUnavailable as error:
                if asyncio.get_running_loop().time() > give_up:
                    raise
                self._err.print(f"[yellow]Your message is kept here, but cannot be sent yet ({error}).[/]")
                await asyncio.sleep(1)
        noted = False
        while not self._answered.is_set():
            try:
                await asyncio.wait_for(self._answered.wait(), PATIENCE_S)
            except TimeoutError:
                if not noted:
                    self._err.print(
                        "[dim]No answer yet. Your message is safe; `rapport doctor` tells what is wrong.[/]"
                    )
                noted = True

    def _event(self, text: str) -> MessageEvent:
        # The same login on two machines may be two people.
        return MessageEvent(
            id=f"terminal:{uuid.uuid4()}",
            address=self._address,
            workspace=socket.gethostname(),
            user=self._user,
            text=text,
        )

    def _interrupt(self, accept: Accept) -> None:
        """Ctrl-C: the first ends the reply that is being written, the next one the conversation."""
        if self._waiting_for and self._typing:
            self._waiting_for = None
            self._answered.set()
            task = asyncio.ensure_future(accept(self._event("/stop")))
            task.add_done_callback(lambda done: done.exception())
        elif self._conversation:
            self._conversation.cancel()

    def _show_mood(self, said: Draft | Reply) -> None:
        if self._mood_shown or said.sentiment is None:
            return
        console = self._out if self._typing else self._err
        console.print(f"[dim]  {said.sentiment.label} · {said.tone}[/]")
        self._mood_shown = True

    async def _typed_lines(self) -> AsyncIterator[str]:
        from prompt_toolkit.patch_stdout import patch_stdout

        session = _prompt_session()
        self._out.print("[bold]Rapport[/] [dim]listens. /help lists the commands, Ctrl-D ends the conversation.[/]")
        while True:
            try:
                with patch_stdout(raw=True):
                    line = await session.prompt_async("> ")
            except KeyboardInterrupt:
                self._out.print("[dim]Ctrl-D ends the conversation.[/]")
                continue
            except EOFError:
                return
            yield line
            if commands.parse(line) is commands.TABLE["forget"]:
                _typed_file().write_text("")  # what was typed here is a trace, too
                session = _prompt_session()


def make_adapter() -> Adapter:
    """Return the terminal adapter."""
    return TerminalAdapter()


def _prompt_session() -> "PromptSession[str]":
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.history import FileHistory

    names = WordCompleter([f"/{name}" for name in commands.TABLE], sentence=True)
    return PromptSession(history=FileHistory(str(_typed_file())), completer=names)


def _typed_file() -> Path:
    folder = Path(settings.ROOT, settings.load().stack.data)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / "typed.history"


async def _piped_lines() -> AsyncIterator[str]:
    """Yield the lines of standard input; bytes that are no UTF-8 become the replacement character."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes] = asyncio.Queue()

    def read() -> None:
        # A file object of its own: the interpreter waits for sys.stdin when it ends.
        with os.fdopen(os.dup(sys.stdin.fileno()), "rb") as given:
            for line in given:
                loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, b"")

    # Nothing can end a read that waits for input; as a daemon this thread does not keep the process alive.
    threading.Thread(target=read, name="input", daemon=True).start()
    while line := await lines.get():
        yield line.decode("utf-8", "replace").rstrip("\r\n")
