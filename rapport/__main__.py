"""The command ``rapport``: its subcommands, and how an error ends it. What they do is in files of their own."""

import sys
from typing import Annotated

import typer

from core.errors import RapportError
from rapport import dead, keys, networks

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="A messaging bot that reads the mood and answers in a fitting tone.",
)
app.add_typer(dead.app, name="dead")
app.add_typer(keys.app, name="keys")
app.add_typer(networks.slack, name="slack")
app.add_typer(networks.telegram, name="telegram")
app.add_typer(networks.discord, name="discord")


@app.command()
def chat() -> None:
    """Talk to the bot here. Starts what is needed and ends it afterwards; input may be piped in."""
    from rapport import local

    raise typer.Exit(local.chat())


@app.command()
def up() -> None:
    """Run everything that is configured: web page, worker, and each channel whose token is set."""
    from rapport import local

    local.up()


@app.command()
def worker() -> None:
    """Run one worker in the foreground, on the Redis that REDIS_URL names."""
    from rapport import local

    local.worker()


@app.command()
def doctor() -> None:
    """Say what is fine, what is missing and how to fix it; the exit code is 1 if something needed is broken."""
    from rapport import doctor

    raise typer.Exit(0 if doctor.report() else 1)


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Say how the running Rapport is. Exit code: 0 fine, 1 degraded, 2 down."""
    from rapport import status

    raise typer.Exit(status.run(as_json=as_json))


def main() -> None:
    """Run the command; an error on purpose is told on standard error without a traceback, with exit code 1.

    A command or option that does not exist ends with 3, as 2 is what ``rapport status`` says of a Rapport that is down.
    """
    try:
        app()
    except SystemExit as ended:
        asked_for = isinstance(ended.__context__, typer.Exit)
        sys.exit(3 if ended.code == 2 and not asked_for else ended.code)
    except RapportError as error:
        print(f"rapport: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
