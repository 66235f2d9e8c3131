"""The shipped encoder says what anyone would say of plain texts."""

from collections.abc import Iterator

import pytest

from core.sections import SentimentSettings
from workers.engine.encoder import Encoder


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    loaded = Encoder.load(SentimentSettings(device="cpu"))
    yield loaded
    loaded.close()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("my order is three weeks late and nobody answers!", "negative"),
        ("this is the third time my payment failed, I want my money back", "negative"),
        ("I feel so alone since she left", "negative"),
        ("THIS IS USELESS, NOTHING WORKS", "negative"),
        ("terrible service 😡😡", "negative"),
        ("hello", "neutral"),
        ("my name is Noor", "neutral"),
        ("what time is it in Oslo?", "neutral"),
        ("on thursday", "neutral"),
        ("thank you so much, you made my day", "positive"),
        ("I GOT THE JOB!!!", "positive"),
        ("best day ever 🎉😍", "positive"),
    ],
)
def test_plain_texts(encoder: Encoder, text: str, label: str) -> None:
    (reading,) = encoder.read([text])
    assert reading.sentiment.label == label


def test_emoji_alone_has_a_mood(encoder: Encoder) -> None:
    glad, sad = encoder.read(["😍❤️", "😭💔"])
    assert glad.sentiment.valence > 0 > sad.sentiment.valence


def test_very_long_text_is_read(encoder: Encoder) -> None:
    (reading,) = encoder.read(["I am so angry about this. " + "The parcel was sent on monday. " * 150 + "I hate it!"])
    assert reading.sentiment.label == "negative"


def test_embedding_tells_what_belongs_together(encoder: Encoder) -> None:
    one, near, far = (reading.embedding for reading in encoder.read(
        ["My dog is called Biscuit.", "What is the name of my dog?", "The invoice is due on Friday."]
    ))  # fmt: skip

    def closeness(a: tuple[float, ...], b: tuple[float, ...]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert closeness(one, one) == pytest.approx(1, abs=1e-4)
    assert closeness(one, near) > closeness(one, far) + 0.2


def test_mood_is_the_same_in_any_company(encoder: Encoder) -> None:
    texts = ["hello", "I hate waiting " * 30, "thanks, that is lovely", "ok"]
    alone = [encoder.read([text])[0].sentiment.valence for text in texts]
    assert [reading.sentiment.valence for reading in encoder.read(texts)] == pytest.approx(alone, abs=1e-3)
