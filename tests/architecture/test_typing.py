"""What users' type checkers must infer, and what they must refuse."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).parents[2]
CASES = HOUSE / "tests" / "typing"


def mypy(path: Path) -> str:
    answer = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", "--strict", "--explicit-package-bases", str(path)],
        cwd=HOUSE,
        env={**os.environ, "MYPYPATH": os.pathsep.join(["framework", "."])},
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout + answer.stderr


def test_the_public_surface_is_inferred_as_users_write_it() -> None:
    assert "Success" in mypy(CASES / "inferred.py")


def test_every_mistake_is_refused_and_nothing_else() -> None:
    source = (CASES / "refused.py").read_text(encoding="utf-8").splitlines()
    marked = {number for number, line in enumerate(source, 1) if line.rstrip().endswith("# E")}
    assert len(marked) == 10
    found = {int(line) for line in re.findall(r"refused\.py:(\d+): error", mypy(CASES / "refused.py"))}
    assert found == marked
