"""Keep this replica at the newest head: single flight, honest about its age, alive whatever happens.

The CPU may be taken away between any two lines, for any time: so age counts from the departure of a read, and the
requests themselves, the probes and a loop all drive the one refresher. What control says is in force before anybody
looks at a manifest. A head that cannot be had, read or believed changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from pointsman.control import pacing
from pointsman.control.clocks import Reading, wait_at_most
from pointsman.control.flights import Flights
from pointsman.control.ports import is_alarm, told
from pointsman.control.reading import FleetHead, Position, Verdict, judge
from pointsman.errors import NotFound

if TYPE_CHECKING:
    from pointsman.control.ports import DataPlane, Ground
    from pointsman.control.reading import Reader
    from pointsman.control.roots import Roots
    from pointsman.control.tasks import Tasks

HINT_GAP_S: Final = 1.0
"""Hints within so many seconds of a read's departure are one hint."""
NEVER: Final = float("inf")


class Freshness(StrEnum):
    """How far this replica may be behind its fleet."""

    FRESH = "fresh"
    AGED = "aged"
    """The head is the newest, and its signature is past its expiry: it will be signed anew."""
    STALE = "stale"
    """The last good read left longer ago than the hard limit."""
    NEVER = "never"
    """No head was ever taken."""


class Held(msgspec.Struct, frozen=True):
    """The head in force here.

    Attributes:
        head: What was taken.
        departed: When the youngest read that showed it left.
        settled: Whether all of it is in force. Until then its generation is not told to the store, so that no
            "unchanged" ever renews what was not applied.
        failed: Whether the uses of it could not be brought in force, and are to be tried again.
    """

    head: FleetHead
    departed: Reading
    settled: bool = False
    failed: bool = False

    @property
    def recorded(self) -> str | None:
        """The generation that the next read asks about."""
        return self.head.generation if self.settled else None


class Convergence:
    """One replica's refresher.

    Args:
        ground: The outside world.
        reader: Reads and verifies heads.
        roots: Told which root is in force.
        plane: Takes what control says.
        follow: Called after every read that succeeded and every write: manifests and releases are looked after there.
    """

    def __init__(
        self, ground: Ground, reader: Reader, roots: Roots, plane: DataPlane, *, follow: Callable[[], object]
    ) -> None:
        self._ground = ground
        self._reader = reader
        self._roots = roots
        self._plane = plane
        self._follow = follow
        self._flights = Flights(self._fly)
        self._tasks: Tasks | None = None
        self._held: Held | None = None
        self._settling = asyncio.Event()
        self._settling.set()
        self._hint_waits = False
        now = Reading.of(ground.clock)
        self._next: tuple[Reading, float] = (now, 0.0)
        self._left = now
        self._called = now
        self._failed_at: Reading | None = None
        self._failures = 0
        self.last_error: str | None = None

    # --- looking ---

    @property
    def head(self) -> FleetHead | None:
        """The head in force here."""
        return None if self._held is None else self._held.head

    def age_s(self) -> float:
        """Return the age of what is in force: since the departure of the youngest read; infinite: there is none."""
        return NEVER if self._held is None else Reading.of(self._ground.clock).since(self._held.departed)

    def condition(self) -> Freshness:
        """Return how far this replica may be behind its fleet."""
        if self._held is None:
            return Freshness.NEVER
        if self.age_s() > self._ground.limits.hard_s:
            return Freshness.STALE
        if self._ground.time.now() < self._held.head.control.document.expires:
            return Freshness.FRESH
        return Freshness.AGED if self._ground.heads.writable else Freshness.STALE

    def due(self, now: Reading | None = None) -> bool:
        """Tell whether it is time to read again. Cheap: three clocks and a comparison."""
        since, delay = self._next
        return (now or Reading.of(self._ground.clock)).since(since) >= delay

    # --- triggers ---

    async def start(self, tasks: Tasks) -> None:
        """Read the head for the first time; returns when that succeeded or failed. Never raises."""
        self._tasks = tasks
        self._flights.board(tasks)
        await self._flights.launch().wait()
        await self._settling.wait()

    def looks_first(self) -> bool:
        """Whether a request must await `before_request`; where it need not, it is taken note of, as there."""
        now = Reading.of(self._ground.clock)
        if self.due(now) or self._flights.flying is not None:
            return True
        self._called = now
        return False

    async def before_request(self) -> None:
        """Let a refresh that is due happen, and wait for it where the rules say so. Never raises."""
        now = Reading.of(self._ground.clock)
        silence_s, self._called = now.since(self._called), now
        if not self.due(now) and self._flights.flying is None:
            return
        landing = self._flights.launch()
        patience_s = pacing.patience(
            self._ground.limits,
            age_s=self.age_s(),
            silence_s=silence_s,
            since_failure_s=NEVER if self._failed_at is None else now.since(self._failed_at),
        )
        if patience_s > 0.0:
            await wait_at_most(self._ground.clock, patience_s, partial(self._landed, landing))

    async def _landed(self, landing: asyncio.Event) -> None:
        await landing.wait()
        if self.due() and not self._failures:  # that flight had left before a freeze
            await self._flights.launch().wait()

    async def refresh(self, *, hint: bool = False) -> None:
        """Converge now, by a read that leaves after this call. Never raises.

        A hint is a push: it looks at once too, but at most once a second, and does not wait for it.
        """
        if hint:
            self._hinted()
            return
        if self._flights.flying is not None:
            await self._flights.flying.wait()
        await self._flights.launch().wait()

    async def keep_fresh(self) -> None:
        """Refresh whenever it is due, for ever; for where the CPU is always there."""
        while True:
            since, delay = self._next
            waited = Reading.of(self._ground.clock).since(since)
            await self._ground.clock.sleep(max(delay - waited, 0.05))
            if self.due():
                await self._flights.launch().wait()

    # --- what this replica read or wrote itself ---

    async def fresh(self) -> FleetHead:
        """Read the head now, put it in force, and return it.

        Raises:
            StoreError: The store did not give it.
            ManifestError: It is refused.
        """
        return self._took(await self._look())

    def wrote(self, head: FleetHead) -> None:
        """Put a head that this replica wrote in force; its age stays that of the last read."""
        if self._held is not None and head.position > self._held.head.position:
            self._bind(head, self._held.departed)
            self._follow()

    async def settled(self, at_most_s: float) -> bool:
        """Wait until the uses of the head in force are bound or have failed, and tell whether they are bound."""
        await wait_at_most(self._ground.clock, at_most_s, self._settling.wait)
        return self._held is not None and self._held.settled

    # --- one flight ---

    async def _fly(self) -> None:
        try:
            self._took(await self._look())
        except Exception as error:  # noqa: BLE001 - the refresher's boundary: it survives everything
            self._failed(error)

    async def _look(self) -> _Look:
        """Read, and remember what was true when the read left."""
        held = self._held
        self._left = Reading.of(self._ground.clock)
        departed, position = self._left, None if held is None else held.head.position
        return _Look(await self._reader.head(None if held is None else held.recorded), departed, position)

    def _took(self, look: _Look) -> FleetHead:
        cold = self._held is None
        held = self._take(look)
        self._failures, self._failed_at, self.last_error = 0, None, None
        plan = pacing.first_phase if cold else pacing.next_read
        self._next = (look.departed, plan(self._ground.limits, self._ground.random))
        self._follow()
        return held.head

    def _take(self, look: _Look) -> Held:
        """Hold what a read found, if that may follow what is held; return what is held then."""
        held, found = self._held, look.found
        if held is None:
            if found is None:
                raise NotFound("Expected a head, found none.", hint="Create it: pointsman head adopt")
            return self._bind(found, look.departed)
        younger = held.departed.youngest(look.departed)
        verdict = Verdict.SAME if found is None else judge(held.head, found, look.position)
        if verdict is Verdict.OLDER:
            return held
        if found is not None and (verdict is Verdict.TAKE or held.failed):
            return self._bind(found, younger)
        self._held = replace(held, head=found or held.head, departed=younger)
        return self._held

    def _bind(self, head: FleetHead, departed: Reading) -> Held:
        """Put control in force at once, and let its uses warm; a manifest has no say in this."""
        tasks = self._running()
        uses = self._plane.take_control(head.control.document)
        self._roots.put_in_force(head.trust)
        held = self._held = Held(head, departed)
        self._settling = asyncio.Event()
        tasks.start_soon(self._settle, uses, head, self._settling)
        return held

    async def _settle(self, uses: Awaitable[None], head: FleetHead, done: asyncio.Event) -> None:
        failed = False
        try:
            await uses
        except Exception as error:  # noqa: BLE001 - tried again at the next read; requests are told by the plane
            failed = True
            self._ground.report("control.uses-failed", seq=head.position[1], error=told(error))
        if self._held is not None and self._held.head.position == head.position:
            self._held = replace(self._held, settled=not failed, failed=failed)
        done.set()

    def _failed(self, error: Exception) -> None:
        now = Reading.of(self._ground.clock)
        self._failures += 1
        self._failed_at = now
        self._next = (now, pacing.backoff(self._failures, self._ground.random))
        self.last_error = told(error)
        self._ground.report(
            "control.refresh-failed",
            alarm=is_alarm(error),
            failures=self._failures,
            error=self.last_error,
            age_s=self.age_s(),
        )

    def _hinted(self) -> None:
        gap_s = HINT_GAP_S - Reading.of(self._ground.clock).since(self._left)
        if gap_s <= 0.0:
            self._flights.launch()
        elif not self._hint_waits:
            self._hint_waits = True
            self._running().start_soon(self._look_in, gap_s)

    async def _look_in(self, seconds: float) -> None:
        await self._ground.clock.sleep(seconds)
        self._hint_waits = False
        self._flights.launch()

    def _running(self) -> Tasks:
        if self._tasks is None:
            raise RuntimeError("Convergence.start() comes first.")
        return self._tasks


class _Look(msgspec.Struct, frozen=True):
    """One read: what it found, when it left, and what was held then."""

    found: FleetHead | None
    departed: Reading
    position: Position | None
