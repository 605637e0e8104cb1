from __future__ import annotations

import anyio
import pytest

from pointsman.control.flights import Flights


async def test_whoever_comes_meanwhile_joins_the_flight_in_the_air():
    begun: list[str] = []
    go = anyio.Event()

    async def work(what: str) -> None:
        begun.append(what)
        await go.wait()

    flights = Flights(work)
    async with anyio.create_task_group() as group:
        flights.board(group)
        first, second = flights.launch("a"), flights.launch("b")
        assert first is second is flights.flying
        go.set()
        await first.wait()
        await flights.launch("c").wait()
    assert begun == ["a", "c"]
    assert flights.flying is None


async def test_nothing_flies_before_it_is_known_who_owns_it():
    async def work() -> None: ...

    with pytest.raises(RuntimeError, match="board"):
        Flights(work).launch()


async def test_a_flight_that_is_cancelled_has_landed():
    async def work() -> None:
        await anyio.sleep_forever()

    flights = Flights(work)
    async with anyio.create_task_group() as group:
        flights.board(group)
        landing = flights.launch()
        group.cancel_scope.cancel()
    assert landing.is_set()
