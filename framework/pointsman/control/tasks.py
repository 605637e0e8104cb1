"""The tasks of one replica: each is owned, and all end with the block that owns them.

asyncio's own, as everything that a start runs through: the first primitive of anyio loads its whole backend, which a
cold start would wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVarTuple

Ts = TypeVarTuple("Ts")


class Tasks(Protocol):
    """Where work is begun that nobody waits for; anyio's task group is one, too."""

    def start_soon(self, work: Callable[[*Ts], Coroutine[Any, Any, Any]], /, *what: *Ts) -> object:
        """Begin ``work(*what)`` at the loop's next turn."""
        ...


class _Owned:
    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._running: set[asyncio.Task[Any]] = set()

    def start_soon(self, work: Callable[[*Ts], Coroutine[Any, Any, Any]], /, *what: *Ts) -> None:
        task = self._group.create_task(work(*what))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def cancel(self) -> None:
        for task in self._running:
            task.cancel()


@asynccontextmanager
async def owned_tasks() -> AsyncGenerator[Tasks]:
    """Own tasks for the time of the block; those that still run at its end are cancelled, and waited for."""
    async with asyncio.TaskGroup() as group:
        tasks = _Owned(group)
        yield tasks
        tasks.cancel()
