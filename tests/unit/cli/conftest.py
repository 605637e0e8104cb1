"""A folder of one's own, a small application in it, and the shell."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pointsman.cli.main import app

SHOP = """
from pointsman import Candidate, Pointsman

bank = Candidate("service", "rates", "bank", lambda: "bank", priority=10)
exchange = Candidate("service", "rates", "exchange", lambda: "exchange", priority=5, capabilities={"live"})
fixed = Candidate("service", "rates", "fixed", lambda: "fixed", stack_level=-10)


def broken():
    raise RuntimeError("no line")


app = Pointsman(include=[bank, exchange, fixed, Candidate("service", "rates", "broken", broken, priority=-1)])
"""
SETTINGS = {
    "app": "service: shop\nenvironment: test\n",
    "tenants": "acme: {selections: {service/rates: exchange}}\ninitech: {}\n",
}


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which is one document."""
        return json.loads(self.out)


Shell = Callable[..., Said]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Run a command in a folder of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("POINTSMAN_URL", "POINTSMAN_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, env: dict[str, str] | None = None) -> Said:
        result = CliRunner().invoke(app, [str(word) for word in words], env=env)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def shop(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """The shell in a folder with an application, ``shop:app``, and its settings."""
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    (tmp_path / "settings").mkdir()
    for name, text in SETTINGS.items():
        (tmp_path / "settings" / f"{name}.yml").write_text(text, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "shop", raising=False)

    def run(*words: str, env: dict[str, str] | None = None) -> Said:
        monkeypatch.delitem(sys.modules, "shop", raising=False)
        return shell(*words, "--app", "shop:app", env=env)

    return run


@pytest.fixture
def keys(shell: Shell) -> Path:
    """A key for each role, and a root that names them: ``keys/*.key`` and ``root.dsse.json``."""
    assert shell("keys", "new", *(f"keys/{role}.key" for role in ("root", "manifest", "release", "control"))).code == 0
    named = [word for role in ("root", "manifest", "release", "control") for word in (f"--{role}", f"keys/{role}.key")]
    said = shell("keys", "root", "root.dsse.json", *named, "--service", "shop", "--environment", "test")
    assert said.code == 0, said.err
    return Path("keys").resolve()
