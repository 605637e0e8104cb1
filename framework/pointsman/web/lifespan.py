"""Hold everything that an application lives by: entered in one task, and left in the same.

What is entered may open task groups, so no request and no lifespan message may enter it and another leave it. With a
lifespan the server says when; without one the first request starts it, single flight.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeAlias

from pointsman.errors import ConfigurationError, PointsmanError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Send

_log = logging.getLogger(__name__)
Living: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]
"""Enters all that the application lives by."""


class Life:
    """Starts and ends what an application lives by; any number of requests may call `start` at once.

    Attributes:
        stands: Whether everything is entered.
    """

    def __init__(self, living: Living) -> None:
        self._living = living
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._ending = asyncio.Event()
        self._failure: Exception | None = None
        self.stands = False

    async def start(self, wait_s: float) -> bool:
        """Start unless that was done, wait until all stands but no longer, and return whether it does.

        What a start that failed has raised is raised to all who wait for it; the next call tries again.
        """
        if self._task is None or self._task.done():
            self._settled, self._ending, self._failure = asyncio.Event(), asyncio.Event(), None
            self._task = asyncio.create_task(self._keep(), name="pointsman-life", context=Context())
        settled = self._settled
        with suppress(TimeoutError):
            await asyncio.wait_for(settled.wait(), wait_s)
        if self._failure is not None:
            raise self._failure
        return self.stands

    async def stop(self) -> None:
        """End, and wait until everything is left; what leaving raises is raised here."""
        if self._task is not None:
            self._ending.set()
            await self._task

    async def _keep(self) -> None:
        try:
            async with self._living():
                self.stands = True
                self._settled.set()
                await self._ending.wait()
        except Exception as error:
            if self.stands:
                raise
            self._failure = error
        finally:
            self.stands = False
            self._settled.set()


async def serve_lifespan(life: Life, wait_s: Callable[[], float], receive: Receive, send: Send) -> None:
    """Run the lifespan protocol: start, tell the server, wait for its word, end.

    A start that takes longer than ``wait_s`` goes on while the server serves; one that fails in that time stops it.
    """
    await receive()
    try:
        await life.start(wait_s())
    except Exception as error:
        message = error.render() if isinstance(error, PointsmanError) else repr(error)
        await send({"type": "lifespan.startup.failed", "message": message})
        raise
    await send({"type": "lifespan.startup.complete"})
    await receive()
    try:
        await life.stop()
    except Exception as error:
        await send({"type": "lifespan.shutdown.failed", "message": repr(error)})
        raise
    await send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def inner_lifespan(app: ASGIApp, state: dict[str, Any]) -> AsyncGenerator[None]:
    """Run the lifespan of an inner application, which adds to ``state``; one that knows no lifespan has none.

    Raises:
        ConfigurationError: It refuses to start, or fails to end.
    """
    import anyio

    to_app, of_server = anyio.create_memory_object_stream[dict[str, str]](2)
    to_server, of_app = anyio.create_memory_object_stream["Message"](2)
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
    failures: list[Exception] = []

    async def run() -> None:
        try:
            await app(scope, of_server.receive, to_server.send)
        except Exception as error:  # noqa: BLE001 - judged below, by what was said before it
            failures.append(error)
        finally:
            to_server.close()

    async def say(word: str) -> None:
        await to_app.send({"type": f"lifespan.{word}"})
        try:
            answer = await of_app.receive()
        except anyio.EndOfStream:
            _log.info("The inner application knows no lifespan (%s: %r).", word, failures)
            return
        if answer["type"] == f"lifespan.{word}.failed":
            raise ConfigurationError(f"The inner application failed at its {word}: {_last_line(answer)}")

    task = asyncio.create_task(run(), name="inner-lifespan")
    try:
        await say("startup")
        yield
        await say("shutdown")
    except BaseException:
        task.cancel()
        raise
    finally:
        with to_app, of_server, of_app:
            await asyncio.wait({task})


def _last_line(answer: Message) -> str:
    return answer.get("message", "").strip().rpartition("\n")[2] or "it does not say why."
