"""``rapport slack | telegram | discord``: what one needs while setting a network up. The words are the rooms' own."""

import asyncio
from typing import Annotated

import typer

from core import settings

slack = typer.Typer(no_args_is_help=True, help="Set up Slack (docs/slack.md).")
telegram = typer.Typer(no_args_is_help=True, help="Set up Telegram (docs/telegram.md).")
discord = typer.Typer(no_args_is_help=True, help="Set up Discord (docs/discord.md).")


@slack.callback()
@telegram.callback()
@discord.callback()
def _group() -> None:
    """Keep the name of a single command necessary."""


@slack.command()
def manifest(
    url: Annotated[str | None, typer.Option(help="Public address of the web channel: HTTP, not Socket Mode.")] = None,
) -> None:
    """Print the app manifest, to be pasted at https://api.slack.com/apps: Create New App, From a manifest."""
    from channels.slack.manifest import manifest

    typer.echo(manifest(settings.load().bot.name, url))


@telegram.command()
def check(
    take_over: Annotated[bool, typer.Option(help="Remove a webhook that is set, so that polling works.")] = False,
) -> None:
    """Say what Telegram lets the bot do, and what to change with @BotFather; exit code 1 if it cannot talk."""
    from channels.telegram.check import check
    from channels.telegram.settings import Telegram, credentials

    section = settings.load_section("telegram", Telegram)
    fine, lines = asyncio.run(check(section, credentials(), take_over=take_over))
    typer.echo("\n".join(lines))
    raise typer.Exit(0 if fine else 1)


@discord.command()
def invite() -> None:
    """Print the link that brings the bot into a server, with the permissions it asks for and why."""
    from channels.discord.invite import invite

    typer.echo(invite())
