"""Ways to serve one causal model to many people: what bench/generate.py puts side by side.

Each takes a request's token ids, writes exactly so many tokens greedily and says when the first one was there.
llama.cpp, which is no dependency of the project, is in llama_cpp.py.
"""

import queue
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import AutoTokenizer, ContinuousBatchingConfig, GenerationConfig, PreTrainedModel
from transformers.generation.streamers import BaseStreamer

from core.dialogue import Prompt, Tone
from core.sections import Generation
from workers.engine.chat import ChatEngine
from workers.engine.loading import load_chat

ROWS = 32  # at once, for all that batch
GATHER_S = 0.02  # static batching waits so long for others


@dataclass(frozen=True)
class Request:
    """One thing to be generated: the rendered prompt and how many tokens to write."""

    prompt: Prompt
    ids: list[int]
    tokens: int


@dataclass(frozen=True)
class Outcome:
    """When the first and the last token were there (perf_counter), how many there are, and what they are."""

    first: float
    done: float
    tokens: int
    ids: list[int] = field(default_factory=list)
    text: str | None = None


class Contender(Protocol):
    """One way to serve. ``run`` is called from as many threads as there are people."""

    name: str

    def run(self, request: Request) -> Outcome:
        """Return when it is done."""

    def close(self) -> None:
        """Free everything."""


class _Clock(BaseStreamer):
    """Notes when generate had its first token."""

    def __init__(self) -> None:
        self.calls = 0
        self.first = 0.0

    def put(self, value: torch.Tensor) -> None:
        self.calls += 1
        if self.calls == 2:  # the first call hands over the prompt
            self.first = time.perf_counter()

    def end(self) -> None:
        pass


class Sequential:
    """``generate``, one request after the other: what a plain Celery task does."""

    name = "sequential generate"

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._lock = threading.Lock()

    def run(self, request: Request) -> Outcome:
        with self._lock:
            clock = _Clock()
            ids = _generate(self._model, [request.ids], request.tokens, clock)[0]
            return Outcome(clock.first, time.perf_counter(), len(ids), ids)

    def close(self) -> None:
        pass


class Static:
    """Whole calls: what waits is padded on the left and runs together until the longest row ends."""

    name = "static batching"

    def __init__(self, model: Any) -> None:
        self._model = model
        self._waiting: queue.Queue[tuple[Request, Future[Outcome]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def run(self, request: Request) -> Outcome:
        future: Future[Outcome] = Future()
        self._waiting.put((request, future))
        return future.result()

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (found := self._waiting.get()) is not None:
            batch = [found]
            until = time.perf_counter() + GATHER_S
            while len(batch) < ROWS and (left := until - time.perf_counter()) > 0:
                try:
                    more = self._waiting.get(timeout=left)
                except queue.Empty:
                    break
                if more is None:
                    self._waiting.put(None)
                    break
                batch.append(more)
            rows = self._write([one.ids for one, _ in batch], max(one.tokens for one, _ in batch))
            for (request, future), (first, ids) in zip(batch, rows, strict=True):
                own = ids[: request.tokens]
                future.set_result(Outcome(first, time.perf_counter(), len(own), own))

    def _write(self, prompts: list[list[int]], tokens: int) -> list[tuple[float, list[int]]]:
        """Return for each prompt when its first token was there, and so many ids."""
        clock = _Clock()
        rows = _generate(self._model, prompts, tokens, clock)
        return [(clock.first, ids) for ids in rows]


class CTranslate2(Static):
    """CTranslate2 in int8, which batches whole calls only. ``pip install ctranslate2``, for this benchmark alone."""

    name = "CTranslate2 int8, static"

    def __init__(self, folder: Path) -> None:
        import ctranslate2

        self._folder = tempfile.TemporaryDirectory()
        converter = ctranslate2.converters.TransformersConverter(str(folder))
        converter.convert(self._folder.name, quantization="int8", force=True)
        self._words = AutoTokenizer.from_pretrained(folder)
        self._generator = ctranslate2.Generator(self._folder.name, intra_threads=torch.get_num_threads())
        super().__init__(self._words)

    def _write(self, prompts: list[list[int]], tokens: int) -> list[tuple[float, list[int]]]:
        # What is longer than the shortest prompt it takes step by step, and it tells of these steps, too.
        times: list[list[float]] = [[] for _ in prompts]
        found = self._generator.generate_batch(
            [self._words.convert_ids_to_tokens(ids) for ids in prompts],
            max_batch_size=len(prompts),
            max_length=tokens,
            min_length=tokens,
            sampling_topk=1,
            include_prompt_in_result=False,
            callback=lambda step: times[step.batch_id].append(time.perf_counter()),
        )
        return [(told[-tokens], one.sequences_ids[0]) for told, one in zip(times, found, strict=True)]

    def close(self) -> None:
        super().close()
        self._folder.cleanup()


class TransformersContinuous:
    """The continuous batching of transformers, in its best measured settings for a CPU."""

    name = "transformers continuous"

    def __init__(self, model: PreTrainedModel) -> None:
        config = GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0, max_new_tokens=512)  # type: ignore[no-untyped-call]
        on_gpu = model.device.type == "cuda"
        sizes = {} if on_gpu else {"page_size": 32, "num_blocks": 1024, "max_batch_tokens": 512}
        own: Any = model
        self._manager = own.init_continuous_batching(
            generation_config=config,
            continuous_batching_config=ContinuousBatchingConfig(max_requests_per_batch=ROWS, **sizes),
        )
        self._manager.start()

    def run(self, request: Request) -> Outcome:
        own = self._manager.add_request(request.ids, max_new_tokens=request.tokens, streaming=True)
        first = 0.0
        for output in self._manager.request_id_iter(own):
            first = first or time.perf_counter()
            if output.is_finished():
                ids = list(output.generated_tokens)
                return Outcome(first, time.perf_counter(), len(ids), ids)
        raise RuntimeError("the stream ended without an end")

    def close(self) -> None:
        self._manager.stop(block=True)


class Ours:
    """The engine of this project."""

    def __init__(self, settings: Generation, name: str) -> None:
        self.name = name
        self.engine = ChatEngine(load_chat(settings), settings)

    def run(self, request: Request) -> Outcome:
        first: list[float] = []
        tone = request.prompt.tone.model_copy(update={"max_new_tokens": request.tokens})
        prompt = request.prompt.model_copy(update={"tone": tone})
        handle = self.engine.submit(prompt, lambda text: first or first.append(time.perf_counter()))
        completion = handle.result(600)
        done = time.perf_counter()
        return Outcome(first[0] if first else done, done, completion.completion_tokens, text=completion.text)

    def close(self) -> None:
        self.engine.close()


PLAIN = Tone(name="plain", guidance="")


def _generate(model: PreTrainedModel, prompts: Sequence[list[int]], tokens: int, clock: _Clock) -> list[list[int]]:
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(one)) + one for one in prompts], device=model.device)
    mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts], device=model.device)
    own: Any = model
    with torch.inference_mode():
        found = own.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=False,
            repetition_penalty=1.0,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            pad_token_id=0,
            streamer=clock,
        )
    rows: list[list[int]] = found[:, longest:].tolist()
    return rows
