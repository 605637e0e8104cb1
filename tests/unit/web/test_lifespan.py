"""How an application's life begins and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette

from pointsman.errors import ConfigurationError
from pointsman.web.lifespan import Life, inner_lifespan, serve_lifespan
from tests.unit.web import asgi

OUTSIDE = ContextVar("OUTSIDE", default="")


class World:
    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.events: list[str] = []
        self.tasks: set[Any] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails_at_the_end = False
        self.life = Life(self.living)

    @asynccontextmanager
    async def living(self) -> AsyncGenerator[None]:
        assert OUTSIDE.get() == ""
        self.events.append("enter")
        self.tasks.add(asyncio.current_task())
        await self.gate.wait()
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
        async with anyio.create_task_group():
            yield
        self.tasks.add(asyncio.current_task())
        self.events.append("leave")
        if self.fails_at_the_end:
            raise ValueError("at the end")


async def test_a_hundred_callers_start_it_once_and_one_task_enters_and_leaves() -> None:
    world = World()
    OUTSIDE.set("a request's")
    assert all(await asyncio.gather(*(world.life.start(5) for _ in range(100))))
    assert world.life.stands
    await world.life.stop()
    assert (world.events, len(world.tasks), world.life.stands) == (["enter", "leave"], 1, False)


async def test_a_start_that_fails_is_told_to_all_and_tried_again_by_the_next() -> None:
    world = World(ConfigurationError("no"))
    answers = await asyncio.gather(world.life.start(5), world.life.start(5), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ConfigurationError, ConfigurationError]
    assert await world.life.start(5)
    await world.life.stop()


async def test_a_slow_start_goes_on_while_nobody_waits() -> None:
    world = World()
    world.gate.clear()
    assert await world.life.start(0) is False
    world.gate.set()
    assert await world.life.start(5) is True
    assert world.events == ["enter"]
    await world.life.stop()


async def test_it_can_live_again_and_stopping_what_never_lived_does_nothing() -> None:
    world = World()
    await world.life.stop()
    for _ in range(2):
        assert await world.life.start(5)
        await world.life.stop()
    assert world.events == ["enter", "leave", "enter", "leave"]


async def lifespan(world: World, wait_s: float = 5) -> asgi.Exchange:
    exchange = asgi.Exchange([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    await serve_lifespan(world.life, lambda: wait_s, exchange.receive, exchange.send)
    return exchange


async def test_the_lifespan_protocol_is_spoken() -> None:
    world = World()
    assert (await lifespan(world)).types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert world.events == ["enter", "leave"]


@pytest.mark.parametrize(
    ("error", "message"),
    [(ConfigurationError("no", hint="Do."), "ConfigurationError: no\n  Do."), (ValueError("x"), "ValueError('x')")],
)
async def test_a_start_that_fails_is_told_to_the_server(error: Exception, message: str) -> None:
    exchange = asgi.Exchange([{"type": "lifespan.startup"}])
    with pytest.raises(type(error)):
        await serve_lifespan(World(error).life, lambda: 5, exchange.receive, exchange.send)
    assert exchange.sent == [{"type": "lifespan.startup.failed", "message": message}]


async def test_an_end_that_fails_is_told_to_the_server() -> None:
    world = World()
    world.fails_at_the_end = True
    exchange = asgi.Exchange([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    with pytest.raises(ValueError, match="at the end"):
        await serve_lifespan(world.life, lambda: 5, exchange.receive, exchange.send)
    assert exchange.sent[-1] == {"type": "lifespan.shutdown.failed", "message": "ValueError('at the end')"}


async def test_a_start_that_takes_too_long_does_not_hold_up_the_server() -> None:
    world = World()
    world.gate.clear()
    exchange = asgi.Exchange([{"type": "lifespan.startup"}])
    serving = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if exchange.received:
            return await exchange.receive()
        assert exchange.types == ["lifespan.startup.complete"]
        world.gate.set()
        assert await world.life.start(5)
        serving.set()
        return {"type": "lifespan.shutdown"}

    await serve_lifespan(world.life, lambda: 0, receive, exchange.send)
    assert serving.is_set()
    assert exchange.types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


# --- the inner application's ---


def starlette(events: list[str], failure: Exception | None = None) -> Starlette:
    @asynccontextmanager
    async def living(app: Any) -> AsyncGenerator[dict[str, str]]:
        events.append("enter")
        if failure is not None:
            raise failure
        yield {"theirs": "it"}
        events.append("leave")

    return Starlette(lifespan=living)


async def test_an_inner_application_lives_along_and_adds_to_the_state() -> None:
    events: list[str] = []
    state: dict[str, Any] = {"ours": 1}
    async with inner_lifespan(starlette(events), state):
        assert (events, state) == (["enter"], {"ours": 1, "theirs": "it"})
    assert events == ["enter", "leave"]


async def test_an_inner_application_that_refuses_to_start_refuses_ours() -> None:
    with pytest.raises(ConfigurationError, match="failed at its startup: ValueError: no database"):
        async with inner_lifespan(starlette([], ValueError("no database")), {}):
            pytest.fail("entered")


async def silent(scope: Any, receive: Any, send: Any) -> None:
    return


async def unable(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"


async def half(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})


@pytest.mark.parametrize("app", [silent, unable, half])
async def test_an_inner_application_that_knows_no_lifespan_has_none(app: Any) -> None:
    async with inner_lifespan(app, {}):
        pass


async def test_an_inner_application_that_fails_to_end_is_told() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        for word in ("startup.complete", "shutdown.failed"):
            await receive()
            await send({"type": f"lifespan.{word}"})

    with pytest.raises(ConfigurationError, match=r"its shutdown: it does not say why\."):
        async with inner_lifespan(failing, {}):
            pass


async def test_an_inner_application_is_ended_when_what_it_serves_fails() -> None:
    events: list[str] = []
    with pytest.raises(KeyError):
        async with inner_lifespan(starlette(events), {}):
            raise KeyError
    assert events == ["enter"]
