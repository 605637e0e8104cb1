"""What the table of speed reached stays reached, within a slack that noise does not use up.

Judged by the ratio of the minima of interleaved rounds in one run, never by a time. Rows whose peers are not installed
are left out. Of the HTTP rows the applications alone are compared here, in memory, without a server; cold starts are
measured by `python -m tests.bench`, and `tests/scenarios/test_start.py` knows what they may load.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import uvicorn
from uvicorn.lifespan.on import LifespanOn

from pointsman.manifests.contents import contribution_of
from pointsman.manifests.verification import verify_manifest
from tests.bench import applications, memory, serving
from tests.bench.harness import NotMeasuredError, Row, Samples, Size
from tests.bench.table import rows
from tests.forge import NOW

SLACK: Final = 1.75
SCALE: Final = 0.05
WHOLE: Final = frozenset({13})
"""Places of rows that are measured at full size: in a twentieth of it they are mostly what each round costs."""


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "row", [row for row in rows() if not row.slow and row.unit == "×"], ids=lambda row: f"{row.place:g}"
)
def test_what_was_reached_stays_reached(row: Row) -> None:
    if sys.gettrace() is not None:
        pytest.skip("somebody traces each line, so that short functions seem slow")
    try:
        figures = row.measure(Size(rounds=7, scale=1 if row.place in WHOLE else SCALE))
    except (NotMeasuredError, ModuleNotFoundError) as missing:
        pytest.skip(str(missing))
    assert figures.floor_ratio <= row.limit * SLACK, figures.samples


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("ours", "peer", "request_of", "most"),
    [
        pytest.param("own", "starlette", serving.HELLO, 0.8, id="own"),
        pytest.param("inner", "starlette", serving.HELLO, 3.0, id="inner"),
        pytest.param("typed", "fastapi_typed", serving.ITEM, 0.22, id="typed"),
    ],
)
def test_what_an_application_takes_for_a_request_stays_small(
    ours: str, peer: str, request_of: bytes, most: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.gettrace() is not None:
        pytest.skip("somebody traces each line, so that short functions seem slow")
    monkeypatch.setenv("POINTSMAN_SETTINGS", str(serving.write_settings(tmp_path / "settings")))
    taken = asyncio.run(_taken({name: getattr(applications, name)() for name in (ours, peer)}, request_of))
    assert min(taken[ours]) <= most * min(taken[peer]), taken


async def _taken(apps: dict[str, Any], request: bytes) -> Samples:
    """Return the seconds of some hundred requests, round by round, of applications that were started."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, path, _ = first.split(b" ")
    scope = {
        "type": "http", "http_version": "1.1", "method": method.decode(), "path": path.decode(), "raw_path": path,
        "root_path": "", "query_string": b"", "scheme": "http", "headers": [tuple(line.split(b": ")) for line in lines],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    taken: Samples = {name: [] for name in apps}
    async with contextlib.AsyncExitStack() as stack:
        for app in apps.values():
            lifespan = LifespanOn(uvicorn.Config(app, log_config=None))
            await lifespan.startup()
            stack.push_async_callback(lifespan.shutdown)
        for _ in range(9):
            for name, app in apps.items():
                begun = time.perf_counter()
                for _ in range(200):
                    sent.clear()
                    await app({**scope, "state": {}}, receive, send)
                    assert sent[0]["status"] == 200
                taken[name].append(time.perf_counter() - begun)
    return taken


@pytest.mark.parametrize(
    ("sign", "plain", "count", "most"),
    [
        pytest.param(memory.sign_candidates, memory.plain_candidates, 10_000, 0.25, id="candidates"),
        pytest.param(memory.sign_tenants, memory.plain_tenants, 30_000, 0.45, id="tenants"),
    ],
)
def test_what_is_kept_of_a_manifest_stays_small(
    sign: Callable[[int, str], None], plain: Callable[[int], object], count: int, most: float, tmp_path: Path
) -> None:
    """Live objects only: how they lie in memory is for the table."""
    path = tmp_path / "manifest"
    sign(count, str(path))
    trust = memory.forge().trust
    ours = live(lambda: contribution_of(verify_manifest(path.read_bytes(), trust, NOW).document, {}))
    assert ours <= most * live(lambda: plain(count))


def live(made: Callable[[], object]) -> int:
    """Return the bytes of all objects that live on in what is made."""
    gc.collect()
    tracemalloc.start()
    try:
        _kept = made()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
