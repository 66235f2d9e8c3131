"""The real worker with the starter models and too little memory: ``celery -A tests.crash.starved_worker worker``.

The file that CRASH_MEMORY names holds how many rows a pass of the chat model may have; without it, any number.
"""

import os
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaForCausalLM

from workers.app import app

__all__ = ["app"]
MEMORY = Path(os.environ["CRASH_MEMORY"])
whole_forward = LlamaForCausalLM.forward


def forward(self: LlamaForCausalLM, input_ids: torch.Tensor, **rest: Any) -> Any:
    if MEMORY.exists() and len(input_ids) > int(MEMORY.read_text() or 0):
        raise torch.OutOfMemoryError("out of memory")
    return whole_forward(self, input_ids=input_ids, **rest)


replaceable: Any = LlamaForCausalLM
replaceable.forward = forward
