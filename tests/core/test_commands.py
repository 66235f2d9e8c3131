from dataclasses import replace
from datetime import UTC, datetime

import pytest

from core import commands
from core.dialogue import Address, Sentiment, Turn
from core.events import Letter, MessageEvent, Reply
from core.sections import Mood

DIRECT = Address(channel="terminal", space="ada")
SHARED = Address(channel="slack", space="C1", direct=False)


def turn(role: str, text: str, valence: float = 0.0) -> Turn:
    feeling = Sentiment.of({"negative": max(-valence, 0), "neutral": 1 - abs(valence), "positive": max(valence, 0)})
    at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    return Turn(role=role, text=text, at=at, sentiment=feeling if role == "user" else None, address=DIRECT)


def run(
    text: str, *history: Turn, address: Address = DIRECT, discreet: bool = False, prefix: str = "/"
) -> commands.Effect:
    command = commands.parse(text)
    assert command is not None
    event = MessageEvent(id="1", address=address, user="ada", text=text, discreet=discreet, prefix=prefix)
    return commands.run(command, commands.Situation("Rapport", event, commands.argument(text), history, Mood()))


def test_help_lists_every_command() -> None:
    text = run("/help").text
    assert all(f"/{name}" in text for name in ("help", "new", "forget", "export", "mood", "stop"))


def test_help_says_what_one_types_there() -> None:
    text = run("/help", prefix="/rapport ").text
    assert "`/rapport mood`" in text
    assert "`/mood`" not in text


@pytest.mark.parametrize("name", commands.TABLE)
def test_help_tells_more_about_one_command(name: str) -> None:
    for asked in (name, f"/{name}", name.upper()):
        text = run(f"/help {asked}").text
        assert commands.TABLE[name].details in text
    assert "\n" not in text, "about that one alone"
    assert run(f"/help\n{name}").text == text


def test_help_offers_all_commands_as_choices() -> None:
    assert commands.TABLE["help"].choices == tuple(commands.TABLE)


@pytest.mark.parametrize("text", ["/hlep", "help", "what does /help do?", "/", "", "//help"])
def test_what_is_no_command_goes_to_the_model(text: str) -> None:
    assert commands.parse(text) is None


@pytest.mark.parametrize("text", ["/HELP", "  /help", "/help me please", "/help\n"])
def test_commands_are_found_whatever_surrounds_them(text: str) -> None:
    command = commands.parse(text)
    assert command is not None
    assert command.name == "help"


def test_forget_says_what_it_erases() -> None:
    effect = run("/forget", turn("user", "a"), turn("assistant", "b"))
    assert effect.erase
    assert "2 messages" in effect.text


def test_forget_names_what_something_went_wrong_with() -> None:
    event = MessageEvent(id="1", address=DIRECT, user="ada", text="/forget")
    letters = (Letter(id="1767323040000-0", reason="r", events=("{}",)),)
    situation = commands.Situation("Rapport", event, "", (), Mood(), lambda: letters)
    told = commands.run(commands.TABLE["forget"], situation).text
    assert "something went wrong with it (1 message)" in told
    assert "conversation" not in told
    both = commands.run(commands.TABLE["forget"], replace(situation, history=(turn("user", "a"),))).text
    assert "our whole conversation (1 message, with" in both
    assert " and what I had kept" in both
    assert "nothing to forget" in run("/forget").text


def test_export_hands_over_everything() -> None:
    text = run("/export", turn("user", "my cat", -0.9), turn("assistant", "oh no")).text
    assert "my cat" in text
    assert "negative" in text
    assert "oh no" in text


def test_export_hands_over_what_could_not_be_delivered_or_answered() -> None:
    said = MessageEvent(id="e", address=DIRECT, user="ada", text="my lost cat")
    reply = Reply(id="r", address=DIRECT, text="my late word", in_reply_to=("e",), person="p")
    command = reply.model_copy(update={"text": "all that I keep", "finish_reason": "command"})
    letters = (
        Letter(id="1767323040000-0", reason="r", events=(said.model_dump_json(), "no json")),
        Letter(id="1767323040000-1", reason="r", reply=reply.model_dump_json()),
        Letter(id="1767323040000-2", reason="r", reply=command.model_dump_json()),
        Letter(id="1767323040000-3", reason="r", reply="no reply"),
    )
    situation = commands.Situation("Rapport", said, "", (), Mood(), lambda: letters)
    text = commands.run(commands.TABLE["export"], situation).text
    assert "my lost cat" in text
    assert "no json" in text
    assert "2026-01-02 03:04 what I could not deliver: my late word" in text
    assert "no reply" in text
    assert "all that I keep" not in text, "that stands above"


def test_private_commands_show_nothing_in_a_shared_place() -> None:
    for name in ("/export", "/mood"):
        assert "my secret" not in run(name, turn("user", "my secret", -0.9), address=SHARED).text


def test_private_commands_answer_anywhere_when_their_sender_alone_reads_it() -> None:
    secret = turn("user", "my secret", -0.9)
    assert "my secret" in run("/export", secret, address=SHARED, discreet=True).text


def test_export_tells_what_was_rated() -> None:
    said = turn("assistant", "there").model_copy(update={"rated": "down"})
    assert "you did not like it" in run("/export", turn("user", "hi"), said).text


def test_mood_in_words() -> None:
    assert "low, going down" in run("/mood", turn("user", "a", 0.4), turn("user", "b", -0.9)).text
    assert "very low, steady, strongly felt" in run("/mood", *[turn("user", "a", -0.9)] * 3).text
    assert "mixed, going up" in run("/mood", turn("user", "a", -0.9), turn("user", "b", 0.7)).text
    assert "even, steady, mildly felt" in run("/mood", *[turn("user", "a", 0.1)] * 2).text
    assert "your one message so far: good, strongly felt." in run("/mood", turn("user", "a", 0.9)).text
    assert "not read" in run("/mood").text


def test_mood_as_a_line_with_words_before_it() -> None:
    scale = [turn("user", "a", valence) for valence in (-1, -0.7, -0.4, -0.1, 0.1, 0.3, 0.6, 1)]
    words, line, *_ = run("/mood", *scale).text.splitlines()
    assert "your last 8 messages: good, going up" in words
    assert line == "`▁▂▃▄▅▆▇█` (oldest to newest; the higher, the better)"


def test_mood_says_how_old_it_is() -> None:
    long_ago = turn("user", "a", -0.9)
    assert "days ago, so by now" in run("/mood", long_ago).text
    fresh = long_ago.model_copy(update={"at": datetime.now(UTC)})
    assert "ago" not in run("/mood", fresh).text


def test_new_hides_but_does_not_erase() -> None:
    effect = run("/new", turn("user", "a"))
    assert effect.afresh
    assert not effect.erase
