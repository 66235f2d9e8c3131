"""What ``rapport discord invite`` prints: the link that brings the bot into a server, and what it asks for."""

import base64
import binascii
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

from channels.discord.settings import Credentials, Discord, credentials
from core import settings
from core.errors import SettingsError

API_URL = "https://discord.com/api/v10"
AUTHORIZE_URL = "https://discord.com/oauth2/authorize"
USER_AGENT = "DiscordBot (https://discord.com/developers, 1)"  # Discord turns away those that do not begin like this
TIMEOUT_S = 10
SCOPES = "bot applications.commands"
CONTENT_GRANTED = (1 << 18) | (1 << 19)

# What the bot needs in a server: bit, Discord's name for it, and why.
NEEDED = (
    (1 << 10, "View Channels", "to see where it is spoken to"),
    (1 << 11, "Send Messages", "to answer"),
    (1 << 38, "Send Messages in Threads", "to answer in threads"),
    (1 << 16, "Read Message History", "to reply to a message, and to find what it missed while it was away"),
)
FOR_THREADS = (1 << 35, "Create Public Threads", "to open a thread for each mention ([discord] threads = true)")


def invite() -> str:
    """Return the text with the link, as the settings want it; raises SettingsError."""
    discord = settings.load_section("discord", Discord)
    known = credentials()
    application = _ask(known)
    lines = [f"Invite {application.get('name', 'your bot')} into a server with this link:", ""]
    lines += [link(application["id"], threads=discord.threads), "", "It asks for:"]
    lines += [f"- {name}: {why}" for _, name, why in permissions(threads=discord.threads)]
    lines += ["- slash commands (scope applications.commands)", *_notes(application, discord)]
    return "\n".join(lines)


def permissions(*, threads: bool) -> list[tuple[int, str, str]]:
    """Return the permissions that are needed: bit, name, and why."""
    return [*NEEDED, FOR_THREADS] if threads else [*NEEDED]


def link(application_id: str, *, threads: bool) -> str:
    """Return the invite link."""
    bits = sum(bit for bit, _, _ in permissions(threads=threads))
    return f"{AUTHORIZE_URL}?{urlencode({'client_id': application_id, 'scope': SCOPES, 'permissions': bits})}"


def application_of(token: str) -> str:
    """Return the application's id, which is the first part of a token; raises SettingsError."""
    first = token.partition(".")[0]
    try:
        application_id = base64.b64decode(first + "=" * (-len(first) % 4), altchars=b"-_").decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        application_id = ""
    if not application_id.isdecimal():
        raise SettingsError(
            "DISCORD_BOT_TOKEN does not hold an application id. Copy the token again from the Bot page."
        )
    return application_id


def _ask(known: Credentials) -> dict[str, Any]:
    """Return what Discord says of the application; its id alone if Discord cannot be reached."""
    request = urllib.request.Request(
        f"{known.api_url or API_URL}/applications/@me",
        headers={"Authorization": f"Bot {known.token}", "User-Agent": USER_AGENT},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 401:
                raise SettingsError(
                    "Discord does not accept DISCORD_BOT_TOKEN. Press Reset Token on the Bot page of your application "
                    "and put the new one into .env."
                ) from None
    except (OSError, ValueError):
        pass
    return {"id": application_of(known.token), "unreachable": True}


def _notes(application: dict[str, Any], discord: Discord) -> list[str]:
    """Return what the person who sets the bot up should know now."""
    if application.get("unreachable"):
        return ["", "Discord could not be reached, so the link was made from the token and not checked."]
    notes = []
    if application.get("interactions_endpoint_url"):
        notes.append(
            "Discord sends slash commands and buttons elsewhere: clear Interactions Endpoint URL on the General "
            "Information page of the application."
        )
    if application.get("bot_public") is False:
        notes.append("Only you can use this link: Public Bot is off on the Bot page of the application.")
    granted = bool(application.get("flags", 0) & CONTENT_GRANTED)
    if discord.message_content and not granted:
        notes.append(
            "[discord] message_content is on, but Message Content Intent is off on the Bot page. Switch it on."
        )
    elif granted and not discord.message_content:
        notes.append("Message Content Intent is on, but not needed: [discord] message_content is off.")
    if discord.threads and not discord.message_content:
        notes.append(
            "[discord] threads is on, but message_content is off: in the threads that I open people must mention me in "
            "each message. To spare them that, switch on Message Content Intent on the Bot page and set "
            "message_content = true."
        )
    return ["", *notes] if notes else []
