"""Any sentiment classifier by a setting: RoBERTa in the shape of the common Twitter models, with random weights."""

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from core.errors import ModelMissing
from core.sections import SentimentSettings
from tests.workers.engine import tiny
from workers.engine.encoder import MAX_TOKENS, Encoder

TEXTS = ["hello", "@user my order is late http://x.y 😡", "x" * 3 * MAX_TOKENS, "thank you so much"]


def save_roberta(folder: Path, labels: dict[int, str]) -> str:
    tokenizer = tiny.tokenizer(["<s>", "<pad>", "</s>"], "</s>", "<pad>", "<s>", None)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=MAX_TOKENS + 2,  # RoBERTa counts positions from the padding's id on
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.3,
        id2label=labels,
        label2id={label: at for at, label in labels.items()},
    )
    RobertaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        ({0: "negative", 1: "neutral", 2: "positive"}, [0, 1, 2]),
        ({0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}, [0, 1, 2]),
        ({0: "POS", 1: "NEG", 2: "NEU"}, [1, 2, 0]),
    ],
)
def test_reads_what_the_model_itself_says(tmp_path: Path, labels: dict[int, str], order: list[int]) -> None:
    name = save_roberta(tmp_path, labels)
    encoder = Encoder.load(SentimentSettings(model=name, device="cpu"))
    readings = encoder.read(TEXTS)
    encoder.close()
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    for text, reading in zip(TEXTS, readings, strict=True):
        ids = tokenizer(text)["input_ids"]
        ids = ids if len(ids) <= MAX_TOKENS else ids[: MAX_TOKENS // 2] + ids[-MAX_TOKENS // 2 :]
        with torch.no_grad():
            wanted = model(torch.tensor([ids])).logits.softmax(-1)[0, order]
        assert list(reading.sentiment.scores.values()) == pytest.approx(wanted.tolist(), abs=1e-4)
        assert len(reading.embedding) == 32


def test_the_environment_names_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.settings import Settings

    name = save_roberta(tmp_path, {0: "negative", 1: "neutral", 2: "positive"})
    monkeypatch.setenv("RAPPORT_SENTIMENT__MODEL", name)
    encoder = Encoder.load(Settings().sentiment)
    assert encoder.read(["hello"])
    encoder.close()


@pytest.mark.parametrize(
    "labels",
    [{0: "joy", 1: "anger", 2: "fear"}, {0: "LABEL_0"}, {0: "negative", 1: "neutral", 2: "not negative"}],
)
def test_labels_that_say_nothing_are_named_with_the_setting(tmp_path: Path, labels: dict[int, str]) -> None:
    name = save_roberta(tmp_path, labels)
    with pytest.raises(ModelMissing) as caught:
        Encoder.load(SentimentSettings(model=name, device="cpu"))
    said = str(caught.value)
    assert f'[sentiment] model = "{name}"' in said
    assert ", ".join(labels.values()) in said
    assert "id2label" in said


def test_a_model_of_another_kind_is_an_error(tmp_path: Path) -> None:
    name = tiny.save_blenderbot(tmp_path)
    with pytest.raises(ModelMissing, match=r"\[sentiment\] model = "):
        Encoder.load(SentimentSettings(model=name, device="cpu"))
