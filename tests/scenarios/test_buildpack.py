"""The image that a buildpack makes starts from bytecode and compiled settings alone, and writes nothing into itself.

Built and started as Google's builder does it, but with this machine's Python: whose library has been compiled where it
was installed, and is not looked at. `image` says what is done.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.scenarios.image import UNPRIVILEGED, Image, built, cloned, sealed, started, with_compiled_settings
from tests.scenarios.shell import PATIENCE_S, answered, free_port

if os.name != "posix":
    pytest.skip("an image runs on Linux", allow_module_level=True)
NEEDED = ("git", "uv", "bash", *UNPRIVILEGED[:1])
if missing := [program for program in NEEDED if not shutil.which(program)]:
    pytest.skip(f"not on this machine: {', '.join(missing)}", allow_module_level=True)

FROM_SOURCE = re.compile(r"^# code object from (?!')(.+)$", re.MULTILINE)
FROM_BYTECODE = re.compile(r"^# code object from '(.+)'$", re.MULTILINE)
IMPORTED = re.compile(r"^import '?(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Told:
    """What one run of the image told: answers, a log with Python's word on imports, how it ended, what it wrote."""

    image: Image
    ready: httpx.Response
    summary: httpx.Response
    log: str
    code: int
    written: set[Path]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    if subprocess.run([*UNPRIVILEGED, "true"], check=False).returncode:
        pytest.skip("root keeps its rights here")
    folder = tmp_path_factory.mktemp("image").resolve()
    image = built(with_compiled_settings(cloned(folder / "source")), folder)
    with sealed(image):
        before = image.state()
        yield _run(image, folder, before)


def _run(image: Image, folder: Path, before: dict[Path, tuple[int, int]]) -> Told:
    port = free_port()
    environ = {
        "PORT": str(port),
        "K_SERVICE": "notebook",
        "POINTSMAN_ENVIRONMENT": "production",
        "POINTSMAN_TENANCY__VOUCHED_BY": "gateway",
        "POINTSMAN_ADAPTERS__PROVIDER_SETTINGS": json.dumps({"database/sqlite": {"path": str(folder / "notes.db")}}),
        "PYTHONVERBOSE": "1",
    }
    log = folder / "log"
    with started(image, log, **environ) as process:
        ready = answered(process, port, "/health/ready")
        tenant = {"X-Tenant-ID": "initech"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=tenant, trust_env=False) as client:
            note = client.post("/notes", json={"title": "A", "text": "One. Two. Three."}).raise_for_status().json()
            summary = client.get(f"/notes/{note['id']}/summary")
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE_S)
    after = image.state()
    written = {path for path in after | before if after.get(path) != before.get(path)}
    return Told(image, ready, summary, log.read_text(encoding="utf-8", errors="replace"), code, written)


def test_it_is_ready_at_the_first_answer_serves_and_ends_in_order(told: Told) -> None:
    assert (told.ready.status_code, told.ready.json()) == (200, {"status": "ok"})
    assert (told.summary.status_code, told.summary.json()["sentences"]) == (200, ["One.", "Two."])
    assert "Waiting for application shutdown." in told.log
    assert told.code == -signal.SIGTERM  # uvicorn raises the signal again, once all is closed


def test_no_module_is_compiled(told: Told) -> None:
    roots = (str(told.image.workspace), str(told.image.packages))
    assert [path for path in FROM_SOURCE.findall(told.log) if path.startswith(roots)] == []
    read = {path.partition("/__pycache__/")[0] for path in FROM_BYTECODE.findall(told.log)}
    (site,) = told.image.packages.glob("lib/*/site-packages")
    assert read >= {f"{told.image.workspace}/{name}" for name in ("app", "handlers")} | {f"{site}/pointsman/web"}


def test_an_edit_in_a_checkout_is_seen_past_such_bytecode(told: Told) -> None:
    """PEP 552: it is found out by the source's hash, and that is compared."""
    files = [file for name in ("app", "handlers") for file in (told.image.workspace / name).rglob("*.pyc")]
    assert {file.read_bytes()[4:8] for file in files} == {b"\3\0\0\0"}


def test_its_settings_are_the_compiled_ones(told: Told) -> None:
    """The notebook's own bodies are pydantic models, so pydantic itself is there."""
    assert "is not taken" not in told.log
    assert {"yaml", "pydantic_settings", "dotenv"}.isdisjoint(IMPORTED.findall(told.log))


def test_nothing_is_written_into_it(told: Told) -> None:
    assert told.written == set()
    probe = subprocess.run([*UNPRIVILEGED, "touch", told.image.workspace / "probe"], capture_output=True, check=False)
    assert b"Permission denied" in probe.stderr  # it could not have been
