"""The record of every command, done or denied: an event always, and where there is a fleet an object of its journal.

What was applied to the fleet, control records itself; here is what never came so far: commands that were denied,
refused, or that reach this replica alone. Whoever is anonymous leaves a line in the log, seldom, and writes nothing.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import anyio

from pointsman.control.commands import Command, Outcome, body_digest
from pointsman.control.journal import Begin, End, Journal, Record
from pointsman.control.settings import ControlSettings
from pointsman.errors import Conflict, ControlFull, NotFound, OutcomeUnknown, PointsmanError, Stale, StoreError
from pointsman.stores.settings import StoreSettings
from pointsman.stores.store import Store, open_store

if TYPE_CHECKING:
    from pointsman.runtime.runtime import Runtime
    from pointsman.web.admin.authentication import Caller

KEPT: Final = 200
"""Records that are kept here: all there are without a store, and with one those that could not be written."""
RECORD_TIMEOUT_S: Final = 5.0
SELDOM_S: Final = 1.0
BURST: Final = 100
PER_S: Final = 1.0
"""So many denials and refusals are written at once, and then a second; the others are events alone."""
TOLD_BY_CONTROL: Final = (Conflict, Stale, ControlFull, OutcomeUnknown, StoreError)
"""What a command is refused with once control has begun it, or when there is no store to record it in."""
NOTHING: Final = sha256().hexdigest()


@dataclass(slots=True)
class Seldom:
    """Tells each kind of event at most once in so many seconds, with the number of those left out."""

    tell: Callable[..., None]
    clock: Callable[[], float]
    apart_s: float = SELDOM_S
    _told_at: dict[str, float] = field(default_factory=dict)
    _left_out: Counter[str] = field(default_factory=Counter)

    def __call__(self, event: str, **fields: object) -> None:
        """Tell, or count."""
        now = self.clock()
        if now - self._told_at.get(event, float("-inf")) < self.apart_s:
            self._left_out[event] += 1
            return
        self.tell(event, left_out=self._left_out.pop(event, 0), **fields)
        self._told_at[event] = now


@dataclass(slots=True)
class Budget:
    """So many at once, and so many a second after that."""

    clock: Callable[[], float]
    burst: float = BURST
    per_s: float = PER_S
    _left: float = field(init=False)
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._left, self._since = self.burst, self.clock()

    def spend(self) -> bool:
        """Return whether there is one left, and take it."""
        now = self.clock()
        self._left = min(self.burst, self._left + (now - self._since) * self.per_s)
        self._since = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Records:
    """Records commands; concurrent requests share one, and whoever made it closes it.

    Args:
        runtime: Whose events are told, and whose settings name the store.
        clock: Monotonic seconds.
    """

    def __init__(self, runtime: Runtime, clock: Callable[[], float]) -> None:
        self._runtime = runtime
        self._budget = Budget(clock)
        self._store: Store | None = None
        self._kept: deque[Record] = deque(maxlen=KEPT)
        self.seldom = Seldom(runtime.events.tell, clock)

    def anonymous(self, path: str, error: PointsmanError) -> None:
        """Somebody whom nobody knows was turned away."""
        self.seldom("admin.denied", path=path[:200], error=error.message)

    async def denied(self, caller: Caller, verb: str, code: str, detail: str) -> None:
        """Somebody who is known may not give commands, or not so; what they sent was not read."""
        begin = Begin(body=NOTHING, base=self._cseq, who=caller.name, reason="", command={"verb": verb})
        await self._refused(begin, verb, code, detail)

    async def refused(self, caller: Caller, verb: str, command: Command | None, error: PointsmanError) -> None:
        """An operator's command was refused."""
        if command is None:
            await self.denied(caller, verb, error.code, error.message)
        elif command.dry_run or (isinstance(error, TOLD_BY_CONTROL) and command.reach == "fleet"):
            self._tell("admin.refused", command.who, verb, code=error.code, error=error.message)
        else:
            await self._refused(_begun(command, self._cseq), verb, error.code, error.message)

    async def applied(self, verb: str, command: Command, outcome: Outcome) -> None:
        """A command was carried out, or rehearsed; what was done, whoever did it has told."""
        if command.dry_run:
            self._tell("admin.rehearsed", command.who, verb, command=command.body())
        elif command.reach == "replica" and self.find(outcome.operation) is None:
            end = End(outcome="applied", cseq=outcome.cseq)
            await self._write(outcome.operation, _begun(command, self._cseq), end)

    def refreshed(self, caller: Caller) -> None:
        """Somebody let this replica converge."""
        self._tell("admin.refreshed", caller.name, "refresh")

    def kept(self, limit: int) -> tuple[Record, ...]:
        """Return the records that are kept here, the newest first."""
        return tuple(reversed(self._kept))[:limit]

    def find(self, operation: str) -> Record | None:
        """Return a record that is kept here."""
        return next((record for record in self._kept if record.operation == operation), None)

    async def aclose(self) -> None:
        """Close the store, where one was opened."""
        if self._store is not None:
            await self._store.aclose()

    @property
    def _cseq(self) -> int:
        control = self._runtime.points.inputs.gating
        return 0 if control is None else control.cseq

    def _tell(self, event: str, who: str, verb: str, **fields: Any) -> None:
        self._runtime.events.tell(event, who=who, verb=verb, **fields)

    async def _refused(self, begin: Begin, verb: str, code: str, detail: str) -> None:
        self._tell("admin.refused", begin.who, verb, code=code, error=detail)
        if self._budget.spend():
            text = self._runtime.scrubber.scrub(detail)[:1000]
            await self._write(uuid4().hex, begin, End(outcome="refused", cseq=self._cseq, code=code, detail=text))

    async def _write(self, operation: str, begin: Begin, end: End) -> None:
        """Write a record to the fleet's journal; where there is none, or it cannot be had, keep it here."""
        now = self._runtime.now()
        record = Record(operation, now, begin, now, end)
        settings = self._runtime.settings.section(ControlSettings)
        if not settings.store:
            self._kept.append(record)
            return
        try:
            with anyio.fail_after(RECORD_TIMEOUT_S):
                journal = self._journal(settings.store)
                await journal.claim(operation, begin)
                await journal.conclude(operation, end)
        except (PointsmanError, TimeoutError) as error:
            self._kept.append(record)
            self.seldom("admin.record-failed", operation=operation, error=str(error) or type(error).__name__)

    def _journal(self, url: str) -> Journal:
        if self._store is None:
            self._store = open_store(url, settings=self._runtime.settings.section(StoreSettings))
        return Journal(self._store)


def _begun(command: Command, base: int) -> Begin:
    return Begin(
        body=body_digest(command), base=base, who=command.who, reason=command.reason, command=dict(command.body())
    )


def unknown(operation: str) -> NotFound:
    """Return the error that there is no such operation."""
    return NotFound(f"There is no operation {operation[:64]!a}.")
