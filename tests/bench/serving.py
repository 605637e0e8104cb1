"""Rows over HTTP: real servers in real processes, on the same uvicorn with the same loop and parser.

The load generator shares one CPU with the server, and what is compared is the server's own CPU time for a request, from
the kernel's clock of that process: what the generator costs, and who wakes whom, is in none of the figures. Where
valgrind is there, it also counts the instructions of the server's own program: what the system does for a request is in
none of those, and no noise.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.harness import FailedError, Figures, NotMeasuredError, Row, Samples, Size

ROOT = Path(__file__).resolve().parents[2]
HTTP = "httptools" if importlib.util.find_spec("httptools") else "h11"
HELLO = b"GET /hello HTTP/1.1\r\nhost: x\r\nuser-agent: bench/1\r\naccept: */*\r\nx-tenant-id: acme\r\n\r\n"
BODY = b'{"title":"a","text":"hello"}'
ITEM = (
    b"POST /items/7 HTTP/1.1\r\nhost: x\r\nuser-agent: bench/1\r\naccept: */*\r\nx-tenant-id: acme\r\n"
    b"content-type: application/json\r\ncontent-length: " + str(len(BODY)).encode() + b"\r\n\r\n" + BODY
)
START_S = 30.0
REQUESTS = 3_000
STARTS = 5
VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
FEW, MANY = 500, 2_500
"""Requests of two runs under valgrind: their difference is what requests take, and no start."""


@dataclass(frozen=True)
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_s(self) -> float:
        """Return the CPU time of the process so far, all its threads together."""
        return time.clock_gettime(
            (~self.process.pid << 3) | 2
        )  # CPUCLOCK_SCHED of another process, see clock_getcpuclockid

    def cost(self, request: bytes, count: int) -> float:
        """Return the CPU seconds for one request."""
        before = self.cpu_s()
        self.ask(request, count)
        return (self.cpu_s() - before) / count

    def ask(self, request: bytes, count: int) -> list[float]:
        """Send so many requests over one connection, each after the answer to the one before; seconds of each."""
        taken: list[float] = []
        with socket.create_connection(("127.0.0.1", self.port)) as wire:
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(count):
                started = time.perf_counter()
                wire.sendall(request)
                answer = _whole(wire)
                taken.append(time.perf_counter() - started)
                if not answer.startswith(b"HTTP/1.1 200"):
                    raise FailedError(f"it answered {answer[:200]!r}")
        return taken


def _whole(wire: socket.socket) -> bytes:
    answer = wire.recv(65_536)
    while True:
        head, ended, body = answer.partition(b"\r\n\r\n")
        if ended:
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(body) >= length:
                return answer
        more = wire.recv(65_536)
        if not more:
            raise FailedError("the server closed the connection")
        answer += more


@contextlib.contextmanager
def one_cpu() -> Generator[int]:
    """Keep this process, and what it starts, on one CPU."""
    if not hasattr(os, "sched_setaffinity"):
        raise NotMeasuredError("only Linux can keep processes on one CPU")
    before = os.sched_getaffinity(0)
    chosen = max(before)
    os.sched_setaffinity(0, {chosen})
    try:
        yield chosen
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def surroundings(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a server: ours, our code, and its own settings."""
    paths = [str(ROOT / "framework"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "POINTSMAN_SETTINGS": str(folder), **more}


def write_settings(folder: Path, app: str = "") -> Path:
    """Write settings with one tenant; ``app`` is what ``app.yml`` says."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tenants.yml").write_text("acme:\n  labels: {plan: gold}\n", encoding="utf-8")
    (folder / "app.yml").write_text(app, encoding="utf-8")
    return folder


@contextlib.contextmanager
def served(
    factory: str, folder: Path, settings: Path, *, access: bool = False, under: Sequence[str] = (), **more: str
) -> Generator[Server]:
    """Serve an application of `applications` until the end of the block, under another program where one is named."""
    port, log = free_port(), folder / f"{factory}-{access}.log"
    command = [*under, sys.executable, "-m", "uvicorn", "--factory", f"tests.bench.applications:{factory}"]
    command += ["--port", str(port), "--http", HTTP, "--loop", "asyncio", "--ws", "none"]
    if not access:
        command += ["--no-access-log", "--log-level", "warning"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=surroundings(settings, **more), stdout=out, stderr=out)
    server = Server(process, port, log)
    try:
        _await(server)
        yield server
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(server: Server) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", server.port), 1).close()
            return
        if server.process.poll() is not None:
            break
        time.sleep(0.02)
    raise FailedError(f"the server did not start: {server.log.read_text(errors='replace')[-300:].strip()!r}")


def _costs(size: Size, factories: Sequence[str], request: bytes) -> Samples:
    """Return the CPU seconds a request, round by round; peers that are not there, or do not start, are left out.

    Servers are started anew in the midst of the rounds: where a process happens to lie in memory is worth a tenth.
    """
    starts = min(STARTS, size.rounds)
    every: Samples = {}
    for _ in range(starts):
        for who, samples in _one_start(Size(-(-size.rounds // starts), size.scale), factories, request).items():
            every.setdefault(who, []).extend(samples)
    return every


def _one_start(size: Size, factories: Sequence[str], request: bytes) -> Samples:
    with tempfile.TemporaryDirectory() as made, one_cpu(), contextlib.ExitStack() as stack:
        folder = Path(made)
        settings = write_settings(folder / "settings")
        servers: dict[str, Server] = {}
        for factory in factories:
            try:
                servers[factory] = stack.enter_context(served(factory, folder, settings))
            except NotMeasuredError:
                if factory in factories[:2]:
                    raise
        return rounds(size, servers, request)


def rounds(size: Size, servers: dict[str, Server], request: bytes) -> Samples:
    """Ask each server in turn, round by round, after a warm-up that does not count."""
    count = size.of(REQUESTS, 10)
    samples: Samples = {who: [] for who in servers}
    for number in range(size.rounds + 1):
        for who, server in servers.items():
            cost = server.cost(request, count)
            if number:
                samples[who].append(cost)
    return samples


def counted(size: Size, factories: Sequence[str], request: bytes) -> str:
    """Say how many instructions each takes for a request, and the ratio to the first; nothing where nobody can count.

    Nothing is counted at less than full size either: under valgrind all takes fifty times as long.
    """
    if size.scale < 1 or not shutil.which(VALGRIND[0]):
        return ""
    counts = {who: (_counted(who, request, MANY) - _counted(who, request, FEW)) / (MANY - FEW) for who in factories}
    first = counts[factories[0]]
    said = (f"{who} {count / 1e3:.0f} k ({first / count:.2f})" for who, count in counts.items())
    return "; instructions a request: " + ", ".join(said)


def _counted(factory: str, request: bytes, requests: int) -> int:
    """Return the instructions of a whole run of a server."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with served(factory, folder, write_settings(folder / "settings"), under=VALGRIND) as server:
            server.ask(request, requests)
        said = server.log.read_text(errors="replace")
    found = re.search(r"I\s+refs:\s+([0-9,]+)", said)
    if found is None:
        raise FailedError(f"valgrind counted nothing: {said[-300:]!r}")
    return int(found[1].replace(",", ""))


def _note(more: str = "") -> str:
    return f"server CPU a request, uvicorn with {HTTP} on asyncio{more}"


def _compared(size: Size, request: bytes, ours: str, base: str, *others: str) -> Figures:
    note = _note(counted(size, (base, ours), request))
    return Figures(_costs(size, (ours, base, *others), request), ours, (base,), "s", note)


def _hello(size: Size) -> Figures:
    peers = ("fastapi", "litestar", "blacksheep", "svcs", "wireup", "dishka")
    return _compared(size, HELLO, "own", "starlette", *peers)


def _inner(size: Size) -> Figures:
    return _compared(size, HELLO, "inner", "starlette")


def _typed(size: Size) -> Figures:
    if not importlib.util.find_spec("fastapi"):
        raise NotMeasuredError("fastapi is not installed")
    return _compared(size, ITEM, "typed", "fastapi_typed", "fastapi_typed_in_a_thread")


def _seen(size: Size, factory: str) -> Figures:
    """Measure with an access line for every request and one trace in ten, sent to a collector."""
    with tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as stack:
        folder = Path(made)
        plain = write_settings(folder / "plain")
        collector = stack.enter_context(served("collector", folder, plain))  # on whichever CPU is free
        stack.enter_context(one_cpu())
        settings = write_settings(
            folder / "settings",
            "service: bench\nlogging: {format: json, access: true}\n"
            f"tracing: {{endpoint: '{collector.url}', sample_ratio: 0.1, metrics: false}}\n",
        )
        more = {"BENCH_COLLECTOR": collector.url}
        servers = {
            factory: stack.enter_context(served(factory, folder, settings, access=True)),
            "starlette": stack.enter_context(served("starlette", folder, plain)),
            "instrumented": stack.enter_context(served("instrumented", folder, plain, access=True, **more)),
        }
        samples = rounds(size, servers, HELLO)
        lines = servers[factory].log.read_bytes().count(b"GET /hello")
        with urllib.request.urlopen(collector.url, timeout=5) as answer:
            taken = answer.read()
    asked = size.of(REQUESTS, 10) * (size.rounds + 1)
    if lines < asked * 0.9:
        raise NotMeasuredError(f"ours wrote {lines} access lines for {asked} requests")
    if taken == b'{"taken":0}':
        raise NotMeasuredError("nothing was exported")
    return Figures(samples, factory, ("starlette",), "s", _note(f"; {lines} access lines for {asked} requests"))


def _swaps(size: Size) -> Figures:
    """Take the 99th percentile of each round; who is not asked stands still meanwhile."""
    with tempfile.TemporaryDirectory() as made, one_cpu(), contextlib.ExitStack() as stack:
        folder = Path(made)
        settings = write_settings(folder / "settings")
        names = {"with swaps": "swapped", "without": "own"}
        servers = {who: stack.enter_context(served(name, folder, settings)) for who, name in names.items()}
        for server in servers.values():
            server.process.send_signal(signal.SIGSTOP)
        samples: Samples = {who: [] for who in servers}
        for number in range(size.rounds + 1):
            for who, server in servers.items():
                server.process.send_signal(signal.SIGCONT)
                taken = server.ask(HELLO, size.of(6_000, 100))
                server.process.send_signal(signal.SIGSTOP)
                if number:
                    samples[who].append(statistics.quantiles(taken, n=100)[98])
    return Figures(samples, "with swaps", ("without",), "s", "p99 as the client sees it, on the server's CPU")


ROWS = (
    Row(
        5,
        "requests a second, hello handler with tenancy and 3 components, own routes",
        "bare Starlette on the same uvicorn",
        1.25,
        _hello,
        better="higher",
        slow=True,
    ),
    Row(
        6,
        "the same as middleware around a Starlette application (`inner=`)",
        "bare Starlette",
        0.88,
        _inner,
        better="higher",
        slow=True,
    ),
    Row(
        7,
        "own routes with a JSON access line and a sampled (10 %) trace",
        "bare Starlette",
        0.75,
        lambda size: _seen(size, "own"),
        better="higher",
        slow=True,
    ),
    Row(
        7.1,
        "around an inner application, with a JSON access line and a sampled (10 %) trace",
        "bare Starlette",
        0.55,
        lambda size: _seen(size, "inner"),
        better="higher",
        slow=True,
    ),
    Row(
        8,
        "typed handler with a path parameter, a pydantic body, a component",
        "FastAPI with one `Depends`",
        4.0,
        _typed,
        better="higher",
        slow=True,
    ),
    Row(18, "p99 latency while a component is swapped 10 times a second", "p99 without swaps", 1.25, _swaps, slow=True),
)
