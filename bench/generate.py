"""How fast many people's replies are written, beside other ways to serve the same model in the same run.

    python -m bench.generate [--models starter random-135m] [--people 1 8 32] [--llama-cpp peers/bin/python]

A closed loop: each person sends the next request when the last one is answered. Prompts have 50 to 390 tokens,
replies 10 to 120, drawn with a fixed seed; all is greedy and nothing ends early, so everybody does the same work.
What this engine and the other fp32 ways write is compared with plain ``generate``. Figures are ratios to sequential
``generate`` in the same run; how each contender works is in contenders.py.
"""

import argparse
import gc
import importlib.util
import json
import os
import queue
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the worker does, before torch

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from bench.contenders import (
    PLAIN,
    ROWS,
    Contender,
    CTranslate2,
    Ours,
    Outcome,
    Request,
    Sequential,
    Static,
    TransformersContinuous,
)
from bench.llama_cpp import LlamaCpp
from core.dialogue import Prompt, PromptMessage
from core.sections import Generation
from core.settings import ROOT
from workers.engine.loading import load_chat
from workers.engine.prompting import renderer_for

SEED = 7
PROMPT, REPLY, CONTEXT = (50, 390), (10, 120), 512
STARTER = ROOT / "models" / "starter-chat"
# (vocabulary, width, inner width, layers, heads, heads of keys and values)
SHAPES = {
    "random-135m": (49_152, 576, 1536, 30, 9, 3),
    "random-1b": (128_256, 2048, 8192, 16, 32, 8),
    "random-7b": (32_000, 4096, 14_336, 32, 32, 8),
}
WORDS = [
    "and", "the", "what", "you", "have", "been", "so", "tired", "of", "work", "today", "is", "late", "my", "order",
    "again", "thanks", "a", "lot", "for", "it", "really",
]  # fmt: skip


def make_model(name: str, folder: Path) -> Path:
    """Save the starter, or a Llama of that shape with random weights, so that no reply ends by itself."""
    tokenizer = AutoTokenizer.from_pretrained(STARTER)
    if name == "starter":
        model = LlamaForCausalLM.from_pretrained(STARTER)
    else:
        vocabulary, width, inner, layers, heads, kv_heads = SHAPES[name]
        spec = json.loads(tokenizer.backend_tokenizer.to_str())
        known = spec["model"]["vocab"]
        known |= {f"Ġfill{at}": at for at in range(len(known), vocabulary)}
        (folder / "tokenizer.json").write_text(json.dumps(spec))
        template = tokenizer.chat_template
        tokenizer = type(tokenizer)(
            tokenizer_file=str(folder / "tokenizer.json"), bos_token=tokenizer.bos_token, pad_token=tokenizer.pad_token
        )
        tokenizer.chat_template = template
        torch.manual_seed(SEED)
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            model = LlamaForCausalLM(
                LlamaConfig(
                    vocab_size=vocabulary,
                    hidden_size=width,
                    intermediate_size=inner,
                    num_hidden_layers=layers,
                    num_attention_heads=heads,
                    num_key_value_heads=kv_heads,
                    max_position_embeddings=CONTEXT,
                    initializer_range=0.05,
                )
            )
    tokenizer.eos_token = tokenizer.pad_token  # which no model writes
    for config in (model.config, model.generation_config):
        config.eos_token_id = config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_requests(count: int, tokenizer: Any, config: Any) -> list[Request]:
    """Return requests whose rendered prompts have about as many tokens as was drawn."""
    rng = random.Random(SEED)
    renderer = renderer_for(tokenizer, config)
    found = []
    for _ in range(count):
        length, tokens = rng.randint(*PROMPT), rng.randint(*REPLY)
        words = [rng.choice(WORDS) for _ in range(length)]
        while True:
            messages = (PromptMessage(role="user", content=" ".join(words)),)
            ids = renderer.ids(messages, PLAIN)
            if len(ids) <= min(length, CONTEXT - REPLY[1]):
                break
            del words[-(len(ids) - length or 1) :]
        found.append(Request(Prompt(messages=messages, tone=PLAIN), ids, tokens))
    return found


def closed_loop(contender: Contender, requests: list[Request], people: int) -> tuple[float, list[Outcome], list[float]]:
    """Return (seconds in all, outcomes in the order of the requests, seconds to each first token)."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for at in range(len(requests)):
        waiting.put(at)
    outcomes: dict[int, Outcome] = {}
    firsts: dict[int, float] = {}

    def person() -> None:
        while True:
            try:
                at = waiting.get_nowait()
            except queue.Empty:
                return
            began = time.perf_counter()
            outcomes[at] = contender.run(requests[at])
            firsts[at] = outcomes[at].first - began

    threads = [threading.Thread(target=person) for _ in range(people)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(outcomes) < len(requests):
        raise RuntimeError(f"{contender.name}: {len(requests) - len(outcomes)} requests were not answered")
    taken = time.perf_counter() - began
    order = range(len(requests))
    return taken, [outcomes[at] for at in order], [firsts[at] for at in order]


def settings(folder: Path, precision: str) -> Generation:
    """Return the engine's settings: greedy, and with as many rows as the others have."""
    return Generation(
        model=str(folder),
        max_new_tokens=REPLY[1],
        context_tokens=CONTEXT,
        temperature=0,
        repetition_penalty=1,
        batch=ROWS,
        timeout_s=3600,
        precision=precision,
    )


def contenders(folder: Path, model: PreTrainedModel, llama_cpp: str | None) -> Iterator[Callable[[], Contender]]:
    """Yield how to begin each contender; only one lives at a time."""
    yield lambda: Sequential(model)
    yield lambda: Static(model)
    yield lambda: TransformersContinuous(model)
    if torch.cuda.is_available():
        yield lambda: Ours(settings(folder, "bf16"), "rapport bf16")
        return
    yield lambda: Ours(settings(folder, "fp32"), "rapport fp32")
    yield lambda: Ours(settings(folder, "bf16"), "rapport bf16")
    yield lambda: Ours(settings(folder, "int8"), "rapport int8")
    if importlib.util.find_spec("ctranslate2"):
        yield lambda: CTranslate2(folder)
    if llama_cpp:
        yield lambda: LlamaCpp(llama_cpp, model, ROWS, CONTEXT, torch.get_num_threads())


@contextmanager
def begun(make: Callable[[], Contender]) -> Iterator[Contender]:
    """Have a contender, warmed up, and free it."""
    contender = make()
    try:
        yield contender
    finally:
        contender.close()
        gc.collect()


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=["starter", *SHAPES], default=["starter", "random-135m"])
    parser.add_argument("--people", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--llama-cpp", metavar="PYTHON", help="an interpreter that has xllamacpp and gguf")
    parser.add_argument("--short", type=int, default=1, help="divide the number of requests by this")
    parser.add_argument("--plot", type=Path, help="draw the first model's figures there (needs matplotlib)")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    rows = []
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(name, make_model(name, Path(folder)), options)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    if options.plot:
        _draw(options.plot, rows)


def _draw(path: Path, rows: list[dict[str, Any]]) -> None:
    """Draw the first model's figures."""
    from bench.plots import Bars, draw

    model = rows[0]["model"]
    found = {(row["people"], row["engine"]): row for row in rows if row["model"] == model}
    people = sorted({count for count, _ in found})
    engines = [name for name in dict.fromkeys(name for _, name in found) if name != Sequential.name]
    alone = found[1, Sequential.name]
    series = {
        key: {name: [found[count, name][key] for count in people] for name in engines} for key in ("ratio", "first_p95")
    }
    draw(
        path,
        f"Replies of many people at once, {model} model",
        Bars(
            f"tokens/s, to one after the other\n({alone['tokens_s']:.0f} tokens/s)",
            [f"{count} people" if count > 1 else "1 person" for count in people],
            series["ratio"],
        ),
        Bars("first token, p95 s", [str(count) for count in people], series["first_p95"], log=True),
    )


def measure(name: str, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Print one model's table; return its rows."""
    on_gpu = torch.cuda.is_available()
    chat = load_chat(settings(folder, "bf16" if on_gpu else "fp32"))
    most = max(8, 2 * max(options.people) // options.short)
    requests = make_requests(most, chat.tokenizer, chat.model.config)
    print(f"\n{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, {chat.device}\n", flush=True)
    print(
        "| people | | tokens/s | to sequential | whole reply p50 s | p95 s | first token p50 s | p95 s | as generate |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    base, reference, rows = 0.0, [], []
    for make in contenders(folder, chat.model, options.llama_cpp):
        with begun(make) as contender:
            closed_loop(contender, requests[:2], 2)
            # One after the other is as fast for one person as for many, so it is measured once.
            alone = isinstance(contender, Sequential)
            for people in [1] if alone else options.people:
                print(f"{name}: {contender.name}, {people} at once", file=sys.stderr, flush=True)
                asked = requests[: max(8, 2 * people // options.short)]
                taken, outcomes, firsts = closed_loop(contender, asked, people)
                speed = sum(one.tokens for one in outcomes) / taken
                if alone:
                    base, reference = speed, [one.ids for one in outcomes]
                whole = _waits(outcomes, firsts)
                same = sum(_same(chat.tokenizer, one, ids) for one, ids in zip(outcomes, reference, strict=False))
                row = {
                    "model": name, "people": people, "engine": contender.name, "tokens_s": speed,
                    "ratio": speed / base, "whole_p50": statistics.median(whole), "whole_p95": _p95(whole),
                    "first_p50": statistics.median(firsts), "first_p95": _p95(firsts),
                }  # fmt: skip
                rows.append(row)
                print(
                    f"| {people} | {contender.name} | {speed:.0f} | {speed / base:.2f} | {row['whole_p50']:.2f} | "
                    f"{row['whole_p95']:.2f} | {row['first_p50']:.3f} | {row['first_p95']:.3f} | "
                    f"{same} of {len(reference)} |",
                    flush=True,
                )
    return rows


def _waits(outcomes: list[Outcome], firsts: list[float]) -> list[float]:
    """Return the seconds from each request to its last token."""
    return [one.done - one.first + first for one, first in zip(outcomes, firsts, strict=True)]


def _same(tokenizer: Any, outcome: Outcome, reference: list[int]) -> bool:
    if outcome.text is None:
        return outcome.ids == reference
    text: str = tokenizer.decode(reference, skip_special_tokens=True)
    return outcome.text.strip() == text.strip()


def _p95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


if __name__ == "__main__":
    main()
