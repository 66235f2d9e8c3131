"""Engines in an order: two servers on loopback, a real small model of this process, and what goes wrong with them."""

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.dialogue import Reading
from core.errors import EngineFull, GenerationFailed, ModelMissing, PromptTooLong, SettingsError
from core.sections import Generation
from tests.platforms.openai import Fault, OpenAIDouble
from tests.waiting import eventually
from tests.workers.engine import tiny
from tests.workers.engine.tiny import prompt
from workers import fallback, models
from workers.best_of import BestOf
from workers.engine.remote import RemoteEngine
from workers.fallback import Engine, Fallback

ROOT = Path(__file__).parent.parent.parent
WAIT_S = 30.0
FIRST, SECOND = "this is the first", "here is the second"


@pytest.fixture
def servers() -> Iterator[tuple[OpenAIDouble, OpenAIDouble]]:
    first, second = OpenAIDouble(), OpenAIDouble()
    for double, said in ((first, FIRST), (second, SECOND)):
        double.start()
        double.reply = lambda messages, said=said: said
    yield first, second
    for double in (first, second):
        double.release()
        if double.port:
            double.stop()


@pytest.fixture
def order(servers: tuple[OpenAIDouble, OpenAIDouble]) -> Iterator[Callable[..., Fallback]]:
    made: list[Fallback] = []

    def make(**settings: object) -> Fallback:
        conf = Generation.model_validate({"max_new_tokens": 40, **settings})
        engines = [(name, RemoteEngine(name, conf)) for name in (servers[0].name, servers[1].name)]
        made.append(Fallback(engines, conf.timeout_s))
        return made[-1]

    yield make
    for one in made:
        one.close()


def kill(server: OpenAIDouble) -> None:
    server.stop()
    server.port = 0


def answer(engine: Engine, seen: Callable[[str], None] | None = None) -> str:
    return engine.submit(prompt("hello"), seen).result(WAIT_S).text


def test_the_first_that_can_answers(servers, order) -> None:
    engine = order()
    assert answer(engine) == FIRST
    assert not servers[1].seen


@pytest.mark.parametrize("kind", ["drop", "html", "broken", "garbage", "fade"])
def test_the_next_one_answers_when_one_fails(servers, order, kind: str) -> None:
    servers[0].faults = [Fault(kind, wait="0") for _ in range(3)]  # type: ignore[arg-type]
    seen: list[str] = []
    assert answer(order(), seen.append) == SECOND
    assert seen[-1] == SECOND


def test_a_killed_server_costs_one_refused_connection_and_is_then_left_alone(servers, order) -> None:
    engine = order()
    assert answer(engine) == FIRST
    kill(servers[0])
    assert [answer(engine) for _ in range(3)] == [SECOND] * 3


def test_a_reply_that_breaks_off_begins_anew_unseen(servers, order) -> None:
    servers[0].faults = [Fault("cut", words=2)]
    seen: list[str] = []
    assert answer(order(), seen.append) == SECOND
    assert seen == ["this", "this is"]


def test_a_busy_server_is_not_waited_for_when_there_is_another(servers, order) -> None:
    servers[0].faults = [Fault("busy", wait="60")]
    engine = order()
    assert [answer(engine), answer(engine)] == [SECOND, SECOND]
    assert len(servers[0].seen) == 1


def test_if_one_is_only_busy_the_request_may_come_back(servers, order) -> None:
    engine = order()
    kill(servers[0])
    servers[1].faults = [Fault("busy", wait="60")]
    with pytest.raises(EngineFull, match=r"cannot be reached.*too much to do"):
        answer(engine)


def test_if_all_fail_the_request_fails_and_the_engine_lives(servers, order) -> None:
    engine = order()
    kill(servers[0])
    servers[1].faults = [Fault("garbage")]
    with pytest.raises(GenerationFailed, match=r"cannot be reached.*not JSON"):
        answer(engine)
    assert answer(engine) == SECOND


def test_what_a_server_finds_too_long_is_asked_again_with_less(servers, order) -> None:
    servers[0].manners.context = 40
    texts = [f"message {at} of many words, all of them short" for at in range(9)]
    assert order().submit(prompt(*texts), None).result(WAIT_S).text == FIRST
    asked = [one.body["messages"] for one in servers[0].seen]
    assert len(asked[0]) == 9
    assert 1 <= len(asked[-1]) < 9
    assert asked[-1][-1]["content"].startswith(texts[-1])
    assert not servers[1].seen


def test_what_no_server_takes_is_too_long(servers, order) -> None:
    for server in servers:
        server.manners.context = 1
    with pytest.raises((PromptTooLong, GenerationFailed), match="maximum context length"):
        answer(order())


def test_cancel_reaches_whoever_writes(servers, order) -> None:
    servers[0].faults = [Fault("html")]
    servers[1].open.clear()
    begun = threading.Event()
    one = order().submit(prompt("hello"), lambda text: begun.set())
    results = []
    waiting = threading.Thread(target=lambda: results.append(one.result(WAIT_S)))
    waiting.start()
    assert begun.wait(WAIT_S)
    one.cancel()
    waiting.join(WAIT_S)
    assert (results[0].text, results[0].finish_reason) == ("here", "cancelled")
    eventually(lambda: servers[1].seen[0].left)


def test_who_is_cancelled_asks_nobody_else(servers, order) -> None:
    servers[0].open.clear()
    servers[0].hold_after = 0
    one = order().submit(prompt("hello"))
    eventually(lambda: servers[0].seen)
    one.cancel()
    assert one.result(WAIT_S).finish_reason == "cancelled"
    assert not servers[1].seen


def test_all_engines_together_have_the_time_of_one(servers, order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "GRACE_S", WAIT_S)
    servers[0].open.clear()
    servers[0].faults = [Fault("hang")]  # for half of the time
    servers[1].reply = lambda messages: "word " * 1000
    servers[1].drip_s = 0.02
    done = order(timeout_s=1.0, max_new_tokens=1000).submit(prompt("hello")).result(WAIT_S)
    assert done.finish_reason == "timeout"
    assert done.text.startswith("word")
    assert len(done.text.split()) < 1000
    eventually(lambda: servers[1].seen[0].left)


def test_candidates_that_break_off_together_begin_anew_together(servers, order) -> None:
    first, second = servers
    first.faults = [Fault("cut", words=1)] * 3
    second.open.clear()
    drawn = BestOf(order().submit, unread, 3, check=False).submit(prompt("hello"), lambda text: None)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(drawn.result, WAIT_S)
        try:
            eventually(lambda: len(second.seen) == 3)
        finally:
            second.release()
        assert waiting.result().text == SECOND


def unread(texts: Sequence[str]) -> list[Reading]:
    raise GenerationFailed("no encoder here")


def test_result_can_be_waited_for_in_vain(servers, order) -> None:
    servers[0].open.clear()
    one = order().submit(prompt("hello"))
    with pytest.raises(TimeoutError):
        one.result(0.01)
    servers[0].release()
    assert one.result(WAIT_S).text == FIRST


def test_the_client_is_loaded_only_where_a_server_is_named() -> None:
    code = "import sys, workers.models, workers.fallback, rapport.doctor; print('openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


class TestLoading:
    """What workers/models.py makes of the settings."""

    @pytest.fixture
    def local(self, tmp_path: Path) -> str:
        return tiny.save_llama(tmp_path, tiny.starter_tokenizer())

    def load(self, *names: str, **settings: object) -> Engine:
        values = {"model": names[0], "fallback": names[1:], "device": "cpu", "max_new_tokens": 8, **settings}
        return models._load_chat(Generation.model_validate(values), "models.large")

    def test_a_local_model_stands_in_with_as_much_as_it_can_hold(self, servers, local: str) -> None:
        engine = self.load(servers[0].name, local)
        assert engine.prompt_tokens == 4096 - 8
        texts = [f"message {at} has quite a number of words in it" for at in range(41)]
        assert engine.submit(prompt(*texts)).result(WAIT_S).text == FIRST
        kill(servers[0])
        seen: list[str] = []
        done = engine.submit(prompt(*texts), seen.append).result(WAIT_S)
        engine.close()
        assert done.completion_tokens == 8
        assert done.text == seen[-1]
        assert 100 < done.prompt_tokens <= 512 - 8  # the tiny model's context is 512
        assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(seen))

    def test_a_server_that_is_away_at_the_start_may_come_later(self, servers) -> None:
        servers[0].faults = [Fault("drop"), Fault("drop")]
        engine = self.load(servers[0].name, servers[1].name)
        assert answer(engine) == SECOND
        engine.close()

    def test_one_that_refuses_us_is_told_and_another_answers(self, servers, caplog: pytest.LogCaptureFixture) -> None:
        servers[0].manners.key = "sk-0123456789"
        engine = self.load(servers[0].name, servers[1].name)
        assert "Set OPENAI_API_KEY in .env" in caplog.text
        assert answer(engine) == SECOND
        engine.close()

    def test_if_none_can_ever_answer_the_start_ends(self, servers) -> None:
        servers[0].manners.key = "sk-0123456789"
        with pytest.raises(ModelMissing, match=r"Set OPENAI_API_KEY.*has no model"):
            self.load(servers[0].name, servers[1].name + "-none")

    def test_a_missing_folder_ends_the_start(self, servers) -> None:
        with pytest.raises(ModelMissing, match=r'\[models.large\] fallback = "models/no-such-folder"'):
            self.load(servers[0].name, "models/no-such-folder")

    def test_what_cannot_be_had_is_named_as_it_stands_in_the_settings(self) -> None:
        with pytest.raises(ModelMissing, match=r'\[models.large\] model = "models/no-such-folder"'):
            self.load("models/no-such-folder")
        with pytest.raises(SettingsError, match=r"\[models.large\] device"):
            self.load("models/starter-chat", device="cuda:99")
        with pytest.raises(SettingsError, match=r"\[models.large\] precision"):
            self.load("models/starter-chat", precision="int4")
