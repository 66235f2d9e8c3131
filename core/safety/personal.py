"""Personal data in a text: e-mail addresses, phone numbers, cards, accounts, handles, profiles. Pure, offline.

Found by their form, and by their check digits where they have some. Names and postal addresses have no form and are
not found.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_MAIL = re.compile(r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,4}[a-z]{2,24}\b", re.IGNORECASE)
_SPELT_MAIL = re.compile(
    r"\b([\w.+-]{2,64}) ?(?:\(at\)|\[at\]|\{at\}| at ) ?([\w-]{2,63})(?: ?(?:\(dot\)|\[dot\]|\{dot\}| dot |"
    r"\.) ?([a-z]{2,24}))\b",
    re.IGNORECASE,
)
_SPELT_SIGNS = re.compile(r"[(\[{](?:at|dot)[)\]}]| dot ", re.IGNORECASE)
_NOBODYS_MAIL = re.compile(r"@(?:[\w-]+\.)?example\.(?:com|org|net)$|@example$", re.IGNORECASE)
# Overlapping on purpose: numbers that stand side by side must not hide each other.
_NUMBER = re.compile(r"(?<![\w.,/:#-])(?=((?:\+|\(?\d)[\d ().\-/\u00a0\u2009\u202f\u2011]{5,24}))")
_GROUPS = re.compile(r"\d+\)?(?![\w%])")
_LOCAL_FORM = re.compile(r"^(?:\+|00)[1-9]|^\(?0[1-9]|^1?[ .-]?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}$")
_CALL = re.compile(
    r"\b(?:call|phone|tel|telephone|text|dial|ring|whatsapp|mobile|cell|fax|number is|"
    r"reach \w+ at)\W{1,3}(?:\w+\W+){0,3}$",
    re.IGNORECASE,
)
_OTHER_NUMBER = re.compile(
    r"\b(?:isbn|order|invoice|ticket|tracking|version|serial|model|part|item|confirmation|reference|booking)\b\W*(?:\w+\W+){0,2}$",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"^\(?(?:\d{4}[-./ ]\d{1,2}[-./ ]\d{1,2}|\d{1,2}[-./ ]\d{1,2}[-./ ]\d{2,4})\b|^\d{4} ?[-–/] ?\d{4}$|^0[.,]\d+$|"
    r"^\d{1,3}(?:\.\d{1,3}){3}$"
)
_CARD = re.compile(r"(?<![\w.])(?=(\d{13,19}|\d{4}([ -])\d{4}\2\d{4}\2\d{4}|\d{4}[ -]\d{6}[ -]\d{4,5})(?!\w))")
_IBAN = re.compile(r"\b[a-z]{2}\d{2}(?: ?[a-z0-9]{4}){2,7}(?: ?[a-z0-9]{1,3})?\b", re.IGNORECASE)
_HANDLE = re.compile(r"(?<![\w.@/&;])@([a-z][\w.-]{2,38}\w)", re.IGNORECASE)
_MENTION = re.compile(r"<@[UW][A-Z0-9]{6,}>|<@!?\d{15,}>")
# Of code and of chat networks.
_NO_HANDLES = {
    "everyone",
    "here",
    "channel",
    "all",
    "group",
    "property",
    "staticmethod",
    "classmethod",
    "dataclass",
    "override",
    "media",
    "import",
    "param",
    "return",
    "returns",
    "keyframes",
    "supports",
    "fontface",
    "app",
    "pytest",
    "cache",
    "cached",
    "overload",
    "abstractmethod",
    "wraps",
}
_PROFILE = re.compile(
    r"\b(?:https?://)?(?:www\.)?(?:t\.me|(?:instagram|twitter|x|facebook|tiktok|snapchat|threads)\.(?:com|net)|"
    r"linkedin\.com/in|wa\.me|onlyfans\.com)/@?([\w.-]{3,60})",
    re.IGNORECASE,
)
_CODE = re.compile(r"```.*?(?:```|$)|`[^`\n]*`", re.DOTALL)
SAME_NUMBER = 8  # digits at the end that make a number the same


@dataclass(frozen=True)
class Datum:
    """Something personal: what kind, and its one form, in which it can be compared."""

    kind: str
    form: str


def personal(text: str) -> Iterator[Datum]:
    """Yield what is personal in a text."""
    yield from (Datum("e-mail", mail) for mail in _mails(text))
    yield from (Datum("handle", handle.lower()) for handle in _handles(_CODE.sub(" ", text) if "`" in text else text))
    yield from _numbers(text)


def _handles(text: str) -> Iterator[str]:
    yield from (found[1] for found in _HANDLE.finditer(text) if found[1].lower() not in _NO_HANDLES)
    yield from (found[1] for found in _PROFILE.finditer(text))
    yield from (found[0].strip("<@!>") for found in _MENTION.finditer(text))


def _numbers(text: str) -> Iterator[Datum]:
    accounts = (found[0].replace(" ", "").upper() for found in _IBAN.finditer(text))
    yield from (Datum("account", account) for account in accounts if _is_iban(account))
    cards = (_digits(found[1]) for found in _CARD.finditer(text))
    yield from (Datum("card", digits) for digits in cards if _is_card(digits))
    for found in _NUMBER.finditer(text):
        before = text[: found.start()][-60:]
        starts = (found[1][: group.end()] for group in _GROUPS.finditer(found[1]))
        phone = next((written for written in starts if _is_phone(written, before)), None)
        if phone:
            yield Datum("phone", _digits(phone))


class Said:
    """What was said in a conversation, in the forms in which personal data are compared."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._whole = "\n".join(texts).lower()
        self._compact = re.sub(r"[^\w\n]+", "", self._whole)

    def has(self, datum: Datum) -> bool:
        """Say whether a datum was said."""
        form = datum.form.lower()
        if datum.kind == "phone":  # with or without the code of its country
            return form[-SAME_NUMBER:] in self._compact
        if datum.kind in ("card", "account"):
            return form in self._compact
        return bool(re.search(rf"(?<![\w.]){re.escape(form)}(?!\w)", self._whole))


def _mails(text: str) -> Iterator[str]:
    if "@" in text:
        yield from (found[0].lower() for found in _MAIL.finditer(text) if not _NOBODYS_MAIL.search(found[0]))
    if _SPELT_SIGNS.search(text):
        for found in _SPELT_MAIL.finditer(text):
            mail = f"{found[1]}@{found[2]}.{found[3]}".lower()
            if not _NOBODYS_MAIL.search(mail):
                yield mail


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _is_phone(written: str, before: str) -> bool:
    digits = len(_digits(written))
    if not 7 <= digits <= 15 or _DATE.search(written) or _OTHER_NUMBER.search(before):
        return False
    return bool(_CALL.search(before)) or (digits >= 9 and bool(_LOCAL_FORM.search(written)))


def _is_card(digits: str) -> bool:
    """The check digit of cards (Luhn)."""
    if len(set(digits)) == 1 or not 13 <= len(digits) <= 19:
        return False
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(twice - 9 if twice > 9 else twice for twice in doubled)) % 10 == 0


def _is_iban(compact: str) -> bool:
    """The check digits of international account numbers."""
    if not 15 <= len(compact) <= 34 or not compact[2:4].isdigit():
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1
