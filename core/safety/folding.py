"""Text brought to a plain form, so that accents, disguises and invisible characters make no difference. Pure."""

import re
import unicodedata

# Letters of other scripts that look like Latin ones.
LOOKALIKES = str.maketrans(
    "авекмнорстухѕіјԁɡӏαβεικνορτυχ",
    "abekmhopctyxsijdglabeiknoptux",
)
LEET = str.maketrans("0134578@$!|", "oieastbasil")
_APOSTROPHES = re.compile(r"(?<=\w)['’ʼ`´](?=\w)")
_LETTERS_AND_SIGNS = re.compile(r"(?<![^\W_])[^\W\d_]+(?:[0-9@$!|]+[^\W\d_]+)+")


def plain(text: str) -> str:
    """Return the text in small letters without accents, apostrophes within words, and invisible characters."""
    whole = unicodedata.normalize("NFKD", text.casefold())
    seen = "".join(c for c in whole if unicodedata.category(c) not in ("Mn", "Cf"))
    return _APOSTROPHES.sub("", seen)


def without_lookalikes(text: str) -> str:
    """Return the plain text with the Latin letter for each letter that looks like one."""
    return text if text.isascii() else text.translate(LOOKALIKES)


def without_leet(text: str) -> str:
    """Return the plain text with letters for the digits and signs that stand between letters ("k1ll")."""
    return _LETTERS_AND_SIGNS.sub(lambda found: found[0].translate(LEET), text)
