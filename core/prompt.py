"""From persona, tone and history to the model's input, within its token budget. Pure: the counter is passed in.

How a Prompt becomes tokens is the engine's business (workers/engine/prompting.py).
"""

from collections.abc import Callable, Sequence

from core.dialogue import Address, Prompt, PromptMessage, Tone, Turn

CountTokens = Callable[[Sequence[PromptMessage], Tone], int]
CUT = " ... "


def visible_turns(history: Sequence[Turn], address: Address) -> list[Turn]:
    """Return the turns that a reply to this address may draw on, since /new was last said.

    In a direct conversation these are all of the person's turns; in a shared place only those from that same
    place, so that what was said in private never surfaces in public.
    """
    since = max((at + 1 for at, turn in enumerate(history) if turn.role == "break"), default=0)
    return [turn for turn in history[since:] if address.direct or _same_place(turn.address, address)]


def build_prompt(
    *,
    persona: str,
    tone: Tone,
    turns: Sequence[Turn],
    text: str,
    count_tokens: CountTokens,
    budget: int,
) -> Prompt:
    """Return the prompt for a reply to ``text`` after ``turns``, of at most ``budget`` tokens.

    The oldest turns go first and a quarter at a time: the beginning of the prompt then stays the same over many
    turns and can be reused. A text too long on its own loses its middle. Turns of the same role that follow each
    other become one message, as chat templates want them to alternate.
    """
    system = [PromptMessage(role="system", content=persona)] if persona else []
    past = _alternating(turns)

    def prompt_of(kept: Sequence[PromptMessage], said: str) -> list[PromptMessage]:
        if kept and kept[-1].role == "user":
            *kept, last = kept
            said = f"{last.content}\n{said}"
        return [*system, *kept, PromptMessage(role="user", content=said)]

    while past and count_tokens(prompt_of(past, text), tone) > budget:
        past = past[max(2, len(past) // 4) :]
        while past and past[0].role == "assistant":
            past = past[1:]
    if not past:
        text = _shortened(text, lambda said: count_tokens(prompt_of([], said), tone) <= budget)
    return Prompt(messages=tuple(prompt_of(past, text)), tone=tone)


def _same_place(one: Address, other: Address) -> bool:
    return (one.channel, one.space, one.direct) == (other.channel, other.space, other.direct)


def _alternating(turns: Sequence[Turn]) -> list[PromptMessage]:
    messages: list[PromptMessage] = []
    for turn in turns:
        if turn.role == "break":
            continue
        if messages and messages[-1].role == turn.role:
            joined = f"{messages[-1].content}\n{turn.text}"
            messages[-1] = PromptMessage(role=turn.role, content=joined, tone=turn.tone)
        elif messages or turn.role == "user":
            messages.append(PromptMessage(role=turn.role, content=turn.text, tone=turn.tone))
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
