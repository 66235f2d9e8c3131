"""Several candidates for one reply, drawn together: the one that fits best is sent. Works with any model.

Which one fits best is decided in core/fitness.py. How the candidates are batched is the engine's business.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from core.dialogue import Completion, Prompt, Reading, Sentiment
from core.errors import EngineFull, GenerationFailed, PromptTooLong
from core.fitness import ANY_VALENCE, Candidate, choose
from core.safety import ReplyCheck
from workers.runtime import RunningGeneration

log = logging.getLogger(__name__)

# Without anybody who listens: nothing is decoded, checked and sent for nobody.
Draw = Callable[[Prompt, None, str], RunningGeneration]
Read = Callable[[Sequence[str]], list[Reading]]
_UNREAD = Reading(
    sentiment=Sentiment.of({"negative": 0.0, "neutral": 1.0, "positive": 0.0}), embedding=()
)  # what is said of texts that the encoder fails on


class BestOf:
    """Draws ``count`` candidates for each prompt. Thread-safe as long as ``draw`` and ``read`` are.

    ``read`` is called with all texts of a turn at once; ``check`` says whether what must not be sent is looked for.
    """

    def __init__(self, draw: Draw, read: Read, count: int, *, check: bool) -> None:
        self._draw = draw
        self._read = read
        self._count = count
        self._check = check

    def submit(self, prompt: Prompt, on_text: Callable[[str], None], person: str = "") -> RunningGeneration:
        """Submit the candidates and return them as one generation; raises what the first of them raises.

        Nothing is streamed, as nobody knows yet which one is sent. An engine that takes no more on the way, be it full
        or a server that is only tried, is content with fewer candidates.
        """
        running = [self._draw(prompt, None, person)]
        try:
            while len(running) < self._count:
                running.append(self._draw(prompt, None, person))
        except (EngineFull, GenerationFailed, PromptTooLong) as error:
            log.info("%d candidates instead of %d: %s", len(running), self._count, error)
        except BaseException:
            for one in running:
                one.cancel()
            raise
        return _Candidates(running, lambda completions: self._best(prompt, completions))

    def _best(self, prompt: Prompt, completions: Sequence[Completion]) -> Completion:
        if len(completions) == 1:
            return completions[0]
        asked, *readings = self._readings([prompt.messages[-1].content, *(one.text for one in completions)])
        check = ReplyCheck(one.content for one in prompt.messages if one.role != "assistant")
        candidates = [
            Candidate(
                text=one.text,
                ended=one.finish_reason == "stop",
                refused=self._check and check.fault(one.text) is not None,
                reading=reading,
            )
            for one, reading in zip(completions, readings, strict=True)
        ]
        earlier = [message.content for message in prompt.messages if message.role == "assistant"]
        band = prompt.tone.valence or ANY_VALENCE
        return completions[choose(candidates, band, asked, earlier)]

    def _readings(self, texts: list[str]) -> list[Reading]:
        try:
            return self._read(texts)
        except GenerationFailed as error:
            log.warning("the candidates of a reply cannot be read, so the first without a flaw is sent: %s", error)
            return [_UNREAD] * len(texts)


class _Candidates:
    """The candidates of one reply as one running generation."""

    def __init__(self, running: list[RunningGeneration], best: Callable[[Sequence[Completion]], Completion]) -> None:
        self._running = running
        self._best = best

    def result(self, timeout_s: float | None = None) -> Completion:
        """Return the best of those that succeed in time; raises what the first one raised if none does."""
        completions: list[Completion] = []
        failures: list[Exception] = []
        # Together, as a candidate whose engine fails is begun anew on the next one by whoever waits for it.
        with ThreadPoolExecutor(len(self._running), "candidate") as pool:
            waiting = [pool.submit(copy_context().run, one.result, timeout_s) for one in self._running]
            for one, future in zip(self._running, waiting, strict=True):
                try:
                    completions.append(future.result())
                except Exception as error:
                    one.cancel()
                    failures.append(error)
        if not completions:
            raise failures[0]
        if failures:
            log.warning("%d of %d candidates failed: %s", len(failures), len(self._running), failures[0])
        return self._best(completions)

    def cancel(self) -> None:
        """End them all; the result then is the best of what was written so far."""
        for one in self._running:
            one.cancel()
