"""The waiting line: bounded, in order for each person, fair between people."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import EngineBroken, EngineFull
from workers.engine.line import Line
from workers.engine.request import Generation, Wish

WISH = Wish(limit=1, temperature=0, top_p=1)


def asked(line: Line, person: str) -> Generation:
    one = Generation([1], WISH, time.monotonic() + 60, person=person, on_cancel=line.drop_ended)
    line.put(one)
    return one


def taken(line: Line) -> list[Generation]:
    return list(iter(line.take, None))


def test_people_have_their_turn_one_after_the_other() -> None:
    line = Line(10)
    first, second, third = (asked(line, "flood") for _ in range(3))
    anna, ben = asked(line, "anna"), asked(line, "ben")
    assert taken(line) == [first, anna, ben, second, third]


def test_who_floods_does_not_close_the_line_to_others() -> None:
    line = Line(6)
    for _ in range(3):
        asked(line, "flood")
    with pytest.raises(EngineFull, match="one person"):
        asked(line, "flood")
    others = [asked(line, name) for name in ("anna", "ben", "carla")]
    with pytest.raises(EngineFull, match="6 requests"):
        asked(line, "dora")
    assert taken(line)[1:4] == others


def test_nobody_in_particular_may_fill_the_line() -> None:
    line = Line(4)
    waiting = [asked(line, "") for _ in range(4)]
    assert taken(line) == waiting


@given(st.lists(st.sampled_from("abcd"), max_size=30))
def test_nobody_waits_for_more_than_one_of_each_other(people: list[str]) -> None:
    line = Line(100)
    waiting = [asked(line, person) for person in people]
    order = taken(line)
    assert sorted(map(id, order)) == sorted(map(id, waiting))
    for person in set(people):
        assert [one for one in order if one.person == person] == [one for one in waiting if one.person == person]
        places = [at for at, one in enumerate(order) if one.person == person]
        assert all(place < (turn + 1) * len(set(people)) for turn, place in enumerate(places))


def test_who_is_cancelled_leaves_at_once() -> None:
    line = Line(4)
    first, second = asked(line, "anna"), asked(line, "anna")
    first.cancel()
    assert first.result(0).finish_reason == "cancelled"
    assert taken(line) == [second]
    second.cancel()
    assert len(line) == 0


def test_who_is_late_is_told_so() -> None:
    line = Line(3)
    late = Generation([1], WISH, time.monotonic() - 1)
    line.put(late)
    line.drop_ended()
    assert late.result(0).finish_reason == "timeout"


def test_everyone_is_told_of_the_end() -> None:
    line = Line(3)
    waiting = [asked(line, name) for name in ("anna", "ben")]
    line.fail_all(EngineBroken("over"))
    for one in waiting:
        with pytest.raises(EngineBroken):
            one.result(0)
    assert line.take() is None
