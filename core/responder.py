"""The use case: from waiting events and a person's history to an Answer. Models are passed in as callables.

Nothing is written here; the answer is committed by whoever holds the lease (workers/runtime.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core import commands, safety
from core.attachments import as_text, confession
from core.dialogue import Completion, FinishReason, Prompt, Reading, Sentiment, Tone, Turn
from core.errors import GenerationFailed
from core.events import Draft, Letter, MessageEvent, Reply, reply_id
from core.prompt import CountTokens, build_prompt, visible_turns
from core.settings import Settings
from core.tone import Felt, choose_tone, recently_felt

ReadMood = Callable[[str], Reading]
AllTurns = Callable[[str], Sequence[Turn]]
LettersOf = Callable[[str], Sequence[Letter]]
Called = Callable[[MessageEvent], commands.Command | None]
Generate = Callable[[Prompt, Callable[[str], None]], Completion]
# Called with the id of a reply being written, and with what makes a draft of it if there is anything to be shown:
# that costs a check, so it is left to when a draft really goes out.
OnDraft = Callable[[str, Callable[[], Draft | None]], None]


@dataclass(frozen=True)
class Answer:
    """What is to be committed: the reply to the first ``answered`` events, and the turns for the history.

    ``decisions`` are to be counted; ``notice`` goes to a person who looks after people, unless one did lately.
    ``unanswered``: the reply only says that there is none, so the events are to be kept as a dead letter.
    """

    answered: int
    reply: Reply
    turns: tuple[Turn, ...] = ()
    erase: bool = False
    decisions: tuple[str, ...] = ()
    notice: Reply | None = None
    unanswered: bool = False


class Responder:
    """Answers one turn at a time; thread-safe as long as the callables are.

    ``budget`` is the number of tokens that a prompt may have. ``all_turns`` reads a person's whole history, ``letters``
    their dead letters, ``status`` how everything is, which commands want; replies do with the latest turns.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        read_mood: ReadMood,
        generate: Generate,
        count_tokens: CountTokens,
        budget: int,
        all_turns: AllTurns,
        letters: LettersOf = lambda person: (),
        status: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._settings = settings
        self._read_mood = read_mood
        self._generate = generate
        self._count_tokens = count_tokens
        self._budget = budget
        self._all_turns = all_turns
        self._letters = letters
        self._status = status

    def respond(self, events: Sequence[MessageEvent], history: Sequence[Turn], on_draft: OnDraft) -> Answer:
        """Answer the first turn of the waiting events; EngineError passes through when generation fails."""
        burst = next_turn(events, self._called)
        command = self._called(burst[0])
        if command:
            return self._obey(command, burst[0])
        # Before any model: this answer must come even if they are busy or broken.
        hint = self._crisis(burst)
        if hint:
            return self._care(hint, burst)
        if not any(event.text for event in burst):
            return _confess(burst)
        return self._converse(burst, history, on_draft)

    def apologise(self, events: Sequence[MessageEvent]) -> Answer:
        """Answer the first turn with the honest apology of the settings: generation failed for good."""
        burst = next_turn(events, self._called)
        reply = _reply(burst, self._settings.bot.apology, finish_reason="failed")
        # The apology itself stays out of the history: later replies should not learn from it.
        turns = (_user_turn(event, None).model_copy(update={"failed": True}) for event in burst)
        return Answer(len(burst), reply, tuple(turns), unanswered=True)

    def _called(self, event: MessageEvent) -> commands.Command | None:
        """Return the command that this message calls, if its sender may."""
        return commands.parse(event.text, admin=self._settings.access.is_admin(event.person))

    def _obey(self, command: commands.Command, event: MessageEvent) -> Answer:
        history = self._all_turns(event.person)
        situation = commands.Situation(
            self._settings.bot.name,
            event,
            commands.argument(event.text),
            history,
            self._settings.mood,
            lambda: self._letters(event.person),
            self._status,
            self._settings.access.is_admin(event.person),
        )
        effect = commands.run(command, situation)
        reply = _reply([event], effect.text, finish_reason="command")
        turns = (Turn(role="break", text="", at=_now(), address=event.address),) if effect.afresh else ()
        return Answer(1, reply, turns, effect.erase)

    def _crisis(self, burst: Sequence[MessageEvent]) -> safety.Hint | None:
        conf = self._settings.safety
        if not conf.answer_crisis:
            return None
        return safety.crisis("\n".join(event.text for event in burst), conf.weak_hints)

    def _care(self, hint: safety.Hint, burst: Sequence[MessageEvent]) -> Answer:
        conf = self._settings.safety
        reply = _reply(burst, safety.crisis_answer(hint, conf), safety.DESPAIR, finish_reason="safety")
        turns = (_user_turn(burst[-1], safety.DESPAIR, "\n".join(map(_as_text, burst))), _bot_turn(reply))
        notice = safety.notice(hint, burst[-1], conf)
        return Answer(len(burst), reply, turns, decisions=(f"crisis {hint}",), notice=notice)

    def _converse(self, burst: Sequence[MessageEvent], history: Sequence[Turn], on_draft: OnDraft) -> Answer:
        text = "\n".join(_as_text(event) for event in burst)
        address = burst[0].address
        sentiment = self._read_mood(text).sentiment
        seen = visible_turns(history, address)
        now = Felt(sentiment.valence, text, burst[-1].sent_at)
        tone = choose_tone(now, recently_felt(seen, self._settings.mood), self._settings.mood, self._settings.tone)
        abused = self._settings.safety.calm_abuse and safety.is_abuse(text)
        if abused:
            tone = Tone.model_validate(self._settings.tone["angry"].model_dump())
        prompt = build_prompt(
            persona=self._settings.bot.persona,
            tone=tone,
            turns=seen,
            text=text,
            count_tokens=self._count_tokens,
            budget=self._budget,
            cut=len(history) >= self._settings.history.prompt_turns and not any(one.role == "break" for one in history),
        )
        given = self._given(burst, seen)
        check = safety.ReplyCheck(given) if self._settings.safety.check_replies else None
        links = safety.Links(self._settings.safety.links, given)
        ids = tuple(event.id for event in burst)
        name = reply_id(ids, burst[0].again)

        def make_draft(so_far: str) -> Draft | None:
            shown = check.shown(so_far) if check else so_far
            if shown is None:
                return None
            return Draft(
                reply_id=name,
                address=address,
                person=burst[0].person,
                in_reply_to=ids,
                text=links.shown(shown),
                sentiment=sentiment,
                tone=tone.name,
            )

        def draft(so_far: str) -> None:
            on_draft(name, lambda: make_draft(so_far))

        draft("")  # the mood is known before the first word is
        completion, decisions = self._generate_fit(prompt, draft, check)
        decisions = (("abuse",) if abused else ()) + decisions
        user_turn = _user_turn(burst[-1], sentiment, text)
        if not completion:
            reply = _reply(burst, self._settings.safety.refused_message, sentiment, tone, "safety")
            # Kept for the person to see, but out of prompts: later replies should not learn from it.
            turns = (user_turn, _bot_turn(reply).model_copy(update={"failed": True}))
            return Answer(len(burst), reply, turns, decisions=decisions)
        if not completion.text:
            if completion.finish_reason != "cancelled":
                raise GenerationFailed(f"the model said nothing ({completion.finish_reason})")
            reply = _reply(burst, "(stopped)", sentiment, tone, "cancelled")
            return Answer(len(burst), reply, (user_turn,), decisions=decisions)
        said = links.cleared(completion.text)
        decisions += ("link left out",) if said != completion.text else ()
        unread = [attachment for event in burst for attachment in event.attachments]
        said = f"{said}\n\n{confession(unread, alone=False)}" if unread else said
        reply = _reply(burst, said, sentiment, tone, completion.finish_reason)
        return Answer(len(burst), reply, (user_turn, _bot_turn(reply)), decisions=decisions)

    def _given(self, burst: Sequence[MessageEvent], seen: Sequence[Turn]) -> tuple[str, ...]:
        """Return what the person and the operator have said, which a reply may say again."""
        conf = self._settings
        said = [turn.text for turn in seen if turn.role == "user"]
        own = [part for event in burst for part in (event.text, event.user, event.user_name or "")]
        return (*said, *own, conf.bot.name, conf.bot.persona, *conf.safety.helplines.values())

    def _generate_fit(
        self, prompt: Prompt, draft: Callable[[str], None], check: safety.ReplyCheck | None
    ) -> tuple[Completion | None, tuple[str, ...]]:
        """Return a completion that may be sent, from two attempts at most, else None; and what was decided."""
        completion = self._generate(prompt, draft)
        first = check.fault(completion.text) if check else None
        if not first:
            return completion, ()
        if completion.finish_reason == "cancelled":
            return None, (f"refused {first}", "replaced")
        # Not shown while it is written: it begins anew, under text that is on the screen already.
        completion = self._generate(prompt, lambda so_far: None)
        second = check.fault(completion.text) if check else None
        if not second:
            return completion, (f"refused {first}",)
        return None, (f"refused {first}", f"refused {second}", "replaced")


def _of_everybody(event: MessageEvent) -> commands.Command | None:
    return commands.parse(event.text)


def next_turn(events: Sequence[MessageEvent], called: Called = _of_everybody) -> list[MessageEvent]:
    """Return the leading events that are one turn: a command alone, else all from one place up to a command.

    People write in bursts; a burst gets one reply.
    """
    first = events[0]
    burst = [first]
    if called(first):
        return burst
    for event in events[1:]:
        if (event.address, event.discreet) != (first.address, first.discreet) or called(event):
            break
        burst.append(event)
    return burst


def _as_text(event: MessageEvent) -> str:
    return "\n".join(part for part in (event.text, *map(as_text, event.attachments)) if part)


def _confess(burst: Sequence[MessageEvent]) -> Answer:
    """Answer what has no text: a model that cannot see or hear would only invent what it saw or heard."""
    unread = [attachment for event in burst for attachment in event.attachments]
    reply = _reply(burst, confession(unread, alone=True), finish_reason="command")
    return Answer(len(burst), reply, (*(_user_turn(event, None) for event in burst), _bot_turn(reply)))


def _reply(
    burst: Sequence[MessageEvent],
    text: str,
    sentiment: Sentiment | None = None,
    tone: Tone | None = None,
    finish_reason: FinishReason = "stop",
) -> Reply:
    ids = tuple(event.id for event in burst)
    return Reply(
        id=reply_id(ids, burst[0].again),
        address=burst[0].address,
        text=text,
        in_reply_to=ids,
        person=burst[0].person,
        sentiment=sentiment,
        tone=tone.name if tone else None,
        finish_reason=finish_reason,
    )


def _user_turn(event: MessageEvent, sentiment: Sentiment | None, text: str | None = None) -> Turn:
    return Turn(role="user", text=text or _as_text(event), at=event.sent_at, sentiment=sentiment, address=event.address)


def _bot_turn(reply: Reply) -> Turn:
    return Turn(role="assistant", text=reply.text, at=_now(), tone=reply.tone, address=reply.address, reply_id=reply.id)


def _now() -> datetime:
    return datetime.now(UTC)
