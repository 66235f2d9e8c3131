"""Is a reply fit to be sent? Slurs, sexual content, insults, personal data of others. Pure, offline, words alone.

Disguises are undone first (folding.py), then whole words are compared: what merely contains a listed word is another
word (Scunthorpe). The check is of the bot's words; people may write what they like.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from core.safety.abuse import insults
from core.safety.folding import LEET, plain, without_leet, without_lookalikes
from core.safety.personal import Said, personal
from core.safety.words import SEXUAL, SEXUAL_COMPANY, SEXUAL_PHRASES, SLUR_COMPANY, SLURS

Fault = Literal["slur", "sexual", "insult", "personal"]

ENDLESS = 80  # characters; no word that matters is longer
COMPANY = 100  # characters before a word that may matter to it

_OUTER = ".,;:?\"'“”‘’()[]{}*_~`<>"
_INSIDE = re.compile(r"[\W_]+")
_SIGNS = re.compile(r"[0-9@$!|]")
_LETTER = re.compile(r"[^\W\d_]")
_LONG_RUN = re.compile(r"(.)\1{2,}")
# Letters with something between each: "n i g", "n.i.g", "n-i-g".
_SPACED = re.compile(r"(?<![^\W_])[^\W_](?:[\s.\-_*~|/]{1,3}[^\W_](?![^\W_])){2,}")
_PHRASES = re.compile("|".join(SEXUAL_PHRASES))
_MAY_HAVE_DATA = re.compile(r"@|\d\W?\d\W?\d|[(\[{]at[)\]}]| dot |\w\.\w+/\w", re.IGNORECASE)
_LEET_L = LEET | {ord("1"): "l", ord("!"): "l", ord("|"): "i"}
# Thai, Lao, Khmer, Japanese, Chinese.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_LONG_WORDS = tuple(word for word in (*SLURS, *SEXUAL) if len(word) > 4)


class ReplyCheck:
    """Checks the replies to one turn of a conversation; personal data that were ``said`` in it may be said again."""

    def __init__(self, said: Iterable[str]) -> None:
        self._texts = tuple(said)
        self._said: Said | None = None
        self._fine = 0  # so many characters of the draft were looked at and are fine

    def fault(self, text: str) -> Fault | None:
        """Return what is wrong with a reply, or None."""
        folded = without_lookalikes(plain(text))
        words = list(_words(folded))
        if _listed(words, folded, SLURS, SLUR_COMPANY):
            return "slur"
        if _listed(words, folded, SEXUAL, SEXUAL_COMPANY) or _PHRASES.search(_sentence(folded)):
            return "sexual"
        if insults(text):
            return "insult"
        return "personal" if _MAY_HAVE_DATA.search(text) and self._reveals(text) else None

    def shown(self, text: str) -> str | None:
        """Return what may be shown of a reply that is still being written; None: leave what is shown as it is.

        Whole words alone, and no number that may go on: half of what the check would refuse is too much.
        """
        whole = _complete(text)
        # Not all of it again, twenty times a second: from a little before what is new.
        start = whole.rfind(" ", 0, max(0, self._fine - COMPANY)) + 1
        if self.fault(whole[start:]):
            return None
        self._fine = len(whole)
        return whole

    def _reveals(self, text: str) -> bool:
        said = self._said = self._said or Said(self._texts)
        visible = "".join(c for c in text if c.isprintable() or c.isspace())
        return any(not said.has(datum) for datum in personal(visible))


def _complete(text: str) -> str:
    """Return the text without its last word if that may go on, and without a number or spelt word that may."""
    words = re.findall(r"^\s*\S+\s*|\S+\s*", text)
    if words and not words[-1][-1].isspace():
        words[-1:] = filter(None, [_begun(words[-1])])
    end = len(words)
    while end and (len(word := words[end - 1].strip()) < 2 or any(c.isdigit() for c in word)):
        end -= 1
    if [word.strip() for word in words[end:]] not in (["I"], ["a"]):
        words = words[:end]
    return "".join(words).rstrip()


def _begun(word: str) -> str:
    """Return what of an unfinished word may be shown: some languages have no blanks, and some words no end."""
    unspaced = [found.end() for found in _UNSPACED.finditer(word)]
    return word[: max(len(word) - ENDLESS, unspaced[-1] if unspaced else 0)]


def _words(folded: str) -> Iterator[tuple[str, int]]:
    """Yield the words of a plain text, and where each begins; disguised ones in every reading."""
    for found in re.finditer(r"\S+", folded):
        for reading in _readings(found[0].strip(_OUTER)):
            yield reading, found.start()
    for found in _SPACED.finditer(folded):
        joined = _INSIDE.sub("", found[0].translate(LEET))
        yield from ((word, found.start()) for word in _LONG_WORDS if word in joined)


def _readings(token: str) -> Iterator[str]:
    parts = [part for part in _INSIDE.split(token) if part]
    yield "".join(parts)
    if len(parts) > 1:
        yield from parts
    if _SIGNS.search(token) and _LETTER.search(token):
        for table in (LEET, _LEET_L):
            yield _INSIDE.sub("", token.translate(table))
            yield _INSIDE.sub("", token.rstrip("!").translate(table))


def _listed(words: list[tuple[str, int]], folded: str, listed: frozenset[str], company: dict[str, str]) -> bool:
    found = ((_stem(word, listed), at) for word, at in words)
    return any(stem and not _in_company(at, folded, company.get(stem)) for stem, at in found)


def _stem(word: str, listed: frozenset[str]) -> str | None:
    """Return the listed word that this one is a form of."""
    forms = [word]
    if _LONG_RUN.search(word):
        forms += [_LONG_RUN.sub(r"\1\1", word), _LONG_RUN.sub(r"\1", word)]
    for form in forms:
        if form in listed:
            return form
        if len(form) > 4 and form[-1] in "sz" and form[:-1] in listed:
            return form[:-1]
    return None


def _in_company(at: int, folded: str, company: str | None) -> bool:
    """Say whether the word at this place stands beside words that make it harmless."""
    if not company:
        return False
    token, *rest = folded[at:].split(maxsplit=1)
    before, inside, after = (_INSIDE.sub(" ", part).strip() for part in (folded[:at][-24:], token, "".join(rest)[:32]))
    return bool(
        re.search(rf"\b(?:{company})(?: and| of)?$", before)
        or re.search(rf"\b(?:{company})\b", inside)
        or re.match(rf"(?:(?:and|in|of) )?(?:{company})\b", after)
    )


def _sentence(folded: str) -> str:
    return _INSIDE.sub(" ", without_leet(folded))
