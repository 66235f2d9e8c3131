"""From persona, tone and history to the model's input, within its token budget. Pure: the counter is passed in.

How a Prompt becomes tokens is the engine's business (workers/engine/prompting.py).
"""

import zlib
from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import datetime

from core.dialogue import Address, Prompt, PromptMessage, Tone, Turn

CountTokens = Callable[[Sequence[PromptMessage], Tone], int]
Dated = tuple[PromptMessage, datetime]
CUT = " ... "


def visible_turns(history: Sequence[Turn], address: Address) -> list[Turn]:
    """Return the turns that a reply to this address may draw on, since /new was last said.

    In a direct conversation these are all of the person's turns; in a shared place only those from that same
    place, so that what was said in private never surfaces in public.
    """
    since = max((at + 1 for at, turn in enumerate(history) if turn.role == "break"), default=0)
    here = (turn for turn in history[since:] if address.direct or _same_place(turn.address, address))
    return [turn for turn in here if not turn.failed]


def build_prompt(
    *,
    persona: str,
    tone: Tone,
    turns: Sequence[Turn],
    text: str,
    count_tokens: CountTokens,
    budget: int,
    cut: bool = False,
) -> Prompt:
    """Return the prompt for a reply to ``text`` after ``turns``, of at most ``budget`` tokens.

    The oldest turns go first, several at a time (see ``_anchored``); ``cut`` says that older ones were left out
    already, one after the other. A text too long on its own loses its middle.
    Turns of the same role that follow each other become one message, as chat templates want them to alternate.
    """
    system = [PromptMessage(role="system", content=persona)] if persona else []
    past = _alternating(turns)

    def prompt_from(start: int, said: str) -> list[PromptMessage]:
        kept = [message for message, _ in past[start:]]
        if kept and kept[-1].role == "user":
            said = f"{kept.pop().content}\n{said}"
        return [*system, *kept, PromptMessage(role="user", content=said)]

    def fits(start: int, said: str = text) -> bool:
        return count_tokens(prompt_from(start, said), tone) <= budget

    start = 0 if fits(0) and not cut else _anchored(past, fits)
    if start == len(past):
        text = _shortened(text, lambda said: fits(start, said))
    return Prompt(messages=tuple(prompt_from(start, text)), tone=tone)


def refit(prompt: Prompt, count_tokens: CountTokens, budget: int) -> Prompt:
    """Return a prompt made for one model so that it fits another: without its oldest turns, if need be.

    System messages stay. A last message too long on its own loses its middle.
    """
    system = [message for message in prompt.messages if message.role == "system"]
    said = [message for message in prompt.messages if message.role != "system"]
    begins = [at for at, message in enumerate(said) if message.role == "user"]

    def fits(start: int) -> bool:
        return count_tokens([*system, *said[start:]], prompt.tone) <= budget

    def last_fits(text: str) -> bool:
        return count_tokens([*system, last.model_copy(update={"content": text})], prompt.tone) <= budget

    first = bisect_left(begins, True, key=fits)
    if first < len(begins):
        return Prompt(messages=(*system, *said[begins[first] :]), tone=prompt.tone) if begins[first] else prompt
    last = said[-1]
    short = last.model_copy(update={"content": _shortened(last.content, last_fits)})
    return Prompt(messages=(*system, short), tone=prompt.tone)


def _anchored(past: Sequence[Dated], fits: Callable[[int], bool]) -> int:
    """Return where to begin so that the prompt fits: at an anchor if one fits, else at any user message.

    Every fourth user message or so is an anchor, by its date. The beginning then stays the same until its anchor
    no longer fits, whatever falls off the end of the history, so an engine can reuse the prompt's prefix.
    """
    begins = [at for at, (message, _) in enumerate(past) if message.role == "user"]
    first = bisect_left(begins, True, key=fits)
    fitting = begins[first:]
    anchors = (at for at in fitting if zlib.crc32(past[at][1].isoformat().encode()) % 4 == 0)
    return next(anchors, fitting[0] if fitting else len(past))


def _same_place(one: Address, other: Address) -> bool:
    return (one.channel, one.space, one.direct) == (other.channel, other.space, other.direct)


def _alternating(turns: Sequence[Turn]) -> list[Dated]:
    messages: list[Dated] = []
    for turn in turns:
        if turn.role == "break":
            continue
        if messages and messages[-1][0].role == turn.role:
            last, at = messages[-1]
            joined = PromptMessage(role=turn.role, content=f"{last.content}\n{turn.text}", tone=turn.tone)
            messages[-1] = (joined, at)
        elif messages or turn.role == "user":
            # Not validated again: the turn was, and there are dozens for each reply.
            said = PromptMessage.model_construct(role=turn.role, content=turn.text, tone=turn.tone)
            messages.append((said, turn.at))
    return messages


def _shortened(text: str, fits: Callable[[str], bool]) -> str:
    """Return the text, or as much of its beginning and end as fits."""
    if fits(text):
        return text
    low, high = 0, len(text) // 2
    while low < high:
        half = (low + high + 1) // 2
        if fits(text[:half] + CUT + text[-half:]):
            low = half
        else:
            high = half - 1
    return text[:low] + CUT + text[len(text) - low :]
