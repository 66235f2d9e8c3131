"""The chat engine on tiny models: batching, streaming, ending early, and limits."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.errors import EngineBroken, EngineFull, GenerationFailed, PromptTooLong
from core.sections import Generation
from tests.workers.engine import tiny
from tests.workers.engine.tiny import PLAIN, prompt
from workers.engine.chat import ChatEngine
from workers.engine.loading import LoadedChat, load_chat

WAIT_S = 30.0
QUESTIONS = [
    "hi",
    "my order is late and nobody answers " * 3,
    "what is my name?",
    "thank you",
    "a",
    "how are you today?",
]


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny.save_llama(tmp_path_factory.mktemp("starter"), tiny.starter_tokenizer())


@pytest.fixture(scope="module")
def blenderbot(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny.save_blenderbot(tmp_path_factory.mktemp("blenderbot"))


@contextmanager
def serving(model: str | LoadedChat, **settings: object) -> Iterator[ChatEngine]:
    values = {"device": "cpu", "precision": "fp32", "temperature": 0, "max_new_tokens": 24, **settings}
    if isinstance(model, LoadedChat):
        engine = ChatEngine(model, Generation.model_validate(values))
    else:
        engine = ChatEngine.load(Generation.model_validate({"model": model, **values}))
    try:
        yield engine
    finally:
        engine.close()


class Gate:
    """An ``on_text`` that holds the engine at the first text until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def __call__(self, text: str) -> None:
        self.reached.set()
        assert self._open.wait(WAIT_S)

    def open(self) -> None:
        self._open.set()


def held(engine: ChatEngine) -> tuple[Gate, Callable[[], None]]:
    """Keep the engine busy with a request of its own; what is submitted meanwhile waits."""
    gate = Gate()
    busy = engine.submit(prompt("hold"), gate)
    assert gate.reached.wait(WAIT_S)

    def release() -> None:
        gate.open()
        busy.result(WAIT_S)

    return gate, release


@pytest.mark.parametrize("tok", [tiny.starter_tokenizer(), tiny.chatml_tokenizer()], ids=["starter", "chatml"])
def test_stream_grows_and_ends_with_the_reply(tok: object, tmp_path: Path) -> None:
    assert isinstance(tok, tiny.PreTrainedTokenizerFast)
    with serving(tiny.save_llama(tmp_path, tok)) as engine:
        asked = prompt("hello")
        seen: list[str] = []
        done = engine.submit(asked, seen.append).result(WAIT_S)
        assert seen[-1] == done.text
        assert len(seen) > 3
        assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(seen))
        assert done.finish_reason == "length"
        assert done.completion_tokens == 24
        assert done.prompt_tokens == engine.count_tokens(asked.messages, PLAIN)


@pytest.mark.parametrize("kind", ["starter", "blenderbot"])
def test_batched_replies_equal_single_ones(kind: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(kind)
    with serving(model, batch=1) as engine:
        single = [engine.submit(prompt(text)).result(WAIT_S).text for text in QUESTIONS]
    with serving(model, batch=8) as engine:
        _, release = held(engine)
        waiting = [engine.submit(prompt(text)) for text in QUESTIONS]
        release()
        assert [one.result(WAIT_S).text for one in waiting] == single


def test_sampling_works(starter: str) -> None:
    with serving(starter, temperature=0.9, top_p=0.8, repetition_penalty=1.3) as engine:
        assert engine.submit(prompt("hello")).result(WAIT_S).text


def test_an_end_token_ends_the_reply(starter: str) -> None:
    chat = load_chat(Generation(model=starter, device="cpu"))
    assert chat.model.generation_config is not None
    chat.model.generation_config.eos_token_id = [2, *range(10, 250)]
    with serving(chat, temperature=1.0, max_new_tokens=200) as engine:
        assert engine.submit(prompt("hello")).result(WAIT_S).finish_reason == "stop"


def test_an_empty_reply_is_tried_again(starter: str) -> None:
    chat = load_chat(Generation(model=starter, device="cpu"))
    assert chat.model.generation_config is not None
    letter = chat.tokenizer.convert_tokens_to_ids("x")
    chat.model.generation_config.eos_token_id = [one for one in range(len(chat.tokenizer)) if one != letter]
    with serving(chat) as engine:
        assert engine.submit(prompt("hello")).result(WAIT_S).text == "xxxx"


def test_a_model_that_says_nothing_fails_the_request(starter: str) -> None:
    chat = load_chat(Generation(model=starter, device="cpu"))
    assert chat.model.generation_config is not None
    blank = chat.tokenizer.convert_tokens_to_ids("Ġ")
    chat.model.generation_config.eos_token_id = [one for one in range(len(chat.tokenizer)) if one != blank]
    with serving(chat) as engine, pytest.raises(GenerationFailed, match="nothing"):
        engine.submit(prompt("hello")).result(WAIT_S)


def test_cancel_while_running_gives_the_text_so_far(starter: str) -> None:
    with serving(starter, max_new_tokens=200) as engine:
        gate = Gate()
        one = engine.submit(prompt("hello"), gate)
        assert gate.reached.wait(WAIT_S)
        one.cancel()
        gate.open()
        done = one.result(WAIT_S)
        assert done.finish_reason == "cancelled"
        assert done.text
        assert done.completion_tokens < 200


def test_cancel_ends_one_row_and_leaves_the_others(starter: str) -> None:
    with serving(starter) as engine:
        alone = engine.submit(prompt("what is my name?")).result(WAIT_S).text
        hold, _ = held(engine)
        gate = Gate()
        first, second = engine.submit(prompt("hello"), gate), engine.submit(prompt("what is my name?"))
        hold.open()
        assert gate.reached.wait(WAIT_S)
        first.cancel()
        gate.open()
        assert first.result(WAIT_S).finish_reason == "cancelled"
        assert second.result(WAIT_S).text == alone


def test_cancel_while_waiting_is_answered_at_once(starter: str) -> None:
    with serving(starter) as engine:
        _, release = held(engine)
        one = engine.submit(prompt("hello"))
        assert not one.done
        one.cancel()
        assert one.result(WAIT_S).finish_reason == "cancelled"  # the engine is still held
        release()


def test_late_reply_ends_with_the_text_so_far(tmp_path: Path) -> None:
    model = tiny.save_llama(tmp_path, tiny.starter_tokenizer(), context=32_768)
    with serving(model, max_new_tokens=4096, context_tokens=32_768, timeout_s=0.3) as engine:
        done = engine.submit(prompt("hello")).result(WAIT_S)
        assert done.finish_reason == "timeout"
        assert 0 < done.completion_tokens < 4096


def test_result_can_be_waited_for_in_vain(starter: str) -> None:
    with serving(starter) as engine:
        _, release = held(engine)
        one = engine.submit(prompt("hello"))
        with pytest.raises(TimeoutError):
            one.result(0.01)
        release()
        assert one.result(WAIT_S).text


def test_full_queue_refuses(starter: str) -> None:
    with serving(starter, queue=2) as engine:
        _, release = held(engine)
        waiting = [engine.submit(prompt("hello")) for _ in range(2)]
        with pytest.raises(EngineFull):
            engine.submit(prompt("hello"))
        release()
        assert all(one.result(WAIT_S).text for one in waiting)


def test_prompt_that_leaves_no_room_is_refused(starter: str) -> None:
    with serving(starter) as engine:
        assert engine.context_tokens == 512
        assert engine.prompt_tokens == 512 - 24
        with pytest.raises(PromptTooLong, match="512"):
            engine.submit(prompt("word " * 600))


def test_setting_narrows_the_context(starter: str) -> None:
    with serving(starter, context_tokens=64, max_new_tokens=60) as engine:
        assert (engine.context_tokens, engine.prompt_tokens) == (64, 32)


def test_callback_that_fails_does_no_harm(starter: str) -> None:
    def fail(text: str) -> None:
        raise ValueError(text)

    with serving(starter) as engine:
        assert engine.submit(prompt("hello"), fail).result(WAIT_S).text
        assert engine.submit(prompt("hello")).result(WAIT_S).text


def test_blenderbot_streams_and_trims(blenderbot: str) -> None:
    with serving(blenderbot) as engine:
        seen: list[str] = []
        done = engine.submit(prompt("word " * 300, "yes", "hello"), seen.append).result(WAIT_S)
        assert seen[-1] == done.text
        assert done.prompt_tokens <= engine.prompt_tokens == 64


@pytest.mark.parametrize("kind", ["starter", "blenderbot"])
def test_beams_reply_without_streaming(kind: str, request: pytest.FixtureRequest) -> None:
    with serving(request.getfixturevalue(kind), num_beams=3) as engine:
        seen: list[str] = []
        waiting = [engine.submit(prompt(text), seen.append) for text in QUESTIONS[:3]]
        assert all(one.result(WAIT_S).text for one in waiting)
        assert not seen


def test_beams_end_when_cancelled(tmp_path: Path) -> None:
    model = tiny.save_llama(tmp_path, tiny.starter_tokenizer(), context=32_768)
    with serving(model, num_beams=2, max_new_tokens=4096, context_tokens=32_768) as engine:
        one, other = engine.submit(prompt("hello")), engine.submit(prompt("thank you"))
        one.cancel()
        other.cancel()
        assert one.result(WAIT_S).finish_reason == "cancelled"
        assert other.result(WAIT_S).finish_reason == "cancelled"


def test_many_threads_share_the_engine(starter: str) -> None:
    with serving(starter, batch=4) as engine:
        wanted = {text: engine.submit(prompt(text)).result(WAIT_S).text for text in QUESTIONS}
        wrong: list[str] = []

        def ask(text: str) -> None:
            if engine.submit(prompt(text), lambda _: None).result(WAIT_S).text != wanted[text]:
                wrong.append(text)

        threads = [threading.Thread(target=ask, args=(text,)) for text in QUESTIONS * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        assert not wrong


def test_close_answers_everyone(starter: str) -> None:
    with serving(starter) as engine:
        gate = Gate()
        running = engine.submit(prompt("hold"), gate)
        assert gate.reached.wait(WAIT_S)
        waiting = engine.submit(prompt("hello"))
        closer = threading.Thread(target=engine.close)
        closer.start()
        gate.open()
        for one in (running, waiting):
            with pytest.raises(EngineBroken):
                one.result(WAIT_S)
        closer.join(WAIT_S)
        with pytest.raises(EngineBroken, match="closed"):
            engine.submit(prompt("hello"))
