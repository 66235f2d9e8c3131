"""A remote engine: the chat model runs on an OpenAI-compatible server, behind the same interface as the one in chat.py.

One thread with an event loop asks for all requests, so that each can be cancelled at any moment: while it waits for a
connection, for a pause to end, or for the next word. What a request says is decided in remote_dialect.py, what a
failure means in remote_faults.py, and which engine is asked instead in workers/fallback.py.
"""

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import openai

from core import settings as core_settings
from core.dialogue import FinishReason, Prompt, PromptMessage, Tone
from core.errors import EngineBroken, EngineError, EngineFull, GenerationFailed, ModelMissing, PromptTooLong
from core.remote import RemoteModel, parse
from core.sections import Generation as GenerationSettings
from workers.engine.remote_dialect import Dialect, estimated_tokens
from workers.engine.remote_faults import Circuit, Fault, understand
from workers.engine.remote_generation import RemoteGeneration

log = logging.getLogger(__name__)

CONNECT_S = 3.0
CHECK_S = 10.0
_CLOSE_S = 5.0
_AFTER_S = 1.0  # for what follows the end of a reply: how many tokens it had
_LONGEST_TOKEN = 40  # characters: a server that writes more for each token does not keep to its limit
_SHOWN = 5  # names of a server's models
_HELLO = Prompt(messages=(PromptMessage(role="user", content="Hello"),), tone=Tone(name="plain", guidance="Be brief."))


class RemoteEngine:
    """A model on a server, for many callers at once. Every method may be called from any thread.

    ``name`` is as in the settings (core/remote.py). Device, beams and repetition penalty are the server's business;
    ``batch`` requests run at once and ``queue`` more wait.
    """

    def __init__(self, name: str, settings: GenerationSettings) -> None:
        self.server: RemoteModel = parse(name)
        self.timeout_s = settings.timeout_s
        self._settings = settings
        self._fit_into(settings.context_tokens)
        self._key = core_settings.variables().get(self.server.key_variable, "").strip()
        self._dialect = Dialect()
        self._circuit = Circuit(settings.timeout_s)
        self._places = settings.batch + settings.queue
        self._taken = 0
        self._lock = threading.Lock()
        self._closing = False
        self._loop = asyncio.new_event_loop()
        self._running = asyncio.Semaphore(settings.batch)
        self._client = openai.AsyncOpenAI(
            base_url=self.server.url,
            api_key=self._key or "none",
            max_retries=0,  # ours know when a word has been said already
            # A server that says nothing for so long leaves the other half of the time to another one.
            timeout=openai.Timeout(settings.timeout_s / 2, connect=min(CONNECT_S, settings.timeout_s / 2)),
        )
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"remote-{self.server.host}", daemon=True)
        self._thread.start()

    @property
    def sends_key_in_clear(self) -> bool:
        """Can who listens on the network read the key?"""
        return bool(self._key) and self.server.in_clear

    @property
    def prompt_tokens(self) -> int:
        """How long a prompt may be, in tokens as ``count_tokens`` estimates them."""
        return self.context_tokens - self.max_new_tokens

    def count_tokens(self, messages: Sequence[PromptMessage], tone: Tone) -> int:
        """Return about how long the whole prompt is, in tokens; rather too long than too short."""
        return estimated_tokens(messages, tone)

    def check(self, timeout_s: float = CHECK_S) -> None:
        """Have the model say one token: the only sure sign that address, key and model are right. It warms it up, too.

        Raises:
            ModelMissing: the server refuses the key, or has no such model; waiting will not help.
            EngineFull: it has too much to do.
            GenerationFailed: it is down, or cannot answer.
        """
        fault = asyncio.run_coroutine_threadsafe(self._check(timeout_s), self._loop).result()
        if fault and fault.kind == "refused":
            raise ModelMissing(fault.text)
        if fault:
            raise fault.error()

    def submit(
        self, prompt: Prompt, on_text: Callable[[str], None] | None = None, person: str = ""
    ) -> RemoteGeneration:
        """Send a prompt on its way and return its handle at once.

        ``on_text`` gets the whole text so far whenever it has grown, and the final text last. It is called from the
        engine's thread and must be cheap. ``person`` is for engines that share their time out; no server is told.

        Raises:
            EngineFull: as many as may wait do so already, or the server wants to be left alone for a while.
            PromptTooLong: the prompt leaves no room for the reply.
            GenerationFailed: the server was down, or turned us away, a moment ago.
            EngineBroken: the engine is closed.
        """
        count = self.count_tokens(prompt.messages, prompt.tone)
        if count > self.prompt_tokens:
            raise PromptTooLong(
                f"The prompt has about {count} tokens; the server's context takes {self.prompt_tokens}."
            )
        now = time.monotonic()
        one = RemoteGeneration(prompt, now + self.timeout_s / 2, now + self.timeout_s, on_text)
        with self._lock:
            if self._closing:
                raise EngineBroken("The remote engine is closed.")
            if self._taken >= self._places:
                raise EngineFull(f"{self._taken} requests to {self.server.host} run or wait already.")
            self._circuit.refuse()
            self._taken += 1
            self._loop.call_soon_threadsafe(self._start, one)
        return one

    def close(self) -> None:
        """End the connections; what runs and what waits is answered with EngineBroken."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(_CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()

    def _start(self, one: RemoteGeneration) -> None:
        task = self._loop.create_task(self._serve(one))

        def cancel() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and so everything has ended
                self._loop.call_soon_threadsafe(task.cancel)

        one.ended_by(cancel)

    async def _end(self) -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)
        while others := asyncio.all_tasks() - {asyncio.current_task()}:  # what ends leaves streams behind to be closed
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0)
        await self._client.close()
        await self._loop.shutdown_asyncgens()

    async def _serve(self, one: RemoteGeneration) -> None:
        """Have one request answered, whatever happens."""
        try:
            async with asyncio.timeout_at(one.deadline), self._place(one):  # the loop's clock is time.monotonic
                one.answer(await self._complete(one))
        except asyncio.CancelledError:
            if one.cancelled:
                one.answer("cancelled")
            else:
                one.fail(EngineBroken("The remote engine was closed."))
        except TimeoutError:
            one.answer("timeout")  # with some text: silence is given up before
        except EngineError as error:
            one.fail(error)
        except Exception as error:  # ours: whoever waits must hear of it
            log.exception("the remote engine failed outside the server")
            one.fail(GenerationFailed(f"{self.server.host}: {type(error).__name__}: {error}"))
        finally:
            with self._lock:
                self._taken -= 1

    @contextlib.asynccontextmanager
    async def _place(self, one: RemoteGeneration) -> AsyncIterator[None]:
        """Wait for one of the places; raises EngineFull if none gets free while another engine could still answer."""
        try:
            async with asyncio.timeout_at(one.begin_by):
                await self._running.acquire()
        except TimeoutError:
            raise EngineFull(f"{self.server.host}: there was no place for this request in time.") from None
        try:
            yield
        finally:
            self._running.release()

    async def _complete(self, one: RemoteGeneration) -> FinishReason:
        """Stream the reply into ``one``, say why it ended; raises GenerationFailed, EngineFull or PromptTooLong."""
        limit = min(one.prompt.tone.max_new_tokens or self.max_new_tokens, self.max_new_tokens)
        try:
            reason = await self._ask(one, limit)
        except _Failed as error:
            raise error.fault.error() from error.__cause__
        if reason is None:
            raise GenerationFailed(f"{self.server.host}: the reply broke off.")
        if reason == "content_filter":
            raise GenerationFailed(f"{self.server.host}: its filter stopped the reply.")
        if not one.text.strip():
            raise GenerationFailed(f"{self.server.host}: the model said nothing ({reason}).")
        return "length" if reason == "length" else "stop"

    async def _ask(self, one: RemoteGeneration, limit: int) -> str | None:
        """Stream, and again as long as nothing was said; return the server's own reason for the end, raise _Failed."""
        tries, dialect = 1, self._dialect
        while True:
            asked_at = time.monotonic()
            try:
                reason = await self._stream(one, dialect, limit)
            except Exception as error:
                fault = understand(error, self.server, self._key)
                if one.text:
                    raise _Failed(Fault("failed", f"{fault.text} It had begun to answer.")) from error
                changed = dialect.adapted(fault) if fault.kind == "odd" else None
                pause_s = 0.0 if changed else fault.pause_s(tries)
                if pause_s is None:
                    self._leave_alone(fault, asked_at)
                    raise _Failed(fault) from error
                log.info("%s Trying again in %.1f s", fault.text, pause_s)
                await asyncio.sleep(pause_s)
                tries, dialect = tries + (changed is None), changed or dialect
            else:
                self._dialect = dialect
                self._circuit.close()
                return reason

    def _leave_alone(self, fault: Fault, asked_at: float) -> None:
        if fault.kind in ("down", "busy", "refused"):
            rest_s = self._circuit.open(fault, asked_at)
            if rest_s:
                log.warning("%s It is left alone for %.0f s", fault.text, rest_s)

    async def _stream(self, one: RemoteGeneration, dialect: Dialect, limit: int) -> str | None:
        tone, conf = one.prompt.tone, self._settings
        warmth = conf.temperature if tone.temperature is None else tone.temperature
        request = dialect.request(
            one.prompt.messages,
            tone,
            limit=limit,
            temperature=warmth if conf.temperature else 0.0,  # greedy settings stay greedy for all tones
            top_p=conf.top_p if tone.top_p is None else tone.top_p,
        )
        reason, usage = None, None
        try:
            # Not left to the client's time-outs: a server may keep a silent connection alive.
            async with asyncio.timeout_at(one.begin_by) as patience:
                stream: Any = await self._client.chat.completions.create(model=self.server.model, **request)
                async with stream:
                    async for chunk in stream:  # the client checks nothing, and servers leave out what they like
                        usage = chunk.usage or usage
                        choice = chunk.choices[0] if chunk.choices else None
                        piece = choice.delta.content if choice and choice.delta else None
                        if piece:
                            one.add(piece)
                            patience.reschedule(None)
                        if choice and choice.finish_reason:
                            reason = choice.finish_reason
                            patience.reschedule(self._loop.time() + _AFTER_S)
                        if len(one.text) > limit * _LONGEST_TOKEN:
                            return "length"
        except Exception as error:
            if reason is None:
                raise
            log.debug("%s: %s after the end of a reply", self.server.host, type(error).__name__)
        if usage:
            one.prompt_tokens, one.tokens = usage.prompt_tokens or 0, usage.completion_tokens or one.tokens
        return reason

    async def _check(self, timeout_s: float) -> Fault | None:
        served: list[str] = []
        try:
            async with asyncio.timeout(timeout_s):
                served = await self._served()
                await self._ask(RemoteGeneration(_HELLO, math.inf, math.inf, None), limit=1)
        except TimeoutError:
            return Fault("down", f"{self.server.host}: it did not answer within {timeout_s:.0f} s.")
        except _Failed as error:
            known = self.server.model in served or not served
            hint = "" if known else f" It serves: {', '.join(served[:_SHOWN])}."
            return replace(error.fault, text=error.fault.text + hint)
        return None

    async def _served(self) -> list[str]:
        """Return the names of the server's models, if it tells them, and keep to the context of ours."""
        try:
            models = (await self._client.models.list()).data
            for model in models:
                told = model.model_extra or {}
                length = told.get("max_model_len") or (told.get("meta") or {}).get("n_ctx")  # vLLM, SGLang; llama.cpp
                # A server with one model gives it to whoever asks, under any name.
                if (model.id == self.server.model or len(models) == 1) and isinstance(length, int) and length > 1:
                    self._fit_into(min(length, self._settings.context_tokens))
            return [model.id for model in models]
        except Exception as error:  # not every server has this list, and the request itself will tell what is wrong
            log.debug("%s: no list of models: %s", self.server.host, type(error).__name__)
            return []

    def _fit_into(self, context_tokens: int) -> None:
        self.context_tokens = context_tokens
        self.max_new_tokens = min(self._settings.max_new_tokens, context_tokens // 2)


class _Failed(Exception):
    """A request that was given up, with the fault that it met last."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault
