"""How every command answers: one text or one JSON document on standard output, and a code that scripts can trust.

Exit codes: 0 done, 1 refused, 2 usage. A refusal is told on standard error as the error renders itself; under
``--json`` standard output carries it too, as ``{"code", "title", "detail", "hint"}``. What comes from outside is never
markup, and control and bidi characters in it are shown by their numbers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import typer

from pointsman.errors import PointsmanError

T = TypeVar("T")
Document: TypeAlias = "dict[str, Any] | list[Any]"

REFUSED = 1


@contextmanager
def answering(*, as_json: bool = False) -> Generator[None]:
    """Turn an error of ours, raised in the block, into its rendering and exit code 1."""
    try:
        yield
    except PointsmanError as error:
        if as_json:
            say_json(problem_of(error))
        typer.echo(plain(error.render()), err=True)
        raise typer.Exit(REFUSED) from error


def problem_of(error: PointsmanError) -> dict[str, str]:
    """Return an error as the shell's JSON carries it."""
    title = error.code.replace("-", " ").capitalize()
    return {"code": error.code, "title": title, "detail": error.message, "hint": error.hint}


def say(document: Document, text: str, *, as_json: bool) -> None:
    """Write the answer of a command: the document under ``--json``, else the text."""
    if as_json:
        say_json(document)
    else:
        typer.echo(plain(text))


def say_json(document: Document, *, indent: int | None = 2) -> None:
    """Write one JSON document, ASCII throughout, so that nothing in it can disturb a terminal."""
    typer.echo(json.dumps(document, indent=indent, default=str))


def note(text: str) -> None:
    """Tell something beside the answer, on standard error."""
    typer.echo(plain(text), err=True)


def plain(text: str) -> str:
    """Return a text in which every character that a terminal would obey is shown by its number; lines stay lines."""
    from pointsman.control.commands import check_plain

    return "\n".join(
        "".join(character if check_plain(character) is None else f"\\u{ord(character):04x}" for character in line)
        for line in text.split("\n")
    )


def table(rows: Sequence[tuple[str, ...]], *, indent: str = "") -> str:
    """Return rows of cells as aligned columns, two spaces apart."""
    widths = [max(len(plain(cell)) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{plain(cell):<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"{indent}{line}".rstrip() for line in lines)


def finish(work: Callable[[], Awaitable[T]]) -> T:
    """Run asynchronous work to its end, and return what it returns; a lone error leaves the groups around it."""
    import anyio

    try:
        return anyio.run(work)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if error is group:
            raise
        raise error from error.__cause__


def tolerant_streams() -> None:
    """Let no character that the terminal's encoding lacks end a command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
