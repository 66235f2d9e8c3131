"""Markdown as Discord shows it (pure). Discord reads Markdown itself; a few things it does not know are put otherwise.

Rendering never makes a text longer, so what fits a message before it fits after it.
"""

import re

from channels import text
from channels.text import Part

TEXT_LIMIT = 2000  # code points, as Discord's staff says (discord-api-docs issue 1315)
THREAD_NAME_LIMIT = 100
BLANK = "\u200b"

_FENCE = re.compile(r"^(?P<fence>[ \t>]*(?:`{3,}|~{3,})).*?(?:^(?P=fence)[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_DEEP_HEADING = re.compile(r"^(?P<indent>[ \t]{0,3})#{4,6}[ \t]+(?P<title>[^\n]*?)[ \t]*#*[ \t]*$", re.MULTILINE)
_IMAGE = re.compile(r"!(\[[^\]\n]*\]\([^)\n]*\))")


def split(source: str) -> list[Part]:
    """Return the parts of a text that are a message each."""
    return text.split(source, text.within(TEXT_LIMIT))


def render(markdown: str) -> str:
    """Return what Discord is to be sent: headings of the lower three ranks in bold, images as links."""
    parts, at = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [_prose(markdown[at : fence.start()]), fence[0]]
        at = fence.end()
    parts.append(_prose(markdown[at:]))
    return "".join(parts) or BLANK


def thread_name(question: str) -> str:
    """Return the name of a thread that begins with this question."""
    words = " ".join(question.split())
    return words if len(words) <= THREAD_NAME_LIMIT else words[: THREAD_NAME_LIMIT - 1].rstrip() + "…"


def _prose(prose: str) -> str:
    return _IMAGE.sub(r"\1", _DEEP_HEADING.sub(_bold, prose))


def _bold(heading: re.Match[str]) -> str:
    title = heading["title"].replace("**", "")
    return f"{heading['indent']}**{title}**" if title else heading[0]
