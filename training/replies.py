"""The bot without its networks and without a store: what it answers, by the code that answers people.

The real encoder, ``Responder`` and chat engine with the settings' own sampling; only who speaks is made up. Nothing
is measured here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from types import TracebackType

from core.dialogue import Address, Completion, Prompt, Turn
from core.events import MessageEvent
from core.responder import Answer, Responder
from core.settings import Settings
from workers.best_of import BestOf
from workers.engine.chat import ChatEngine
from workers.engine.encoder import Encoder
from workers.runtime import RunningGeneration

SEED = 20261121
_HERE = Address(channel="terminal", space="evaluation")
_BEGAN = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
_PAUSE = timedelta(minutes=1)


@dataclass(frozen=True)
class Talk:
    """What a person says next, and the turns before it."""

    text: str
    history: tuple[Turn, ...] = ()

    @property
    def at(self) -> datetime:
        """When it is said: a minute after the last message of the person."""
        return _BEGAN + _PAUSE * sum(turn.role == "user" for turn in self.history)


class _Asked(Exception):
    """Carries the prompt out of the responder."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt


class Bot:
    """Encoder and chat model as the settings name them, ready to answer many people at once."""

    def __init__(self, settings: Settings) -> None:
        patient = {"queue": 1_000_000, "timeout_s": 36_000.0}  # all is asked at once
        self.settings = settings
        self.engine = ChatEngine.load(settings.generation.model_copy(update=patient))
        self.encoder = Encoder.load(settings.sentiment)

    def __enter__(self) -> "Bot":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.close()
        self.encoder.close()

    def answer(self, talks: Sequence[Talk], seed: int, settings: Settings | None = None) -> list[Answer]:
        """Return the answer to each talk, in order; the same seed gives the same on the same machine.

        ``settings`` replaces the bot's own for everything but the models and their sampling.
        """
        settings = settings or self.settings
        seeds = [seed * 1_000_003 + at for at in range(len(talks))]
        asked = [self.prompt(talk, settings) for talk in talks]
        running = [
            self._submit(one, own) if isinstance(one, Prompt) else one for one, own in zip(asked, seeds, strict=True)
        ]
        return [
            one if isinstance(one, Answer) else self._respond(settings, talk, own, [one.result()])
            for talk, own, one in zip(talks, seeds, running, strict=True)
        ]

    def prompt(self, talk: Talk, settings: Settings) -> Prompt | Answer:
        """Return the prompt that the responder makes, or its answer where that needs no chat model."""
        try:
            return self._respond(settings, talk, 0, [])
        except _Asked as asked:
            return asked.prompt

    def _respond(self, settings: Settings, talk: Talk, seed: int, ready: list[Completion]) -> Answer:
        def generate(prompt: Prompt, _: Callable[[str], None]) -> Completion:
            if ready:
                return ready.pop()
            if curious:
                raise _Asked(prompt)
            return self._submit(prompt, seed + 500_000).result()  # the safety check wants another one

        curious = not ready
        responder = Responder(
            settings,
            read_mood=lambda text: self.encoder.read([text])[0],
            generate=generate,
            count_tokens=self.engine.count_tokens,
            budget=self.engine.prompt_tokens,
            all_turns=lambda _: talk.history,
        )
        event = MessageEvent(id="evaluation", address=_HERE, user="person", text=talk.text, sent_at=talk.at)
        return responder.respond([event], talk.history, lambda *_: None)

    def _submit(self, prompt: Prompt, seed: int) -> RunningGeneration:
        """Submit as a worker does, but with a seed for each candidate."""
        candidates = self.settings.generation.best_of
        seeds = count(seed * candidates)

        def submit(prompt: Prompt, on_text: Callable[[str], None] | None, person: str) -> RunningGeneration:
            return self.engine.submit(prompt, on_text, person, seed=next(seeds))

        if candidates > 1:
            check = self.settings.safety.check_replies
            return BestOf(submit, self.encoder.read, candidates, check=check).submit(prompt, _unheard, str(seed))
        return submit(prompt, _unheard, str(seed))


def _unheard(text: str) -> None:
    """Nobody reads along."""


def converse(
    bot: Bot, scripts: Sequence[Sequence[str]], seed: int, progress: Callable[[int, int], None]
) -> list[list[Answer]]:
    """Have the bot answer what each script's person says, turn by turn, and return its answers.

    The scripts go on together, so that their replies are written in batches. ``progress`` is told how many of how
    many turns are through.
    """
    answers: list[list[Answer]] = [[] for _ in scripts]
    longest = max(map(len, scripts), default=0)
    for turn in range(longest):
        live = [at for at, script in enumerate(scripts) if turn < len(script)]
        talks = [Talk(scripts[at][turn], _history(answers[at])) for at in live]
        for at, answer in zip(live, bot.answer(talks, seed + turn), strict=True):
            answers[at].append(answer)
        progress(turn + 1, longest)
    return answers


def _history(answers: Sequence[Answer]) -> tuple[Turn, ...]:
    """Return the turns so far, with the bot answering at once: what follows must not depend on today's date."""
    turns = []
    for answer in answers:
        said_at = answer.turns[0].at
        turns += [turn.model_copy(update={"at": said_at}) for turn in answer.turns]
    return tuple(turns)
