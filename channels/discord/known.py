"""What discord.py's client knows of a server, in the words of parse.py."""

import discord

from channels.discord.parse import Me


class Known:
    """The names and threads of one server, as discord.py keeps them (channels.discord.parse.Surroundings)."""

    def __init__(self, client: discord.Client, guild_id: str | None, *, threads: bool) -> None:
        self._client = client
        self._guild = client.get_guild(int(guild_id)) if guild_id else None
        self._threads = threads
        self._reads = client.intents.message_content  # of messages that do not mention the bot

    def me(self) -> Me:
        """Return the bot as this server knows it."""
        role = self._guild.self_role if self._guild else None
        return Me(str(self._client.user.id if self._client.user else ""), frozenset({str(role.id)} if role else ()))

    def channel(self, channel_id: str) -> str | None:
        found = self._guild.get_channel_or_thread(int(channel_id)) if self._guild else None
        return found.name if found else None

    def role(self, role_id: str) -> str | None:
        found = self._guild.get_role(int(role_id)) if self._guild else None
        return found.name if found else None

    def takes_part(self, channel_id: str) -> bool:
        thread = self._guild.get_thread(int(channel_id)) if self._guild and self._reads else None
        return thread is not None and (thread.me is not None or str(thread.owner_id) == self.me().id)

    def hides(self, channel_id: str) -> bool:
        thread = self._guild.get_thread(int(channel_id)) if self._guild and not self._reads else None
        return thread is not None and str(thread.owner_id) == self.me().id

    def branches(self, channel_id: str) -> bool:
        found = self._guild.get_channel(int(channel_id)) if self._guild and self._threads else None
        return isinstance(found, discord.TextChannel)
