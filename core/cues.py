"""Cues of feeling in a text: words, emoji, capitals and marks that tell kinds of feeling apart. Pure, no model.

A valence says how good or bad; it cannot tell sad from anxious, or thanks from joy. These cues can, where they are
there. What is made of them is decided in tone.py. The words are English; emoji, capitals and marks are not bound to a
language. A word after a negation in the same clause ("I'm not angry") does not count.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal

Distress = Literal["anger", "sadness", "worry", "annoyance"]

# Phrases are separated by commas, without apostrophes. "*" ends a word in any way, and alone it is any one word.
WORDS = {
    "anger": """
        angry, furious, livid, fuming, outraged, outrageous, unacceptable, ridiculous, disgrac*, disgust*, pathetic,
        rip off, ripped off, scam*, liar*, lied to, idiot*, moron*, stupid, asshole*, incompetent, i hate, hate this,
        hate that, hate you, how dare, shut up, worst * ever, the hell, wtf, bullshit, fuck*, screw you,
        pissed, mad at, so mad
    """,
    "sadness": """
        sad, sadly, sadness, cry, cried, crying, in tears, sobbing, heartbr*, grief, grieving, mourning, funeral,
        miss him, miss her, miss them, miss my, i miss, passed away, died, lonely, loneliness, all alone, so alone,
        left me, broke up, breakup, dumped me, depress*, hopeless, devastat*, gutted, unhappy, miserable, worthless,
        hurts, upset, let down, disappoint*, homesick, feel down, feeling down, feel low, feeling low, feel empty,
        hospice, lost my mum, lost my mom, lost my dad, lost my job, lost my dog, lost my cat, lost my wife,
        lost my husband, my late
    """,
    "worry": """
        worry, worried, worries, worrying, anxious, anxiety, nervous, scared, scary, afraid, fear, frighten*, terrified,
        terrifying, panic*, stress*, dread*, overwhelm*, freaking out, freaked out, what if, cant sleep, cant breathe,
        shaking, on edge, spiraling, spiralling, cant cope, my nerves, biopsy
    """,
    "annoyance": """
        annoy*, frustrat*, irritat*, fed up, sick of, tired of, had enough, still waiting, still nothing, still no,
        still not, still doesnt, still hasnt, yet again, third time, fourth time, fifth time, 3rd time, 4th time,
        every single time, nobody answer*, nobody repl*, no one answer*, no one repl*, no reply, no response,
        doesnt work, not working, stopped working, isnt working, wont work, broken again, broke again, late again,
        weeks late, days late, hours late, never arrived, never came, on hold, waste of, useless, gave up, giving up,
        ugh, argh, grr, thanks for nothing, yeah right, just great, just perfect, just wonderful, oh great
    """,
    "thanks": """
        thank you, thank u, thanks, thankful, thx, tysm, ty, grateful, gratitude, appreciate*, lifesaver, bless you
    """,
    "confusion": """
        confus*, dont understand, do not understand, didnt understand, cant follow, dont get it, dont get this,
        dont get what, dont get how, dont get why, didnt get that, what do you mean, what does that mean,
        what does it mean, what does this mean, what did you mean, wdym, you lost me, im lost, makes no sense,
        doesnt make sense, puzzled, baffled, no idea what, no idea how, no idea why, not sure what, not sure how,
        not sure why, not sure which, not sure if, not sure i follow, unclear
    """,
}
EMOJI = {
    "anger": "😡🤬😠👿💢",
    "sadness": "😢😭💔😞😔☹🙁😿🥀",
    "worry": "😰😟😨😱😧😥🫨",
    "annoyance": "🙄😤😒😑",
    "thanks": "🙏💐🤗",
    "confusion": "🤔😕🤷❓⁉😵🫤",
}
EMOTICONS = {"anger": [">:("], "sadness": [":(", ":-(", ":'(", "T_T"], "worry": ["D:"], "confusion": ["o_O", "O_o"]}

# Feelings show at the beginning and at the end; of a very long text the middle is not searched.
_EDGE = 2000
_APOSTROPHES = str.maketrans("", "", "'’‘ʼ`")
_CLAUSE_END = re.compile(r"[.,;:!?\n]|\bbut\b")
# A negation and up to two words after it: "not angry", "never really worried". "Can't stop crying" denies nothing.
_NEGATED = re.compile(
    r"\b(?:not|no|never|without|hardly|(?:do|does|did|is|was|are|were|wo|would|has|have|ca|ai)nt)(?!\s+stop)(?:\s+\w+){0,2}\s+$"
)
_LOUD_MARKS = re.compile(r"!\s?!|\?\s?!|!\s?\?|\?\s?\?\s?\?")


@dataclass(frozen=True)
class Cues:
    """What a text shows beside its valence; everything is false where nothing was found.

    ``distress`` is the kind of distress with the most cues. ``loud`` is written in capitals or with repeated marks:
    no feeling by itself, but one that is there is stronger.
    """

    distress: Distress | None = None
    thanks: bool = False
    confusion: bool = False
    loud: bool = False


def read_cues(text: str) -> Cues:
    """Return the cues in a text of any length, language and case."""
    if len(text) > 2 * _EDGE:
        text = f"{text[:_EDGE]}\n{text[-_EDGE:]}"
    plain = _plain(text)
    counts = Counter({kind: _count(kind, text, plain) for kind in WORDS})
    # Of kinds with as many cues the first one here wins.
    kinds: tuple[Distress, ...] = ("anger", "sadness", "worry", "annoyance")
    strongest = max(kinds, key=lambda kind: counts[kind])
    return Cues(
        distress=strongest if counts[strongest] else None,
        thanks=counts["thanks"] > 0 and "thanks for nothing" not in plain,
        confusion=counts["confusion"] > 0,
        loud=bool(_LOUD_MARKS.search(text)) or _shouted(text),
    )


def _count(kind: str, text: str, plain: str) -> int:
    """Return how many cues of a kind a text holds."""
    words = sum(not _denied(plain, found.start()) for found in _PATTERNS[kind].finditer(plain))
    signs = sum(text.count(sign) for sign in EMOJI[kind])
    return words + signs + sum(text.count(face) for face in EMOTICONS.get(kind, []))


def _denied(plain: str, at: int) -> bool:
    """Does a negation in the same clause stand before this place?"""
    before = plain[max(0, at - 40) : at]
    return bool(_NEGATED.search(_CLAUSE_END.split(before)[-1]))


def _shouted(text: str) -> bool:
    """Is it written in capitals? One short name such as NASA does not make a shout."""
    words = [word for word in re.findall(r"[^\W\d_]{3,}", text) if word.upper() != word.lower()]
    capitals = [word for word in words if word.isupper()]
    return len(capitals) >= 2 and len(capitals) >= 0.6 * len(words)


def _plain(text: str) -> str:
    """Return the text in lower case without apostrophes, which many leave out, and with "soooo" as "so"."""
    return re.sub(r"([^\W\d_])\1{2,}", r"\1", text.lower().translate(_APOSTROPHES))


def _pattern(phrases: str) -> re.Pattern[str]:
    parts = [
        r"\s+".join(re.escape(word).replace(r"\*", r"\w*" if len(word) > 1 else r"\w+") for word in phrase.split())
        for phrase in phrases.split(",")
    ]
    return re.compile(rf"\b(?:{'|'.join(parts)})\b")


_PATTERNS = {kind: _pattern(phrases) for kind, phrases in WORDS.items()}
