"""The house keeps its plan: layers, sizes, names, lint and types."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
PACKAGE = HOUSE / "framework" / "pointsman"
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(HOUSE / "app").rglob("*.py"), *(HOUSE / "handlers").rglob("*.py")])
MAX_MODULE_LINES = 400
ONE_TREE = PACKAGE / "errors.py"  # a class a line or two: one idea, however many leaves it has
MAX_FUNCTION_LINES = 50
NO_MODULE_NAMES = frozenset({"utils", "helpers", "common", "manager_base", "misc", "base"})
TOP_LEVEL = {
    *(".ci", ".gcloudignore", ".gitignore", ".python-version", "CHANGELOG.md", "LICENSE", "Procfile", "README.md"),
    *("app", "deploy", "docs", "framework", "handlers", "pyproject.toml", "requirements.txt", "settings", "tests"),
}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=HOUSE,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("ruff", "check", "."), id="lint"),
        pytest.param(("ruff", "format", "--check", "."), id="format"),
        pytest.param(("mypy",), id="types"),
    ],
)
def test_the_tools_find_nothing(command: tuple[str, ...]) -> None:
    answer = run(*command)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_module_imports_only_from_its_own_layer_or_those_below() -> None:
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=HOUSE,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path != ONE_TREE], ids=lambda path: str(path.relative_to(HOUSE))
)
def test_a_module_is_short_and_named_for_its_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES
    assert path.stem not in NO_MODULE_NAMES


def test_no_function_hides_a_second_idea() -> None:
    long = [
        f"{path.relative_to(HOUSE)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in functions(path)
        if length(node) > MAX_FUNCTION_LINES
    ]
    assert not long


def test_nobody_imports_from_the_root_package() -> None:
    guilty = [
        str(path.relative_to(HOUSE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "pointsman"
        if {alias.name for alias in node.names} != {"errors"}  # the module itself
    ]
    assert not guilty


def test_the_top_level_holds_what_the_plan_says() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=HOUSE, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    if not tracked:
        pytest.skip("not a git checkout")
    assert {name.partition("/")[0] for name in tracked} <= TOP_LEVEL


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    documented = ast.get_docstring(node, clean=False)
    return (node.end_lineno or node.lineno) - node.lineno + 1 - len((documented or "").splitlines())
