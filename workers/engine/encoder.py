"""The encoder: sentiment and embedding of texts, read in one batched pass.

One thread owns the model and takes all that waits as soon as it is free, so callers on many threads share passes.
Readings of recent texts are kept, as people say "hello", "ok" and "thanks" all day. What the models compute is in
sentiment.py.
"""

import hashlib
import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from core.dialogue import Reading, Sentiment
from core.errors import EngineBroken, EngineError, GenerationFailed
from core.sections import SentimentSettings
from workers.engine.loading import load_config, missing, pick_device, pick_dtype
from workers.engine.precision import fast_dtype, rounded
from workers.engine.sentiment import HEAD_FILE, LABELS, ClassifierReader, StarterReader, spell_symbols

log = logging.getLogger(__name__)

# Mood shows at the beginning and at the end of a long text; the middle costs time.
MAX_TOKENS = 256
# After so many failures in a row, each with the model failing on a plain text too, the encoder gives up.
_FAILURES = 3
_PLAIN = "hello"
_HANG_S = 120.0  # far more than a pass over a full batch takes on a slow machine
_CLOSE_S = 5.0  # a thread that hangs in the model cannot be ended; the end of the process does not wait for it
_NO_OPINION = Sentiment(label="neutral", scores=dict.fromkeys(LABELS, 1 / len(LABELS)), valence=0.0)

_Job = tuple[list[int], "Future[Reading]"]
# A reading takes about 12 kB. Kept under a digest, so that no text outlives in memory what its writer erases.
_KEPT = 512


class Encoder:
    """A loaded encoder. Every method may be called from any thread."""

    def __init__(
        self,
        reader: StarterReader | ClassifierReader,
        tokenizer: PreTrainedTokenizerBase,
        device: torch.device,
        batch: int,
    ) -> None:
        self._reader = reader.to(device).eval()
        self._dtype = next(reader.parameters()).dtype
        self._tokenizer = tokenizer
        self._pad = tokenizer.pad_token_id or 0
        self._spell = isinstance(reader, StarterReader)
        self._device = device
        self._batch = batch
        self._waiting: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._kept: OrderedDict[bytes, Reading] = OrderedDict()  # least recently used first; under _wake
        self._tokenizing = threading.Lock()
        self._closing = False
        self._failures = 0
        self._broken: str | None = None
        self._thread = threading.Thread(target=self._serve, name="encoder", daemon=True)
        self._thread.start()

    @classmethod
    def load(cls, settings: SentimentSettings) -> "Encoder":
        """Load the model that ``[sentiment]`` names: the shipped encoder, or any sequence classifier.

        Raises:
            ModelMissing: no such model, or its labels cannot be mapped to negative, neutral and positive.
            SettingsError: the device does not exist.
        """
        device = pick_device(settings.device, "sentiment")
        source, config = load_config(settings.model, "sentiment")
        setting = f'[sentiment] model = "{settings.model}"'
        reader: StarterReader | ClassifierReader
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
            if (Path(source) / HEAD_FILE).is_file():
                reader = StarterReader(source, fast_dtype(device))  # docs/decisions/013-encoder.md
            else:
                reader = ClassifierReader(source, config, pick_dtype(device), setting)
        except EngineError:
            raise
        except Exception as error:
            raise missing(setting, source, error) from error
        return cls(reader, tokenizer, device, settings.batch)

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """Return the reading of each text, in order; blocks until all are read.

        A text without any visible character reads neutral with equal probabilities: there is nothing to have an
        opinion on. Of texts over MAX_TOKENS tokens the beginning and the end are read.

        Raises:
            GenerationFailed: the model failed on a text, also alone.
            EngineBroken: the encoder is unusable or closed.
            TimeoutError: the model hangs.
        """
        keys = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        known, new = self._recall(dict(zip(keys, texts, strict=True)))
        known |= zip(new, self._compute(list(new.values())), strict=True)
        self._keep({key: known[key] for key in new})
        return [known[key] for key in keys]

    def close(self) -> None:
        """Stop; what waits is answered with EngineBroken."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(_CLOSE_S)

    def _recall(self, wanted: dict[bytes, str]) -> tuple[dict[bytes, Reading], dict[bytes, str]]:
        """Return the kept readings of these texts, and the texts that have none."""
        with self._wake:
            if self._closing or self._broken:
                raise EngineBroken(self._broken or "The encoder is closed.")
            known = {key: self._kept[key] for key in wanted if key in self._kept}
            for key in known:
                self._kept.move_to_end(key)
        return known, {key: text for key, text in wanted.items() if key not in known}

    def _keep(self, readings: dict[bytes, Reading]) -> None:
        with self._wake:
            self._kept.update(readings)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)

    def _compute(self, texts: list[str]) -> list[Reading]:
        """Have the model read these texts, together with what other threads want read."""
        jobs: list[_Job] = [(ids, Future()) for ids in self._tokenize(texts)]
        with self._wake:
            if self._closing or self._broken:
                raise EngineBroken(self._broken or "The encoder is closed.")
            self._waiting.extend(jobs)
            self._wake.notify()
        try:
            readings = [future.result(_HANG_S) for _, future in jobs]
        except TimeoutError:
            raise TimeoutError(f"The encoder hangs: no reading within {_HANG_S:.0f} s.") from None
        return [
            reading if text.strip() else reading.model_copy(update={"sentiment": _NO_OPINION})
            for text, reading in zip(texts, readings, strict=True)
        ]

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        # Half a character, as a broken client sends it, is no text to a tokenizer.
        whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        prepared = [spell_symbols(text) if self._spell else text for text in whole]
        with self._tokenizing:  # fast tokenizers keep their options in shared state
            rows: list[list[int]] = self._tokenizer(prepared, verbose=False)["input_ids"]
        half = MAX_TOKENS // 2
        # A tokenizer without marks of its own makes nothing of an empty text; a model needs one token at least.
        rows = [ids or [self._pad] for ids in rows]
        return [ids if len(ids) <= MAX_TOKENS else ids[:half] + ids[-half:] for ids in rows]

    def _serve(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closing:
                    self._wake.wait()
                jobs = list(self._waiting)
                self._waiting.clear()
            if self._closing:
                for _, future in jobs:
                    future.set_exception(EngineBroken("The encoder was closed."))
                return
            jobs.sort(key=lambda job: len(job[0]))  # alike lengths together: little padding
            for at in range(0, len(jobs), self._batch):
                self._run(jobs[at : at + self._batch])

    def _run(self, jobs: list[_Job]) -> None:
        if self._broken:
            for _, future in jobs:
                future.set_exception(EngineBroken(self._broken))
            return
        try:
            readings = self._pass([ids for ids, _ in jobs])
        except Exception as error:
            if len(jobs) > 1:
                log.warning("a pass over %d texts failed (%s); each is read alone", len(jobs), error)
                for job in jobs:
                    self._run([job])
            else:
                log.exception("the encoder failed on a text")
                self._judge()
                failed = GenerationFailed(f"The encoder failed on this text: {error}")
                jobs[0][1].set_exception(EngineBroken(self._broken) if self._broken else failed)
            return
        self._failures = 0
        for (_, future), reading in zip(jobs, readings, strict=True):
            future.set_result(reading)

    def _judge(self) -> None:
        """After a text failed alone: is it the text, or the model?"""
        try:
            self._pass(self._tokenize([_PLAIN]))
        except Exception as error:
            self._failures += 1
            if self._failures >= _FAILURES:
                reason = str(error).strip().partition("\n")[0]
                log.critical("the encoder is broken: %s", reason)
                self._broken = f"The encoder failed {_FAILURES} times in a row: {reason}"
        else:
            self._failures = 0

    def _pass(self, rows: list[list[int]]) -> list[Reading]:
        width = rounded(max(map(len, rows)), self._dtype, self._device)
        ids = torch.tensor([row + [self._pad] * (width - len(row)) for row in rows], device=self._device)
        lengths = torch.tensor([len(row) for row in rows], device=self._device)
        mask = torch.arange(width, device=self._device) < lengths.unsqueeze(1)
        with torch.inference_mode():
            probabilities, embeddings = self._reader(ids, mask)
        return [
            Reading(sentiment=Sentiment.of(dict(zip(LABELS, scores, strict=True))), embedding=tuple(embedding))
            for scores, embedding in zip(probabilities.tolist(), embeddings.tolist(), strict=True)
        ]
