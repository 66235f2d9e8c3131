"""A note that answers nothing, to a conversation where nobody asked: what tells a person of a crisis."""

from collections.abc import Iterator

import pytest

from core import settings
from core.dialogue import Turn
from core.events import MessageEvent
from core.safety import notice
from core.store import Store, keys
from tests.channels.path import ChannelThread, Worker, let_in, quick_settings, same, surroundings
from tests.platforms.base import Double, Post
from tests.platforms.discord import DiscordDouble
from tests.platforms.slack import Slack
from tests.platforms.telegram import TelegramDouble
from tests.waiting import eventually


@pytest.fixture(params=[Slack, TelegramDouble, DiscordDouble])
def double(request: pytest.FixtureRequest, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    double = request.param()
    with surroundings(double, monkeypatch):
        yield double
    assert not double.violations, double.violations


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    store = Store(redis_url, quick_settings(), same)
    yield store
    store.close()


@pytest.fixture(autouse=True)
def running(double: Double, redis_url: str) -> Iterator[None]:
    worker = Worker(redis_url)
    channel = ChannelThread(double.name, redis_url)
    let_in(double)
    yield
    channel.stop()
    worker.close()


@pytest.mark.parametrize("place", ["direct", "group"])
def test_the_note_is_posted_where_the_setting_says(double: Double, store: Store, place: str) -> None:
    double.say("hello", place=place)
    asked: Post = eventually(lambda: next((post for post in double.posts if post.text == "you said hello"), None))
    (key,) = store.redis.keys(keys.history("*"))
    (raw, *_) = store.redis.lrange(key, 0, -1)
    address = Turn.model_validate_json(raw).address
    conf = settings.load().safety.model_copy(update={"notify": f"{double.name}:{address.space}"})
    note = notice("suicide", MessageEvent(id="e", address=address, user="U1", user_name="*Ada* <b>", text="-"), conf)
    assert note
    store.redis.xadd(keys.outbox(double.name), {"reply": note.model_dump_json()})
    posted: Post = eventually(lambda: next((post for post in double.posts if "look after" in post.text), None))
    assert posted.space == asked.space
    assert posted.thread is None
    assert posted.reply_to is None
    assert "Ada" in posted.text
    eventually(lambda: store.redis.xlen(keys.outbox(double.name)) == 0)
