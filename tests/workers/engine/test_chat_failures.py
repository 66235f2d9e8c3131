"""What happens when the model raises: the request at fault fails alone, memory is respected, a dead model is named."""

import threading
from contextlib import suppress

import pytest
import torch
from transformers import LlamaForCausalLM

from core.errors import EngineBroken, GenerationFailed
from core.sections import Generation
from tests.workers.engine import tiny
from tests.workers.engine.test_chat import WAIT_S, held, serving
from tests.workers.engine.tiny import prompt
from workers.engine import chat as chat_module
from workers.engine.chat import ChatEngine
from workers.engine.loading import LoadedChat
from workers.engine.slots import Slots

TOKENIZER = tiny.starter_tokenizer()
POISON = TOKENIZER.convert_tokens_to_ids("Z")


class Fragile(LlamaForCausalLM):
    """A model that fails on one token, on more rows than its memory holds, or altogether; that hangs; or is numb."""

    rows = 1000
    dead = False
    numb = False
    go_on: threading.Event | None = None

    def forward(self, input_ids: torch.Tensor, **kwargs: object) -> object:  # type: ignore[override]
        if self.go_on:
            self.go_on.wait(60)
        if self.dead:
            raise RuntimeError("the device is gone")
        if (input_ids == POISON).any():
            raise RuntimeError("poisoned")
        if len(input_ids) > self.rows:
            raise torch.OutOfMemoryError("out of memory")
        out = super().forward(input_ids=input_ids, **kwargs)
        if self.numb:
            out.logits[:] = torch.nan
        return out


def fragile() -> tuple[Fragile, LoadedChat]:
    model = tiny.llama(TOKENIZER, Fragile)
    assert isinstance(model, Fragile)
    return model, LoadedChat(model, TOKENIZER, torch.device("cpu"), encoder_decoder=False)


def test_poisoned_request_fails_alone() -> None:
    _, chat = fragile()
    with serving(chat) as engine:
        _, release = held(engine)
        waiting = [engine.submit(prompt(text)) for text in ("hello", "Z", "what is my name?")]
        release()
        assert waiting[0].result(WAIT_S).text
        assert waiting[2].result(WAIT_S).text
        with pytest.raises(GenerationFailed, match="poisoned"):
            waiting[1].result(WAIT_S)


def test_poison_alone_never_breaks_the_engine() -> None:
    _, chat = fragile()
    with serving(chat) as engine:
        for _ in range(5):
            with pytest.raises(GenerationFailed):
                engine.submit(prompt("Z")).result(WAIT_S)
        assert engine.submit(prompt("hello")).result(WAIT_S).text


def test_out_of_memory_halves_the_batch() -> None:
    model, chat = fragile()
    model.rows = 2
    with serving(chat, batch=8) as engine:
        _, release = held(engine)
        waiting = [engine.submit(prompt(f"hello {at}")) for at in range(7)]
        release()
        assert all(one.result(WAIT_S).text for one in waiting)


def test_dead_model_breaks_the_engine() -> None:
    model, chat = fragile()
    with serving(chat) as engine:
        assert engine.submit(prompt("hello")).result(WAIT_S).text
        model.dead = True
        for _ in range(2):
            with pytest.raises(GenerationFailed):
                engine.submit(prompt("hello")).result(WAIT_S)
        with pytest.raises(EngineBroken, match="the device is gone"):
            engine.submit(prompt("hello")).result(WAIT_S)
        with pytest.raises(EngineBroken):
            engine.submit(prompt("hello"))


def test_model_without_numbers_breaks_the_engine() -> None:
    model, chat = fragile()
    with serving(chat) as engine:
        model.numb = True
        for _ in range(2):
            with pytest.raises(GenerationFailed, match="no numbers"):
                engine.submit(prompt("hello")).result(WAIT_S)
        with pytest.raises(EngineBroken, match="no numbers"):
            engine.submit(prompt("hello")).result(WAIT_S)


@pytest.mark.parametrize("also", ["clear", "move"])
def test_dead_device_breaks_the_engine(also: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, chat = fragile()

    def gone(*_: object) -> None:
        raise RuntimeError("the device is gone")

    with serving(chat) as engine:
        _, release = held(engine)
        waiting = [engine.submit(prompt("hello", "yes", f"{at}")) for at in range(3)]
        model.dead = True  # after such an error each call fails, not only those of the model
        monkeypatch.setattr(Slots, also, gone)
        with pytest.raises((GenerationFailed, EngineBroken)):
            release()
        for one in waiting:
            with pytest.raises((GenerationFailed, EngineBroken)):
                one.result(WAIT_S)
        for _ in range(3):
            with suppress(GenerationFailed, EngineBroken):
                engine.submit(prompt("hello")).result(WAIT_S)
        with pytest.raises(EngineBroken, match="the device is gone"):
            engine.submit(prompt("hello"))


def test_dead_model_fails_all_that_waits() -> None:
    model, chat = fragile()
    with serving(chat, batch=2) as engine:
        _, release = held(engine)
        waiting = [engine.submit(prompt("hello")) for _ in range(6)]
        model.dead = True
        with pytest.raises((GenerationFailed, EngineBroken)):
            release()
        for one in waiting[2:]:
            with pytest.raises(EngineBroken):
                one.result(WAIT_S)


def test_hanging_model_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_module, "_CLOSE_S", 0.1)
    model, chat = fragile()
    engine = ChatEngine(chat, Generation(device="cpu"))
    model.go_on = threading.Event()
    with pytest.raises(TimeoutError):
        engine.submit(prompt("hello")).result(0.1)
    engine.close()
    model.go_on.set()


def test_generation_settings_of_the_model_do_not_leak() -> None:
    _, chat = fragile()
    assert chat.model.generation_config is not None
    chat.model.generation_config.update(num_beams=4, max_length=12, min_length=3, do_sample=True, top_k=5)
    with serving(chat) as engine:
        done = engine.submit(prompt("hello")).result(WAIT_S)
    assert done.completion_tokens == 24
