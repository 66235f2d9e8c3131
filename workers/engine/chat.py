"""The chat engine: one thread owns the model; many callers submit prompts and wait for completions.

Here is what a caller sees, and the thread. A causal model writes token by token for all at once (scheduler.py); an
encoder-decoder, and anything with beams, in batches of whole calls (whole.py). Who waits is in line.py, how a prompt
becomes ids in prompting.py.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from core.dialogue import Prompt, PromptMessage, Tone
from core.errors import EngineBroken, PromptTooLong
from core.sections import Generation as GenerationSettings
from workers.engine.generation import Generator
from workers.engine.judge import Judge
from workers.engine.line import Line
from workers.engine.loading import LoadedChat, end_tokens, load_chat
from workers.engine.passes import portion, slot_model
from workers.engine.prompting import PersonaRenderer, encoder_limit, renderer_for
from workers.engine.request import Generation, Wish
from workers.engine.scheduler import Scheduler
from workers.engine.whole import WholeCalls

log = logging.getLogger(__name__)

_CLOSE_S = 5.0  # a thread that hangs in the model cannot be ended; the end of the process does not wait for it


class _Batcher(Protocol):
    """Takes requests from the line and answers them."""

    @property
    def busy(self) -> bool:
        """Is there anything to do but what waits in the line?"""

    def step(self) -> None:
        """Go on a little."""

    def abandon(self, error: Exception) -> None:
        """Fail everything that has been taken on."""


class ChatEngine:
    """A loaded chat model that serves many callers at once. Every method may be called from any thread."""

    def __init__(self, chat: LoadedChat, settings: GenerationSettings) -> None:
        config = chat.model.config
        model_limit = getattr(config, "max_position_embeddings", None) or settings.context_tokens
        self._settings = settings
        self._renderer = renderer_for(chat.tokenizer, config)
        if chat.encoder_decoder:
            model_limit = encoder_limit(chat.tokenizer, config)
        self.context_tokens: int = min(model_limit, settings.context_tokens)
        # A reply may take half of a small context at most. An encoder-decoder writes into a context of its own.
        self.max_new_tokens: int = min(settings.max_new_tokens, self.context_tokens // 2)
        if isinstance(self._renderer, PersonaRenderer):
            self._renderer = PersonaRenderer(chat.tokenizer, self.context_tokens)
            positions = getattr(config, "max_position_embeddings", None) or settings.max_new_tokens + 1
            self.max_new_tokens = min(settings.max_new_tokens, positions - 1)
        self.prompt_tokens: int = self.context_tokens - (0 if chat.encoder_decoder else self.max_new_tokens)
        self._line = Line(settings.queue)
        self._judge = Judge(chat)
        self._batcher = self._batcher_for(chat)
        self._thread = threading.Thread(target=self._serve, name="chat-engine", daemon=True)
        self._thread.start()

    @classmethod
    def load(cls, settings: GenerationSettings, section: str = "generation", key: str = "model") -> "ChatEngine":
        """Load the model that ``settings.model`` names, which stands in ``[section] key``; warm it up, start serving.

        Raises:
            ModelMissing: no such model, or it cannot converse.
            SettingsError: the device does not exist, cannot have this precision, or lacks the memory for the slots.
            GenerationFailed, EngineBroken: the model fails at its first words.
        """
        engine = cls(load_chat(settings, section, key), settings)
        engine._warm_up()
        return engine

    def count_tokens(self, messages: Sequence[PromptMessage], tone: Tone) -> int:
        """Return the length of the whole rendered prompt in tokens; it must not exceed ``prompt_tokens``.

        Raises:
            GenerationFailed: the prompt cannot be rendered.
        """
        return self._renderer.count(messages, tone)

    def submit(
        self,
        prompt: Prompt,
        on_text: Callable[[str], None] | None = None,
        person: str = "",
        *,
        seed: int | None = None,
        stop: tuple[str, ...] = (),
    ) -> Generation:
        """Queue a prompt and return its handle at once.

        ``on_text`` gets the whole text so far whenever it has grown, and the final text last. It is called from the
        engine's thread and must be cheap. With ``num_beams`` above 1 nothing is streamed. People who wait are served
        in turn. The reply ends before any of the strings ``stop``. With the same ``seed`` a causal model writes the
        same reply again, whatever else it writes meanwhile.

        Raises:
            EngineFull: ``[generation] queue`` requests wait already, or half as many of this person.
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
        wish = Wish.of(self._settings, prompt.tone, self.max_new_tokens, seed, stop)
        deadline = time.monotonic() + self._settings.timeout_s
        generation = Generation(ids, wish, deadline, on_text, person, self._line.drop_ended)
        self._line.put(generation)
        if self._line.closed or self._judge.broken:  # since we looked: nobody may come for it any more
            self._line.fail_all(self._end())
        return generation

    def close(self) -> None:
        """Stop at the next token; what runs and what waits is answered with EngineBroken."""
        self._line.close()
        self._thread.join(_CLOSE_S)

    def _batcher_for(self, chat: LoadedChat) -> _Batcher:
        settings = self._settings
        if not chat.encoder_decoder and settings.num_beams == 1:
            model = slot_model(chat, settings, self.context_tokens)
            if model:
                return Scheduler(
                    model,
                    chat.tokenizer,
                    self._line,
                    self._judge,
                    end_tokens(chat),
                    settings.repetition_penalty,
                    portion(model, chat.device),
                )
            log.warning("%s writes in batches of whole calls", type(chat.model).__name__)
        generator = Generator(chat, settings, self.max_new_tokens)
        return WholeCalls(generator, self._line, self._judge, settings.batch, self._line.drop_ended)

    def _warm_up(self) -> None:
        """Fill a batch with a few words each: if its memory is not there, it shrinks before anyone waits."""
        tone = Tone(name="plain", guidance="Be plain.", max_new_tokens=2)
        waiting = []
        with suppress(PromptTooLong):
            for at in range(min(self._settings.batch, self._settings.queue)):
                hello = PromptMessage(role="user", content="Hello! " * (1 + at % 16))
                waiting.append(self.submit(Prompt(messages=(hello,), tone=tone)))
        for one in waiting:
            one.result()

    def _refuse(self) -> None:
        if self._line.closed or self._judge.broken:
            raise self._end()

    def _end(self) -> EngineBroken:
        return EngineBroken(self._judge.broken or "The chat engine is closed.")

    def _serve(self) -> None:
        while True:
            if not self._batcher.busy:
                self._line.wait()
            if self._line.closed or self._judge.broken:
                self._batcher.abandon(self._end())
                self._line.fail_all(self._end())
            if self._line.closed:
                return
            self._line.drop_ended()
            try:
                self._batcher.step()
            except Exception as error:  # this thread must outlive whatever happens
                log.error("the chat engine failed outside the model")
                self._batcher.abandon(self._judge.blame(error))
