"""The ledger: what was said, what the histories hold, what people heard, and what of it does not fit together.

Each message names its writer and counts: "ada-007". The scripted model repeats what was said, so that every history
and every reply can be compared with what it must be, word for word.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.dialogue import Turn
from core.store import Store
from core.store.inbox import read_turn
from tests.crash.people import Heard
from tests.platforms.base import Double

NUMBER = re.compile(r"[a-z]+\d*-\d{3}")
# At the end of each answer, so that one that is torn can be told from a whole one.
END = "."
MARK = "↻"


def reply_to(said: str) -> str:
    """Return what the scripted model says; its end tells a whole reply from a torn one."""
    return f"I heard you say: {said}{END}"


@dataclass
class Ledger:
    """``failed``: answered with the apology, and a dead letter. Everything below it must be empty."""

    messages: int = 0
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.reordered or self.wrong)

    def __str__(self) -> str:
        parts = [f"{self.messages} messages, {self.answered} answered, {len(self.failed)} failed visibly"]
        for name in ("lost", "doubled", "reordered", "wrong"):
            if found := getattr(self, name):
                parts.append(f"{name}: {found[:5]}{' ...' if len(found) > 5 else ''}")
        return "; ".join(parts)


def read(
    store: Store, said: Mapping[str, Sequence[str]], heard: Mapping[str, Sequence[Heard]], *, ordered: bool = True
) -> Ledger:
    """Compare. ``ordered``: whether the order in which a person's messages came in is known."""
    ledger = Ledger(messages=sum(map(len, said.values())))
    letters = "\n".join(raw for letter in store.letters.all() for raw in letter.events)
    histories = _histories(store)
    for person, texts in said.items():
        turns = histories.get(person, [])
        replies = _check_history(person, texts, turns, letters, ledger, ordered=ordered)
        for text in texts:
            _check_heard(text, heard.get(text, ()), replies, ledger)
    return ledger


def _histories(store: Store) -> dict[str, list[Turn]]:
    """Return each person's turns, by the name that their messages begin with."""
    found: dict[str, list[Turn]] = {}
    for key in store.redis.scan_iter("rapport:history:*"):
        turns = [turn for raw in store.redis.lrange(key, 0, -1) if (turn := read_turn(raw))]
        if name := next((match[0] for turn in turns if (match := NUMBER.search(turn.text))), None):
            found[name.partition("-")[0]] = turns
    return found


def _check_history(
    person: str, texts: Sequence[str], turns: Sequence[Turn], letters: str, ledger: Ledger, *, ordered: bool
) -> dict[str, str]:
    """Return the reply's text by the message that it answers ("" for those that failed)."""
    replies: dict[str, str] = {}
    kept: list[str] = []
    for number, turn in enumerate(turns):
        if turn.role != "user":
            continue
        lines = turn.text.split("\n")
        kept += lines
        following = turns[number + 1] if number + 1 < len(turns) else None
        if turn.failed:
            ledger.failed += lines
            ledger.wrong += [f"{line} failed and is no dead letter" for line in lines if f'"{line}"' not in letters]
            replies |= dict.fromkeys(lines, "")
        elif following is None or following.role != "assistant":
            ledger.wrong.append(f"{turn.text} stands in the history without a reply")
        else:
            if following.text != reply_to(turn.text):
                ledger.wrong.append(f"{turn.text!r} has the reply {following.text!r}")
            ledger.answered += len(lines)
            replies |= dict.fromkeys(lines, following.text)
    _compare(person, texts, kept, ledger, ordered=ordered)
    return replies


def _compare(person: str, texts: Sequence[str], kept: Sequence[str], ledger: Ledger, *, ordered: bool) -> None:
    times = Counter(kept)
    ledger.lost += [text for text in texts if not times[text]]
    ledger.doubled += [text for text, count in times.items() if count > 1]
    ledger.wrong += [f"{text} was never said by {person}" for text in times if text not in set(texts)]
    if ordered:
        said_at = {text: number for number, text in enumerate(texts)}
        furthest = -1
        for text in dict.fromkeys(kept):
            if said_at.get(text, furthest) < furthest:
                ledger.reordered.append(text)
            furthest = max(furthest, said_at.get(text, furthest))


def _check_heard(text: str, heard: Sequence[Heard], replies: Mapping[str, str], ledger: Ledger) -> None:
    """What was heard must be what stands in the history; who was cut off may have heard nothing."""
    if len({(one.reply, one.text) for one in heard}) > 1:
        ledger.doubled.append(f"{text} (heard {[one.text for one in heard]})")
    for one in heard:
        kept = replies.get(text)
        if (one.reason == "failed") != (kept == "") or (one.reason != "failed" and one.text != kept):
            ledger.wrong.append(f"{text}: heard {one.text!r} ({one.reason}), the history says {kept!r}")


@dataclass
class Posts:
    """What people see on a network: how often each number is answered in whole, how many answers are torn or marked."""

    whole: Counter[str]
    torn: int
    marked: int

    @classmethod
    def of(cls, double: Double, number: "re.Pattern[str]" = NUMBER) -> "Posts":
        texts = [post.text for post in list(double.posts) if not post.deleted]
        whole = [text for text in texts if text.partition(MARK)[0].rstrip().endswith(END)]
        marked = sum(MARK in text for text in texts)
        return cls(Counter(found for text in whole for found in number.findall(text)), len(texts) - len(whole), marked)

    @property
    def doubled(self) -> int:
        """Return how many answers are there twice without a word that they may be."""
        return max(sum(count - 1 for count in self.whole.values()) - self.marked, 0)

    def __str__(self) -> str:
        return f"{len(self.whole)} answered, doubled {self.doubled}, marked repeats {self.marked}, torn {self.torn}"
