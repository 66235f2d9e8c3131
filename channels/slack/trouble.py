"""What Slack answers when something is wrong, as errors of core.errors and in words for whoever runs the bot.

Texts are made of Slack's error codes alone: an SDK error carries its request, and with it the token.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from core.errors import DeliveryError, DeliveryLater, DeliveryRefused, DeliveryUnsure

# What an administrator must do. Replies wait meanwhile: nothing is wrong with them.
LOCKED_OUT = {
    "invalid_auth": "the bot token is not valid. Copy the Bot User OAuth Token again into SLACK_BOT_TOKEN and restart",
    "not_authed": "no bot token was sent. Set SLACK_BOT_TOKEN and restart",
    "token_revoked": "the bot token was revoked. Install the app again and put its new token into SLACK_BOT_TOKEN",
    "token_expired": "the bot token has expired. Turn token rotation off, or put a new token into SLACK_BOT_TOKEN",
    "account_inactive": "the app was removed from the workspace or the workspace is gone. Install the app again",
    "app_uninstalled": "the app was removed from the workspace. Install it again",
    "org_login_required": "the workspace is being moved to an organisation. It will work again afterwards",
    "team_access_not_granted": "the app is not approved for this workspace. Ask an administrator to approve it",
    "not_allowed_token_type": "this kind of token may not do that. SLACK_BOT_TOKEN must hold a token that begins xoxb-",
    "missing_scope": "a permission is missing. Compare scopes with `rapport slack manifest`, install the app again",
}
# Slack's own trouble: it may have done it all the same.
SHAKY = {"internal_error", "fatal_error", "request_timeout", "service_unavailable", "timeout", "team_added_to_org"}
FLOODED = {"ratelimited", "rate_limited", "message_limit_exceeded"}
REASONS = {
    "channel_not_found": "the conversation does not exist any more, or the bot was removed from it",
    "not_in_channel": "the bot is not a member of the channel; invite it there with /invite",
    "is_archived": "the channel is archived",
    "thread_not_found": "the thread was deleted",
    "no_permission": "the bot may not do that there, whatever its scopes are",
    "restricted_action": "an administrator allows only some people to post there",
    "restricted_action_read_only_channel": "the channel is read-only",
    "restricted_action_thread_locked": "the thread is locked",
    "user_not_found": "the person is not in the workspace any more",
    "cannot_reply_to_message": "this message cannot be replied to",
    "messages_tab_disabled": "the app's Messages tab is off; turn it on under App Home",
}
# What these say is true of one conversation, not of the workspace.
OF_THE_PLACE = {"method_not_supported_for_channel_type", "channel_type_not_supported"}
LATCH_S = 3600.0
LATCHES = 1000
WAIT_S = 60.0  # between two looks whether an administrator has put it right
RECONNECT_S = 2.0


class Refused(DeliveryRefused):
    """Slack says no; ``code`` is its own word for it."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Slack: {REASONS.get(code, 'it refuses')} ({code})")
        self.code = code


class LockedOut(DeliveryLater):
    """Slack does not let the bot in, or not do that; the text says what to do. ``code`` is Slack's word for it."""

    def __init__(self, code: str, needed: str | None) -> None:
        scope = f" (missing scope: {needed})" if needed else ""
        super().__init__(f"Slack ({code}): {LOCKED_OUT[code]}{scope}.", WAIT_S)
        self.code = code


class Latch:
    """What Slack does not do in a workspace or in one conversation of it, and is not asked for again for a while."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    def open(self, space: str) -> bool:
        """Say whether it may be asked for in this place."""
        now = time.monotonic()
        return all(now >= self._until.get(name, 0) for name in (space, _team(space)))

    def shut(self, space: str, code: str) -> str:
        """Note Slack's refusal; return where it holds."""
        name = space if code in OF_THE_PLACE else _team(space)
        self._until[name] = time.monotonic() + LATCH_S
        self._until.move_to_end(name)
        while len(self._until) > LATCHES:
            self._until.popitem(last=False)
        return name


def _team(space: str) -> str:
    return space.partition("/")[0]


async def asked(call: Awaitable[Any]) -> Any:
    """Return what a call to Slack answers; raises DeliveryLater, DeliveryUnsure or Refused."""
    try:
        return await call
    except SlackApiError as error:
        raise translated(error) from None
    except aiohttp.ClientConnectorError as error:
        raise DeliveryLater(f"Slack cannot be reached: {type(error).__name__}", RECONNECT_S) from None
    # UnicodeDecodeError: an answer that is no text, such as the error page of something between Slack and us.
    except (aiohttp.ClientError, SlackClientError, TimeoutError, OSError, UnicodeDecodeError) as error:
        raise DeliveryUnsure(f"Slack did not answer: {type(error).__name__}") from None


def translated(error: SlackApiError) -> DeliveryError:
    """Return our error for one of the SDK's."""
    response = error.response
    status = int(getattr(response, "status_code", 0) or 0)
    data = getattr(response, "data", None)
    answer: dict[str, Any] = data if isinstance(data, dict) else {}
    code = str(answer.get("error") or f"status {status}")
    if status == 429 or code in FLOODED:
        return DeliveryLater(f"Slack asks to wait ({code})", _retry_after(response), flood=True)
    if code in LOCKED_OUT:
        return LockedOut(code, answer.get("needed"))
    if code in SHAKY or status >= 500 or not answer.get("error"):
        return DeliveryUnsure(f"Slack is in trouble ({code})")
    return Refused(code)


def _retry_after(response: Any) -> float:
    headers = {str(name).lower(): value for name, value in dict(getattr(response, "headers", None) or {}).items()}
    try:
        return max(0.0, float(headers.get("retry-after", "1")))
    except ValueError:
        return 1.0
