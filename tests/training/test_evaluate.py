"""The command from end to end, with the encoder that ships and a tiny chat model."""

import gzip
import json
from pathlib import Path

import pytest

from tests.workers.engine import tiny
from training import ablation, corpus, evaluate, fluency, samples


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave a handful of texts, and a model that answers at once."""
    own = tmp_path / "own"
    own.mkdir()
    for name, count in (("messages.jsonl", 4), ("scripts.jsonl", 2), ("read_replies.jsonl", 160)):
        lines = (corpus.OWN / name).read_text("utf-8").splitlines(keepends=True)
        (own / name).write_text("".join(lines[-count:]), "utf-8")
    talks = gzip.decompress((corpus.OWN / "rapport_written.valid.jsonl.gz").read_bytes()).splitlines(keepends=True)
    (own / "rapport_written.valid.jsonl.gz").write_bytes(gzip.compress(b"".join(talks[:8])))
    monkeypatch.setattr(corpus, "OWN", own)
    monkeypatch.setenv("RAPPORT_GENERATION__MODEL", tiny.save_llama(tmp_path / "model", tiny.starter_tokenizer()))
    monkeypatch.setenv("RAPPORT_GENERATION__MAX_NEW_TOKENS", "6")
    monkeypatch.setenv("RAPPORT_SAFETY__CHECK_REPLIES", "false")


def cells(out: str, first: str) -> list[str]:
    (line,) = [line for line in out.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_all_sections(few: None, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.main([])
    out, err = capsys.readouterr()
    heads = [line.partition(":")[0] for line in out.splitlines() if line.startswith("## ")]
    assert heads == ["## Encoder", "## Chat model", "## Tone", "## Speed on the CPU"]
    assert cells(out, "messages")[1] == "4"
    assert cells(out, "tweets")[1] == "missing: --data with sentiment/tweets.valid.jsonl.gz"
    assert cells(out, "tweeteval-test")[1] == "missing: --tweeteval-test FILE (kept apart)"
    assert "12 messages nothing was trained on" in out
    assert "on - told no tone, 95 %" in out
    assert "| 2 |" in out
    assert "tone: rounds of replies 12/12" in err


def test_other_texts_are_read_where_they_are(few: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"text": "I love it", "label": "positive"}, {"text": "I hate it", "label": 0}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "sentiment").mkdir()
    (tmp_path / "sentiment" / "tweets.valid.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "test.jsonl").write_text(lines, "utf-8")
    test = str(tmp_path / "test.jsonl")
    evaluate.main(["--only", "encoder", "--data", str(tmp_path), "--tweeteval-test", test])
    out = capsys.readouterr().out
    assert cells(out, "tweets")[1:6] == ["2", "1.0000", "1.000", "-", "1.000"]
    assert cells(out, "tweeteval-test")[1] == "2"
    assert "missing" in cells(out, "goemotions")[1]


def test_a_bad_line_is_named(few: None, tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text('{"text": "fine", "label": 2}\n{"text": "fine", "label": 4}\n', "utf-8")
    with pytest.raises(SystemExit, match=r"test.jsonl line 2: \"label\" is 4. It must be one of .* or 0, 1, 2"):
        evaluate.main(["--only", "encoder", "--goemotions-test", str(path)])


def test_samples_are_whole_and_unchosen(few: None, capsys: pytest.CaptureFixture[str]) -> None:
    samples.main()
    out = capsys.readouterr().out
    assert out.count("\n### ") == 3
    said = [text for script in samples.scripts() for text in script.says]
    assert all(f"> {text}\n>\n> **Rapport** (" in out for text in said)
    assert "(safety): I'm really sorry" in out


def test_sixty_sample_dialogues() -> None:
    scripts = samples.scripts()
    assert len(scripts) == 60
    assert [len(one.says) for one in scripts].count(10) >= 4
    unseen = {one.text for one in ablation.written_messages()}
    assert [one.says[0] in unseen for one in scripts].count(True) == 10


def test_nothing_was_trained_on_the_messages() -> None:
    trained = set()
    for file in corpus.OWN.glob("*.train.jsonl.gz"):
        with gzip.open(file, "rt", encoding="utf-8") as talks:
            trained |= {fluency._bare(turn["text"]) for talk in talks for turn in json.loads(talk)["turns"]}
    assert trained
    assert not [one.text for one in ablation.written_messages() if fluency._bare(one.text) in trained]
