"""The command ``pointsman``: every family of commands, put together.

Importing this imports no more than Typer, so that ``--help`` and the shell's completion answer at once; what a command
stands on is imported when it is run. Annotations of commands are no text: Typer would compile each of them, twice.
"""

from typing import Annotated

import typer

from pointsman.cli import demo, heads, keys, looking, manifest, ordering, releases, serving, settings
from pointsman.cli.answering import tolerant_streams
from pointsman.version import __version__

app = typer.Typer(
    name="pointsman",
    help="Choose, explain and swap the provider of every component, per request and per tenant.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("serve")(serving.serve)
app.command("list")(looking.list_components)
app.command("explain")(looking.explain)
app.command("status")(looking.status)
app.command("health")(looking.health)
app.command("activity")(looking.activity)
app.command("swap")(ordering.swap)
app.command("pause")(ordering.pause)
app.command("drain")(ordering.drain)
app.command("plugins")(looking.plugins)
app.add_typer(heads.app, name="head")
app.command("remote-sync")(heads.remote_sync)
app.command("remote-status")(heads.remote_status)
app.add_typer(keys.app, name="keys")
app.add_typer(settings.app, name="settings")
manifest.app.command("publish")(releases.publish)
manifest.app.command("revert")(releases.revert)
app.add_typer(manifest.app, name="manifest")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"pointsman {__version__}")
        raise typer.Exit


@app.callback()
def pointsman(
    *, version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False
) -> None:
    """Choose, explain and swap the provider of every component, per request and per tenant."""


def run() -> None:
    """Run the command that the process's arguments name."""
    tolerant_streams()
    app()
