"""Moods of the texts in a file: one line each, by any model, and errors that name the line."""

import gzip
import json
import sys
from pathlib import Path

import pytest

from core.errors import InputError
from core.sections import SentimentSettings
from tests.workers.engine import tiny
from training.sentiment import evaluate, main, predict, rows
from workers.engine.encoder import Encoder
from workers.engine.sentiment import LABELS

TEXTS = ["my order is late and nobody answers", "", "thank you so much 😀", "NOT good\u2028at all", "x" * 5000]


def write(path: Path, lines: list[object]) -> Path:
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["sentiment", *map(str, arguments)])
    main()


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    return Encoder.load(SentimentSettings(model=tiny.save_classifier(tmp_path / "tiny", list(LABELS)), device="cpu"))


@pytest.mark.parametrize("name", ["texts.jsonl", "texts.jsonl.gz"])
def test_one_line_for_each_line(
    encoder: Encoder, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    predict(encoder, write(tmp_path / name, [{"text": text, "id": 7} for text in TEXTS]))
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(printed) == len(TEXTS)
    for row, reading in zip(printed, encoder.read(TEXTS), strict=True):
        assert set(row) == {"label", "scores"}
        assert row["label"] == reading.sentiment.label
        assert row["scores"] == pytest.approx(reading.sentiment.scores, abs=1e-5)
    encoder.close()


def test_more_texts_than_a_call_takes(encoder: Encoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [f"text {at % 7}" for at in range(1100)]
    predict(encoder, write(tmp_path / "many.jsonl", [{"text": text} for text in texts]))
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert len(lines) == 1100
    assert lines[:7] * 157 == lines[:1099]
    assert "1,100 texts" in printed.err
    encoder.close()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hello", "not JSON"),
        ("", "not JSON"),
        ('{"text": "a"', "not JSON"),
        ("[1, 2]", "no text"),
        ('"text"', "no text"),
        ('{"txt": "a"}', "no text"),
        ('{"text": 5}', "no text"),
        ('{"text": null}', "no text"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = write(tmp_path / "bad.jsonl", [{"text": "fine"}, {"text": "fine"}, line])
    with pytest.raises(InputError, match=f"bad.jsonl line 3 .*{said}"):
        list(rows(path))


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "ok"}\n{"text": "caf\xe9"}\n')
    with pytest.raises(InputError, match=r"latin.jsonl line 2 is not JSON"):
        list(rows(tmp_path / "latin.jsonl"))


@pytest.mark.parametrize("label", [None, 3, True, "good", "Positive"])
def test_a_bad_label_is_named_only_where_labels_are_asked_for(tmp_path: Path, label: object) -> None:
    path = write(tmp_path / "labels.jsonl", [{"text": "fine", "label": "neutral"}, {"text": "a", "label": label}])
    assert [text for text, _ in rows(path)] == ["fine", "a"]
    with pytest.raises(InputError, match=r"line 2: \"label\" .* negative, neutral, positive"):
        list(rows(path, labelled=True))


def test_labels_may_be_numbers_as_in_tweeteval(tmp_path: Path) -> None:
    path = write(tmp_path / "numbers.jsonl", [{"text": str(label), "label": label} for label in (0, "1", 2)])
    assert [label for _, label in rows(path, labelled=True)] == ["negative", "neutral", "positive"]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "torn.gz").write_bytes(gzip.compress(b'{"text": "a"}\n' * 1000)[:-20])
    for name in ("nowhere.jsonl", "torn.gz", "."):
        with pytest.raises(InputError, match="cannot be read"):
            list(rows(tmp_path / name))


def test_evaluation_agrees_with_what_is_predicted(encoder: Encoder, tmp_path: Path) -> None:
    """Labels that the model itself gave are all right; with one of them changed, one is wrong."""
    texts = [f"{text} {number}" for text in TEXTS for number in range(4)]
    gold = [reading.sentiment.label for reading in encoder.read(texts)]
    found = evaluate(
        encoder, write(tmp_path / "own", [{"text": t, "label": g} for t, g in zip(texts, gold, strict=True)])
    )
    assert found["macro recall"] == 1
    wrong = {"negative": "neutral", "neutral": "positive", "positive": "negative"}[gold[0]]
    changed = [{"text": t, "label": g} for t, g in zip(texts, [wrong, *gold[1:]], strict=True)]
    found = evaluate(encoder, write(tmp_path / "changed", changed))
    assert found[f"recall of {wrong}"] < 1
    assert found["macro recall"] < 1
    encoder.close()


def test_an_empty_file_cannot_be_measured(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        evaluate(encoder, write(tmp_path / "empty", []))
    encoder.close()


def test_the_command_reads_with_the_model_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "two.jsonl", [{"text": "I love it, thank you!"}, {"text": "this is awful, I hate it"}])
    run(monkeypatch, "--predict", path)
    assert [json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()] == ["positive", "negative"]


def test_the_command_measures_another_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "texts.jsonl", [{"text": text, "label": "neutral"} for text in TEXTS])
    run(monkeypatch, "--evaluate", path, "--model", tiny.save_classifier(tmp_path / "tiny", ["NEGATIVE", "POSITIVE"]))
    printed = capsys.readouterr()
    figures = dict(line.rsplit(maxsplit=1) for line in printed.out.splitlines())
    assert "5 texts" in printed.err
    assert figures["macro recall"] == "0.2000"  # it knows no neutral; the empty text is neutral for every model


@pytest.mark.parametrize(
    ("labels", "said"), [(list(LABELS), "texts.jsonl line 2 is not JSON"), (["joy", "anger"], "joy, anger do not say")]
)
def test_the_command_ends_with_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: list[str], said: str
) -> None:
    path = write(tmp_path / "texts.jsonl", [{"text": "a"}, "oops"])
    with pytest.raises(SystemExit, match=said):
        run(monkeypatch, "--predict", path, "--model", tiny.save_classifier(tmp_path / "tiny", labels))


def test_the_command_needs_to_know_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch)
    assert "--predict --evaluate is required" in capsys.readouterr().err
