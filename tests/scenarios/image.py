"""An image without containers: what `gcloud run deploy --source .` uploads, and what Google's buildpack makes of it.

Source: the Cloud SDK's ``gcloudignore.py``; ``GoogleCloudPlatform/buildpacks``, ``pkg/python/requirements.go``.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.scenarios.shell import CHECKOUT

INCLUDE = "#!include:"


def cloned(folder: Path) -> Path:
    """Copy what a clone of this checkout would hold, were all committed that git does not ignore."""
    names = _listed(CHECKOUT, "--cached", "--exclude-standard")
    if not names:
        pytest.skip("not a git checkout")
    return _copied(CHECKOUT, (name for name in names if (CHECKOUT / name).is_file()), folder)


def uploaded(source: Path) -> set[str]:
    """Return the names of the files that ``.gcloudignore`` lets through; it reads as git does, but for inclusions."""
    lines = []
    for line in (source / ".gcloudignore").read_text(encoding="utf-8").splitlines():
        included = line.startswith(INCLUDE)
        lines += (source / line.removeprefix(INCLUDE)).read_text().splitlines() if included else [line]
    subprocess.run(["git", "init", "--quiet", source], check=True)
    rules = source / ".git" / "rules"
    rules.write_text("\n".join(lines))
    return _listed(source, f"--exclude-from={rules}")


def _listed(folder: Path, *options: str) -> set[str]:
    command = ["git", "ls-files", "-z", "--others", *options]
    listed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return set(filter(None, listed.stdout.split("\0")))


def _copied(source: Path, names: Iterable[str], folder: Path) -> Path:
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, target)
    return folder
