"""The scheduler without its thread: tests say what arrives and leaves at which step."""

import time
from collections.abc import Sequence

import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from core.sections import Generation as GenerationSettings
from tests.workers.engine import tiny
from workers.engine.judge import Judge
from workers.engine.line import Line
from workers.engine.loading import LoadedChat
from workers.engine.passes import slot_model
from workers.engine.request import Generation, Wish
from workers.engine.scheduler import Scheduler

TOKENIZER = tiny.starter_tokenizer()
CONTEXT = 160


class Steps:
    """A scheduler on a model, driven by hand. ``passes`` lists (rows, width) of each pass of the model."""

    def __init__(self, model: PreTrainedModel, rows: int = 4, portion: int = 24, penalty: float = 1.0) -> None:
        chat = LoadedChat(model, TOKENIZER, torch.device("cpu"), encoder_decoder=False)
        settings = GenerationSettings(device="cpu", batch=rows, temperature=0)
        slots = slot_model(chat, settings, CONTEXT)
        assert slots is not None, "this model is not run token by token"
        self.model = model
        self.slots = slots.slots
        self.line = Line(5000)
        self.judge = Judge(chat)
        self.ends = frozenset({2, 20, 45, 70})
        self.scheduler = Scheduler(slots, TOKENIZER, self.line, self.judge, self.ends, penalty, portion)
        self.passes: list[tuple[int, int]] = []
        read = slots.read

        def noted(first: int, chunks: Sequence[list[int]]) -> torch.Tensor:
            self.passes.append((len(chunks), max(map(len, chunks))))
            return read(first, chunks)

        slots.read = noted  # type: ignore[method-assign]

    def ask(self, ids: list[int], limit: int = 12, person: str = "", **wish: object) -> Generation:
        values = {"limit": limit, "temperature": 0.0, "top_p": 1.0, **wish}
        one = Generation(ids, Wish(**values), time.monotonic() + 60, None, person)  # type: ignore[arg-type]
        self.line.put(one)
        return one

    def step(self) -> None:
        self.line.drop_ended()
        self.scheduler.step()

    def run(self) -> None:
        while self.scheduler.busy or len(self.line):
            self.step()

    def alone(self, ids: list[int], limit: int) -> list[int]:
        """What plain generate writes, without the end token."""
        asked = torch.tensor([ids])
        with torch.inference_mode():
            out = self.model.generate(  # type: ignore[operator]
                input_ids=asked,
                attention_mask=torch.ones_like(asked),
                max_new_tokens=limit,
                do_sample=False,
                eos_token_id=sorted(self.ends),
                pad_token_id=0,
            )
        written: list[int] = out[0, len(ids) :].tolist()
        return written[:-1] if written[-1] in self.ends else written


def text(ids: list[int]) -> str:
    return str(TOKENIZER.decode(ids, skip_special_tokens=True)).strip()


def shaped(kind: str) -> PreTrainedModel:
    """A tiny model with random weights of the shape of a known family."""
    if kind == "llama":
        return tiny.llama(TOKENIZER)
    torch.manual_seed(1)
    size = {
        "vocab_size": len(TOKENIZER),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.3,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    model: PreTrainedModel
    if kind == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(**size))
    elif kind == "mistral":  # every layer with a window, shorter than the prompts
        model = MistralForCausalLM(MistralConfig(**size, sliding_window=16))
    elif kind == "gemma3":  # layers with and without a window, and heads of another size
        layers = ["sliding_attention", "full_attention", "sliding_attention"]
        model = Gemma3ForCausalLM(Gemma3TextConfig(**size, sliding_window=16, layer_types=layers, head_dim=12))
    else:
        own = {"vocab_size": len(TOKENIZER), "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 512}
        model = GPT2LMHeadModel(GPT2Config(**own, initializer_range=0.3, bos_token_id=1, eos_token_id=2))
    return model.eval()
