"""Clients that go away at the worst moment leave nothing behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import pytest

from pointsman.declarations import Candidate, Component, Use
from pointsman.runtime.settings import Settings
from pointsman.testing import serving
from pointsman.web.application import Pointsman
from pointsman.web.routing import Router
from tests.unit.web import asgi

if TYPE_CHECKING:
    from pathlib import Path

SLOW = Component[str]("service", "slow")
router = Router()


@router.get("/")
async def index(slow: Annotated[str, Use(SLOW)]) -> str:
    return slow


async def test_a61_a_client_that_goes_away_in_mid_resolution_returns_its_lease(tmp_path: Path) -> None:
    entered, gate = anyio.Event(), anyio.Event()
    made: list[str] = []

    async def slow() -> str:
        entered.set()
        await gate.wait()
        made.append("slow")
        return "slow"

    app = Pointsman(Settings.load(tmp_path, environ={}), include=[router, Candidate(*SLOW, "slow", slow)])
    async with serving(app) as client:
        epoch = app.runtime.lifecycle.epochs.current
        before = epoch.pins
        gone = asyncio.create_task(asgi.played(app, asgi.http()))
        await entered.wait()
        waiting = asyncio.create_task(client.get("/"))
        await anyio.wait_all_tasks_blocked()
        assert epoch.pins == before + 2
        gone.cancel()
        await asyncio.wait({gone})
        assert (gone.cancelled(), epoch.pins) == (True, before + 1)
        gate.set()
        assert (await waiting).text == "slow"
        assert (made, epoch.pins) == (["slow"], before)


async def test_a61_a_client_that_goes_away_in_mid_stream_returns_its_lease(tmp_path: Path) -> None:
    app = Pointsman(Settings.load(tmp_path, environ={}), include=[router, Candidate(*SLOW, "slow", lambda: "slow")])

    async def refusing(message: Any) -> None:
        raise OSError("the connection was reset")

    async with serving(app):
        before = app.runtime.lifecycle.epochs.current.pins
        exchange = asgi.Exchange([])
        with pytest.raises(OSError, match="was reset"):
            await app(asgi.http(), exchange.receive, refusing)
        assert app.runtime.lifecycle.epochs.current.pins == before
