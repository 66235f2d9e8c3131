"""What a server's failure means and how long it is left alone, without a server."""

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from core.errors import EngineFull, GenerationFailed
from core.remote import parse
from workers.engine import remote_faults
from workers.engine.remote_dialect import Dialect
from workers.engine.remote_faults import WORDS, Circuit, Fault, retry_after, understand

SERVER = parse("http://gpu-1:8000/v1#m")


@pytest.mark.parametrize("before", [0, WORDS - 30, WORDS - 10, WORDS - 1])
def test_no_part_of_the_key_is_told_where_a_long_text_is_cut(before: int) -> None:
    key = "sk-very-secret-0123456789"
    assert "sk" not in understand(ValueError("." * before + key), SERVER, key).text


@pytest.mark.parametrize(
    ("text", "gives_it_up"),
    [
        ("System role not supported", True),
        ("Only user, assistant and tool roles are supported, not system messages", True),
        ("System prompt is not supported", True),
        ("Conversation roles must alternate user/assistant", True),
        ("Unexpected role 'system'", True),
        ("internal system error", False),
        ("the file system is full", False),
    ],
)
def test_the_system_message_is_given_up_only_if_it_is_what_is_refused(text: str, gives_it_up: bool) -> None:
    changed = Dialect().adapted(Fault("odd", text))
    assert changed == (Dialect(system=False) if gives_it_up else None)


class TestCircuit:
    DOWN = Fault("down", "gone.")

    def test_one_tries_while_the_others_are_turned_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        circuit = Circuit(10)
        monkeypatch.setattr(remote_faults, "FIRST_REST_S", 0.0)
        circuit.open(self.DOWN, time.monotonic())
        monkeypatch.setattr(remote_faults, "FIRST_REST_S", 60.0)
        circuit.refuse()
        with pytest.raises(GenerationFailed, match="gone"):
            circuit.refuse()
        circuit.close()
        circuit.refuse()

    def test_rests_get_longer_and_have_a_limit(self) -> None:
        circuit = Circuit(10)
        rests = [circuit.open(self.DOWN, time.monotonic()) for _ in range(8)]
        assert rests[:4] == [5, 10, 20, 40]
        assert set(rests[4:]) == {60}

    def test_those_who_asked_together_count_once(self) -> None:
        circuit = Circuit(10)
        asked_at = time.monotonic()
        assert [circuit.open(self.DOWN, asked_at) for _ in range(3)] == [5, 0, 0]

    def test_a_server_may_demand_a_rest_within_reason(self) -> None:
        assert Circuit(10).open(Fault("busy", "", wait_s=90), time.monotonic()) == 90
        assert Circuit(10).open(Fault("busy", "", wait_s=1e9), time.monotonic()) == 600
        assert Circuit(10).open(Fault("refused", ""), time.monotonic()) == 60

    def test_a_server_that_stays_busy_counts_as_failed_in_the_end(self) -> None:
        for patience_s, error in ((60, EngineFull), (0, GenerationFailed)):
            circuit = Circuit(patience_s)
            circuit.open(Fault("busy", "full."), time.monotonic())
            with pytest.raises(error):
                circuit.refuse()

    def test_it_bears_many_threads(self) -> None:
        circuit = Circuit(10)
        circuit.open(self.DOWN, time.monotonic())
        passed: list[int] = []

        def ask(at: int) -> None:
            try:
                circuit.refuse()
            except GenerationFailed:
                return
            passed.append(at)

        threads = [threading.Thread(target=ask, args=(at,)) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not passed


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("", None), ("3", 3), ("0.5", 0.5), ("-1", 0), ("soon", None), ("nan", None), ("inf", None)],
)
def test_retry_after_as_servers_write_it(header: str | None, seconds: float | None) -> None:
    assert retry_after(header) == seconds


def test_retry_after_may_be_a_date() -> None:
    at = datetime.now(UTC) + timedelta(seconds=100)
    found = retry_after(format_datetime(at, usegmt=True))
    assert found is not None
    assert 90 < found <= 100
