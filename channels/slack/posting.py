"""Posting one message at Slack: as blocks, or as plain text where Slack does not take these."""

import logging
from typing import Any

from channels.slack.teams import Team
from channels.slack.trouble import Refused, asked

log = logging.getLogger(__name__)

UNSHOWABLE = {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "too_many_blocks"}


async def posted(
    team: Team, channel: str, body: dict[str, Any], plain: dict[str, Any], thread: str | None = None
) -> Any:
    """Return what Slack says of the new message. ``plain`` is the body without blocks."""
    where: dict[str, Any] = {"channel": channel, "thread_ts": thread, "unfurl_links": False}
    try:
        return await asked(team.api.chat_postMessage(**where, **body))
    except Refused as error:
        if error.code not in UNSHOWABLE:
            raise
        log.warning("Slack does not take the blocks of a message (%s); it goes out as plain text", error.code)
        return await asked(team.api.chat_postMessage(**where, **plain))
