from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from core.dialogue import Address, PromptMessage, Tone, Turn
from core.prompt import build_prompt, refit, visible_turns

DIRECT = Address(channel="slack", space="D1")
SHARED = Address(channel="slack", space="C1", direct=False)
ELSEWHERE = Address(channel="slack", space="C2", direct=False)
PLAIN = Tone(name="plain", guidance="be plain")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def said(role: str, text: str, address: Address = DIRECT, tone: str | None = None) -> Turn:
    return Turn(role=role, text=text, at=NOW, address=address, tone=tone)


def words(messages: list[PromptMessage], tone: Tone) -> int:
    return sum(len(message.content.split()) + 1 for message in messages)


def build(turns: list[Turn], text: str, budget: int = 1000, persona: str = "You are Rapport."):
    return build_prompt(persona=persona, tone=PLAIN, turns=turns, text=text, count_tokens=words, budget=budget)


def test_history_stands_between_persona_and_message() -> None:
    prompt = build([said("user", "I am Ada"), said("assistant", "Hello Ada", tone="warm")], "who am I?")
    assert [(m.role, m.content, m.tone) for m in prompt.messages] == [
        ("system", "You are Rapport.", None),
        ("user", "I am Ada", None),
        ("assistant", "Hello Ada", "warm"),
        ("user", "who am I?", None),
    ]


def test_private_turns_never_reach_a_shared_place() -> None:
    history = [said("user", "my secret"), said("user", "in public", SHARED), said("user", "over there", ELSEWHERE)]
    assert [turn.text for turn in visible_turns(history, SHARED)] == ["in public"]
    assert len(visible_turns(history, DIRECT)) == 3


def test_new_hides_what_came_before() -> None:
    history = [said("user", "old"), said("break", ""), said("user", "recent")]
    assert [turn.text for turn in visible_turns(history, DIRECT)] == ["recent"]


def test_roles_alternate_whatever_the_history_holds() -> None:
    turns = [
        said("assistant", "left over"),
        said("user", "a"),
        said("user", "b"),
        said("assistant", "c"),
        said("user", "d"),
    ]
    prompt = build(turns, "e")
    assert [(m.role, m.content) for m in prompt.messages[1:]] == [
        ("user", "a\nb"),
        ("assistant", "c"),
        ("user", "d\ne"),
    ]


@given(st.integers(10, 80), st.integers(0, 40))
def test_the_budget_holds_and_the_newest_turns_stay(budget: int, exchanges: int) -> None:
    turns = [said(role, f"{role} {n}") for n in range(exchanges) for role in ("user", "assistant")]
    prompt = build(turns, "and now?", budget)
    assert words(list(prompt.messages), PLAIN) <= budget
    assert prompt.messages[-1].content == "and now?"
    kept = prompt.messages[1:-1]
    assert [m.content for m in kept] == [t.text for t in turns[len(turns) - len(kept) :]]


def test_a_long_conversation_is_cut_in_big_steps() -> None:
    turns = [
        said(role, f"{role} {n}").model_copy(update={"at": NOW + timedelta(minutes=n)})
        for n in range(100)
        for role in ("user", "assistant")
    ]
    # The history is capped, so its own beginning moves with every turn.
    first = [build(turns[2 * n - 60 : 2 * n], "now", 100).messages[1].content for n in range(40, 100)]
    assert len(set(first)) <= len(first) // 3, "the beginning of the prompt should stay the same over several turns"


def test_a_conversation_longer_than_what_is_read_of_it_is_cut_in_big_steps() -> None:
    said_so_far = [
        said(role, f"turn {at}").model_copy(update={"at": NOW + timedelta(minutes=at)})
        for at in range(60)
        for role in ("user", "assistant")
    ]
    windows = [said_so_far[at : at + 30] for at in range(0, 90, 2)]
    begins = [
        build_prompt(persona="", tone=PLAIN, turns=window, text="and now?", count_tokens=words, budget=1000, cut=True)
        .messages[0]
        .content
        for window in windows
    ]
    assert len(set(begins)) <= len(begins) // 3
    assert len({window[0].text for window in windows}) == len(windows)


def test_a_message_that_is_too_long_keeps_its_beginning_and_end() -> None:
    def letters(messages: list[PromptMessage], tone: Tone) -> int:
        return sum(len(message.content) for message in messages)

    text = "begin " + "x" * 5000 + " end"
    prompt = build_prompt(
        persona="", tone=PLAIN, turns=[said("user", "before")], text=text, count_tokens=letters, budget=200
    )
    (message,) = prompt.messages
    assert len(message.content) <= 200
    assert message.content.startswith("begin")
    assert message.content.endswith("end")


def test_a_prompt_that_fits_another_model_stays_as_it_is() -> None:
    prompt = build([said("user", "I am Ada"), said("assistant", "Hello Ada")], "who am I?")
    assert refit(prompt, words, 1000) is prompt


def test_a_prompt_for_a_smaller_model_loses_its_oldest_turns() -> None:
    turns = [said(role, f"turn {at}") for at in range(6) for role in ("user", "assistant")]
    prompt = build(turns, "now")
    small = refit(prompt, words, 14)
    assert [message.content for message in small.messages] == ["You are Rapport.", "turn 5", "turn 5", "now"]
    assert small.tone == prompt.tone


@given(
    st.lists(st.sampled_from(["one", "two words", "three more words"]), max_size=9),
    st.integers(5, 60),
    st.text("ab ", min_size=1, max_size=80),
)
def test_what_is_refitted_fits_and_ends_with_what_was_said(history: list[str], budget: int, text: str) -> None:
    turns = [said("assistant" if at % 2 else "user", one) for at, one in enumerate(history)]

    def letters(messages: list[PromptMessage], tone: Tone) -> int:
        return sum(len(message.content) for message in messages)

    prompt = build(turns, text, persona="")
    small = refit(prompt, letters, budget)
    assert letters(list(small.messages), PLAIN) <= budget
    assert small.messages[0].role == "user"
    assert small.messages[-1].role == "user"
    assert small == prompt or letters(list(prompt.messages), PLAIN) > budget
