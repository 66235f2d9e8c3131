"""What the bot makes of attachments: words for the model, and an honest word to the person. It reads text only."""

from collections.abc import Sequence

from core.events import Attachment

# What one does with it, for the sentence to the person; any other kind is opened.
VERBS = {"image": "see", "sticker": "see", "video": "watch", "voice note": "listen to", "audio": "listen to"}
PLURALS = {"audio": "audio"}


def as_text(attachment: Attachment) -> str:
    """Return the words that stand for it in the conversation, such as "[voice note, 12 s]"."""
    details = [attachment.name, f"{attachment.seconds:.0f} s" if attachment.seconds else None]
    return f"[{', '.join([attachment.kind, *filter(None, details)])}]"


def confession(attachments: Sequence[Attachment], *, alone: bool) -> str:
    """Return the sentence that tells what of a message the bot cannot read; ``alone``: it had no text at all."""
    by_verb: dict[str, list[str]] = {}
    for kind in dict.fromkeys(attachment.kind for attachment in attachments):
        count = sum(attachment.kind == kind for attachment in attachments)
        by_verb.setdefault(VERBS.get(kind, "open"), []).append(_counted(kind, count))
    cannot = " or ".join(f"{verb} {_listed(things)}" for verb, things in by_verb.items())
    if alone:
        return f"Thank you. I only read text, so I cannot {cannot}. Can you tell me in words?"
    return f"(I only read text: I cannot {cannot}.)"


def _counted(kind: str, count: int) -> str:
    return f"your {kind}" if count == 1 else f"your {count} {PLURALS.get(kind, kind + 's')}"


def _listed(things: Sequence[str]) -> str:
    return things[0] if len(things) == 1 else f"{', '.join(things[:-1])} and {things[-1]}"
