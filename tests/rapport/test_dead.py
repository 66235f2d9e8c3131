"""``rapport dead`` on a real Redis: what it prints, what it changes, what it leaves."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import typer
from typer.testing import CliRunner, Result

from core import settings
from core.dialogue import Address
from core.errors import RapportError
from core.events import MessageEvent, Reply
from core.store import Store, keys
from rapport.__main__ import app

ADDRESS = Address(channel="test", space="ada")
PERSON = "test:-:ada"


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    store = Store(redis_url, settings.load(), lambda person: f"wake {person}")
    yield store
    store.close()


def dead(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["dead", *arguments])


def bury(store: Store, number: int) -> str:
    """Return the id of the letter of a new reply that could not be delivered."""
    reply = Reply(id=f"r{number}", address=ADDRESS, text="a secret of ada", in_reply_to=("e",), person=PERSON)
    store.redis.xadd(keys.outbox("test"), {"reply": reply.model_dump_json()})
    outbox = store.outbox("test")
    outbox.open()
    (delivery,) = outbox.read("one", 10)
    outbox.bury(delivery, "the bot [red]was[/] blocked")
    return store.letters.all()[-1].id


def give_up(store: Store, said_at: datetime) -> str:
    """Return the id of the letter of a message that could not be answered."""
    store.inbox.accept(MessageEvent(id="e1", address=ADDRESS, user="ada", text="a secret", sent_at=said_at))
    claim = store.inbox.claim(PERSON, "w1")
    assert claim
    sorry = Reply(id="sorry", address=ADDRESS, text="sorry", in_reply_to=("e1",), person=PERSON)
    store.inbox.commit(claim, 1, (), sorry, erase=False, go_on=False, unanswered=True)
    return store.letters.all()[-1].id


def test_the_list_says_what_went_wrong_and_nothing_that_was_said(store: Store) -> None:
    assert "There are no dead letters." in dead("list").output
    reply, message = bury(store, 1), give_up(store, datetime.now(UTC))
    lines = dead("list").output.splitlines()
    assert lines[1].split()[0] == reply
    assert "the bot [red]was[/] blocked" in lines[1], "as it was given"
    assert lines[2].split()[0] == message
    assert "no answer after 0 attempts" in lines[2]
    assert "secret" not in "".join(lines)


def test_one_is_shown_with_all_that_was_said(store: Store) -> None:
    reply, message = bury(store, 1), give_up(store, datetime.now(UTC))
    shown = dead("show", reply).output
    assert "a secret of ada" in shown
    assert "blocked" in shown
    assert PERSON in shown
    assert "e1" in dead("show", message).output


def test_what_is_not_there_is_said(store: Store) -> None:
    with pytest.raises(RapportError, match="There is no dead letter 1-1"):
        raise dead("show", "1-1").exception or AssertionError


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("replay",), "Name the ID of one"),
        (("replay", "1-1", "--all"), "Name the ID of one"),
        (("purge",), "Name the ID of one"),
        (("purge", "--all", "--older-than", "7d"), "not two of them"),
        (("purge", "--older-than", "soon"), "no time"),
    ],
)
def test_half_a_wish_is_not_carried_out(store: Store, arguments: tuple[str, ...], what: str) -> None:
    bury(store, 1)
    with pytest.raises(RapportError, match=what):
        raise dead(*arguments).exception or AssertionError
    assert store.letters.count()[0] == 1


def test_all_are_replayed_oldest_first(store: Store) -> None:
    letters = [bury(store, number) for number in range(3)]
    give_up(store, datetime.now(UTC))
    store.redis.delete(keys.QUEUE)
    done = dead("replay", "--all")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.output.splitlines()][:3] == letters
    sent = [Reply.model_validate_json(fields["reply"]).id for _, fields in store.redis.xrange(keys.outbox("test"))]
    assert sent == ["sorry", "r0", "r1", "r2"]
    assert store.redis.llen(keys.inbox(PERSON)) == 1
    assert store.redis.llen(keys.QUEUE) == 1, "a wake-up that Celery's workers understand"
    assert "rapport.drain" in str(store.redis.lindex(keys.QUEUE, 0))
    assert "There are no dead letters." in dead("list").output


def test_what_is_old_is_replayed_on_an_express_wish_only(store: Store) -> None:
    old = give_up(store, datetime.now(UTC) - timedelta(hours=30))
    done = dead("replay", old)
    assert done.exit_code == 1
    assert "is left: it is from 1 d ago. --force replays it." in done.output
    assert store.letters.count()[0] == 1
    assert dead("replay", old, "--force").exit_code == 0
    assert store.letters.count()[0] == 0


def test_after_the_memory_of_its_parts_a_reply_may_come_twice_and_that_is_said(store: Store) -> None:
    outdated = f"{int((datetime.now(UTC) - timedelta(days=4)).timestamp() * 1000)}-0"
    bury(store, 1)
    (letter,) = store.letters.all()
    store.redis.delete(keys.DEAD)
    store.redis.xadd(keys.DEAD, {"letter": letter.model_dump_json(exclude={"id"})}, id=outdated)
    assert "may come twice" in dead("replay", outdated, "--force").output


def test_purging_takes_what_was_named(store: Store) -> None:
    first, second = bury(store, 1), bury(store, 2)
    assert "Erased: 1" in dead("purge", first).output
    assert [letter.id for letter in store.letters.all()] == [second]
    assert "Erased: 0" in dead("purge", "--older-than", "30m").output
    assert "Erased: 1" in dead("purge", "--older-than", "0m").output
    bury(store, 3)
    bury(store, 4)
    assert "Erased: 2" in dead("purge", "--all").output


def test_without_a_redis_it_says_what_to_start(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("RAPPORT_STACK__DATA", str(tmp_path))
    with pytest.raises(RapportError, match="Nothing runs on this data folder"):
        raise dead("list").exception or typer.Abort
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/none.sock")
    settings.load.cache_clear()
    with pytest.raises(RapportError, match="does not answer"):
        raise dead("list").exception or typer.Abort


def test_the_help_names_the_section_of_the_setting() -> None:
    assert "[dead_letters]" in dead("replay", "--help").output
