"""The application is found by its name, in the working directory, or it is said why it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.cli.applications import has_default
from tests.unit.cli.conftest import Shell


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("shop", "Expected an application as module:name"),
        ("shop:", "Expected an application as module:name"),
        ("shop:nothing", "expected a Pointsman application, found nothing"),
        ("shop:bank", "expected a Pointsman application, found a Candidate"),
        ("nowhere_at_all:app", "expected a module nowhere_at_all"),
        ("raises_here:app", "importing it failed: ZeroDivisionError"),
        ("wants_more:app", "it imports no_such_package"),
    ],
)
def test_what_is_no_application_is_refused(shop: Shell, shell: Shell, reference: str, message: str) -> None:
    Path("raises_here.py").write_text("1 / 0\n", encoding="utf-8")
    Path("wants_more.py").write_text("import no_such_package\n", encoding="utf-8")
    said = shell("list", "--app", reference)
    assert said.code == 1
    assert message in said.err


def test_without_an_application_the_shipped_components_are_there(shell: Shell) -> None:
    rows = shell("list", "--json").json
    assert "adapter/cache" in {row["component"] for row in rows}


def test_settings_that_want_an_application_say_how_to_name_it(shop: Shell, shell: Shell) -> None:
    said = shell("list")
    assert said.code == 1
    assert "--app module:name" in said.err


def test_the_usual_application_is_the_one_in_the_working_directory(shop: Shell, shell: Shell) -> None:
    assert not has_default()
    Path("app").mkdir()
    Path("app/main.py").touch()
    assert has_default()
