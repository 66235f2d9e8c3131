"""The fixed answers to a crisis, and the note to a person who looks after people. Pure; nothing here is generated."""

from core.dialogue import Address, Sentiment
from core.events import MessageEvent, Reply, reply_id
from core.safety.crisis import Hint
from core.sections import Safety

# What is said in a crisis counts as the worst mood, read without a model: the next tone shall know of it.
DESPAIR = Sentiment.of({"negative": 1.0, "neutral": 0.0, "positive": 0.0})
_WORRY = {
    "suicide": "may be thinking of suicide",
    "self-harm": "may be harming themselves",
    "other": "fears that somebody else may harm themselves",
}


def helpline(settings: Safety) -> str:
    """Return where to turn to in the configured country, or how to find that out."""
    return settings.helplines.get(settings.country.upper()) or settings.helplines["default"]


def crisis_answer(hint: Hint, settings: Safety) -> str:
    """Return the answer to a person in danger, or to one who fears for another: always the same."""
    text = settings.other_message if hint == "other" else settings.crisis_message
    return text.replace("{helpline}", helpline(settings))


def notice(hint: Hint, event: MessageEvent, settings: Safety) -> Reply | None:
    """Return the note to whom the settings name, if they do. It says who, where and when, never what was written."""
    if not settings.notify:
        return None
    who = f"{event.user_name} ({event.user})" if event.user_name else event.user
    where = "a direct conversation" if event.address.direct else f"the conversation {event.address.space}"
    pause = f"{settings.notify_pause_h:g} hour{'' if settings.notify_pause_h == 1 else 's'}"
    text = (
        f"**Please look after somebody.** {who} on {event.address.channel} {_WORRY[hint]}: written in {where} at "
        f"{event.sent_at:%Y-%m-%d %H:%M} UTC, recognised by words alone, so it may be a figure of speech. "
        f"They got the message with the helpline. No other note about them follows within {pause}."
    )
    return Reply(
        id=reply_id(("notice", event.id)),
        address=_address(settings.notify),
        text=text,
        in_reply_to=(),
        person=event.person,  # whose /forget takes this note, too, out of the dead letters
        finish_reason="safety",
    )


def _address(notify: str) -> Address:
    """Return the address that the setting names; its form is checked when the settings are read."""
    channel, _, place = notify.partition(":")
    if channel != "telegram":
        return Address(channel=channel, space=place, direct=False)
    chat, _, topic = place.partition("/")
    return Address(channel=channel, space=chat, thread=topic or None, direct=not chat.startswith("-"))
