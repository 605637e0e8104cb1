"""Three clocks of our own, and the store's.

Age must never be too young: a container that was suspended finds its monotonic clock too slow, one whose wall clock
was set back finds that too slow, so the oldest of three answers counts. Orders end by the store's clock, which all
replicas share; ours must never run back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec


class Clock(Protocol):
    """The time of this machine; tests hand in one that they turn by hand."""

    def monotonic(self) -> float:
        """Return seconds that never go back and may stand still while the machine is suspended."""
        ...

    def boottime(self) -> float:
        """Return seconds that never go back and go on while the machine is suspended."""
        ...

    def wall(self) -> float:
        """Return seconds since 1970, which somebody may set."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        ...


class SystemClock:
    """The clocks of the operating system; where there is no boot time, the monotonic clock stands in for it."""

    def monotonic(self) -> float:
        """Return ``CLOCK_MONOTONIC``."""
        return time.monotonic()

    def boottime(self) -> float:
        """Return ``CLOCK_BOOTTIME`` where there is one."""
        boot = getattr(time, "CLOCK_BOOTTIME", None)
        return time.monotonic() if boot is None else time.clock_gettime(boot)

    def wall(self) -> float:
        """Return the time of day."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(seconds)


async def wait_at_most(clock: Clock, seconds: float, wait: Callable[[], Awaitable[object]]) -> None:
    """Wait for something that cannot fail, but no longer than so many seconds of this clock."""
    import anyio

    async with anyio.create_task_group() as group:

        async def ring() -> None:
            await clock.sleep(seconds)
            group.cancel_scope.cancel()

        group.start_soon(ring)
        await wait()
        group.cancel_scope.cancel()


class Reading(msgspec.Struct, frozen=True):
    """What the three clocks showed at one instant."""

    monotonic: float
    boottime: float
    wall: float

    @classmethod
    def of(cls, clock: Clock) -> Reading:
        """Return what the clocks show now."""
        return cls(clock.monotonic(), clock.boottime(), clock.wall())

    def since(self, earlier: Reading) -> float:
        """Return the seconds since an earlier reading by the clock that says the most; never below 0."""
        return max(self.monotonic - earlier.monotonic, self.boottime - earlier.boottime, self.wall - earlier.wall, 0.0)

    def youngest(self, other: Reading) -> Reading:
        """Return, clock by clock, the later of two readings."""
        return Reading(
            max(self.monotonic, other.monotonic), max(self.boottime, other.boottime), max(self.wall, other.wall)
        )


class StoreClock:
    """The store's time between its replies.

    Each reply carries the store's time; between replies our own clock carries it on, by whichever of monotonic and
    boot time went further. The wall clock is used only until the first reply. It never goes back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: tuple[datetime, float, float] | None = None

    def now(self) -> datetime:
        """Return the store's time, aware UTC."""
        if self._told is None:
            return datetime.fromtimestamp(self._clock.wall(), UTC)
        told, monotonic, boottime = self._told
        elapsed = max(self._clock.monotonic() - monotonic, self._clock.boottime() - boottime, 0.0)
        return told + timedelta(seconds=elapsed)

    def observe(self, told: datetime) -> None:
        """Take over the time that a reply carried, unless that would set us back."""
        if self._told is None or told > self.now():
            self._told = (told, self._clock.monotonic(), self._clock.boottime())
