"""The least that can be done with each network's SDK: acknowledge, show a sign of life, keep nothing.

    python -m bench.bare_bot slack | telegram | discord

The baseline of bench/channels.py, with the tokens and addresses of the real channel in its environment. It does what
the SDK's own documents show: whatever it acknowledges is in memory alone and lost if the process ends.
"""

import asyncio
import os
import sys
from typing import Any


def telegram() -> None:
    """Poll with the SDK's own updater, which confirms updates before they are handled."""
    from telegram.ext import ApplicationBuilder, MessageHandler, filters

    async def on_message(update: Any, _: Any) -> None:
        await update.effective_chat.send_action("typing")

    builder = ApplicationBuilder().token(os.environ["TELEGRAM_BOT_TOKEN"])
    app = builder.base_url(f"{os.environ['TELEGRAM_API_URL']}/bot").concurrent_updates(True).build()
    app.add_handler(MessageHandler(filters.ALL, on_message))
    app.run_polling()


def slack() -> None:
    """Use Socket Mode; the SDK acknowledges an event before its listener runs."""
    import aiohttp
    from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
    from slack_bolt.async_app import AsyncApp
    from slack_sdk.web.async_client import AsyncWebClient

    async def serve() -> None:
        async with aiohttp.ClientSession() as session:  # without it the SDK connects anew for each call
            address = os.environ["SLACK_API_URL"]
            app = AsyncApp(client=AsyncWebClient(os.environ["SLACK_BOT_TOKEN"], base_url=address, session=session))

            @app.event("message")
            async def on_message(event: dict[str, Any], client: AsyncWebClient) -> None:
                await client.reactions_add(channel=event["channel"], timestamp=event["ts"], name="eyes")

            handler = AsyncSocketModeHandler(app, os.environ["SLACK_APP_TOKEN"], web_client=app.client)
            await handler.start_async()  # type: ignore[no-untyped-call]

    asyncio.run(serve())


def discord() -> None:
    """Listen at the gateway; a slash command is deferred, a message gets "typing"."""
    import discord
    import yarl

    discord.http.Route.BASE = os.environ["DISCORD_API_URL"]
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["DISCORD_GATEWAY_URL"])
    client = discord.Client(intents=discord.Intents(guilds=True, dm_messages=True))
    tree = discord.app_commands.CommandTree(client)

    @tree.command(name="help", description="help")
    async def on_command(interaction: discord.Interaction) -> None:
        await interaction.response.defer()

    @client.event
    async def on_message(message: discord.Message) -> None:
        await message.channel.typing()

    client.run(os.environ["DISCORD_BOT_TOKEN"], log_handler=None)


if __name__ == "__main__":
    {"slack": slack, "telegram": telegram, "discord": discord}[sys.argv[1]]()
