from collections.abc import Callable

import pytest

from core import settings
from core.dialogue import Address, Completion, Prompt, Reading, Sentiment
from core.errors import GenerationFailed
from core.events import Attachment, Draft, MessageEvent
from core.responder import Responder, next_turn

DIRECT = Address(channel="terminal", space="ada")
SHARED = Address(channel="terminal", space="room", direct=False)


def event(text: str, number: int = 1, address: Address = DIRECT, **more: object) -> MessageEvent:
    return MessageEvent(id=str(number), address=address, user="ada", text=text, **more)


def ignore(reply_id: str, make: Callable[[], Draft | None]) -> None:
    """Drafts are of no interest here."""


class Model:
    """A model that is a plain function: it keeps its prompts and answers what it is told to."""

    def __init__(self, answer: str = "I hear you.", valence: float = -0.8) -> None:
        self.prompts: list[Prompt] = []
        self._answer = answer
        self._scores = {"negative": max(-valence, 0), "neutral": 1 - abs(valence), "positive": max(valence, 0)}

    def read(self, text: str) -> Reading:
        return Reading(sentiment=Sentiment.of(self._scores), embedding=())

    def generate(self, prompt: Prompt, on_text: Callable[[str], None]) -> Completion:
        self.prompts.append(prompt)
        on_text(self._answer[:3])
        return Completion(text=self._answer, finish_reason="stop", prompt_tokens=1, completion_tokens=1)

    def responder(self) -> Responder:
        return Responder(
            settings.load(),
            read_mood=self.read,
            generate=self.generate,
            count_tokens=lambda m, t: 1,
            budget=100,
            all_turns=lambda person: [],
        )


def test_a_message_gets_a_reply_in_a_fitting_tone() -> None:
    model, drafts = Model(), list[Draft]()

    def on_draft(reply_id: str, make: Callable[[], Draft | None]) -> None:
        draft = make()
        assert draft
        assert draft.reply_id == reply_id
        drafts.append(draft)

    answer = model.responder().respond([event("it broke again")], [], on_draft)
    assert answer.reply.text == "I hear you."
    assert answer.reply.tone == "empathetic"
    assert answer.reply.sentiment is not None
    assert answer.reply.sentiment.label == "negative"
    assert [turn.role for turn in answer.turns] == ["user", "assistant"]
    assert model.prompts[0].tone.name == "empathetic"
    assert [draft.text for draft in drafts] == ["", "I"], "the mood goes out before the first word, and no half word"
    assert {draft.reply_id for draft in drafts} == {answer.reply.id}


def test_a_burst_is_one_turn() -> None:
    model = Model()
    answer = model.responder().respond([event("one", 1), event("two", 2)], [], ignore)
    assert answer.answered == 2
    assert answer.reply.in_reply_to == ("1", "2")
    assert model.prompts[0].messages[-1].content == "one\ntwo"


def test_a_burst_ends_at_a_command_and_at_another_place() -> None:
    assert len(next_turn([event("a", 1), event("/help", 2), event("b", 3)])) == 1
    assert len(next_turn([event("/help", 1), event("b", 2)])) == 1
    assert len(next_turn([event("a", 1), event("b", 2, SHARED)])) == 1


def test_a_command_never_reaches_the_model() -> None:
    model = Model()
    answer = model.responder().respond([event("/forget"), event("b", 2)], [], ignore)
    assert answer.erase
    assert answer.answered == 1
    assert answer.reply.finish_reason == "command"
    assert model.prompts == []


def test_attachments_are_named_to_the_model() -> None:
    model = Model()
    voice = Attachment(kind="voice note", seconds=12.2)
    model.responder().respond([event("listen", attachments=(voice,))], [], ignore)
    assert model.prompts[0].messages[-1].content == "listen\n[voice note, 12 s]"


def test_a_reply_that_never_began_is_no_reply() -> None:
    model = Model(answer="")
    with pytest.raises(GenerationFailed):
        model.responder().respond([event("a")], [], ignore)


def test_an_apology_is_a_reply_too() -> None:
    answer = Model().responder().apologise([event("a")])
    assert answer.reply.finish_reason == "failed"
    assert answer.reply.text == settings.load().bot.apology
    assert [turn.role for turn in answer.turns] == ["user"], "a later reply should not learn to apologise"


def test_dead_letters_are_read_for_the_commands_that_need_them_alone() -> None:
    asked: list[str] = []
    responder = Responder(
        settings.load(),
        read_mood=Model().read,
        generate=Model().generate,
        count_tokens=lambda m, t: 1,
        budget=100,
        all_turns=lambda person: [],
        letters=lambda person: asked.append(person) or [],
    )
    for name in ("help", "new", "mood", "stop"):
        responder.respond([event(f"/{name}")], [], ignore)
    assert asked == []
    for name in ("export", "forget"):
        responder.respond([event(f"/{name}")], [], ignore)
    assert asked == ["terminal:-:ada"] * 2
