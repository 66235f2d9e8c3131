"""What a message brings beside its text (pure), and which messages are nobody's words but Telegram's own notices."""

from collections.abc import Callable, Mapping
from typing import Any

from core.events import Attachment

# What nobody says to anybody: Telegram tells that something happened. A message of any other kind is from a person.
_SERVICE = """
new_chat_members left_chat_member new_chat_title new_chat_photo delete_chat_photo group_chat_created
supergroup_chat_created channel_chat_created migrate_to_chat_id migrate_from_chat_id pinned_message
message_auto_delete_timer_changed chat_background_set chat_owner_changed chat_owner_left boost_added
forum_topic_created forum_topic_edited forum_topic_closed forum_topic_reopened general_forum_topic_hidden
general_forum_topic_unhidden video_chat_scheduled video_chat_started video_chat_ended
video_chat_participants_invited voice_chat_scheduled voice_chat_started voice_chat_ended
voice_chat_participants_invited proximity_alert_triggered successful_payment refunded_payment connected_website
write_access_allowed user_shared users_shared chat_shared web_app_data giveaway_created giveaway_completed
gift_upgrade_sent checklist_tasks_done checklist_tasks_added poll_option_added poll_option_deleted
paid_message_price_changed direct_message_price_changed suggested_post_approved suggested_post_approval_failed
suggested_post_declined suggested_post_paid suggested_post_refunded managed_bot_created community_chat_added
community_chat_joined community_chat_removed
"""
SERVICE = frozenset(_SERVICE.split())
UNKNOWN = Attachment(kind="unsupported message")


def attachments(message: Mapping[str, Any]) -> tuple[Attachment, ...]:
    """Return what a message, or a block of a rich one, holds; raises KeyError, TypeError or AttributeError."""
    found = (make(message[key]) for key, make in KINDS.items() if message.get(key))
    # An animation comes as a document too, and a venue as a location.
    return tuple(found)[:1]


def is_service(message: Mapping[str, Any]) -> bool:
    """Say whether the message tells what happened in the chat."""
    return not SERVICE.isdisjoint(message)


def _media(kind: str, *names: str) -> Callable[[Any], Attachment]:
    def make(media: Any) -> Attachment:
        name = next((media[key] for key in names if media.get(key)), None)
        return Attachment(kind=kind, name=name, seconds=media.get("duration"))

    return make


def _document(media: Any) -> Attachment:
    kind = "image" if str(media.get("mime_type", "")).startswith("image/") else "file"
    return Attachment(kind=kind, name=media.get("file_name"))


# The key of a message that holds the attachment -> what it is called. The first that is there counts.
KINDS: dict[str, Callable[[Any], Attachment]] = {
    "photo": lambda sizes: Attachment(kind="image"),
    "live_photo": lambda photo: Attachment(kind="image"),
    "voice": _media("voice note"),
    "voice_note": _media("voice note"),  # its name within a rich message
    "audio": _media("audio", "file_name", "title"),
    "video": _media("video", "file_name"),
    "video_note": _media("video message"),
    "animation": _media("GIF", "file_name"),
    "document": _document,
    "sticker": _media("sticker", "emoji"),
    "venue": _media("location", "title"),
    "location": _media("location"),
    "contact": _media("contact", "first_name"),
    "poll": _media("poll", "question"),
    "checklist": _media("checklist", "title"),
    "dice": _media("dice", "emoji"),
    "story": _media("story"),
    "game": _media("game", "title"),
    "paid_media": _media("paid media"),
    "invoice": _media("invoice", "title"),
    "gift": _media("gift"),
    "unique_gift": _media("gift"),
    "giveaway": _media("giveaway"),
    "giveaway_winners": _media("giveaway"),
}
