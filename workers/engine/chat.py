"""The chat engine: one thread owns the model; many callers submit prompts and wait for completions.

As soon as the model is free the thread takes all that waits, up to ``batch`` requests, and completes them
together; there is no fixed window. What is decided here is who waits, who is answered and what happens when the
model fails. How a batch is run is in generation.py, how a prompt becomes ids in prompting.py.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import torch

from core.dialogue import Completion, FinishReason, Prompt, PromptMessage, Tone
from core.errors import EngineBroken, EngineFull, GenerationFailed, PromptTooLong
from core.sections import Generation as GenerationSettings
from workers.engine.generation import Generator
from workers.engine.loading import LoadedChat, load_chat
from workers.engine.prompting import PersonaRenderer, encoder_limit, renderer_for

log = logging.getLogger(__name__)

# After so many failures in a row, each with the model failing its own check too, the engine gives up.
_FAILURES = 3
_CLOSE_S = 5.0  # a thread that hangs in the model cannot be ended; the end of the process does not wait for it


class Generation:
    """Handle of one submitted prompt."""

    def __init__(
        self, engine: "ChatEngine", prompt_ids: list[int], tone: Tone, on_text: Callable[[str], None] | None
    ) -> None:
        self.prompt_ids = prompt_ids
        self.tone = tone
        self.on_text = on_text
        self.deadline = time.monotonic() + engine.timeout_s
        self._engine = engine
        self._cancel = threading.Event()
        self._future: Future[Completion] = Future()

    @property
    def done(self) -> bool:
        """Has it been answered, be it with an error?"""
        return self._future.done()

    @property
    def cancelled(self) -> bool:
        """Has ``cancel`` been called?"""
        return self._cancel.is_set()

    def result(self, timeout_s: float | None = None) -> Completion:
        """Wait for the completion.

        Its finish_reason is "stop", "length" (max_new_tokens, or what the tone allows, reached), "cancelled" or
        "timeout" (``[generation] timeout_s`` after submission); the last two come with the text so far.

        Raises:
            GenerationFailed: this request could not be completed; others can.
            EngineBroken: the engine is unusable or was closed.
            TimeoutError: nothing came within ``timeout_s`` seconds; the generation goes on.
        """
        return self._future.result(timeout_s)

    def cancel(self) -> None:
        """End it at the next token, or at once if it waits. ``result`` then returns the text so far."""
        self._cancel.set()
        self._engine._drop_ended()

    def _answer(self, completion: Completion) -> None:
        if not self._future.done():
            self._future.set_result(completion)

    def _fail(self, error: Exception) -> None:
        if not self._future.done():
            self._future.set_exception(error)

    def _ended(self) -> FinishReason | None:
        if self.cancelled:
            return "cancelled"
        return "timeout" if time.monotonic() >= self.deadline else None


class ChatEngine:
    """A loaded chat model that serves many callers at once. Every method may be called from any thread."""

    def __init__(self, chat: LoadedChat, settings: GenerationSettings) -> None:
        config = chat.model.config
        model_limit = getattr(config, "max_position_embeddings", None) or settings.context_tokens
        self._renderer = renderer_for(chat.tokenizer, config)
        if chat.encoder_decoder:
            model_limit = encoder_limit(chat.tokenizer, config)
        self.context_tokens: int = min(model_limit, settings.context_tokens)
        # A reply may take half of a small context at most. An encoder-decoder writes into a context of its own.
        self.max_new_tokens: int = min(settings.max_new_tokens, self.context_tokens // 2)
        self.timeout_s = settings.timeout_s
        if isinstance(self._renderer, PersonaRenderer):
            self._renderer = PersonaRenderer(chat.tokenizer, self.context_tokens)
            positions = getattr(config, "max_position_embeddings", None) or settings.max_new_tokens + 1
            self.max_new_tokens = min(settings.max_new_tokens, positions - 1)
        self.prompt_tokens: int = self.context_tokens - (0 if chat.encoder_decoder else self.max_new_tokens)
        self._generator = Generator(chat, settings, self.max_new_tokens)
        self._batch = settings.batch
        self._queue = settings.queue
        self._waiting: deque[Generation] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._failures = 0
        self._broken: str | None = None
        self._thread = threading.Thread(target=self._serve, name="chat-engine", daemon=True)
        self._thread.start()

    @classmethod
    def load(cls, settings: GenerationSettings) -> "ChatEngine":
        """Load the model that ``[generation]`` names and start serving.

        Raises:
            ModelMissing: no such model, or it cannot converse.
            SettingsError: the device does not exist.
        """
        return cls(load_chat(settings), settings)

    def count_tokens(self, messages: Sequence[PromptMessage], tone: Tone) -> int:
        """Return the length of the whole rendered prompt in tokens; it must not exceed ``prompt_tokens``.

        Raises:
            GenerationFailed: the prompt cannot be rendered.
        """
        return self._renderer.count(messages, tone)

    def submit(self, prompt: Prompt, on_text: Callable[[str], None] | None = None) -> Generation:
        """Queue a prompt and return its handle at once.

        ``on_text`` gets the whole text so far whenever it has grown, and the final text last. It is called from the
        engine's thread and must be cheap. With ``num_beams`` above 1 nothing is streamed.

        Raises:
            EngineFull: ``[generation] queue`` requests wait already.
            PromptTooLong: the prompt leaves no room for the reply.
            GenerationFailed: the prompt cannot be rendered safely.
            EngineBroken: the engine is unusable or closed.
        """
        self._refuse()
        ids = self._renderer.ids(prompt.messages, prompt.tone)
        if len(ids) > self.prompt_tokens:
            raise PromptTooLong(
                f"The prompt has {len(ids)} tokens; with a reply of up to {self.max_new_tokens} "
                f"the model's context of {self.context_tokens} holds {self.prompt_tokens}."
            )
        generation = Generation(self, ids, prompt.tone, on_text)
        with self._wake:
            self._refuse()
            self._waiting.append(generation)
            self._wake.notify()
        return generation

    def close(self) -> None:
        """Stop at the next token; what runs and what waits is answered with EngineBroken."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(_CLOSE_S)

    def _refuse(self) -> None:
        if self._closing or self._broken:
            raise EngineBroken(self._broken or "The chat engine is closed.")
        if len(self._waiting) >= self._queue:
            raise EngineFull(f"{self._queue} requests wait for the chat model already.")

    def _drop_ended(self) -> None:
        """Answer those who wait but are cancelled or late; called by whoever cancels and after every token."""
        with self._wake:
            ended = [one for one in self._waiting if one._ended()]
            for one in ended:
                self._waiting.remove(one)
        for one in ended:
            one._answer(_nothing(one))

    def _serve(self) -> None:
        while True:
            self._drop_ended()
            with self._wake:
                while not self._waiting and not self._closing:
                    self._wake.wait()
                left = list(self._waiting) if self._closing or self._broken else []
                batch = [] if left else [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
                if left:
                    self._waiting.clear()
            for one in left:
                one._fail(EngineBroken(self._broken or "The chat engine was closed."))
            if self._closing:
                return
            try:
                self._run(batch)
            except Exception as error:  # this thread must outlive whatever happens
                log.exception("the chat engine failed outside the model")
                for one in batch:
                    one._fail(GenerationFailed(f"The generation failed: {error}"))

    def _run(self, batch: list[Generation]) -> None:
        """Complete a batch; when it raises, find out which of its requests is at fault."""
        if not batch:
            return
        try:
            completions = self._generator.complete(batch, self._each_step)
        except Exception as error:
            self._recover(batch, error)
            return
        self._failures = 0
        for one, completion in zip(batch, completions, strict=True):
            if completion.text or completion.finish_reason in ("cancelled", "timeout"):
                one._answer(completion)
            else:
                self._retry_empty(one)

    def _each_step(self) -> None:
        self._drop_ended()
        if self._closing:
            raise _Closing

    def _recover(self, batch: list[Generation], error: Exception) -> None:
        if isinstance(error, _Closing):
            for one in batch:
                one._fail(EngineBroken("The chat engine was closed."))
        elif len(batch) > 1:
            size = 1
            if _out_of_memory(error):
                size = self._batch = max(1, len(batch) // 2)
                log.warning("out of memory with %d requests together; from now on at most %d", len(batch), size)
                _free_memory()
            else:
                log.warning("a batch of %d failed (%s); each is tried alone", len(batch), error)
            for at in range(0, len(batch), size):
                self._run_live(batch[at : at + size])
        else:
            log.error("a generation failed", exc_info=error)
            if _out_of_memory(error):
                _free_memory()
            self._judge()
            if self._broken:
                batch[0]._fail(EngineBroken(self._broken))
            else:
                batch[0]._fail(GenerationFailed(f"The model failed on this request: {_line(error)}"))

    def _run_live(self, batch: list[Generation]) -> None:
        """Run those of a failed batch that are still wanted."""
        live = []
        for one in batch:
            if self._broken:
                one._fail(EngineBroken(self._broken))
            elif one._ended():
                one._answer(_nothing(one))
            else:
                live.append(one)
        self._run(live)

    def _retry_empty(self, one: Generation) -> None:
        try:
            completion = self._generator.complete([one], self._each_step, retry=True)[0]
        except Exception as error:
            self._recover([one], error)
            return
        if completion.text or completion.finish_reason in ("cancelled", "timeout"):
            one._answer(completion)
        else:
            one._fail(GenerationFailed("The model said nothing, twice."))

    def _judge(self) -> None:
        """After a request failed alone: is it the request, or the model?"""
        try:
            self._generator.check()
        except Exception as error:
            self._failures += 1
            if self._failures >= _FAILURES:
                log.critical("the chat engine is broken: %s", _line(error))
                self._broken = f"The chat model failed {_FAILURES} times in a row: {_line(error)}"
        else:
            self._failures = 0


class _Closing(Exception):
    """Ends a running batch because the engine closes."""


def _nothing(one: Generation) -> Completion:
    reason = one._ended() or "cancelled"
    return Completion(text="", finish_reason=reason, prompt_tokens=len(one.prompt_ids), completion_tokens=0)


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)  # the latter: CPU


def _free_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
