"""From a Prompt to token ids: three ways to render, chosen by what the model is.

- A chat template that knows the variable ``tone`` (the starter model's) gets the tones as they are.
- Any other chat template gets the tone's guidance as a note with the last user turn: all before that turn stays
  as it was, so the work on it can be reused from turn to turn.
- An encoder-decoder without a template (BlenderBot) gets "your persona:" lines and the last turns that fit.

What a person types never becomes a control token or a role marker here: every content is defused first, and the
rendered ids are checked against the same prompt with harmless contents.
"""

import re
import threading
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from transformers import PretrainedConfig, PreTrainedTokenizerBase

from core.dialogue import PromptMessage, Tone
from core.errors import GenerationFailed
from workers.engine.shaping import NOTE_OPEN, shaped

PERSONA_LINE = "your persona: "
_SENTINEL = "sentinel%dsentinel"
_BRACKETED = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]|\{[^{}\s]+\}")
# Some templates name who speaks in plain words ("USER: ", "### Response:").
_SPEAKER = re.compile(r"(?:user|human|person|assistant|ai|bot|gpt|system|instruction|input|response):", re.IGNORECASE)
_BRACKETS = frozenset("<>[]{}|")
_JINJA_NOISE = re.compile(r"\{#.*?#\}|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_TONE_VARIABLE = re.compile(r"(?<![.\w])tone\b")


class Renderer(ABC):
    """Turns messages into the ids of one prompt. Thread-safe."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        # Fast tokenizers hold their options in shared state, which two threads must not touch at once.
        self._lock = threading.Lock()
        self._markers, self._control_ids = control_tokens(tokenizer)

    def ids(self, messages: Sequence[PromptMessage], tone: Tone) -> list[int]:
        """Return the token ids of the whole prompt, up to where the reply begins.

        Raises:
            GenerationFailed: a content would still act as a control token, or the template refuses the messages.
        """
        harmless = self._encode([message.model_copy(update={"content": "x"}) for message in messages], tone)
        # Some tokenizers look for their tokens in a folded text, where marks that only look alike are the same.
        for safe in (self.defuse, lambda content: _blunted(self.defuse(content))):
            ids = self._encode([m.model_copy(update={"content": safe(m.content)}) for m in messages], tone)
            if self._same_controls(ids, harmless):
                return ids
        raise GenerationFailed("A message holds text that this model would read as a control token.")

    def count(self, messages: Sequence[PromptMessage], tone: Tone) -> int:
        """Return how many tokens the whole prompt has; raises GenerationFailed as ``ids`` does."""
        safe = [message.model_copy(update={"content": self.defuse(message.content)}) for message in messages]
        return len(self._encode(safe, tone))

    def defuse(self, content: str) -> str:
        """Return the content with a space after the first character of each marker, so that none is left.

        Raises:
            GenerationFailed: breaking one marker keeps making another.
        """
        for _ in range(8):
            before = content
            for marker in self._markers:
                content = content.replace(marker, f"{marker[0]} {marker[1:]}")
            if content == before:
                return content
        raise GenerationFailed("A message holds control tokens that cannot be taken apart.")

    @abstractmethod
    def _encode(self, messages: Sequence[PromptMessage], tone: Tone) -> list[int]:
        """Return the ids of messages whose contents are safe."""

    def _tokenize(self, text: str) -> list[int]:
        with self._lock:
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _same_controls(self, ids: list[int], harmless: list[int]) -> bool:
        controls = self._control_ids
        return [i for i in ids if i in controls] == [i for i in harmless if i in controls]


class TemplateRenderer(Renderer):
    """Renders with the model's own chat template."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(tokenizer)
        template = _JINJA_NOISE.sub("", tokenizer.get_chat_template())
        self._knows_tone = bool(_TONE_VARIABLE.search(template))
        self._takes_system = self._shows("system", "user")
        self._takes_reply_first = self._shows("assistant", "user")
        notes = set() if self._knows_tone else {NOTE_OPEN}
        self._markers = by_length([*{*self._markers, *self._scaffold(), *notes}])

    def _encode(self, messages: Sequence[PromptMessage], tone: Tone) -> list[int]:
        if not self._knows_tone:
            messages = shaped(messages, tone, system=self._takes_system, reply_first=self._takes_reply_first)
        try:
            return self._tokenize(self._render(messages, tone))
        except Exception as error:  # a template raises what it likes
            raise GenerationFailed(f"The model's chat template refuses this conversation: {error}") from error

    def _render(self, messages: Sequence[PromptMessage], tone: Tone) -> str:
        rows = [{"role": m.role, "content": m.content, **({"tone": m.tone} if m.tone else {})} for m in messages]
        # Models that can think aloud before they speak (Qwen3) would have people read it; other templates ignore this.
        variables: dict[str, Any] = {"enable_thinking": False}
        if self._knows_tone:
            variables["tone"] = tone.name
        text = self._tokenizer.apply_chat_template(rows, tokenize=False, add_generation_prompt=True, **variables)
        assert isinstance(text, str)
        return text

    def _shows(self, *roles: str) -> bool:
        """Does the template render these roles, each with its content?"""
        try:
            text = self._render(_sentinels(*roles), Tone(name="plain", guidance=""))
        except Exception:  # templates raise their own errors, and jinja's, for roles they do not take
            return False
        return all(_SENTINEL % at in text for at in range(len(roles)))

    def _scaffold(self) -> set[str]:
        """Return what the template itself writes around contents and what begins like a role marker."""
        found: set[str] = set()
        for roles in (("system", "user", "assistant", "user"), ("user", "assistant", "user"), ("user",)):
            try:
                text = self._render(_sentinels(*roles), Tone(name="plain", guidance=""))
            except Exception:
                continue
            for piece in re.sub(r"sentinel\d+sentinel", " ", text).split():
                candidates = [piece, *_BRACKETED.findall(piece)]
                found |= {one for one in candidates if (one[0] in "<[{#|" and len(one) > 1) or _SPEAKER.fullmatch(one)}
        return found


class PersonaRenderer(Renderer):
    """Renders for encoder-decoders such as BlenderBot: persona lines, then the last turns that fit.

    The form is the one BlenderBot was trained on (Roller et al. 2020, https://arxiv.org/abs/2004.13637): facts
    about the speaker as "your persona:" lines, turns joined by two spaces.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, limit: int) -> None:
        super().__init__(tokenizer)
        self._limit = limit

    def _encode(self, messages: Sequence[PromptMessage], tone: Tone) -> list[int]:
        system = " ".join(m.content for m in messages if m.role == "system")
        end = [] if self._tokenizer.eos_token_id is None else [self._tokenizer.eos_token_id]
        head = self._tokenize(f" {PERSONA_LINE}my tone is {tone.name}.")
        for fact in _facts(system):
            line = self._piece(PERSONA_LINE + fact)
            if len(head) + len(line) > self._limit // 3:  # the conversation needs the room more
                break
            head += line
        room = self._limit - len(head) - len(end)
        turns: list[int] = []
        for message in reversed([m for m in messages if m.role != "system"]):
            piece = self._piece(" ".join(message.content.split()))
            if len(piece) > room:
                if not turns:
                    turns = piece[-room:]
                break
            turns = piece + turns
            room -= len(piece)
        return head + turns + end

    def _piece(self, text: str) -> list[int]:
        # The model's tokens carry their leading space; two make its separator.
        return self._tokenize("  " + text)


def renderer_for(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> Renderer:
    """Return the renderer that fits a model; a causal model must have a chat template."""
    if tokenizer.chat_template:
        return TemplateRenderer(tokenizer)
    return PersonaRenderer(tokenizer, encoder_limit(tokenizer, config))


def encoder_limit(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> int:
    """Return how many tokens an encoder-decoder's encoder takes; 512 for those with relative positions."""
    positions = getattr(config, "max_position_embeddings", None) or 512
    return int(min(tokenizer.model_max_length, positions))


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[list[str], frozenset[int]]:
    """Return the texts (longest first) and ids of the tokens that stand outside ordinary text.

    Single characters and runs of blanks, which some vocabularies list as added tokens, carry no role.
    """
    added = {index: token.content for index, token in tokenizer.added_tokens_decoder.items()}
    added |= dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    marked = {index: text for index, text in added.items() if len(text.strip()) > 1}
    # Ordinary text may hold characters that the vocabulary lacks.
    ids = frozenset(marked) - {tokenizer.unk_token_id}
    return by_length(list({text.strip() for text in marked.values()})), ids


def by_length(texts: list[str]) -> list[str]:
    """Return the texts longest first, so that a marker is met before a shorter one inside it."""
    return sorted(texts, key=lambda text: (-len(text), text))


def _blunted(content: str) -> str:
    """Return the content with a blank for everything that looks like a bracket or a bar."""
    return "".join(" " if unicodedata.normalize("NFKC", c) in _BRACKETS else c for c in content)


def _sentinels(*roles: str) -> list[PromptMessage]:
    return [PromptMessage.model_validate({"role": role, "content": _SENTINEL % at}) for at, role in enumerate(roles)]


def _facts(system: str) -> list[str]:
    """Return the sentences of a system message that say who the bot is, in the first person."""
    sentences = re.split(r"(?<=[.!?])\s+", " ".join(system.split()))
    return [re.sub(r"^You are\b", "I am", one).replace("You ", "I ", 1) for one in sentences if one.startswith("You ")]
