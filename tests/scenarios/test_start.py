"""The process that Cloud Run starts: no more is loaded than is used, and it ends in order."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pointsman.runtime.sources.merging import compile_settings
from tests.bench.fleet import found
from tests.programs import python
from tests.scenarios.shell import PATIENCE_S, answered, ended, free_port, running

SERVICE = """
import gc
import sys

from pointsman import Candidate, Pointsman

app = Pointsman(include=[Candidate("service", "a", "one", dict)])


@app.get("/loaded")
async def loaded() -> dict[str, object]:
    names = sorted(sys.modules)
    return {"modules": names, "collecting": gc.isenabled(), "frozen": gc.get_freeze_count()}
"""
HEAVY = {"typer", "rich", "httpx", "requests", "google", "redis", "fastapi", "opentelemetry"}
HEAVY |= {"click", "multiprocessing", "uvicorn.main", "nacl.public", "nacl.signing"}
HEAVY |= {
    "anyio",
    "email.message",
    "http.client",
    "logging.handlers",
    "multipart",
    "starlette",
    "tempfile",
    "typing_extensions",
}
SELDOM = HEAVY | {"anyio._backends._asyncio", "filelock", "difflib", "pydantic", "pydantic_settings", "yaml"}
"""What a replica needs that cannot follow its fleet by reading alone."""
MOST_OF_OURS = 145
"""Modules of ours: an empty one costs 0.05 % of bare Starlette's start, a usual one 0.2 %."""


def serving(folder: Path, *words: str, **variables: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return running(*words, folder=folder, module="pointsman.cli.run", **variables)


def test_a_service_loads_what_it_uses_collects_no_garbage_of_its_start_and_ends_in_order(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(SERVICE)
    port = free_port()
    with serving(tmp_path, "hello:app", PORT=str(port)) as process:
        told = answered(process, port, "/loaded").json()
        assert HEAVY.isdisjoint(told["modules"])
        assert told["collecting"]
        assert told["frozen"] > 10_000
        code, out, err = ended(process, signal.SIGTERM)
        assert (code, out) == (-signal.SIGTERM, "")  # uvicorn raises the signal again, once all is closed
        messages = [json.loads(line)["message"] for line in err.splitlines()]
        assert messages[-1] == "Waiting for application shutdown."


def test_what_a_start_did_not_load_is_loaded_by_the_request_that_needs_it(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(SERVICE)
    port = free_port()
    with serving(tmp_path, "hello:app", PORT=str(port)) as process:
        assert answered(process, port, "/health/ready").json() == {"status": "ok"}
        assert "starlette" not in answered(process, port, "/loaded").json()["modules"]
        assert answered(process, port, "/nowhere").json()["code"] == "http-404"
        assert "starlette.routing" in answered(process, port, "/loaded").json()["modules"]


LOADING = """
import asyncio, os, sys, threading

from pointsman import Candidate, Pointsman
from pointsman.errors import ProviderUnavailable
from pointsman.runtime.settings import Settings
from pointsman.testing import serving

app = Pointsman(Settings.load(tenants={"acme": {}}), include=[Candidate("service", "a", "one", dict)])


@app.get("/a")
async def a() -> str:
    return "a"


@app.get("/sick")
async def sick() -> str:
    raise ProviderUnavailable("out of reach")


def imported(event: str, what: tuple) -> None:
    if event == "import" and what[0].partition(".")[0] == "starlette":
        by.add(threading.current_thread() is threading.main_thread())


async def main() -> None:
    method, path, tenant, status = os.environ["ASKED"].split()
    async with serving(app) as client:
        assert (await client.get("/a", headers={"x-tenant-id": "acme"})).text == "a"
        sys.addaudithook(imported)
        answer = await client.request(method, path, headers={"x-tenant-id": tenant})
        assert answer.status_code == int(status)


by = set()
asyncio.run(main())
print(by)
"""


@pytest.mark.parametrize(
    "asked",
    [
        "GET /nowhere acme 404",
        "POST /a acme 405",
        "GET /a/ acme 307",
        "GET /a nobody 404",
        "GET /sick acme 503",
        "PUT /health/live acme 405",
    ],
)
def test_the_first_refusal_loads_what_it_needs_beside_the_loop(tmp_path: Path, asked: str) -> None:
    assert python(LOADING, ASKED=asked, POINTSMAN_SETTINGS=str(tmp_path)).stdout == "{False}\n"


def test_a_replica_that_follows_a_fleet_from_compiled_settings_loads_what_reading_takes(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(SERVICE)
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "app.yml").write_text(found(tmp_path, f"file://{tmp_path / 'fleet'}"))
    compile_settings(tmp_path / "settings")
    port = free_port()
    with serving(tmp_path, "hello:app", PORT=str(port), POINTSMAN_SETTINGS="settings") as process:
        answer = answered(process, port, "/loaded")
        assert answer.headers["X-Pointsman-Catalog"].startswith("1.")
        loaded = answer.json()["modules"]
        assert SELDOM.isdisjoint(loaded)
        assert len([name for name in loaded if name.partition(".")[0] == "pointsman"]) <= MOST_OF_OURS


WITH_A_MODEL = """
from pydantic import BaseModel


class Item(BaseModel):
    title: str


@app.get("/plugins")
async def plugins() -> dict[str, object]:
    import os

    return {"looked for": "PYDANTIC_DISABLE_PLUGINS" not in os.environ, "loaded": "fire" in sys.modules}
"""


def test_pydantic_looks_for_plugins_only_where_a_package_brings_one(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(SERVICE + WITH_A_MODEL)
    (tmp_path / "fire.py").write_text("def new_schema_validator(*of): return None, None, None")
    for is_there in (False, True):
        port = free_port()
        with serving(tmp_path, "hello:app", PORT=str(port)) as process:
            assert answered(process, port, "/plugins").json() == {"looked for": is_there, "loaded": is_there}
        (tmp_path / "fire-1.0.dist-info").mkdir(exist_ok=True)
        (tmp_path / "fire-1.0.dist-info" / "entry_points.txt").write_text("[pydantic]\nfire = fire\n")
        (tmp_path / "fire-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: fire\nVersion: 1.0\n")


SPEAKING = """
from starlette.websockets import WebSocket


@app.websocket("/talk")
async def talk(socket: WebSocket) -> None: ...
"""


@pytest.mark.parametrize(("more", "loaded"), [("", False), (SPEAKING, True)])
def test_a_library_for_websockets_is_loaded_where_a_route_speaks_it(tmp_path: Path, more: str, loaded: bool) -> None:
    (tmp_path / "wsproto.py").write_text("raise SystemExit('the library was loaded')")
    (tmp_path / "websockets.py").write_text("raise SystemExit('the library was loaded')")
    (tmp_path / "hello.py").write_text(SERVICE + more)
    port = free_port()
    with serving(tmp_path, "hello:app", PORT=str(port)) as process:
        if loaded:
            assert "the library was loaded" in process.communicate(timeout=PATIENCE_S)[1]
        else:
            assert answered(process, port, "/loaded").status_code == 200


@pytest.mark.parametrize(
    ("words", "port", "told"),
    [
        (["hello:gone"], "8080", "expected a Pointsman application, found nothing"),
        (["hello:app"], "http", "PORT: expected a port from 0 to 65535, found 'http'."),
        ([], "8080", "expected a module app"),
    ],
)
def test_what_cannot_be_served_is_told_and_fails(tmp_path: Path, words: list[str], port: str, told: str) -> None:
    (tmp_path / "hello.py").write_text(SERVICE)
    with serving(tmp_path, *words, PORT=port) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, out) == (1, "")
        assert told in err
