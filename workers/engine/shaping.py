"""How a prompt is put to a chat model that has not learnt Rapport's tones: the note on tone, the order of roles.

Knows no model and no tokenizer, as engines that run elsewhere need it, too. How it becomes ids is in prompting.py.
"""

import re
from collections.abc import Sequence

from core.dialogue import PromptMessage, Tone

NOTE_OPEN = "[Note on tone, not from the person:"
# The control tokens and role markers of open chat models, as their templates write them.
_FOREIGN_MARKER = re.compile(
    r"<(?=[|｜])|(?<=[|｜])>"  # ChatML, Llama 3, Phi, GLM, DeepSeek
    r"|<(?=/?(?:s|bos|eos|pad|unk|think|(?:start|end)_of_turn|tool_call|tool_response)>)"  # Gemma, Llama 2, Qwen
    r"|\[(?=/?[A-Z_]{3,}\])"  # Mistral
    r"|<(?=</?SYS>>)"
    rf"|\[(?={re.escape(NOTE_OPEN[1:])})"
)


def shaped(messages: Sequence[PromptMessage], tone: Tone, *, system: bool, reply_first: bool) -> list[PromptMessage]:
    """Return the messages in the form that strict templates demand, with the guidance as a note at their end.

    Roles alternate. Without ``system`` a system message is said by the user, without ``reply_first`` the bot's words
    before the first user message are left out. All before the last user message stays as it was the turn before, so
    that the work on it can be reused.
    """
    done: list[PromptMessage] = []
    for message in messages:
        if message.role == "system" and not system:
            message = message.model_copy(update={"role": "user"})
        if not done and message.role == "assistant" and not reply_first:
            continue
        if done and done[-1].role == message.role:
            joined = f"{done.pop().content}\n\n{message.content}"
            message = message.model_copy(update={"content": joined})
        done.append(message)
    if done and done[-1].role == "user":
        noted = f"{done[-1].content}\n\n{NOTE_OPEN} {tone.guidance}]"
        done[-1] = done[-1].model_copy(update={"content": noted})
    return done


def defused(content: str) -> str:
    """Return the content with blanks in whatever could be a marker of a model of which nothing is known."""
    return _FOREIGN_MARKER.sub(lambda found: f" {found[0]}" if found[0] == ">" else f"{found[0]} ", content)
