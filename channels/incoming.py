"""What of an event may enter the store and a prompt, and what people are told whose message may not. Pure.

Whether there is room for it is asked in core/store; what a network's payload says, in its own parse.py.
"""

import math
import re
import unicodedata

from core.errors import InputError
from core.events import MessageEvent
from core.store import Refusal

# What nobody types on purpose: control characters but for line breaks and tabs.
KEPT_CONTROLS = "\n\t"
# What is read by a model and seen by nobody, or shown in another order than it is read: overrides and isolates of the
# writing direction, invisible blanks and operators, tags and rare variants. Joiners and marks that scripts need stay,
# and so do the tags of flags such as Scotland's.
UNSEEN = re.compile(
    "(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f)"
    "|[\u00ad\u180e\u200b\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
LONGEST_NAME = 200


def readable(event: MessageEvent, max_chars: int) -> MessageEvent:
    """Return the event as it may enter the store and a prompt; raises InputError if it says too much or nothing.

    Names become one line of what can be seen.
    """
    text = clean(event.text, max_chars)
    if not text and not event.attachments:
        raise InputError("empty", "The message is empty. Write something first.")
    names = {"user_name": _name(event.user_name)}
    files = tuple(one.model_copy(update={"name": _name(one.name)}) for one in event.attachments)
    return event.model_copy(update={"text": text, "attachments": files} | names)


def clean(text: str, max_chars: int) -> str:
    """Return the text as it may enter the store; raises InputError if it is too long.

    Lone surrogates (from invalid UTF-8) become the replacement character, control characters and what nobody sees go,
    the ends are trimmed, and the rest is brought to Unicode's NFC, so that the same words are the same text.
    """
    if len(text) > max_chars:
        raise InputError(
            "too_long", f"The message has {len(text):,} characters; I can take {max_chars:,}. Please send less at once."
        )
    return _visible(text.replace("\r\n", "\n")).strip()


def _visible(text: str) -> str:
    text = UNSEEN.sub(r"\1", text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    kept = (c for c in text if c in KEPT_CONTROLS or unicodedata.category(c) != "Cc")
    return unicodedata.normalize("NFC", "".join(kept))


def error_of(refusal: Refusal) -> InputError:
    """Return what a person is told whose message was not taken."""
    if refusal.why == "denied":  # silence where nobody waits: who is kept out must not be able to make us write
        return InputError(
            "not_allowed", "I am not allowed to talk with you here. Whoever runs me decides that.", told=True
        )
    if refusal.why == "full":
        text = "I am still working on your earlier messages. Wait for my answer, then go on."
        return InputError("too_many", text, retry_after_s=5, told=not refusal.first)
    when = math.ceil(refusal.wait_s)
    if refusal.why == "crowded":
        text = "More people write to me just now than I can answer. I did not take that message: please send it again "
        return InputError("crowded", f"{text}in a minute or two.", retry_after_s=when, told=not refusal.first)
    in_words = f"{when} second{'s' if when > 1 else ''}" if when < 90 else f"{math.ceil(when / 60)} minutes"
    what = "You write" if refusal.whose == "person" else "People write to me here"
    text = f"{what} faster than I can follow. I did not take that message: please send it again in {in_words}."
    return InputError("too_fast", text, retry_after_s=refusal.wait_s, told=not refusal.first)


def _name(name: str | None) -> str | None:
    return name and " ".join(_visible(name).split())[:LONGEST_NAME]
