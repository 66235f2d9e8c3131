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


@pytest.mark.parametrize(
    ("said", "denied"),
    [
        ("I am happy with this", "I am not happy with this"),
        ("this is good", "this is not good at all"),
        ("I love it", "I don't love it"),
        ("it is helpful", "it isn't helpful"),
        ("it works", "it never works"),
    ],
)
def test_negation_turns_the_mood(encoder: Encoder, said: str, denied: str) -> None:
    before, after = encoder.read([said, denied])
    assert after.sentiment.label == "negative"
    assert before.sentiment.valence > after.sentiment.valence + 0.5


@pytest.mark.parametrize(
    "text",
    [
        "nothing went wrong, all good, thank you",
        "I can't complain, it works well",
        "no problem with it, it works great",
    ],
)
def test_negation_of_what_is_bad_is_good(encoder: Encoder, text: str) -> None:
    assert encoder.read([text])[0].sentiment.label == "positive"


@pytest.mark.parametrize(
    ("plain", "marked"),
    [
        ("great service", "yeah right, great service 🙄"),
        ("I just love long walks", "I just LOVE waiting for two hours /s"),
        ("you answer so fast, love it", "love how you never answer #sarcasm"),
        ("thanks for everything", "thanks for nothing"),
        ("oh great, it works again", "oh great, it broke again 🙄"),
        ("thanks a lot for saving my evening", "thanks a lot for ruining my evening"),
    ],
)
def test_marks_of_sarcasm_turn_the_mood(encoder: Encoder, plain: str, marked: str) -> None:
    """Only marked sarcasm: what is only meant is taken at its word, as the model card says."""
    before, after = encoder.read([plain, marked])
    assert after.sentiment.label == "negative"
    assert before.sentiment.valence > 0.3


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("gracias, thank you so much, te quiero", "positive"),
        ("谢谢, this is great", "positive"),
        ("das ist schlecht, this is terrible", "negative"),
        ("это ужасно, I hate it", "negative"),
        ("la cuenta por favor, where is the station?", "neutral"),
    ],
)
def test_in_mixed_languages_the_english_decides(encoder: Encoder, text: str, label: str) -> None:
    assert encoder.read([text])[0].sentiment.label == label


@pytest.mark.parametrize("text", ["I love this", "I hate waiting", "what time do you open", "thank you so much"])
def test_capitals_leave_the_mood(encoder: Encoder, text: str) -> None:
    small, capital = encoder.read([text, text.upper()])
    assert small.sentiment.label == capital.sentiment.label


@pytest.mark.parametrize("text", ["", " \n", "\u200b\u200b", "?", "12345", "\x00", "ⵣ" * 300, "\ud83d"])
def test_whatever_comes_is_read(encoder: Encoder, text: str) -> None:
    (reading,) = encoder.read([text])
    assert sum(reading.sentiment.scores.values()) == pytest.approx(1, abs=1e-3)
    assert sum(value**2 for value in reading.embedding) == pytest.approx(1, abs=1e-3)


def test_emoji_alone_has_a_mood(encoder: Encoder) -> None:
    glad, sad = encoder.read(["😍❤️", "😭💔"])
    assert glad.sentiment.valence > 0 > sad.sentiment.valence


@pytest.mark.parametrize("emoji", ["😂", "😍", "❤️", "😊", "🥰", "😘", "😁", "🙂", "👏"])
def test_glad_emoji_alone_is_glad(encoder: Encoder, emoji: str) -> None:
    assert encoder.read([emoji])[0].sentiment.valence > 0.1


@pytest.mark.parametrize("emoji", ["😢", "😭", "😡", "💔", "😞"])
def test_unhappy_emoji_alone_is_unhappy(encoder: Encoder, emoji: str) -> None:
    assert encoder.read([emoji])[0].sentiment.valence < -0.3


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
