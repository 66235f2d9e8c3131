"""Replies that are shown while they are written, by Slack's chat stream. What a stream has shown it cannot take back.

A stream lives in the thread of the message that it answers and ends by itself after some minutes. Where a workspace
has none, or something goes wrong, the message is edited instead (messages.py).
"""

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from channels.delivery import Message
from channels.slack import render
from channels.slack.teams import Team
from channels.slack.trouble import OF_THE_PLACE, Latch, Refused, asked
from core.errors import DeliveryUnsure

log = logging.getLogger(__name__)

# Answers that mean: not in this workspace, so do not ask again for a while.
UNAVAILABLE = OF_THE_PLACE | {
    "unknown_method",
    "method_deprecated",
    "deprecated_endpoint",
    "feature_not_enabled",
    "not_allowed_token_type",
    "team_not_supported",
    "access_denied",
}
# The stream is over; what it showed is an ordinary message now.
OVER = {"message_not_in_streaming_state", "stopped_by_user", "streaming_mode_mismatch"}
REMEMBERED = 1000


@dataclass
class Stream:
    """One stream and the key of its message. ``doubtful``: whether the last text arrived is not known."""

    key: str
    text: str
    doubtful: bool = False


class Streams:
    """All streams that this process has begun, by space and message."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[str, str], Stream] = OrderedDict()
        self._latch = Latch()

    def possible(self, message: Message, reader: str | None) -> bool:
        """Say whether this message can be streamed. ``reader`` is whom it answers."""
        return bool(message.address.thread and reader) and self._latch.open(message.address.space)

    def of(self, space: str, ts: str) -> Stream | None:
        """Return the open stream behind a message."""
        return self._open.get((space, ts))

    def running(self, key: str) -> bool:
        """Say whether the message with this key is being streamed by this process."""
        return any(stream.key == key for stream in self._open.values())

    async def begin(self, team: Team, message: Message, reader: str) -> str | None:
        """Begin a stream; return its message, or None if there can be none."""
        text = render.streamable(message.shown)
        try:
            answer = await asked(
                team.api.chat_startStream(
                    channel=_channel(message),
                    thread_ts=str(message.address.thread),
                    recipient_team_id=team.me.team,
                    recipient_user_id=reader,
                    markdown_text=text or None,
                )
            )
        except Refused as error:
            if error.code in UNAVAILABLE:
                where = self._latch.shut(message.address.space, error.code)
                log.info("%s has no chat streams (%s); replies are edited instead", where, error.code)
            return None
        ts = str(answer["ts"])
        self._open[message.address.space, ts] = Stream(message.key, text)
        while len(self._open) > REMEMBERED:
            self._open.popitem(last=False)
        return ts

    async def add(self, team: Team, ts: str, message: Message) -> None:
        """Show what is new, if the text has only grown. Raises Refused if the stream is over."""
        stream = self._open[message.address.space, ts]
        text = render.streamable(message.shown)
        new = text[len(stream.text) :]
        if stream.doubtful or not text.startswith(stream.text) or not new:
            return
        try:
            await asked(team.api.chat_appendStream(channel=_channel(message), ts=ts, markdown_text=new))
        except DeliveryUnsure:
            stream.doubtful = True
            raise
        except Refused:
            self._forget(message, ts)
            raise
        stream.text = text

    async def finish(self, team: Team, ts: str, message: Message, **last: Any) -> bool:
        """End the stream with the whole text; return False if the message must be edited to show it.

        Whatever Slack has against the end of the stream, the message can still be tried to be edited.
        """
        stream = self._open[message.address.space, ts]
        text = render.harmless(message.shown)
        whole = not stream.doubtful and text.startswith(stream.text)
        arguments = last | {"markdown_text": text[len(stream.text) :] or None} if whole else {}
        try:
            await asked(team.api.chat_stopStream(channel=_channel(message), ts=ts, **arguments))
        except DeliveryUnsure:
            stream.doubtful = True
            raise
        except Refused as error:
            self._forget(message, ts)
            if error.code not in OVER:
                log.warning("a stream does not end with its text (%s); its message is edited", error.code)
                await self.end(team, ts, message)
            return False
        self._forget(message, ts)
        return whole

    async def end(self, team: Team, ts: str, message: Message) -> None:
        """End a stream as it stands, whoever began it; whether it did end shows when its message is edited."""
        self._forget(message, ts)
        try:
            await asked(team.api.chat_stopStream(channel=_channel(message), ts=ts))
        except Refused as error:
            log.debug("a stream could not be ended: %s", error)

    def _forget(self, message: Message, ts: str) -> None:
        self._open.pop((message.address.space, ts), None)


def _channel(message: Message) -> str:
    return message.address.space.partition("/")[2]
