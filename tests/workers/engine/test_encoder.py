"""The encoder with classifiers from elsewhere: label names, batching across threads, failures."""

import threading
from pathlib import Path

import pytest
import torch

from core.dialogue import Reading
from core.errors import EngineBroken, GenerationFailed, ModelMissing
from core.sections import SentimentSettings
from tests.workers.engine import tiny
from workers.engine import encoder as encoder_module
from workers.engine.encoder import MAX_TOKENS, Encoder
from workers.engine.sentiment import LABELS, label_matrix, spell_symbols

TEXTS = ["hello", "my order is late and nobody answers " * 4, "", "thank you", "GREAT 😀", "x" * 30]


def load(folder: Path, labels: list[str], batch: int = 4) -> Encoder:
    return Encoder.load(SentimentSettings(model=tiny.save_classifier(folder, labels), device="cpu", batch=batch))


def fragile(folder: Path) -> Encoder:
    """Return an encoder that fails on every pass with a Z in it."""
    encoder = load(folder, list(LABELS))
    poison = encoder._tokenizer.convert_tokens_to_ids("Z")

    def refuse(_: torch.nn.Module, args: tuple[torch.Tensor, torch.Tensor]) -> None:
        if (args[0] == poison).any():
            raise RuntimeError("poisoned")

    encoder._reader.register_forward_pre_hook(refuse)
    return encoder


def same(one: Reading, other: Reading) -> bool:
    return one.sentiment.scores == pytest.approx(other.sentiment.scores, abs=1e-5) and one.embedding == pytest.approx(
        other.embedding, abs=1e-5
    )


def test_reading_has_probabilities_and_a_unit_embedding(tmp_path: Path) -> None:
    encoder = load(tmp_path, ["Negative", "Neutral", "Positive"])
    (reading,) = encoder.read(["hello"])
    encoder.close()
    assert sum(reading.sentiment.scores.values()) == pytest.approx(1, abs=1e-5)
    assert sum(value**2 for value in reading.embedding) == pytest.approx(1, abs=1e-5)
    assert len(reading.embedding) == 32


def test_batched_readings_equal_single_ones(tmp_path: Path) -> None:
    encoder = load(tmp_path, list(LABELS))
    single = [encoder.read([text])[0] for text in TEXTS]
    assert all(same(one, other) for one, other in zip(encoder.read(TEXTS), single, strict=True))
    encoder.close()


def test_many_threads_get_their_own_readings(tmp_path: Path) -> None:
    encoder = load(tmp_path, list(LABELS))
    wanted = encoder.read(TEXTS)
    wrong: list[str] = []

    def ask(at: int) -> None:
        if not same(encoder.read([TEXTS[at]])[0], wanted[at]):
            wrong.append(TEXTS[at])

    threads = [threading.Thread(target=ask, args=(at % len(TEXTS),)) for at in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    encoder.close()
    assert not wrong


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_nothing_visible_is_neutral(tmp_path: Path, text: str) -> None:
    encoder = load(tmp_path, list(LABELS))
    (reading,) = encoder.read([text])
    encoder.close()
    assert reading.sentiment.label == "neutral"
    assert reading.sentiment.valence == 0
    assert set(reading.sentiment.scores.values()) == {1 / 3}


def test_no_texts_no_readings(tmp_path: Path) -> None:
    encoder = load(tmp_path, list(LABELS))
    assert encoder.read([]) == []
    encoder.close()


def test_long_text_is_read_at_both_ends(tmp_path: Path) -> None:
    encoder = load(tmp_path, list(LABELS))
    middle = "z" * 4 * MAX_TOKENS
    one, other, third = encoder.read(["a" + middle + "b", "a" + middle + "yz" + middle + "b", "a" + middle + "c"])
    encoder.close()
    assert one.embedding == pytest.approx(other.embedding, abs=1e-5)
    assert one.embedding != pytest.approx(third.embedding, abs=1e-5)


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["NEGATIVE", "POSITIVE"], [0, 2]),
        (["LABEL_0", "LABEL_1"], [0, 2]),
        (["LABEL_0", "LABEL_1", "LABEL_2"], [0, 1, 2]),
        (["POS", "NEU", "NEG"], [2, 1, 0]),
        (["Very Negative", "Negative", "Neutral", "Positive", "Very Positive"], [0, 0, 1, 2, 2]),
    ],
)
def test_label_names_are_mapped(names: list[str], columns: list[int]) -> None:
    assert label_matrix(dict(enumerate(names)), "x").argmax(1).tolist() == columns


def test_two_labels_leave_neutral_at_nothing(tmp_path: Path) -> None:
    encoder = load(tmp_path, ["NEGATIVE", "POSITIVE"])
    (reading,) = encoder.read(["hello"])
    encoder.close()
    assert reading.sentiment.scores["neutral"] == 0


@pytest.mark.parametrize(
    "names", [["joy", "anger"], ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"], ["positive", "other"]]
)
def test_unknown_labels_are_an_error(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ModelMissing, match=r"\[sentiment\] model = .*labels.*id2label"):
        load(tmp_path, names)


def test_failing_text_fails_alone(tmp_path: Path) -> None:
    encoder = fragile(tmp_path)
    with pytest.raises(GenerationFailed, match="poisoned"):
        encoder.read(["hello", "Z", "thank you"])
    assert len(encoder.read(["hello", "thank you"])) == 2
    encoder.close()


def test_poison_alone_never_breaks_the_encoder(tmp_path: Path) -> None:
    encoder = fragile(tmp_path)
    for _ in range(5):
        with pytest.raises(GenerationFailed, match="poisoned"):
            encoder.read(["Z"])
    assert encoder.read(["hello"])
    encoder.close()


def test_dead_model_breaks_the_encoder(tmp_path: Path) -> None:
    encoder = load(tmp_path, list(LABELS))

    def refuse(_: torch.nn.Module, args: tuple[torch.Tensor, torch.Tensor]) -> None:
        raise RuntimeError("the device is gone")

    encoder._reader.register_forward_pre_hook(refuse)
    for _ in range(2):
        with pytest.raises(GenerationFailed):
            encoder.read(["hello"])
    with pytest.raises(EngineBroken, match="the device is gone"):
        encoder.read(["hello"])
    with pytest.raises(EngineBroken):
        encoder.read(["hello", "thank you"])
    encoder.close()


def test_hanging_model_is_noticed_and_does_not_hold_up_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "_HANG_S", 0.1)
    monkeypatch.setattr(encoder_module, "_CLOSE_S", 0.1)
    encoder = load(tmp_path, list(LABELS))
    over = threading.Event()
    encoder._reader.register_forward_pre_hook(lambda *_: over.wait(60) and None)
    with pytest.raises(TimeoutError, match="hangs"):
        encoder.read(["hello"])
    encoder.close()
    over.set()


def test_closed_encoder_refuses(tmp_path: Path) -> None:
    encoder = load(tmp_path, list(LABELS))
    encoder.close()
    with pytest.raises(EngineBroken, match="closed"):
        encoder.read(["hello"])


def test_symbols_are_spelt_out() -> None:
    assert spell_symbols("ok 👍🏽") == "ok  thumbs up sign "
    assert spell_symbols("I ❤️ it") == "I  love  it"
    assert spell_symbols("☕") == " hot beverage "
    assert spell_symbols("naïve, 你好") == "naïve, 你好"
