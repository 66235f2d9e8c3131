"""After a failure: is it the request, the memory or the model that is at fault? And when to give up."""

import logging
from typing import Any

import torch

from core.errors import EngineBroken, EngineError, GenerationFailed
from workers.engine.loading import LoadedChat

log = logging.getLogger(__name__)

# After so many failures in a row, each with the model failing its own check too, the engine gives up.
_FAILURES = 3


class Judge:
    """Counts failures. ``broken`` says why the engine cannot go on, once that is so."""

    def __init__(self, chat: LoadedChat) -> None:
        self._chat = chat
        self._failures = 0
        self.broken: str | None = None

    def well(self) -> None:
        """The model has worked."""
        self._failures = 0

    def blame(self, error: Exception) -> EngineError:
        """Return what to answer a request with that failed alone, after looking at the model."""
        log.error("a generation failed", exc_info=error)
        try:
            if out_of_memory(error):
                free_memory()
            self._check()
        except Exception as failure:
            self._failures += 1
            if self._failures >= _FAILURES:
                log.critical("the chat engine is broken: %s", first_line(failure))
                self.broken = f"The chat model failed {_FAILURES} times in a row: {first_line(failure)}"
        else:
            self._failures = 0
        if self.broken:
            return EngineBroken(self.broken)
        return GenerationFailed(f"The model failed on this request: {first_line(error)}")

    def _check(self) -> None:
        """Run the model on one token; whatever this raises shows that the model itself is at fault."""
        model: Any = self._chat.model
        ids = torch.tensor([[self._chat.tokenizer.eos_token_id or 0]], device=self._chat.device)
        with torch.inference_mode():
            output = model(input_ids=ids, **({"decoder_input_ids": ids} if self._chat.encoder_decoder else {}))
            if not output.logits[:, -1].amax().isfinite():
                raise ArithmeticError("its scores are no numbers")


def out_of_memory(error: Exception) -> bool:
    """Has the device, or the machine, run out of memory?"""
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)  # the latter: CPU


def free_memory() -> None:
    """Give back what torch keeps for later."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, or its kind."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
