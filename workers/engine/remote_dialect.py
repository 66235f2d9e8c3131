"""What is sent to an OpenAI-compatible server. All of them understand the same request but for small things.

Which of the small things a server does not take it says itself, and then the dialect is changed (``adapted``). Pure.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.dialogue import PromptMessage, Tone
from workers.engine.remote_faults import Fault
from workers.engine.shaping import NOTE_OPEN, defused, shaped

# English has four to five bytes a token, most other languages two to four: this errs on the safe side for nearly all.
BYTES_A_TOKEN = 3
TOKENS_A_MESSAGE = 8  # the template's own around each
_OPTIONAL = ("stream_options", "temperature", "top_p")
_NO_SYSTEM = re.compile(r"system.{0,3}(role|message|prompt|instruction)|role\W{1,4}system|alternat", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """How a server wants to be asked: ``limit`` is what it calls the longest reply, ``left_out`` what it refuses."""

    system: bool = True
    limit: str = "max_tokens"
    left_out: frozenset[str] = frozenset()

    def request(
        self, messages: Sequence[PromptMessage], tone: Tone, limit: int, temperature: float, top_p: float
    ) -> dict[str, Any]:
        """Return the arguments of a streamed chat completion of at most ``limit`` tokens.

        The messages carry the guidance of the tone as local models get it (shaping.py), and nothing that a person
        wrote can be read as a control token of the common models.
        """
        safe = [message.model_copy(update={"content": defused(message.content)}) for message in messages]
        said = shaped(safe, tone, system=self.system, reply_first=True)
        wanted = {
            "messages": [{"role": message.role, "content": message.content} for message in said],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": temperature,
            "top_p": top_p,
            self.limit: limit,
        }
        return {name: value for name, value in wanted.items() if name not in self.left_out}

    def adapted(self, fault: Fault) -> "Dialect | None":
        """Return a dialect without what the server has refused, or None if it is not clear what that was."""
        if self.limit == "max_tokens" and "max_completion_tokens" in fault.text:
            return replace(self, limit="max_completion_tokens")
        for name in _OPTIONAL:
            if name not in self.left_out and (fault.param == name if fault.param else name in fault.text):
                return replace(self, left_out=self.left_out | {name})
        if self.system and _NO_SYSTEM.search(fault.text):
            return replace(self, system=False)
        return None


def estimated_tokens(messages: Sequence[PromptMessage], tone: Tone) -> int:
    """Return about how many tokens a prompt has, rather too many: the server's tokenizer is not here."""
    texts = [message.content for message in messages] + [f"{NOTE_OPEN} {tone.guidance}]"]
    return sum(math.ceil(len(text.encode("utf-8", "replace")) / BYTES_A_TOKEN) + TOKENS_A_MESSAGE for text in texts)
