"""What a tone says of the generation reaches the model: row by row in one batch, for both kinds of models."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers.generation.logits_process import TemperatureLogitsWarper, TopPLogitsWarper

from core.dialogue import Completion, Tone
from core.sections import Generation
from tests.workers.engine import tiny
from tests.workers.engine.tiny import PLAIN, prompt
from workers.engine.chat import ChatEngine
from workers.engine.generation import _SampledByRow

WAIT_S = 30.0
TOKENS = 16
SHORT = Tone(name="calm", guidance="", max_new_tokens=5)
COLD = Tone(name="calm", guidance="", temperature=1e-6)
NARROW = Tone(name="calm", guidance="", top_p=1e-6)


@pytest.fixture(scope="module", params=["starter", "chatml", "blenderbot"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp(request.param)
    if request.param == "blenderbot":
        return tiny.save_blenderbot(folder)
    return tiny.save_llama(folder, tiny.starter_tokenizer() if request.param == "starter" else tiny.chatml_tokenizer())


@pytest.fixture
def engine(model: str, request: pytest.FixtureRequest) -> Iterator[ChatEngine]:
    values = {"model": model, "device": "cpu", "max_new_tokens": TOKENS, "temperature": 0, **request.param}
    engine = ChatEngine.load(Generation.model_validate(values))
    yield engine
    engine.close()


def together(engine: ChatEngine, *tones: Tone) -> list[Completion]:
    """The replies to the same message in these tones; what waits while the first one runs shares a batch."""
    waiting = [engine.submit(prompt("hello", tone=tone)) for tone in (PLAIN, *tones)]
    return [one.result(WAIT_S) for one in waiting][1:]


def greedy(model: str, tone: Tone) -> str:
    engine = ChatEngine.load(Generation(model=model, device="cpu", max_new_tokens=TOKENS, temperature=0))
    try:
        return engine.submit(prompt("hello", tone=tone)).result(WAIT_S).text
    finally:
        engine.close()


@pytest.mark.parametrize("engine", [{}, {"num_beams": 2}], indirect=True)
def test_a_tone_can_shorten_its_own_reply(engine: ChatEngine) -> None:
    same_words = SHORT.model_copy(update={"max_new_tokens": None})
    short, long = together(engine, SHORT, same_words)
    assert (short.completion_tokens, short.finish_reason) == (5, "length")
    assert (long.completion_tokens, long.finish_reason) == (TOKENS, "length")


@pytest.mark.parametrize("engine", [{}], indirect=True)
def test_a_shortened_reply_is_the_beginning_of_the_long_one(engine: ChatEngine) -> None:
    short, long = together(engine, SHORT, SHORT.model_copy(update={"max_new_tokens": None}))
    assert long.text.startswith(short.text.rstrip("\ufffd"))


@pytest.mark.parametrize("engine", [{}], indirect=True)
def test_a_tone_cannot_lengthen_its_reply(engine: ChatEngine) -> None:
    (done,) = together(engine, SHORT.model_copy(update={"max_new_tokens": 4000}))
    assert done.completion_tokens == TOKENS


@pytest.mark.parametrize("engine", [{"temperature": 0}], indirect=True)
def test_greedy_settings_stay_greedy(engine: ChatEngine) -> None:
    hot = Tone(name="cheerful", guidance="", temperature=2.0)
    assert len({done.text for done in together(engine, *[hot] * 6)}) == 1


@pytest.mark.parametrize("engine", [{"temperature": 2.0, "top_p": 1}], indirect=True)
def test_a_tone_has_its_own_sampling_beside_others(engine: ChatEngine, model: str) -> None:
    hot = COLD.model_copy(update={"temperature": None})
    cold, narrow, *drawn = together(engine, COLD, NARROW, *[hot] * 6)
    assert cold.text == narrow.text == greedy(model, COLD)
    assert len({done.text for done in drawn}) > 1, "the others are drawn as the settings have it"


@pytest.mark.parametrize("engine", [{"temperature": 0.7, "num_beams": 2}], indirect=True)
def test_beams_can_be_sampled(engine: ChatEngine) -> None:
    assert all(done.text for done in together(engine, COLD, NARROW, PLAIN))


@pytest.mark.parametrize(("temperature", "top_p"), [(0.4, 0.9), (1.0, 0.3), (2.0, 1.0), (0.7, 0.01)])
@pytest.mark.parametrize("keep", [1, 2])
def test_sampling_is_that_of_transformers(temperature: float, top_p: float, keep: int) -> None:
    scores = torch.randn(3, 50, generator=torch.Generator().manual_seed(7)) * 3
    ids = torch.zeros(3, 1, dtype=torch.long)
    ours = _SampledByRow([temperature] * 3, [top_p] * 3, keep, torch.device("cpu"))(ids, scores.clone())
    theirs = TemperatureLogitsWarper(temperature)(ids, scores.clone()) if temperature != 1 else scores
    if top_p < 1:
        theirs = TopPLogitsWarper(top_p, min_tokens_to_keep=keep)(ids, theirs)
    assert torch.allclose(ours, theirs)
