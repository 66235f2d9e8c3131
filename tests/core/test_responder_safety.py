"""What the responder does in a crisis, when it is abused, and with replies that must not be sent."""

from collections.abc import Callable

import pytest

from core import settings
from core.dialogue import Address, Completion, FinishReason, Prompt, Reading, Sentiment, Turn
from core.events import Attachment, Draft, MessageEvent
from core.responder import Answer, Responder
from core.safety import crisis_answer
from core.settings import Settings

DIRECT = Address(channel="terminal", space="ada")
GLAD = Reading(sentiment=Sentiment.of({"negative": 0.0, "neutral": 0.1, "positive": 0.9}), embedding=())


def event(text: str, number: int = 1, **more: object) -> MessageEvent:
    return MessageEvent(id=str(number), address=DIRECT, user="ada", text=text, **more)


class Model:
    """Says what it is told to, one saying after the other, and keeps its prompts and drafts."""

    def __init__(self, *sayings: str, finish_reason: FinishReason = "stop", **safety: object) -> None:
        self._sayings = iter(sayings)
        self._finish_reason = finish_reason
        self.prompts: list[Prompt] = []
        self.shown: list[str] = []
        base = settings.load()
        self.settings: Settings = base.model_copy(update={"safety": base.safety.model_copy(update=safety)})

    def respond(self, *events: MessageEvent, history: tuple[Turn, ...] = ()) -> Answer:
        responder = Responder(
            self.settings,
            read_mood=self._read,
            generate=self._generate,
            count_tokens=lambda messages, tone: 1,
            budget=100,
            all_turns=lambda person: [],
        )
        return responder.respond(events, history, self._on_draft)

    def _read(self, text: str) -> Reading:
        return GLAD

    def _generate(self, prompt: Prompt, on_text: Callable[[str], None]) -> Completion:
        self.prompts.append(prompt)
        text = next(self._sayings)
        for end in range(1, len(text) + 1):
            on_text(text[:end])
        return Completion(text=text, finish_reason=self._finish_reason, prompt_tokens=1, completion_tokens=1)

    def _on_draft(self, reply_id: str, make: Callable[[], Draft | None]) -> None:
        draft = make()
        if draft:
            self.shown.append(draft.text)


class NoModel(Model):
    def _read(self, text: str) -> Reading:
        raise AssertionError("no model is asked in a crisis")

    def _generate(self, prompt: Prompt, on_text: Callable[[str], None]) -> Completion:
        raise AssertionError("no model is asked in a crisis")


def test_a_crisis_is_answered_without_any_model_and_the_same_each_time() -> None:
    model = NoModel(country="DE")
    first = model.respond(event("I want to kill myself", 1))
    again = model.respond(event("I really want to die", 2))
    assert first.reply.text == again.reply.text == crisis_answer("suicide", model.settings.safety)
    assert "0800 111 0 111" in first.reply.text
    assert first.reply.finish_reason == "safety"
    assert first.decisions == ("crisis suicide",)
    assert first.notice is None
    assert model.shown == []


def test_a_crisis_is_part_of_the_history_and_of_the_mood() -> None:
    answer = NoModel().respond(event("I want to kill myself"))
    said, replied = answer.turns
    assert (said.role, said.text, replied.role, replied.text) == (
        "user",
        "I want to kill myself",
        "assistant",
        answer.reply.text,
    )
    assert said.sentiment
    assert said.sentiment.valence == -1
    later = Model("Good.", "Good.")
    after = later.respond(event("the weather is ok", 2), history=answer.turns)
    before = later.respond(event("the weather is ok", 3))
    assert (before.reply.tone, after.reply.tone) == ("cheerful", "reassuring")


def test_a_crisis_said_in_several_messages_or_with_a_picture_is_recognised() -> None:
    answer = NoModel().respond(
        event("i want to", 1), event("die", 2), event("", 3, attachments=(Attachment(kind="image"),))
    )
    assert answer.decisions == ("crisis suicide",)
    assert answer.answered == 3
    assert answer.turns[0].text == "i want to\ndie\n[image]"


def test_who_fears_for_another_gets_another_answer() -> None:
    model = NoModel()
    answer = model.respond(event("my sister wants to kill herself"))
    assert answer.reply.text == crisis_answer("other", model.settings.safety)
    assert answer.decisions == ("crisis other",)


def test_a_person_is_told_if_the_settings_say_so() -> None:
    answer = NoModel(notify="slack:T1/C1").respond(event("I want to kill myself"))
    assert answer.notice
    assert answer.notice.address.space == "T1/C1"
    assert "kill" not in answer.notice.text


def test_the_answer_to_a_crisis_can_be_switched_off() -> None:
    answer = Model("I hear you.", answer_crisis=False).respond(event("I want to kill myself"))
    assert answer.reply.text == "I hear you."


@pytest.mark.parametrize(("switched_on", "tone"), [(True, "calm"), (False, "cheerful")])
def test_abuse_gets_a_calm_tone_whatever_the_mood_is_read_as(switched_on: bool, tone: str) -> None:
    model = Model("I see.", calm_abuse=switched_on)
    answer = model.respond(event("haha you are such an idiot"))
    assert answer.reply.tone == model.prompts[0].tone.name == tone
    assert answer.decisions == (("abuse",) if switched_on else ())


def test_a_refused_reply_gets_a_second_attempt() -> None:
    model = Model("You are an idiot yourself.", "I see that you are angry.")
    answer = model.respond(event("you idiot"))
    assert answer.reply.text == "I see that you are angry."
    assert answer.reply.finish_reason == "stop"
    assert answer.decisions == ("abuse", "refused insult")
    assert answer.turns[1].text == "I see that you are angry."


def test_after_two_refusals_a_fixed_text_stands_in_and_no_prompt_learns_from_it() -> None:
    model = Model("Mail bob@company.com", "Call +49 30 901820 44", "Good.")
    answer = model.respond(event("who can help me?"))
    assert answer.reply.text == model.settings.safety.refused_message
    assert answer.reply.finish_reason == "safety"
    assert answer.decisions == ("refused personal", "refused personal", "replaced")
    assert "bob" not in str(answer)
    model.respond(event("go on", 2), history=answer.turns)
    assert all(answer.reply.text not in message.content for message in model.prompts[-1].messages)
    assert "who can help me?" in model.prompts[-1].messages[-1].content


def test_drafts_show_nothing_that_is_refused_and_no_second_attempt() -> None:
    model = Model("Sure, write to bob@company.com for that.", "Sure. Tell me what happened, please.")
    model.respond(event("who can help me?"))
    assert model.shown[0] == ""
    assert "Sure, write to" in model.shown
    assert not any("bob" in text or "happened" in text for text in model.shown)


def test_what_was_stopped_is_not_begun_again() -> None:
    model = Model("You are an idiot", finish_reason="cancelled")
    answer = model.respond(event("tell me"))
    assert answer.reply.text == model.settings.safety.refused_message
    assert answer.decisions == ("refused insult", "replaced")


def test_what_the_person_or_the_operator_gave_may_be_said() -> None:
    said = Turn(role="user", text="my mail is ada@mail.org", at=event("").sent_at, address=DIRECT)
    model = Model("I have ada@mail.org and 0800 111 0 111, @ada_l.")
    answer = model.respond(event("what is my mail?", user_name="@ada_l"), history=(said,))
    assert answer.decisions == ()


def test_what_the_bot_alone_said_earlier_is_not_given() -> None:
    said = Turn(role="assistant", text="bob@company.com", at=event("").sent_at, address=DIRECT)
    answer = Model("bob@company.com", "I don't know.").respond(event("who?"), history=(said,))
    assert answer.decisions == ("refused personal",)


def test_the_check_can_be_switched_off() -> None:
    model = Model("Mail bob@company.com", check_replies=False, links=("*",))
    answer = model.respond(event("who can help me?"))
    assert answer.reply.text == "Mail bob@company.com"
    assert model.shown[-1] == "Mail bob@company.com"
