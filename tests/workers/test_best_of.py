"""Several candidates for a reply: drawn together, read together, ended together."""

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from core import settings
from core.dialogue import Completion, FinishReason, Prompt, PromptMessage, Reading, Sentiment, Tone
from core.errors import EngineBroken, EngineFull, GenerationFailed, PromptTooLong
from tests.platforms.openai import OpenAIDouble
from tests.workers.engine import tiny
from workers.best_of import BestOf
from workers.runtime import RunningGeneration

SORRY = Tone(name="empathetic", guidance="", valence=(-1.0, 0.1))
PROMPT = Prompt(
    messages=(
        PromptMessage(role="user", content="hello"),
        PromptMessage(role="assistant", content="Hello!"),
        PromptMessage(role="user", content="my order is late"),
    ),
    tone=SORRY,
)
WAIT_S = 20.0


class Drawn:
    """A candidate whose end is in the hands of the test."""

    def __init__(self) -> None:
        self.cancelled = False
        self._ended = threading.Event()
        self._end: Completion | Exception = TimeoutError()

    def says(self, text: str, reason: FinishReason = "stop") -> None:
        self._end = Completion(text=text, finish_reason=reason, prompt_tokens=1, completion_tokens=1)
        self._ended.set()

    def fails(self, error: Exception) -> None:
        self._end = error
        self._ended.set()

    def result(self, timeout_s: float | None = None) -> Completion:
        self._ended.wait(timeout_s)
        if isinstance(self._end, Exception):
            raise self._end
        return self._end

    def cancel(self) -> None:
        self.cancelled = True
        if not self._ended.is_set():
            self.says("so far", "cancelled")


class Engine:
    """Takes ``room`` prompts, raises ``error`` for others, and remembers what it gave out."""

    def __init__(self, room: int = 8, error: Exception | None = None) -> None:
        self.drawn: list[Drawn] = []
        self.persons: list[str] = []
        self.heard = False
        self._room = room
        self._error = error or EngineFull("full")

    def submit(self, prompt: Prompt, on_text: Callable[[str], None] | None, person: str) -> Drawn:
        if len(self.drawn) >= self._room:
            raise self._error
        self.heard = self.heard or on_text is not None
        self.persons.append(person)
        self.drawn.append(Drawn())
        return self.drawn[-1]


class Reader:
    """Reads a smile as joy, and remembers what it read at once."""

    def __init__(self) -> None:
        self.passes: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> list[Reading]:
        self.passes.append(list(texts))
        return [_reading(0.9 if ":)" in text else 0.0) for text in texts]


def _reading(positive: float) -> Reading:
    return Reading(sentiment=Sentiment.of({"negative": 0, "neutral": 1 - positive, "positive": positive}), embedding=())


def draw(
    *said: str | Exception, count: int | None = None, read: Callable[[Sequence[str]], list[Reading]] | None = None
) -> RunningGeneration:
    """Draw candidates that say this, or fail with it."""
    engine = Engine()
    best = BestOf(engine.submit, read or Reader(), count or len(said), check=True).submit(PROMPT, lambda text: None)
    for one, text in zip(engine.drawn, said, strict=True):
        if isinstance(text, Exception):
            one.fails(text)
        else:
            one.says(text)
    return best


def test_the_one_whose_tone_fits_is_sent() -> None:
    assert draw("Great :)", "I'm sorry.", "Wow :)").result(WAIT_S).text == "I'm sorry."


def test_the_message_and_all_candidates_are_read_at_once() -> None:
    reader = Reader()
    draw("one", "two", "three", read=reader).result(WAIT_S)
    assert reader.passes == [["my order is late", "one", "two", "three"]]


def test_nothing_is_streamed_and_no_engine_prepares_it() -> None:
    engine = Engine()
    BestOf(engine.submit, Reader(), 3, check=True).submit(PROMPT, lambda text: None)
    assert not engine.heard


def test_an_engine_that_is_fair_between_people_knows_whose_they_are() -> None:
    engine = Engine()
    BestOf(engine.submit, Reader(), 3, check=True).submit(PROMPT, lambda text: None, "test:-:ada")
    assert engine.persons == ["test:-:ada"] * 3


@pytest.mark.parametrize("flawed", ["", "You stupid idiot.", "Hello"])
def test_what_should_not_be_sent_is_sent_only_if_there_is_nothing_else(flawed: str) -> None:
    assert draw(flawed, "Good :)", flawed).result(WAIT_S).text == "Good :)"
    assert draw(flawed, flawed).result(WAIT_S).text == flawed


def test_what_the_person_said_may_be_said_again_and_other_data_may_not() -> None:
    asked = PROMPT.model_copy(
        update={"messages": (PromptMessage(role="user", content="mail me at ada@posteo.net or leave it"),)}
    )
    engine = Engine()
    best = BestOf(engine.submit, Reader(), 2, check=True).submit(asked, lambda text: None)
    engine.drawn[0].says("Ask bob@posteo.net.")
    engine.drawn[1].says("I can't mail ada@posteo.net :)")
    assert best.result(WAIT_S).text == "I can't mail ada@posteo.net :)"


def test_without_the_check_any_words_may_be_sent() -> None:
    engine = Engine()
    best = BestOf(engine.submit, Reader(), 2, check=False).submit(PROMPT, lambda text: None)
    engine.drawn[0].says("You stupid idiot.")
    engine.drawn[1].says("Good :)")
    assert best.result(WAIT_S).text == "You stupid idiot."


def test_one_that_fails_does_not_fail_the_turn() -> None:
    assert draw(GenerationFailed("one"), "I'm sorry.").result(WAIT_S).text == "I'm sorry."
    assert draw("I'm sorry.", EngineBroken("device gone")).result(WAIT_S).text == "I'm sorry."


def test_if_all_fail_the_first_error_is_raised() -> None:
    with pytest.raises(GenerationFailed, match="first"):
        draw(GenerationFailed("first"), GenerationFailed("second")).result(WAIT_S)


def test_a_late_one_is_ended_and_done_without() -> None:
    engine = Engine()
    best = BestOf(engine.submit, Reader(), 3, check=True).submit(PROMPT, lambda text: None)
    engine.drawn[1].says("In time.")
    engine.drawn[2].says("In time :)")
    assert best.result(0.05).text == "In time."
    assert engine.drawn[0].cancelled


def test_if_all_are_late_the_engine_hangs() -> None:
    best = BestOf(Engine().submit, Reader(), 2, check=True).submit(PROMPT, lambda text: None)
    with pytest.raises(TimeoutError):
        best.result(0.05)


def test_a_cancellation_ends_all() -> None:
    engine = Engine()
    best = BestOf(engine.submit, Reader(), 4, check=True).submit(PROMPT, lambda text: None)
    best.cancel()
    assert [one.cancelled for one in engine.drawn] == [True] * 4
    assert best.result(WAIT_S) == engine.drawn[0].result()


@pytest.mark.parametrize("error", [EngineFull("full"), GenerationFailed("left alone"), PromptTooLong("too long")])
def test_an_engine_that_takes_no_more_gives_fewer_candidates_and_none_only_if_it_takes_none(error: Exception) -> None:
    engine = Engine(room=2, error=error)
    best = BestOf(engine.submit, Reader(), 4, check=True).submit(PROMPT, lambda text: None)
    for one in engine.drawn:
        one.says("I'm sorry.")
    assert len(engine.drawn) == 2
    assert best.result(WAIT_S).text == "I'm sorry."
    with pytest.raises(type(error)):
        BestOf(engine.submit, Reader(), 4, check=True).submit(PROMPT, lambda text: None)


def test_an_engine_that_breaks_on_the_way_leaves_no_candidate_running() -> None:
    engine = Engine(room=2, error=EngineBroken("device gone"))
    with pytest.raises(EngineBroken):
        BestOf(engine.submit, Reader(), 4, check=True).submit(PROMPT, lambda text: None)
    assert [one.cancelled for one in engine.drawn] == [True, True]


def test_a_single_one_is_sent_unread() -> None:
    reader = Reader()
    assert draw(GenerationFailed("one"), "Great :)", read=reader).result(WAIT_S).text == "Great :)"
    assert reader.passes == []


def test_candidates_that_cannot_be_read_are_judged_by_their_flaws() -> None:
    def fail(texts: Sequence[str]) -> list[Reading]:
        raise GenerationFailed("no such word")

    assert draw("Hello", "I'm sorry.", "So sorry.", read=fail).result(WAIT_S).text == "I'm sorry."


def test_an_encoder_that_breaks_is_not_hidden() -> None:
    def fail(texts: Sequence[str]) -> list[Reading]:
        raise EngineBroken("device gone")

    with pytest.raises(EngineBroken):
        draw("one", "two", read=fail).result(WAIT_S)


@pytest.fixture(scope="module", params=["causal", "encoder-decoder"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    made = tmp_path_factory.mktemp("model")
    if request.param == "causal":
        return tiny.save_llama(made, tiny.chatml_tokenizer())
    return tiny.save_blenderbot(made)


@pytest.fixture
def submit(folder: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., RunningGeneration]]:
    """What a worker with best_of = 3 submits its prompts to: real models, their weights drawn by lot."""
    from workers.models import load_models

    conf = settings.load()
    generation = conf.generation.model_copy(
        update={"model": folder, "best_of": 3, "device": "cpu", "temperature": 1.0, "max_new_tokens": 12}
    )
    models = load_models(conf.model_copy(update={"generation": generation}))
    yield models.submit
    models.close()


def test_real_models_of_either_kind_reply(submit: Callable[..., RunningGeneration]) -> None:
    seen: list[str] = []
    done = submit(PROMPT, seen.append).result(WAIT_S)
    assert done.text
    assert done.finish_reason == "length"
    assert seen == []


def test_real_models_end_when_they_are_cancelled(submit: Callable[..., RunningGeneration]) -> None:
    running = submit(PROMPT, lambda text: None)
    running.cancel()
    assert running.result(WAIT_S).completion_tokens <= 12


def test_a_server_is_asked_for_each_candidate(redis_url: str) -> None:
    from workers.models import load_models

    said = iter(["What wonderful, fantastic news!", "I'm sorry that your order is late.", "Great! I love it!"])
    server = OpenAIDouble()
    server.start()
    conf = settings.load()
    generation = conf.generation.model_copy(update={"model": server.name, "best_of": 3})
    models = load_models(conf.model_copy(update={"generation": generation}))
    server.seen.clear()  # it was asked something so that it is warm
    server.reply = lambda messages: next(said)
    try:
        assert models.submit(PROMPT, lambda text: None, "").result(WAIT_S).text == "I'm sorry that your order is late."
    finally:
        models.close()
        server.stop()
    assert len(server.seen) == 3
