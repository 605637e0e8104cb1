"""Fifty connections to a real server, two hundred swaps under them: nobody notices, nothing is left behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import httpx
import pytest
import uvicorn

from pointsman import Component, Pointsman, Use, provides

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


CONNECTIONS, SWAPS, RIDES_BETWEEN = 50, 200, 10


class Track:
    """A component that knows whether it is still open."""

    alive = 0

    def __init__(self, name: str) -> None:
        self.name, self.closed = name, False
        Track.alive += 1

    async def ride(self) -> str:
        before = self.closed
        await asyncio.sleep(0)
        if before or self.closed:
            raise RuntimeError(f"{self.name} was closed under a request")
        return self.name

    async def aclose(self) -> None:
        self.closed = True
        Track.alive -= 1


TRACK = Component[Track]("service", "track")


@provides(TRACK, "left")
def left() -> Track:
    return Track("left")


@provides(TRACK, "right")
def right() -> Track:
    return Track("right")


@asynccontextmanager
async def served(app: Pointsman) -> AsyncGenerator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on"))
    ready = asyncio.Event()
    startup = server.startup

    async def announced(sockets: object = None) -> None:
        await startup(sockets)  # type: ignore[arg-type]
        ready.set()

    server.startup = announced  # type: ignore[method-assign]
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.wait_for(ready.wait(), 20)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


async def test_two_hundred_swaps_under_fifty_connections_fail_no_request_and_leak_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = Pointsman(include=[left, right])

    @app.get("/ride")
    async def ride(track: Annotated[Track, Use(TRACK)]) -> str:
        return await track.ride()

    answers: Counter[str] = Counter()
    swapped, ridden = asyncio.Event(), asyncio.Semaphore(0)

    async def passenger(client: httpx.AsyncClient) -> None:
        while not swapped.is_set():
            answer = await client.get("/ride")
            answers[answer.text if answer.status_code == 200 else f"{answer.status_code} {answer.text}"] += 1
            ridden.release()

    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with served(app) as url, httpx.AsyncClient(base_url=url, limits=limits, timeout=20) as client:
        runtime = app.runtime
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(passenger(client))
            for number in range(SWAPS):
                provider = ("left", "right")[number % 2]
                await runtime.swap("service", "track", provider, reason="drill", reach="replica")
                for _ in range(RIDES_BETWEEN):
                    await ridden.acquire()
            swapped.set()
        async with runtime.components() as its:
            assert (await its.get(TRACK)).name == "right"
        for _ in range(10):  # turns of the loop in which the last instance that left closes
            await asyncio.sleep(0)
        tracks = [one for one in runtime.lifecycle.keeper.instances if one.plan.component == TRACK]
        assert (len(tracks), Track.alive) == (1, 1)
    assert set(answers) == {"left", "right"}
    assert Track.alive == 0
    assert len(list(runtime.lifecycle.epochs.chain())) == 1
