"""One document on standard output, exit codes that scripts can trust, and nothing that a terminal would obey."""

from __future__ import annotations

import json

import anyio
import pytest
import typer

from pointsman.cli.answering import answering, finish, plain, say, table
from pointsman.errors import UnknownProvider


def test_an_error_of_ours_is_rendered_and_ends_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, answering():
        raise UnknownProvider("no provider redis.", hint="Install it.")
    assert ended.value.exit_code == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "UnknownProvider [unknown-provider]: no provider redis.\n  Install it.\n"


def test_under_json_the_refusal_is_the_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), answering(as_json=True):
        raise UnknownProvider("no provider redis.", hint="Install it.")
    assert json.loads(capsys.readouterr().out) == {
        "code": "unknown-provider",
        "title": "Unknown provider",
        "detail": "no provider redis.",
        "hint": "Install it.",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – ·\nnext", "plain – ·\nnext"),
        ("\x1b[31mred", "\\u001b[31mred"),
        ("bidi \u202eevil", "bidi \\u202eevil"),
        ("[bold]markup[/bold]", "[bold]markup[/bold]"),
        ("bell\a\r", "bell\\u0007\\u000d"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_by_its_number(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_json_is_ascii_whatever_it_carries(capsys: pytest.CaptureFixture[str]) -> None:
    say({"name": "\u202ex\x1b"}, "", as_json=True)
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    assert json.loads(out) == {"name": "\u202ex\x1b"}


def test_columns_are_aligned_and_end_without_blanks() -> None:
    assert table([("a", "long", ""), ("bbb", "x", "y")], indent="  ") == "  a    long\n  bbb  x     y"


def test_a_lone_error_leaves_the_groups_around_it() -> None:
    async def work() -> None:
        async with anyio.create_task_group(), anyio.create_task_group():
            raise UnknownProvider("no provider redis.")

    with pytest.raises(UnknownProvider):
        finish(work)
