"""The shell and a running service tell the same story; a service ends in time and says so by its exit code."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from typer.testing import CliRunner

from pointsman.cli.main import app
from tests.scenarios.shell import CHECKOUT, ended, run, running


class Said(NamedTuple):
    """What a command said on standard output, and its exit code."""

    code: int
    out: str


RATES = ("explain", "service/summarizer", "--tenant", "acme")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the reference service, so that nothing is written into the checkout."""
    for name in ("app", "handlers", "settings"):
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture
def service(folder: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The reference service, served for a developer; gives the process, and the variables that lead to it."""
    with running("serve", "--dev", "--port", "0", "--json", folder=folder) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        place = json.loads(process.stdout.readline())
        for line in process.stderr:
            if "startup complete" in line:
                break
        yield process, {"POINTSMAN_URL": place["url"], "POINTSMAN_TOKEN": place["token"]}


def test_the_shell_is_told_the_same_here_and_there(
    folder: Path, service: tuple[subprocess.Popen[str], dict[str, str]]
) -> None:
    process, variables = service

    def there(*words: str, **others: str) -> Said:
        said = CliRunner().invoke(app, list(words), env={**variables, **others})
        return Said(said.exit_code, said.stdout)

    here = run(*RATES, folder=folder)
    assert here.stdout.startswith("service/summarizer for acme → keywords\n  decided by  explicit selection\n")
    for words in (RATES, (*RATES, "--json"), ("list", "--tenant", "acme")):
        assert Said(0, run(*words, folder=folder).stdout) == there(*words)

    order = ("swap", "service/summarizer", "lead", "--tenant", "acme", "--reason", "try", "--reach", "replica")
    assert "– → use lead" in there(*order, "--dry-run").out
    assert json.loads(there(*RATES, "--json").out)["selected"] == "keywords"
    assert there(*order).code == 0
    assert json.loads(there(*RATES, "--json").out)["selected"] == "lead"
    assert there("pause", "service/notes", "--reason", "try", "--reach", "replica").code == 0
    answer = httpx.get(f"{variables['POINTSMAN_URL']}/notes", headers={"X-Tenant-ID": "acme"}, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (503, "component-paused")
    assert "service/notes  paused  everyone" in there("activity").out
    assert there("health", "--probe").code == there("status").code == 0

    hidden = there("pause", "service/notes", "--reason", "a\u202eb", "--reach", "replica", "--json")
    assert (hidden.code, json.loads(hidden.out)["code"]) == (1, "invalid-input")
    stranger = there("list", "--json", POINTSMAN_TOKEN="wrong")
    assert (stranger.code, json.loads(stranger.out)["code"]) == (1, "unauthenticated")
    code, out, _ = ended(process, signal.SIGTERM)
    assert (code, out) == (0, "")
    gone = there(*RATES, "--json")
    assert (gone.code, json.loads(gone.out)["code"]) == (1, "provider-unavailable")


def test_an_application_that_refuses_to_start_is_told_with_one(folder: Path) -> None:
    (folder / "settings" / "trust.yml").write_text("root: nowhere.json\n", encoding="utf-8")
    with (folder / "settings" / "app.yml").open("a", encoding="utf-8") as file:
        file.write("control: {store: 'file://./fleet'}\n")
    said = run("serve", "--port", "0", folder=folder)
    assert said.returncode == 1
    assert "nowhere.json" in said.stderr
    assert "ConfigurationError: The application refuses to start." in said.stderr
