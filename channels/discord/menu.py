"""The slash commands of the bot: made from the one table of commands, and registered only where Discord has others."""

import logging
from typing import Any

from channels.discord.api import Api, Refused
from channels.discord.parse import CHAT, CHAT_OPTION
from core import commands

log = logging.getLogger(__name__)

CHAT_INPUT, STRING = 1, 3
IN_SERVERS, IN_DIRECT_MESSAGES = 0, 1  # contexts
TO_SERVERS = 0  # integration type
DESCRIPTION_LIMIT = 100
OPTION_LIMIT = 6000
QUOTA_USED_UP = 30034
# What is compared with what Discord has; it adds much of its own.
COMPARED = ("name", "description", "type", "contexts", "integration_types")
COMPARED_OPTION = ("type", "name", "description", "required", "max_length", "min_length")


def wanted(max_chars: int) -> list[dict[str, Any]]:
    """Return the commands as Discord is to have them; a message may have ``max_chars``."""
    chat = _command(CHAT, "talks with me where I cannot read along")
    limit = min(max_chars, OPTION_LIMIT)
    chat["options"] = [_option(CHAT_OPTION, "What do you want to say?", required=True) | {"max_length": limit}]
    return [chat, *(_from_table(command) for command in commands.TABLE.values())]


async def synchronise(api: Api, application: str, max_chars: int) -> bool:
    """Register the commands if Discord has others; return whether that was so. A used up quota is no error."""
    place = "/applications/{application_id}/commands"
    has = await api.call("GET", place, application_id=application)
    wants = wanted(max_chars)
    if sorted(map(_digest, has)) == sorted(map(_digest, wants)):
        return False
    try:
        await api.call("PUT", place, wants, application_id=application)
    except Refused as error:
        if error.code != QUOTA_USED_UP:
            raise
        log.warning(
            "Discord takes no more new commands of this bot today (code %d); the slash commands stay as they were and "
            "are registered with a later start. Everything else works.",
            QUOTA_USED_UP,
        )
        return False
    log.info("the slash commands were registered: %s", ", ".join(f"/{command['name']}" for command in wants))
    return True


def _command(name: str, description: str) -> dict[str, Any]:
    return {
        "type": CHAT_INPUT,
        "name": name,
        "description": description[:DESCRIPTION_LIMIT],
        "contexts": [IN_SERVERS, IN_DIRECT_MESSAGES],
        "integration_types": [TO_SERVERS],
    }


def _from_table(command: commands.Command) -> dict[str, Any]:
    made = _command(command.name, command.summary)
    if command.argument:
        option = _option(command.argument, f"Which {command.argument}?", required=False)
        if command.choices:
            option["choices"] = [{"name": choice, "value": choice} for choice in command.choices]
        made["options"] = [option]
    return made


def _option(name: str, description: str, *, required: bool) -> dict[str, Any]:
    return {"type": STRING, "name": name, "description": description, "required": required}


def _digest(command: dict[str, Any]) -> str:
    options = [
        [option.get(key) or None for key in COMPARED_OPTION]
        + [sorted(str(choice["value"]) for choice in option.get("choices") or ())]
        for option in command.get("options") or ()
    ]
    return repr([command.get(key) for key in COMPARED] + options)
