"""Train the starter chat model from nothing, in three stages.

    python -m training.train_chat --data DATA --out RUN --stage broad --steps 3000
    python -m training.train_chat --data DATA --out RUN --stage voice --steps 400
    python -m training.train_chat --data DATA --out RUN --stage everyday --steps 260
    python -m training.export_chat --run RUN --out models/starter-chat

Stage one (broad) teaches how people talk at a constant learning rate; stage two (voice) teaches how Rapport talks
while the rate falls to nothing: its first half how it writes at its best, its second half what it says every day too.
Stage three (everyday) is short and drills the everyday messages. A run can be stopped and started again: it goes on
from its last checkpoint.
Hidden matrices are trained with Muon (https://kellerjordan.github.io/posts/muon/), the rest with AdamW.
"""

import argparse
import itertools
import json
import math
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: other work may share the cores

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from training import corpus
from training.template import ASSISTANT, BEGIN, CHAT_TEMPLATE, CONTROL_TOKENS, END, PAD, TONE, USER

VOCABULARY = 8192
CONTEXT = 512
ROWS = 16  # x CONTEXT = tokens a step
SEED = 20261121
# By stage, in this order; the steps of a stage are shared out evenly.
MIXES = {
    "broad": [corpus.broad_talk],
    "voice": [corpus.own_voice, corpus.everyday_voice],
    "everyday": [corpus.everyday_drill],
}


def train_tokenizer(data: Path) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE of VOCABULARY entries, learnt from the training conversations."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=CONTROL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (line.text for one in corpus.broad_talk(data, random.Random(SEED)) for line in one.lines)
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[USER, ASSISTANT, TONE],
        model_max_length=CONTEXT,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def encode(
    conversations: list[corpus.Conversation], tokenizer: PreTrainedTokenizerFast, replies_only: bool
) -> list[tuple[list[int], list[bool]]]:
    """Return (token ids, learn from this token?) for each conversation, in the template's form, without BEGIN."""
    vocabulary = tokenizer.get_vocab()
    special = {token: vocabulary[token] for token in CONTROL_TOKENS}
    texts = [line.text for one in conversations for line in one.lines]
    ids_of_text: Iterator[list[int]] = iter(tokenizer(texts, add_special_tokens=False).input_ids)
    tones = {tone: tokenizer(tone, add_special_tokens=False).input_ids for tone in _tones(conversations)}
    encoded = []
    for one in conversations:
        ids: list[int] = []
        learn: list[bool] = []
        for line in one.lines:
            if line.role == "user":
                head = [special[USER]]
            else:
                head = [*([special[TONE], *tones[line.tone]] if line.tone else []), special[ASSISTANT]]
            body = [*next(ids_of_text), special[END]]
            ids += head + body
            learn += [False] * len(head) + [line.role == "assistant" or not replies_only] * len(body)
        encoded.append((ids, learn))
    return encoded


def _tones(conversations: list[corpus.Conversation]) -> set[str]:
    return {line.tone for one in conversations for line in one.lines if line.tone}


def rows(
    encoded: list[tuple[list[int], list[bool]]], begin: int, rng: random.Random
) -> Iterator[tuple[list[int], list[int]]]:
    """Pack conversations into rows of CONTEXT + 1 (ids, labels), for ever, in a new order each time round.

    Half of the joins carry no BEGIN: a person who comes back goes on in the same history.
    """
    ids: list[int] = []
    labels: list[int] = []
    while True:
        for one, learn in rng.sample(encoded, len(encoded)):
            fresh = not ids or rng.random() < 0.5
            ids += [begin] * fresh + one
            labels += [-100] * fresh + [token if on else -100 for token, on in zip(one, learn, strict=True)]
            if len(ids) > CONTEXT:
                yield ids[: CONTEXT + 1], labels[: CONTEXT + 1]
                ids, labels = [], []  # a conversation that was cut is not continued without its beginning


def batches(source: Iterator[tuple[list[int], list[int]]]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (ids, labels), both int64 [ROWS, CONTEXT + 1]."""
    while True:
        picked = list(itertools.islice(source, ROWS))
        yield torch.tensor([ids for ids, _ in picked]), torch.tensor([labels for _, labels in picked])


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return the starter's shape, freshly initialised: 12.5 million parameters."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=320,
        intermediate_size=864,
        num_hidden_layers=8,
        num_attention_heads=5,
        num_key_value_heads=5,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Return Muon for the hidden matrices and AdamW for the rest."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=0.02, weight_decay=0.02, momentum=0.95),
        torch.optim.AdamW(others, lr=2e-3, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


def main() -> None:
    """Run one stage."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--data", type=Path, required=True, help="folder with dialogue/*.jsonl.gz")
    args.add_argument("--out", type=Path, required=True, help="folder of this run: tokenizer, checkpoints, log")
    args.add_argument("--stage", choices=list(MIXES), required=True)
    args.add_argument("--steps", type=int, required=True, help="steps of this stage, of 8,192 tokens each")
    args.add_argument("--threads", type=int, default=os.cpu_count())
    options = args.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    options.out.mkdir(parents=True, exist_ok=True)

    if (options.out / "tokenizer").exists():
        tokenizer = PreTrainedTokenizerFast.from_pretrained(options.out / "tokenizer")
    else:
        tokenizer = train_tokenizer(options.data)
        tokenizer.save_pretrained(options.out / "tokenizer")
    model = new_model(tokenizer)
    opts = optimizers(model)
    start = _resume(options.out, options.stage, model, opts)

    if start >= options.steps:
        print(f"{options.out / options.stage}.pt is at step {start} already; delete it to run the stage again")
    rng = random.Random(f"{SEED}/{options.stage}/{start}")
    falling = options.stage != "broad"
    parts = [
        batches(rows(encode(mix(options.data, rng), tokenizer, replies_only=falling), tokenizer.bos_token_id, rng))
        for mix in MIXES[options.stage]
    ]
    held_out = encode(list(corpus.read(options.data, "rapport_written", "valid")), tokenizer, replies_only=True)
    valid = next(batches(rows(held_out, tokenizer.bos_token_id, random.Random(SEED))))

    def loss_of(ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
            logits = model.lm_head(hidden)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels[:, 1:].flatten())

    fast_loss = torch.compile(loss_of)
    log = (options.out / "log.jsonl").open("a")
    began = time.monotonic()
    for step in range(start, options.steps):
        for optimizer, peak in zip(opts, (0.02, 2e-3), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * _schedule(step, options.steps, options.stage)
        loss = fast_loss(*next(parts[step * len(parts) // options.steps]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in opts:
            optimizer.step()
            optimizer.zero_grad()
        if step % 10 == 9:
            speed = (step + 1 - start) * ROWS * CONTEXT / (time.monotonic() - began)
            left = (options.steps - step - 1) * ROWS * CONTEXT / speed / 60
            print(
                f"{options.stage} {step + 1}/{options.steps} loss {loss.item():.3f} "
                f"{speed:.0f} tokens/s, {left:.0f} min left",
                flush=True,
            )
        if step % 50 == 49 or step + 1 == options.steps:
            with torch.no_grad():
                valid_loss = loss_of(*valid).item()
            print(f"{options.stage} {step + 1} valid loss {valid_loss:.3f}", flush=True)
            log.write(
                json.dumps({"stage": options.stage, "step": step + 1, "loss": loss.item(), "valid": valid_loss}) + "\n"
            )
            log.flush()
            _save(options.out, options.stage, step + 1, model, opts)


def _schedule(step: int, steps: int, stage: str) -> float:
    """Factor on the learning rate: warm up, then hold (broad), or fall to nothing as a cosine (the others)."""
    if stage == "broad":
        return min(1.0, (step + 1) / 100)
    peak = 0.5 if stage == "voice" else 0.3
    return peak * (1 + math.cos(math.pi * step / steps)) / 2


def _save(out: Path, stage: str, step: int, model: LlamaForCausalLM, opts: list[torch.optim.Optimizer]) -> None:
    state = {"step": step, "model": model.state_dict(), "opts": [o.state_dict() for o in opts]}
    torch.save(state, out / f"{stage}.tmp")
    (out / f"{stage}.tmp").rename(out / f"{stage}.pt")


def _resume(out: Path, stage: str, model: LlamaForCausalLM, opts: list[torch.optim.Optimizer]) -> int:
    """Load the last checkpoint of this stage, else of the stage before; return the step to go on from."""
    for candidate in reversed(list(MIXES)[: list(MIXES).index(stage) + 1]):
        if (out / f"{candidate}.pt").exists():
            state = torch.load(out / f"{candidate}.pt")
            model.load_state_dict(state["model"])
            for optimizer, saved in zip(opts, state["opts"], strict=True):
                optimizer.load_state_dict(saved)
            return int(state["step"]) if candidate == stage else 0
    return 0


if __name__ == "__main__":
    main()
