"""``pointsman settings compile`` writes the file that a start reads, and nothing where the files are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pointsman.cli.main import app
from pointsman.runtime.settings import Settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made = Path("settings")
    made.mkdir()
    return made


def test_the_usual_folder_is_compiled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "app.yml").write_text("service: shop\nown: {a: 1}\n")
    refused = CliRunner().invoke(app, ["settings", "compile"])
    assert refused.exit_code == 1
    assert "own: expected a section" in refused.stderr
    assert not (folder / ".compiled.json").exists()
    done = CliRunner().invoke(app, ["settings", "compile", "--section", "own", "--json"])
    assert json.loads(done.stdout) == {"compiled": "settings/.compiled.json"}
    monkeypatch.setattr(Settings, "_full", lambda asked: pytest.fail("what was compiled was left aside"))
    assert Settings.load(environ={}, sections={"own": dict[str, int]}).service == "shop"


def test_without_a_folder_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(app, ["settings", "compile"])
    assert refused.exit_code == 1
    assert "expected a folder of settings, found none" in refused.stderr
