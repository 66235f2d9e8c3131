"""What every network's adapter must do, over the real SDK and a double of the network."""

import threading
from collections.abc import Callable, Iterator

import pytest

from core.dialogue import Prompt
from core.store import Store, keys
from tests.channels.path import ChannelThread, Worker, let_in, quick_settings, same, surroundings
from tests.platforms.base import Call, Double, Post
from tests.platforms.discord import DiscordDouble
from tests.platforms.slack import Slack
from tests.platforms.telegram import TelegramDouble
from tests.waiting import eventually

DOUBLES = {"slack": Slack, "telegram": TelegramDouble, "discord": DiscordDouble}
PLACES = ("direct", "group", "thread")
PARAGRAPH = (
    "All work and no play makes *Jack* a dull boy, `said` the [book](https://example.org/a_b) to the reader. 👩‍👩‍👧 "
)
LONG = "\n\n".join(f"{number}. {PARAGRAPH * 2}" for number in range(60))  # above the limit of each network


@pytest.fixture(params=DOUBLES)
def double(request: pytest.FixtureRequest, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    double = DOUBLES[request.param]()
    with surroundings(double, monkeypatch):
        yield double
    assert not double.violations, double.violations


@pytest.fixture
def channel(double: Double, redis_url: str, worker: Worker) -> Iterator[ChannelThread]:
    channel = ChannelThread(double.name, redis_url)
    let_in(double)
    yield channel
    channel.stop()


def settled(double: Double, text: str, place: str = "direct", user: str = "ada") -> Post:
    """Return the bot's post once one reads like this."""

    def found() -> Post | None:
        return next((post for post in double.seen_by(user, place) if post.text == text and not post.deleted), None)

    return eventually(found)


def texts(double: Double, place: str = "direct", user: str = "ada") -> list[str]:
    return [post.text for post in double.seen_by(user, place) if not post.deleted]


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("place", PLACES)
def test_the_reply_goes_where_the_message_came_from(double: Double, place: str) -> None:
    double.say("hello", place=place)
    settled(double, "you said hello", place)
    assert len(double.posts) == 1
    if place != "direct":
        assert texts(double, "direct") == []


@pytest.mark.usefixtures("channel")
def test_its_own_messages_are_no_reason_to_speak(double: Double) -> None:
    for number in range(3):
        double.say(f"message {number}")
        settled(double, f"you said message {number}")
    assert len(double.posts) == 3


@pytest.mark.usefixtures("channel")
def test_what_is_not_meant_for_the_bot_is_left_alone(double: Double) -> None:
    double.say("I talk to bob", place="group", mention=False)
    double.say("hello", place="group")
    settled(double, "you said hello", "group")
    assert len(double.posts) == 1


@pytest.mark.usefixtures("channel")
def test_a_message_that_is_delivered_again_is_answered_once(double: Double) -> None:
    message = double.say("hello")
    double.redeliver(message)
    settled(double, "you said hello")
    double.redeliver(message)
    double.say("bye")
    settled(double, "you said bye")
    assert texts(double) == ["you said hello", "you said bye"]


@pytest.mark.usefixtures("channel")
def test_a_message_is_stored_before_it_is_acknowledged(double: Double, store: Store) -> None:
    stored: list[bool] = []
    double.at("acknowledged", lambda: stored.append(bool(store.redis.keys("rapport:seen:*"))))
    double.say("hello")
    settled(double, "you said hello")
    eventually(lambda: stored)
    if double.name != "discord":  # whose gateway hands messages over without asking whether they arrived
        assert stored == [True]


def test_a_sign_of_life_comes_while_all_workers_are_busy(
    double: Double, channel: ChannelThread, worker: Worker, store: Store
) -> None:
    eventually(lambda: store.redis.exists(keys.outbox(double.name)))
    with worker.busy():
        double.say("hello")
        eventually(lambda: double.signs)
        eventually(lambda: double.acknowledged or double.name == "discord")
    settled(double, "you said hello")


@pytest.mark.usefixtures("channel")
def test_a_long_reply_arrives_whole_in_parts(double: Double, worker: Worker) -> None:
    worker.script = lambda prompt, on_text, cancelled: LONG
    double.say("tell me all")
    eventually(lambda: "59. " in "".join(texts(double)) and texts(double)[-1].rstrip().endswith("👩‍👩‍👧"))
    assert len(texts(double)) > 1
    shown = "".join("".join(text.split()) for text in texts(double))
    for number in range(60):
        assert f"{number}." in shown
    assert shown.count("👩‍👩‍👧") == shown.count("dullboy") == 120


@pytest.mark.usefixtures("channel")
def test_no_reply_pings_anyone(double: Double, worker: Worker) -> None:
    everyone = "@everyone @here <!channel> <!here> <!everyone> <@U0ADA> <@1> <@&2> <!subteam^S1> look"
    worker.script = lambda prompt, on_text, cancelled: everyone
    double.say("call them", place="group")
    eventually(lambda: any("look" in text for text in texts(double, "group")))


def streaming(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
    words = [f"word{number}" for number in range(60)]
    for count in range(1, len(words)):
        on_text(" ".join(words[:count]))
        cancelled.wait(0.05)
    return " ".join(words)


WHOLE = " ".join(f"word{number}" for number in range(60))


@pytest.mark.usefixtures("channel")
def test_text_appears_as_it_is_written(double: Double, worker: Worker) -> None:
    worker.script = streaming
    double.say("go on")
    post = settled(double, WHOLE)
    assert len(post.texts) > 1, "it was there before it was whole"
    assert len(texts(double)) == 1


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("kind", ["error", "drop", "late", "flood"])
def test_whatever_happens_to_the_stream_the_reply_arrives_once(double: Double, worker: Worker, kind: str) -> None:
    worker.script = streaming
    double.fault("edit", kind, times=2, wait_s=0.5)  # type: ignore[arg-type]
    double.say("go on")
    settled(double, WHOLE)
    double.say("and")
    eventually(lambda: texts(double).count(WHOLE) == 2)
    assert len(texts(double)) == 2


@pytest.mark.usefixtures("channel")
def test_a_draft_that_the_network_takes_its_time_for_does_not_undo_the_reply(double: Double, worker: Worker) -> None:
    slow: list[Call] = []

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        for count in range(1, 1000):
            on_text(" ".join(f"word{number}" for number in range(min(count, 60))))
            if slow or cancelled.wait(0.05):
                break
        return "That is all."

    worker.script = script
    double.fault("edit", "slow", wait_s=4)
    double.at("received:edit", lambda: slow.append(double.calls[-1]))
    double.say("go on")
    settled(double, "That is all.")
    eventually(lambda: slow[0].status)  # the double does it at the end of its time, whoever still waits for it
    assert texts(double) == ["That is all."]


@pytest.mark.usefixtures("channel")
def test_the_network_is_waited_for_as_long_as_it_says(double: Double) -> None:
    double.fault("post", "flood", wait_s=2)
    double.say("hello")
    settled(double, "you said hello")
    refused = next(call for call in double.calls if call.status == 429)
    again = next(call for call in double.calls if call.method == refused.method and call.at > refused.at)
    assert again.at - refused.at >= 2
    assert len(double.posts) == 1


@pytest.mark.usefixtures("channel")
def test_a_network_in_trouble_gets_the_reply_later(double: Double) -> None:
    double.fault("post", "drop", times=2)
    double.say("hello")
    eventually(lambda: [text for text in texts(double) if "you said hello" in text])
    assert len(double.posts) == 1


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("kind", ["late", "error"])
def test_when_the_answer_is_missing_it_is_not_sent_twice_unmarked(double: Double, kind: str) -> None:
    double.fault("post", kind)  # type: ignore[arg-type]
    double.say("hello")
    eventually(lambda: [text for text in texts(double) if "you said hello" in text])
    double.say("bye")
    settled(double, "you said bye")
    hellos = [text for text in texts(double) if "you said hello" in text]
    if double.name == "telegram" and kind == "late":
        assert len(hellos) == 2, "it can neither be read back nor sent under a key"
        assert hellos[0] != hellos[1], "the second one says that it may be one"
    else:
        assert len(hellos) == 1


@pytest.mark.usefixtures("channel")
def test_what_can_never_be_sent_is_a_dead_letter_and_holds_up_nobody(double: Double, store: Store) -> None:
    double.fault("post", "refuse")
    double.say("hello")
    eventually(lambda: len(store.letters.all()) == 1)
    double.say("bye")
    settled(double, "you said bye")
    assert texts(double) == ["you said bye"]


def test_a_process_that_ends_in_order_leaves_the_rest_to_the_next(
    double: Double, redis_url: str, worker: Worker
) -> None:
    first = ChannelThread(double.name, redis_url)
    let_in(double)
    with worker.busy():
        double.say("hello")
        eventually(lambda: Store(redis_url, quick_settings(), same).redis.zcard(keys.WAITING))
        first.stop()
    second = ChannelThread(double.name, redis_url)
    settled(double, "you said hello")
    second.stop()
    assert len(double.posts) == 1
