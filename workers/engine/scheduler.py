"""Token-level batching: who reads, who writes, and who leaves, step by step.

One step reads at most one portion of prompts and then writes one token in every row that runs, so a long prompt never
holds up the others. A request joins as soon as its prompt is read and leaves with its last token. What a pass computes
is in passes.py, where things lie in memory in slots.py.
"""

import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from transformers import PreTrainedTokenizerBase

from core.dialogue import Completion, FinishReason
from core.errors import GenerationFailed
from workers.engine.judge import Judge, free_memory, out_of_memory
from workers.engine.line import Line
from workers.engine.passes import SlotModel
from workers.engine.request import Generation
from workers.engine.sampling import NO_TOKEN, Draw, choose
from workers.engine.slots import Slot
from workers.engine.streaming import ReplyText

log = logging.getLogger(__name__)

_SMALLEST_PORTION = 32
# Where memory was short, a little more is tried after so many good passes: it may have been a peak.
_PASSES_BEFORE_MORE = 1000
# A reply that came out empty is tried once more with at least this many tokens.
_RETRY_TOKENS = 4


class Row:
    """A request that has been taken on. Its slot is None while it has none."""

    def __init__(self, generation: Generation, tokenizer: PreTrainedTokenizerBase) -> None:
        self.generation = generation
        self.slot: Slot | None = None
        self.reused = 0
        self.retried = False
        self._tokenizer = tokenizer
        self.begin()

    def begin(self) -> None:
        """Begin the reply, or begin it anew."""
        one = self.generation
        self.tokens: list[int] = []
        self.text = ReplyText(self._tokenizer, one.wish.stop, one.on_text)
        self.draw = Draw(one.wish)

    @property
    def held(self) -> Slot:
        """Its slot, which it must have."""
        assert self.slot is not None
        return self.slot

    @property
    def unread(self) -> list[int]:
        """The ids that its slot does not hold yet."""
        known, prompt = len(self.held.ids), self.generation.prompt_ids
        return prompt[known:] + self.tokens if known < len(prompt) else self.tokens[known - len(prompt) :]

    def completion(self, reason: FinishReason) -> Completion:
        """Return what it has said."""
        return Completion(
            text=self.text.end(),
            finish_reason=reason,
            prompt_tokens=len(self.generation.prompt_ids),
            completion_tokens=len(self.tokens),
            reused_tokens=self.reused,
        )


class Scheduler:
    """Runs requests from a line on a model over slots. For one thread only.

    ``ends`` are the ids that end a reply; ``penalty`` is for words that a reply repeats; ``portion`` is how many tokens
    of prompts are read at once.
    """

    def __init__(
        self,
        model: SlotModel,
        tokenizer: PreTrainedTokenizerBase,
        line: Line,
        judge: Judge,
        ends: frozenset[int],
        penalty: float,
        portion: int,
    ) -> None:
        self._model = model
        self._slots = model.slots
        self._tokenizer = tokenizer
        self._line = line
        self._judge = judge
        self._ends = ends
        self._penalty = penalty
        self._most = model.rows
        self._group = model.rows
        self._portion = portion
        self._whole_portion = portion
        self._good_passes = 0  # since memory was short, or since more was tried
        self._tried_more = False
        self._set_back: deque[Row] = deque()  # rows that have to begin, or go on, in a new slot; they come first
        self._reading: deque[Row] = deque()
        self._writing: list[Row] = []  # _writing[i] is in slot i

    @property
    def busy(self) -> bool:
        """Is there anything to do but what waits in the line?"""
        return bool(self._set_back or self._reading or self._writing)

    def step(self) -> None:
        """Go on by one token in every row, and by one portion of prompts."""
        self._drop_ended()
        self._admit()
        if self._reading:
            self._read()
        if self._writing:
            self._write()

    def abandon(self, error: Exception) -> None:
        """Fail everything that has been taken on."""
        for row in [*self._set_back, *self._reading, *self._writing]:
            row.generation.fail(error)
        self._set_back.clear()
        self._reading.clear()
        self._writing.clear()
        for slot in self._slots.all:
            slot.busy, slot.ids = False, []

    def _drop_ended(self) -> None:
        for row in [*self._set_back, *self._reading, *self._writing]:
            if reason := row.generation.ended:
                self._finish(row, reason)

    def _admit(self) -> None:
        twins: list[Row] = []
        while len(self._reading) + len(self._writing) + len(twins) < self._most:
            if self._set_back:
                row = self._set_back.popleft()
            elif one := self._line.take():
                row = Row(one, self._tokenizer)
            else:
                break
            prompt = row.generation.prompt_ids
            if any(other.generation.prompt_ids == prompt and len(other.unread) > 1 for other in self._reading):
                twins.append(row)  # once the first of them is read, there is nothing left to read for the others
                continue
            try:
                row.slot = self._slots.claim(row.generation.prompt_ids + row.tokens)
            except Exception as error:  # it is in no list yet, so nobody else would answer it
                row.generation.fail(self._judge.blame(error))
                continue
            row.reused = min(len(row.slot.ids), len(row.generation.prompt_ids))
            self._reading.append(row)
        self._set_back.extendleft(reversed(twins))

    def _read(self) -> None:
        """Read the next portion: of one long prompt, or as many whole prompts as fit."""
        first = self._reading[0]
        if len(first.unread) > self._portion:
            self._reading.rotate(-1)  # others have their turn before its next portion
            self._attempt([first], [first.unread[: self._portion]])
            return
        group: list[Row] = []
        width = 0
        for row in self._reading:
            width = max(width, len(row.unread))
            if group and (width * (len(group) + 1) > self._portion or len(group) >= self._group):
                break
            group.append(row)
        for place, row in enumerate(group, start=len(self._writing)):
            self._slots.move(row.held, place)
        self._attempt(group, [row.unread for row in group])

    def _write(self) -> None:
        self._attempt(list(self._writing), [row.tokens[-1:] for row in self._writing])

    def _attempt(self, rows: Sequence[Row], chunks: Sequence[list[int]]) -> None:
        """Let the model read these chunks in the rows' slots, which lie side by side, and go on with what it says."""
        whole = [len(row.unread) == len(chunk) for row, chunk in zip(rows, chunks, strict=True)]
        try:
            scores = self._model.read(rows[0].held.index, chunks)
            # A prompt that is read in part has no next word yet. Fetching the words is the pass's only wait.
            words = choose(scores, [row.draw for row in rows], self._penalty).tolist() if all(whole) else []
        except Exception as error:
            self._recover(rows, chunks, error)
            return
        if any(word != NO_TOKEN for word in words):
            self._judge.well()
        for row, chunk in zip(rows, chunks, strict=True):
            row.held.ids += chunk
        self._try_more()
        heard = list(zip(rows, words, strict=bool(words)))
        numb = [row for row, word in heard if word == NO_TOKEN]
        if numb:  # before anything is moved: what is broken must not be spread
            self._fail(numb, ArithmeticError("its scores are no numbers"))
        for row, word in heard:
            if word != NO_TOKEN:
                try:
                    self._accept(row, word)
                except Exception as error:
                    self._fail([row], error)

    def _accept(self, row: Row, word: int) -> None:
        if row in self._reading:
            self._slots.move(row.held, len(self._writing))
            self._reading.remove(row)
            self._writing.append(row)
        if word in self._ends:
            self._finish(row, "stop")
        else:
            row.tokens.append(word)
            row.draw.said.add(word)
            if len(row.tokens) >= _RETRY_TOKENS:
                row.draw.barred = frozenset()
            if row.text.take(word):
                self._finish(row, "stop")
            elif len(row.tokens) >= row.generation.wish.limit:
                self._finish(row, "length")

    def _finish(self, row: Row, reason: FinishReason) -> None:
        try:
            completion = row.completion(reason)
        except Exception as error:
            self._fail([row], error)
            return
        self._let_go(row)
        if completion.text or reason in ("cancelled", "timeout"):
            row.generation.answer(completion)
        elif row.retried:
            row.generation.fail(GenerationFailed("The model said nothing, twice."))
        else:
            row.begin()
            row.retried = True
            row.draw.barred = self._ends
            self._set_back.append(row)

    def _recover(self, rows: Sequence[Row], chunks: Sequence[list[int]], error: Exception) -> None:
        """After a failed pass: make it smaller if memory was short, else find the row that is at fault."""
        reading = rows[0] in self._reading
        if out_of_memory(error) and (len(rows) > 1 or (reading and len(chunks[0]) > _SMALLEST_PORTION)):
            free_memory()
            if len(rows) == 1:
                self._portion = self._less(len(chunks[0]), _SMALLEST_PORTION)
            elif reading:
                self._group = self._less(len(rows), 1)
            else:
                self._most = self._less(len(rows), 1)
                for row in rows[self._most :]:
                    self._let_go(row)
                    self._set_back.append(row)
            log.warning("out of memory with %d rows of up to %d tokens", len(rows), max(map(len, chunks)))
        elif len(rows) > 1:
            log.warning("a pass over %d rows failed (%s); each is tried alone", len(rows), error)
            for row, chunk in zip(rows, chunks, strict=True):
                if not self._judge.broken:
                    self._attempt([row], [chunk])
        else:
            self._fail(rows, error)

    def _less(self, size: int, step: int) -> int:
        """Return what fits instead: what did before a little more was tried, or else half."""
        less = max(size - step, size // 2) if self._tried_more else size // 2
        self._good_passes, self._tried_more = 0, False
        return less

    def _try_more(self) -> None:
        now = (self._most, self._group, self._portion)
        if now == (self._model.rows, self._model.rows, self._whole_portion):
            return
        self._good_passes += 1
        if self._good_passes >= _PASSES_BEFORE_MORE:
            self._good_passes, self._tried_more = 0, True
            self._most = min(self._most + 1, self._model.rows)
            self._group = min(self._group + 1, self._model.rows)
            self._portion = min(self._portion + _SMALLEST_PORTION, self._whole_portion)

    def _fail(self, rows: Sequence[Row], error: Exception) -> None:
        verdict = self._judge.blame(error)  # comes first: on a dead device all that follows may raise
        for row in rows:  # all of them before one is let go, as that moves another, but only what it knows of
            if row.slot:
                with suppress(Exception):
                    self._slots.clear(row.slot)
        for row in rows:
            self._let_go(row)
            row.generation.fail(verdict)

    def _let_go(self, row: Row) -> None:
        """Take a row out of wherever it is; its slot keeps what it holds."""
        if row in self._writing:
            at = self._writing.index(row)
            last = self._writing[-1]
            if last is not row:
                self._slots.move(last.held, at)
                self._writing[at] = last
            self._writing.pop()  # now that nothing can raise any more: who is in no list is never answered
        elif row in self._reading:
            self._reading.remove(row)
        else:
            self._set_back.remove(row)
        if row.slot:
            self._slots.leave(row.slot)
            row.slot = None
