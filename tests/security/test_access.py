"""Who is listened to, and who may ask how it is: by channel, workspace and person, on every channel."""

from datetime import UTC, datetime

import pytest

from core import settings
from core.dialogue import Address
from core.errors import InputError, SettingsError
from core.events import MessageEvent
from core.sections import Access
from core.store import Refusal, Store
from tests.channels.path import ChannelThread, Worker, let_in
from tests.channels.test_contract import settled, texts
from tests.conftest import forget_settings
from tests.core.test_responder import Model, ignore
from tests.core.test_responder import event as said
from tests.platforms.base import Double
from tests.waiting import eventually

PERSON = "slack:T1:U1"


@pytest.mark.parametrize(
    ("allow", "deny", "admitted"),
    [
        ([], [], True),
        (["slack"], [], True),
        (["slack:T1"], [], True),
        ([PERSON], [], True),
        (["slack:*:U1"], [], True),
        (["telegram", "slack:T2"], [], False),
        (["slack:T1:U2"], [], False),
        (["slack:T"], [], False),
        ([], ["slack"], False),
        ([], ["slack:*:U1"], False),
        ([], ["slack:T1:U", "slack:T"], True),
        (["slack:T1"], [PERSON], False),
        ([PERSON], ["slack:T1"], False),
    ],
)
def test_who_is_listened_to(allow: list[str], deny: list[str], admitted: bool) -> None:
    assert Access(allow=tuple(allow), deny=tuple(deny)).admits(PERSON) is admitted


def test_a_user_with_colons_is_one_user() -> None:
    access = Access(deny=("web:api:a:b",))
    assert not access.admits("web:api:a:b")
    assert access.admits("web:api:a")


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("ALLOW", "slak:T1"),
        ("ALLOW", "slack:"),
        ("DENY", "*"),
        ("DENY", "slack:T1:"),
        ("ADMINS", "slack"),
        ("ADMINS", "slack:T1"),
        ("ADMINS", "slack:T1:*"),
    ],
)
def test_a_wrong_entry_ends_the_start(monkeypatch: pytest.MonkeyPatch, key: str, entry: str) -> None:
    """A misspelt entry would let everybody in, or nobody."""
    monkeypatch.setenv(f"RAPPORT_ACCESS__{key}", f'["{entry}"]')
    with pytest.raises(SettingsError, match=rf"\[access\] {key.lower()}.*must be"):
        settings.load()


def event(**more: object) -> MessageEvent:
    address = Address(channel="slack", space="T1/D1")
    return MessageEvent.model_validate(
        {"id": "e", "address": address, "user": "U1", "workspace": "T1", "text": "hello"} | more
    )


def test_nothing_of_a_denied_person_is_kept(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_ACCESS__DENY", f'["{PERSON}"]')
    store = Store(redis_url, settings.load(), lambda person: person)
    assert store.inbox.accept(event()) == Refusal("denied", first=False)
    assert store.inbox.accept(event(text="I want to kill myself")) == Refusal("denied", first=False)
    store.people.rate(PERSON, "reply", "up")
    assert store.redis.keys("*") == []
    assert store.inbox.accept(event(user="U2")) == "accepted"
    store.close()


async def test_whoever_waits_for_an_answer_is_told(
    redis_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from channels.runner import Runner
    from tests.security.test_roles import Nothing

    monkeypatch.setenv("RAPPORT_ACCESS__ALLOW", '["telegram"]')
    forget_settings()
    closed = Store(redis_url, settings.load(), lambda person: person)
    runner = Runner(Nothing(), closed, settings.load().inbox)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not allowed") as refused:
        await runner.accept(event())
    assert (refused.value.code, refused.value.told) == ("not_allowed", True)
    closed.close()


ADMIN = Access(admins=("terminal:-:ada",))


def responder(admin: bool) -> tuple[Model, object]:
    model = Model("I hear you.")
    made = model.responder()
    made._settings = made._settings.model_copy(update={"access": ADMIN if admin else Access()})
    made._status = lambda: ["workers: 1 ready"]
    return model, made


@pytest.mark.parametrize("text", ["/status", "/STATUS", " /status now"])
def test_status_is_a_command_for_admins_and_words_for_others(text: str) -> None:
    model, made = responder(admin=True)
    answer = made.respond([said(text)], [], ignore)  # type: ignore[attr-defined]
    assert answer.reply.text == "- workers: 1 ready"
    assert model.prompts == []
    model, made = responder(admin=False)
    answer = made.respond([said(text)], [], ignore)  # type: ignore[attr-defined]
    assert answer.reply.text == "I hear you."
    assert model.prompts[0].messages[-1].content == text


def test_help_does_not_tell_others_that_it_is_there() -> None:
    for admin in (True, False):
        _, made = responder(admin)
        for asked in ("/help", "/help status"):
            text = made.respond([said(asked)], [], ignore).reply.text  # type: ignore[attr-defined]
            assert ("status" in text) is admin


def test_status_is_not_told_in_front_of_others() -> None:
    _, made = responder(admin=True)
    place = Address(channel="terminal", space="room", direct=False)
    text = made.respond([said("/status", address=place)], [], ignore).reply.text  # type: ignore[attr-defined]
    assert text == "/status shows how I am run, so I only answer it in a direct message."


def test_who_is_no_admin_any_more_is_none(store: Store) -> None:
    """Asked when it is answered, so a message that waited in the inbox is no way around it."""
    first, second = said("/status", 1), said("hello", 2)
    model, made = responder(admin=False)
    answer = made.respond([first, second], [], ignore)  # type: ignore[attr-defined]
    assert answer.answered == 2, "words like others are part of a burst"
    assert model.prompts


def key_of(double: Double, user: str, redis_url: str, worker: Worker) -> str:
    """Return the key of a person, as an operator finds it: from a message that they wrote."""
    store = Store(redis_url, settings.load(), lambda person: person)
    channel = ChannelThread(double.name, redis_url)
    let_in(double)
    double.say("who am I?", user=user)
    settled(double, "you said who am I?", user=user)
    channel.stop()
    (found,) = store.redis.keys(f"rapport:history:{double.name}:*")
    store.redis.flushall()
    store.close()
    return str(found).removeprefix("rapport:history:")


def test_each_network_keeps_out_whom_it_shall(
    double: Double, redis_url: str, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = key_of(double, "ada", redis_url, worker)
    monkeypatch.setenv("RAPPORT_ACCESS__DENY", f'["{ada}"]')
    forget_settings()
    before = len(double.posts)
    channel = ChannelThread(double.name, redis_url)
    let_in(double)
    double.say("let me in", user="ada")
    double.say("let me in", user="ada", place="group")
    double.say("hello", user="bob")
    settled(double, "you said hello", user="bob")
    channel.stop()
    assert len(double.posts) == before + 1, "and it says nothing about it"
    store = Store(redis_url, settings.load(), lambda person: person)
    assert not [key for key in store.redis.keys("*") if ada in str(key)]
    store.close()


def test_each_network_knows_its_admins(
    double: Double, redis_url: str, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = key_of(double, "ada", redis_url, worker)
    monkeypatch.setenv("RAPPORT_ACCESS__ADMINS", f'["{ada}"]')
    forget_settings()
    admins = Worker(redis_url)  # the fixture's began before the settings changed
    with worker.busy():
        channel = ChannelThread(double.name, redis_url)
        let_in(double)
        double.say("/status", user="ada")
        eventually(lambda: any("dead letters: 0 kept" in text for text in texts(double, user="ada")), 30)
        assert any("workers: " in text for text in texts(double, user="ada"))
        double.say("/status", user="bob")
        settled(double, "you said /status", user="bob")
        channel.stop()
    admins.close()


def test_the_native_way_to_call_it_is_unknown_to_others(
    double: Double, redis_url: str, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happens is what happens with a command that does not exist at all."""
    ada = key_of(double, "ada", redis_url, worker)
    monkeypatch.setenv("RAPPORT_ACCESS__ADMINS", f'["{ada}"]')
    forget_settings()
    channel = ChannelThread(double.name, redis_url)
    let_in(double)
    if double.name == "slack":
        for name in ("status", "nonsense"):
            double.slash(name, user="bob", place="group")  # type: ignore[attr-defined]
            settled(double, f"you said {name}", "group", user="bob")
        admins = Worker(redis_url)
        with worker.busy():
            double.slash("status", user="ada", place="group")  # type: ignore[attr-defined]
            eventually(lambda: any("dead letters: 0" in text for text in texts(double, "group", "ada")), 30)
        admins.close()
        assert not [text for text in texts(double, "group", "bob") if "dead letters" in text], "for ada alone"
    elif double.name == "telegram":
        for name in ("/status", "/nonsense"):
            double.say(name, user="bob", place="group", mention=False)
        double.say("hello", user="bob", place="group")
        settled(double, "you said hello", "group", user="bob")
        assert not [text for text in texts(double, "group", "bob") if "status" in text or "nonsense" in text]
    else:
        registered = {command["name"] for command in double.rest.commands}  # type: ignore[attr-defined]
        assert "help" in registered
        assert "status" not in registered, "it is written as a message"
    channel.stop()


def test_an_event_says_nothing_about_rights() -> None:
    """An adapter, or whoever writes into the inbox, cannot make somebody an admin: the settings alone do."""
    fields = set(MessageEvent.model_fields)
    assert not [name for name in fields if "admin" in name or "right" in name]
    assert (
        MessageEvent.model_validate(
            {
                "id": "1",
                "address": {"channel": "web", "space": "a"},
                "user": "u",
                "text": "t",
                "admin": True,
                "sent_at": datetime.now(UTC),
            }
        ).person
        == "web:-:u"
    )
