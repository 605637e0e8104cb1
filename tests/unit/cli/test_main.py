"""Help and version answer without loading what commands stand on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pointsman
from pointsman.version import __version__
from tests.unit.cli.conftest import Shell

COMMANDS = (
    "demo", "serve", "list", "explain", "status", "health", "activity", "swap", "pause", "drain", "plugins",
    "remote-sync", "remote-status", "head", "keys", "manifest",
)  # fmt: skip
HEAVY = ("anyio", "google", "httpx", "msgspec", "nacl", "pydantic", "rich", "starlette", "structlog", "uvicorn", "yaml")


def test_every_command_has_a_line_that_is_not_cut(shell: Shell) -> None:
    out = shell("--help").out
    for name in COMMANDS:
        assert f"  {name} " in out
    assert "..." not in out.partition("Commands:")[2]


@pytest.mark.parametrize(
    "words", [(name,) for name in COMMANDS] + [("head", "adopt"), ("keys", "root"), ("manifest", "publish")]
)
def test_every_command_explains_itself(shell: Shell, words: tuple[str, ...]) -> None:
    said = shell(*words, "--help")
    assert said.code == 0
    assert "Usage:" in said.out


def test_the_version_is_told(shell: Shell) -> None:
    assert shell("--version").out == f"pointsman {__version__}\n"


def test_help_loads_nothing_but_typer() -> None:
    code = (
        "import sys; from pointsman.cli import main; sys.argv[1:] = ['--help']\n"
        "try: main.run()\n"
        f"except SystemExit: print(sorted(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(pointsman.__file__).parents[1])}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environ)
    assert answer.stderr.strip() == "[]"
    assert "Usage: " in answer.stdout
