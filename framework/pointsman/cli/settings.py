"""``pointsman settings``: prepare settings for a start that needs neither YAML nor pydantic.

Meant for the build of an image; never reads the environment, so nothing of the builder's gets into the file.
"""

from pathlib import Path
from typing import Annotated

import typer

from pointsman.cli.answering import answering, say
from pointsman.cli.options import AsJson

app = typer.Typer(no_args_is_help=True, help="Prepare settings for a fast start.", rich_markup_mode=None)


@app.callback()
def settings() -> None:
    """Prepare settings for a fast start."""


@app.command("compile")
def compile_(
    folder: Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="Of the files; unsaid: settings.")] = None,
    *,
    section: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A section of the application's own; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write what the files say into .compiled.json beside them; a start reads it while they are unchanged."""
    with answering(as_json=as_json):
        from pointsman.runtime.sources.merging import compile_settings

        file = compile_settings(folder, section or ())
        say({"compiled": str(file)}, f"Compiled into {file}", as_json=as_json)
