"""Programs in processes of their own: what is loaded there was loaded by them."""

from __future__ import annotations

import subprocess
import sys


def python(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run code to its end, which must be a good one, and return what it wrote."""
    path = {"PYTHONPATH": "framework", **environ}
    done = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done
