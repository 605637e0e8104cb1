"""One flight at a time: whoever wants the work done joins the flight that is in the air.

A flight is one of the replica's tasks, never to the request that set it off: a caller who goes
away takes nothing with him.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, TypeVarTuple

if TYPE_CHECKING:
    from pointsman.control.tasks import Tasks


Ts = TypeVarTuple("Ts")


class Flights(Generic[*Ts]):
    """Runs one piece of work, again and again, never twice at once.

    Args:
        work: What is done. It must not raise: it is the boundary of its own failures.
    """

    def __init__(self, work: Callable[[*Ts], Awaitable[None]]) -> None:
        self._work = work
        self._tasks: Tasks | None = None
        self._flying: asyncio.Event | None = None

    @property
    def flying(self) -> asyncio.Event | None:
        """Set when the flight that is in the air has landed; ``None``: none is."""
        return self._flying

    def board(self, tasks: Tasks) -> None:
        """Say whose tasks the flights are; there are none before."""
        self._tasks = tasks

    def launch(self, *what: *Ts) -> asyncio.Event:
        """Return the landing of the flight in the air, whatever it is about; one starts now if there is none.

        Raises:
            RuntimeError: `board` was not called, or the tasks have ended.
        """
        if self._flying is None:
            if self._tasks is None:
                raise RuntimeError("Flights.board() comes before Flights.launch().")
            landing = asyncio.Event()
            self._tasks.start_soon(self._fly, landing, what)
            self._flying = landing
        return self._flying

    async def _fly(self, landing: asyncio.Event, what: tuple[*Ts]) -> None:
        try:
            await self._work(*what)
        finally:
            self._flying = None
            landing.set()
