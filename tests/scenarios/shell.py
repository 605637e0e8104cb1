"""The shell as a process of its own, as users have it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

import pointsman

CHECKOUT = Path(__file__).parents[2]
PATIENCE_S = 60.0
"""How long a process may take; it is bounded, and nothing waits for it to pass."""


def environment(**variables: str) -> dict[str, str]:
    """Return the variables of a process that finds the package, and no service."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("POINTSMAN_")}
    return {**inherited, "PYTHONPATH": str(Path(pointsman.__file__).parents[1]), "NO_COLOR": "1", **variables}


def command(*words: str, module: str = "pointsman.cli") -> list[str]:
    """Return the words that start the shell, or another module of it."""
    return [sys.executable, "-m", module, *words]


def run(*words: str, folder: Path = CHECKOUT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(*words),
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@contextmanager
def running(
    *words: str, folder: Path = CHECKOUT, module: str = "pointsman.cli", **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """Run a command that serves; killed at the end if it has not ended by then."""
    process = subprocess.Popen(
        command(*words, module=module),
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], by: signal.Signals) -> tuple[int, str, str]:
    """Send a signal, and return exit code, and what was said since."""
    process.send_signal(by)
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def answered(process: subprocess.Popen[str], port: int, path: str) -> httpx.Response:
    """Return the first answer of a process that serves, or will."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        for _ in range(100_000):
            assert process.poll() is None, process.communicate()
            try:
                return client.get(path, timeout=PATIENCE_S)
            except httpx.ConnectError:
                continue
    raise AssertionError("nobody listens")
