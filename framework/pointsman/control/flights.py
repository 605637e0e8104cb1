"""One flight at a time: whoever wants the work done joins the flight that is in the air.

A flight belongs to the task group that the replica runs in, never to the request that set it off: a caller who goes
away takes nothing with him.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, TypeVarTuple

import anyio

if TYPE_CHECKING:
    from anyio.abc import TaskGroup


Ts = TypeVarTuple("Ts")


class Flights(Generic[*Ts]):
    """Runs one piece of work, again and again, never twice at once.

    Args:
        work: What is done. It must not raise: it is the boundary of its own failures.
    """

    def __init__(self, work: Callable[[*Ts], Awaitable[None]]) -> None:
        self._work = work
        self._group: TaskGroup | None = None
        self._flying: anyio.Event | None = None

    @property
    def flying(self) -> anyio.Event | None:
        """Set when the flight that is in the air has landed; ``None``: none is."""
        return self._flying

    def board(self, group: TaskGroup) -> None:
        """Say which group the flights belong to; there is none before."""
        self._group = group

    def launch(self, *what: *Ts) -> anyio.Event:
        """Return the landing of the flight in the air, whatever it is about; one starts now if there is none.

        Raises:
            RuntimeError: `board` was not called, or the group is closed.
        """
        if self._flying is None:
            if self._group is None:
                raise RuntimeError("Flights.board() comes before Flights.launch().")
            landing = anyio.Event()
            self._group.start_soon(self._fly, landing, what)
            self._flying = landing
        return self._flying

    async def _fly(self, landing: anyio.Event, what: tuple[*Ts]) -> None:
        try:
            await self._work(*what)
        finally:
            self._flying = None
            landing.set()
