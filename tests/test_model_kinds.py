"""Models of other makers over the whole path: a real worker process answers, and the tone has reached the model.

The weights are random, so a reply that equals what the model itself makes of a prompt shows which prompt the worker
gave it. How each kind is rendered, batched and streamed is tested in workers/engine.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from core import settings
from core.dialogue import Address, Tone, Turn
from core.events import MessageEvent, Reply
from core.prompt import build_prompt
from core.sections import Generation
from core.store import Store, keys
from tests import kinds
from tests.waiting import eventually
from workers.app import WakeUps
from workers.engine.loading import LoadedChat, load_chat
from workers.engine.prompting import NOTE_OPEN, PERSONA_LINE, Renderer, TemplateRenderer, renderer_for

ROOT = Path(__file__).parent.parent
COMMAND = ["celery", "--quiet", "-A", "workers.app", "worker", "--without-gossip", "--without-mingle"]
GREEDY = {"precision": "fp32", "temperature": 0, "repetition_penalty": 1, "max_new_tokens": 24, "device": "cpu"}
COMPLAINT = "my order is three weeks late and nobody answers!"
THANKS = "oh, it has just arrived. thank you so much, i am so happy!"
PERSON = "test:-:ada"
pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("models")]


@contextmanager
def worker(model: str, log: Path) -> Iterator[None]:
    """Run a worker with this model, greedy and without a check of replies, which here are noise."""
    generation = {f"RAPPORT_GENERATION__{key}".upper(): str(value) for key, value in {"model": model, **GREEDY}.items()}
    with (
        log.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-m", *COMMAND],
            cwd=ROOT,
            env=os.environ | generation | {"RAPPORT_SAFETY__CHECK_REPLIES": "false"},
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            yield
        finally:
            process.kill()


def answer(store: Store, text: str) -> Reply:
    """Say this and return the reply to it."""
    address = Address(channel="test", space="ada")
    store.inbox.accept(MessageEvent(id=text, address=address, user="ada", text=text))

    def found() -> Reply | None:
        replies = [Reply.model_validate_json(row["reply"]) for _, row in store.redis.xrange(keys.outbox("test"))]
        return next((reply for reply in replies if reply.in_reply_to == (text,)), None)

    reply = eventually(found, 90)
    assert reply
    return reply


class Model:
    """The same model in this process, by itself."""

    def __init__(self, folder: str) -> None:
        self.chat: LoadedChat = load_chat(Generation.model_validate({"model": folder, **GREEDY}))
        self.renderer: Renderer = renderer_for(self.chat.tokenizer, self.chat.model.config)

    def ids(self, turns: Sequence[Turn], text: str, tone: Tone) -> list[int]:
        """Return the ids of the prompt for a reply to this text."""
        persona, count = settings.load().bot.persona, self.renderer.count
        prompt = build_prompt(persona=persona, tone=tone, turns=turns, text=text, count_tokens=count, budget=1000)
        return self.renderer.ids(prompt.messages, prompt.tone)

    def text(self, ids: list[int]) -> str:
        """Return the prompt as text."""
        return str(self.chat.tokenizer.decode(ids))

    def reply(self, ids: list[int]) -> str:
        """Return what the model says to this prompt, left to itself."""
        model: Any = self.chat.model  # generate() is not typed
        with torch.inference_mode():
            output = model.generate(
                torch.tensor([ids]),
                attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                do_sample=False,
                num_beams=1,
                max_new_tokens=GREEDY["max_new_tokens"],
                max_length=None,
                forced_eos_token_id=None,
            )
        start = 1 if self.chat.encoder_decoder else len(ids)
        return str(self.chat.tokenizer.decode(output[0, start:], skip_special_tokens=True)).strip()


def tone_for(feeling: str) -> Tone:
    return Tone.model_validate(settings.load().tone[feeling].model_dump())


@pytest.mark.parametrize("make", [kinds.blenderbot, kinds.qwen, kinds.mistral], ids=lambda make: make.__name__)
def test_each_kind_answers_and_the_tone_reaches_it(make: Callable[[Path], str], redis_url: str, tmp_path: Path) -> None:
    model = Model(make(tmp_path))
    store = Store(redis_url, settings.load(), WakeUps())
    with worker(str(tmp_path), tmp_path / "log"):
        for text, feeling in ((COMPLAINT, "frustrated"), (THANKS, "grateful")):
            turns = store.people.history(PERSON)
            reply = answer(store, text)
            tone = tone_for(feeling)
            ids = model.ids(turns, text, tone)
            assert reply.tone == tone.name
            assert reply.text == model.reply(ids)
            assert reply.text != model.reply(model.ids(turns, text, tone_for("anxious"))), "its words go by the tone"
            if isinstance(model.renderer, TemplateRenderer):
                assert f"{text}\n\n{NOTE_OPEN} {tone.guidance}]" in model.text(ids)
            else:
                assert f"{PERSONA_LINE}my tone is {tone.name}." in model.text(ids)
    store.close()


def test_the_mistral_shape_has_a_window_shorter_than_its_prompt(tmp_path: Path) -> None:
    model = Model(kinds.mistral(tmp_path))
    ids = model.ids([], COMPLAINT, tone_for("frustrated"))
    assert len(ids) > kinds.WINDOW
    assert model.text(ids).startswith("<s>[INST]")


def test_the_qwen_shape_is_told_not_to_think_aloud(tmp_path: Path) -> None:
    model = Model(kinds.qwen(tmp_path))
    ids = model.ids([], COMPLAINT, tone_for("frustrated"))
    assert model.text(ids).endswith("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
