"""The fixed answers, the note, and their settings."""

import pytest

from core import settings
from core.dialogue import Address
from core.errors import SettingsError
from core.events import MessageEvent
from core.safety import crisis_answer, helpline, notice
from core.sections import Safety
from tests.conftest import forget_settings

EVENT = MessageEvent(
    id="slack:T1:C9:1.0",
    address=Address(channel="slack", space="T1/C9", direct=False),
    user="U7",
    workspace="T1",
    user_name="Ada",
    text="a secret that must not travel",
)


def shipped(**changes: object) -> Safety:
    return settings.load().safety.model_copy(update=changes)


@pytest.mark.parametrize(
    ("country", "number"),
    [
        ("US", "988"),
        ("gb", "116 123"),
        ("UK", "116 123"),
        ("IE", "116 123"),
        ("DE", "0800 111 0 111"),
        ("AT", "142"),
        ("CH", "143"),
        ("FR", "3114"),
        ("ES", "024"),
        ("AU", "13 11 14"),
        ("CA", "988"),
        ("NL", "113"),
        ("BR", "188"),
    ],
)
def test_each_country_has_its_helpline(country: str, number: str) -> None:
    assert number in helpline(shipped(country=country))
    assert number in crisis_answer("suicide", shipped(country=country))


@pytest.mark.parametrize("country", ["", "XX"])
def test_a_country_without_a_row_gets_the_way_to_find_one(country: str) -> None:
    assert "findahelpline.com" in crisis_answer("self-harm", shipped(country=country))


def test_the_answer_is_the_same_each_time_and_has_another_for_who_fears_for_another() -> None:
    assert crisis_answer("suicide", shipped()) == crisis_answer("self-harm", shipped())
    assert crisis_answer("other", shipped()) != crisis_answer("suicide", shipped())
    assert "{" not in crisis_answer("other", shipped()) + crisis_answer("suicide", shipped())


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("slack:T1/C1", Address(channel="slack", space="T1/C1", direct=False)),
        ("telegram:42", Address(channel="telegram", space="42", direct=True)),
        ("telegram:-10042/7", Address(channel="telegram", space="-10042", thread="7", direct=False)),
        ("discord:123", Address(channel="discord", space="123", direct=False)),
    ],
)
def test_the_note_goes_where_the_setting_says(setting: str, address: Address) -> None:
    note = notice("suicide", EVENT, shipped(notify=setting))
    assert note
    assert note.address == address


def test_the_note_says_who_where_and_when_and_not_what() -> None:
    note = notice("self-harm", EVENT, shipped(notify="discord:123"))
    assert note
    for part in ("Ada", "U7", "slack", "T1/C9", f"{EVENT.sent_at:%Y-%m-%d %H:%M} UTC", "harming themselves", "1 hour"):
        assert part in note.text
    assert "secret" not in note.model_dump_json()
    assert note.id == notice("self-harm", EVENT, shipped(notify="discord:123")).id  # type: ignore[union-attr]
    assert note.in_reply_to == ()


def test_nobody_is_told_unless_the_settings_say_so() -> None:
    assert notice("suicide", EVENT, shipped()) is None


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("NOTIFY", "general", "slack:TEAM/CHANNEL"),
        ("NOTIFY", "slack:#general", "slack:TEAM/CHANNEL"),
        ("CRISIS_MESSAGE", "Take care.", "{helpline}"),
        ("OTHER_MESSAGE", "Take care.", "{helpline}"),
        ("COUNTRY", "Germany", "COUNTRY"),
        ("HELPLINES__DEFAULT", " ", "default"),
    ],
)
def test_a_setting_that_would_fail_in_a_crisis_fails_at_the_start(
    key: str, value: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"RAPPORT_SAFETY__{key}", value)
    forget_settings()
    with pytest.raises(SettingsError) as caught:
        settings.load()
    assert "[safety]" in str(caught.value)
    assert remedy in str(caught.value)


def test_a_row_of_ones_own_stands_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_SAFETY__HELPLINES__JP", "call 0120-000-000")
    monkeypatch.setenv("RAPPORT_SAFETY__COUNTRY", "jp")
    forget_settings()
    conf = settings.load().safety
    assert helpline(conf) == "call 0120-000-000"
    assert "988" in conf.helplines["US"]
