"""Where Discord refuses something beyond the bare message, the plainer thing is done and the reply arrives."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from channels.discord import messages
from core.dialogue import Prompt
from core.store import Store, keys
from tests.channels.discord.conftest import Start, settled
from tests.channels.path import Worker
from tests.platforms.discord import DiscordDouble
from tests.waiting import eventually

CLOSED = [50001, 50013, 10003]


@pytest.mark.usefixtures("channel")
def test_a_draft_that_a_moderator_deletes_does_not_take_the_reply_along(double: DiscordDouble, worker: Worker) -> None:
    gate = threading.Event()

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        while not gate.wait(0.1):  # what the budget does not allow just now is shown the next time
            on_text("you said something long enough")
        return "you said something long enough, finally"

    worker.script = script
    double.say("hello", place="group")
    draft = eventually(lambda: double.posts)[0]
    double.delete(draft)
    gate.set()
    settled(double, "you said something long enough, finally", double.world.general)


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("code", CLOSED)
def test_a_long_chat_where_the_bot_may_not_write_is_answered_whole(
    double: DiscordDouble, worker: Worker, code: int
) -> None:
    text = " ".join(f"word{number}" for number in range(700))

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        on_text(text[:2500])  # a draft of the second part is changed into it
        cancelled.wait(0.5)
        return text

    worker.script = script
    double.rest.refusals[double.world.general] = code
    double.command("chat", place="group", message="hello")
    eventually(lambda: " ".join(post.text for post in double.seen_by("bob", "group")) == text)
    assert len(double.posts) == 3


@pytest.mark.usefixtures("channel")
def test_without_read_message_history_the_reply_comes_without_a_reference(double: DiscordDouble) -> None:
    double.rest.without_history.add(double.world.general)
    double.say("hello", place="group")
    assert settled(double, "you said hello", double.world.general).reply_to is None
    double.say("", place="group")
    settled(double, "The message is empty. Write something first.", double.world.general)


@pytest.mark.parametrize("code", [160006, 10008, 50001, 50024])
def test_where_no_thread_can_be_opened_the_reply_stays_in_the_channel(
    double: DiscordDouble, start: Start, store: Store, code: int
) -> None:
    double.rest.refusals["threads"] = code
    start(threads=True)
    message = double.say("hello", place="group")
    post = settled(double, "you said hello", double.world.general)
    assert post.reply_to == message
    eventually(lambda: store.notes("discord").get(f"reply:{message}:{post.id}"))
    double.react(post, "👍")
    ada = f"discord:-:{double.world.user('ada')['id']}"
    eventually(lambda: store.redis.hvals(keys.feedback(ada)) == ["up"])


def test_a_thread_that_nothing_can_be_written_in_leaves_the_channel(
    double: DiscordDouble, start: Start, worker: Worker
) -> None:
    start(threads=True)
    with worker.busy():
        message = double.say("hello", place="group")
        eventually(lambda: message in double.world.channels)
        double.rest.refusals[message] = 50013  # without Send Messages in Threads
    assert settled(double, "you said hello", double.world.general).reply_to == message


def test_typing_is_shown_while_the_thread_is_not_open_yet(double: DiscordDouble, start: Start, worker: Worker) -> None:
    double.fault("thread", "slow", wait_s=0.5)
    start(threads=True)
    with worker.busy():
        message = double.say("hello", place="group")
        assert eventually(lambda: double.signs)[0][0] == double.world.general
    settled(double, "you said hello", message)


@pytest.mark.usefixtures("channel")
def test_a_message_in_doubt_for_longer_than_its_nonce_is_known_comes_once(
    double: DiscordDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "NONCE_KNOWN", timedelta(seconds=1.5))
    double.rest.nonce_s = 2.5
    double.fault("post", "late", times=1)  # it arrives, and the answer does not
    double.fault("post", "error", times=3)
    double.say("hello", place="group")
    eventually(lambda: any(call.method == "history" for call in double.calls))
    double.say("bye", place="group")
    settled(double, "you said bye", double.world.general)
    assert [post.text for post in double.posts] == ["you said hello", "you said bye"]
