"""A settings folder that a test writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write ``settings/<name>.yml`` for every argument, below the working directory."""
    monkeypatch.chdir(tmp_path)

    def put(**files: str) -> Path:
        folder = Path("settings")
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.yml").write_text(dedent(text), encoding="utf-8")
        return folder

    return put
