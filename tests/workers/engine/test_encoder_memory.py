"""What the encoder keeps of recent texts: it reads none twice, and keeps no more than it may."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from core.errors import EngineBroken, GenerationFailed
from core.sections import SentimentSettings
from tests.workers.engine import tiny
from workers.engine import encoder as encoder_module
from workers.engine.encoder import Encoder
from workers.engine.sentiment import LABELS


class Counted:
    """An encoder, and how many texts each pass of its model read."""

    def __init__(self, folder: Path) -> None:
        self.encoder = Encoder.load(SentimentSettings(model=tiny.save_classifier(folder, list(LABELS)), device="cpu"))
        self.passes: list[int] = []
        self.fail = False
        self.encoder._reader.register_forward_pre_hook(self._count)

    def _count(self, _: torch.nn.Module, args: tuple[torch.Tensor, torch.Tensor]) -> None:
        self.passes.append(len(args[0]))
        if self.fail:
            raise RuntimeError("out of order")


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    made = Counted(tmp_path)
    yield made
    made.encoder.close()


def test_a_text_is_read_once(counted: Counted) -> None:
    first = counted.encoder.read(["hello", "thank you", "hello"])
    assert first[0] == first[2] != first[1]
    again = counted.encoder.read(["thank you", "hello"])
    assert again == [first[1], first[0]]
    assert counted.passes == [2]


def test_only_what_is_new_is_read(counted: Counted) -> None:
    counted.encoder.read(["a", "b"])
    counted.encoder.read(["b", "c", "a", "d"])
    assert counted.passes == [2, 2]


def test_other_letters_are_another_text(counted: Counted) -> None:
    small, capital, none, blank = counted.encoder.read(["ok", "OK", "", " "])
    assert small != capital
    assert none.sentiment == blank.sentiment


def test_the_least_recent_goes_first(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "_KEPT", 2)
    for texts in (["a"], ["b"], ["a"], ["c"]):  # b is the least recent when c comes
        counted.encoder.read(texts)
    counted.encoder.read(["a", "c"])
    assert counted.passes == [1, 1, 1]
    counted.encoder.read(["b"])
    assert counted.passes == [1, 1, 1, 1]


def test_more_texts_at_once_than_are_kept(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "_KEPT", 2)
    readings = counted.encoder.read(["a", "b", "c", "d", "a"])
    assert len({reading.embedding for reading in readings}) == 4
    assert readings[0] == readings[4]
    assert len(counted.encoder._kept) == 2


def test_a_failure_is_not_kept(counted: Counted) -> None:
    counted.fail = True
    with pytest.raises(GenerationFailed, match="out of order"):
        counted.encoder.read(["hello"])
    counted.fail = False
    assert counted.encoder.read(["hello"])


def test_no_text_is_kept_in_memory(counted: Counted) -> None:
    counted.encoder.read(["my secret"])
    assert "my secret" not in repr(counted.encoder._kept)


def test_a_closed_encoder_refuses_what_it_knows_too(counted: Counted) -> None:
    counted.encoder.read(["hello"])
    counted.encoder.close()
    with pytest.raises(EngineBroken, match="closed"):
        counted.encoder.read(["hello"])
