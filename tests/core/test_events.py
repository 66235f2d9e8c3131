from datetime import UTC, datetime

from core.dialogue import Address, Sentiment, Turn
from core.events import Attachment, MessageEvent, Reply, reply_id

ADDRESS = Address(channel="web", space="ada")


def test_records_survive_the_way_through_json() -> None:
    event = MessageEvent(
        id="1", address=ADDRESS, user="ada", text="hé 👋", attachments=(Attachment(kind="audio", seconds=12),)
    )
    assert MessageEvent.model_validate_json(event.model_dump_json()) == event
    feeling = Sentiment.of({"negative": 0.7, "neutral": 0.2, "positive": 0.1})
    turn = Turn(role="user", text="x", at=datetime(2026, 1, 1, tzinfo=UTC), sentiment=feeling, address=ADDRESS)
    assert Turn.model_validate_json(turn.model_dump_json()) == turn


def test_a_record_of_a_newer_release_is_understood() -> None:
    raw = '{"id":"1","address":{"channel":"web","space":"a","region":"eu"},"user":"a","text":"t","priority":3}'
    event = MessageEvent.model_validate_json(raw)
    assert event.person == "web:-:a"
    assert event.address.direct


def test_the_same_events_give_the_same_reply_id() -> None:
    assert reply_id(["a", "b"]) == reply_id(["a", "b"]) != reply_id(["ab"])
    assert reply_id(["a", "b"]) != reply_id(["b", "a"])


def test_sentiment_takes_its_label_and_valence_from_the_scores() -> None:
    feeling = Sentiment.of({"negative": 0.7, "neutral": 0.2, "positive": 0.1})
    assert feeling.label == "negative"
    assert round(feeling.valence, 6) == -0.6


def test_reply_defaults() -> None:
    reply = Reply(id="r", address=ADDRESS, text="t", in_reply_to=("1",), person="p")
    assert reply.finish_reason == "stop"


def test_a_reason_of_a_newer_release_does_not_hold_up_the_reply() -> None:
    reply = Reply(id="r", address=ADDRESS, text="t", in_reply_to=("1",), person="p")
    raw = reply.model_dump_json().replace('"finish_reason":"stop"', '"finish_reason":"moderated"')
    assert "moderated" in raw
    assert Reply.model_validate_json(raw).finish_reason == "stop"
