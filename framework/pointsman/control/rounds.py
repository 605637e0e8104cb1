"""Bring waiting commands into the head: one compare-and-swap at a time, for all who wait.

Steps 2 to 5 of FLEET, Write. Whoever has the lock does a round for everybody; whoever finds himself settled after it is
done. The head is read before an outcome is, and every outcome is written before its id leaves the ring: in any other
order an operation that is tried again could be applied twice.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import anyio

from pointsman.control import pacing
from pointsman.control.attempts import Attempt, Batch, nothing_sent, recorded
from pointsman.control.clocks import Reading
from pointsman.control.head import apply, changes, check_in_time, evicted
from pointsman.control.journal import End
from pointsman.control.ports import told
from pointsman.control.sealing import fitted
from pointsman.control.writing import Intent
from pointsman.errors import (
    ControlError,
    ManifestError,
    ManifestPending,
    PointsmanError,
    PreconditionFailed,
    StoreError,
    Unavailable,
)

if TYPE_CHECKING:
    from pointsman.control.journal import Journal
    from pointsman.control.judging import Judge
    from pointsman.control.ports import Ground
    from pointsman.control.reading import FleetHead
    from pointsman.control.writing import Writer
    from pointsman.manifests.schema import Control

BATCH: Final = 32
"""Commands that one compare-and-swap carries at most."""
UNSENT_S: Final = 10.0
"""A command that was not brought in within so many seconds is given up."""
_KNOWN: Final = 256
"""Operations whose outcome is known to be written; the ring holds 64."""


class Rounds:
    """The queue of this replica's commands at the head.

    Args:
        ground: The outside world.
        writer: Writes the head.
        journal: The outcomes.
        judge: Validates commands against each fresh head.
    """

    def __init__(self, ground: Ground, writer: Writer, journal: Journal, judge: Judge) -> None:
        self._ground = ground
        self._writer = writer
        self._journal = journal
        self._judge = judge
        self._waiting: list[Attempt] = []
        self._known: deque[str] = deque(maxlen=_KNOWN)

    async def carry(self, attempt: Attempt) -> None:
        """Return when a command is settled, one way or the other; its errors are kept in it."""
        while not attempt.settled:
            if attempt.missed:
                await self._ground.clock.sleep(pacing.retry_gap(attempt.missed, self._ground.random))
            if attempt.tries <= 0 or self._left_s(attempt) <= 0.0:
                attempt.give_up()
                return
            with anyio.move_on_after(self._left_s(attempt)):
                if attempt.awaits is not None:
                    await self._judge.catch_up(attempt.awaits)
                await self._join(attempt)

    def _left_s(self, attempt: Attempt) -> float:
        return UNSENT_S - Reading.of(self._ground.clock).since(attempt.since)

    async def look_up(self, attempt: Attempt, control: Control) -> None:
        """Settle an operation that is done already: the head's ring first, then its outcome.

        Raises:
            StoreError: The outcome could not be read.
            Malformed: It is none of ours.
        """
        for operation, cseq in control.ring:
            if operation == attempt.operation:
                attempt.applied = cseq, ()
                return
        end = await self._journal.ended(attempt.operation)
        if end is not None:
            attempt.refused = recorded(end)
            attempt.applied = (end.cseq, ()) if attempt.refused is None else None

    async def conclude(self, operation: str, end: End) -> None:
        """Write an outcome; one that cannot be written now is no harm: the ring has it, and who evicts it writes it."""
        if operation in self._known:
            return
        try:
            await self._journal.conclude(operation, end)
        except (StoreError, ManifestError) as error:
            self._ground.report("control.outcome-not-written", operation=operation, error=told(error))
        else:
            self._known.append(operation)

    async def _join(self, attempt: Attempt) -> None:
        """Wait for a turn at the head, or to be carried by another's; returns when a round has ended."""
        self._waiting.append(attempt)
        try:
            async with self._writer.lock:
                if attempt in self._waiting:
                    await self._round()
        finally:
            if attempt in self._waiting:
                self._waiting.remove(attempt)

    async def _round(self) -> None:
        """Read, judge, write, for all who wait; whoever goes away meanwhile takes nothing with him."""
        with anyio.CancelScope(shield=True):
            try:
                head = await self._writer.ready()
            except (StoreError, ManifestError) as error:
                for attempt in self._take():
                    attempt.miss(error)
                return
            batch = Batch(head.control.document)
            for attempt in self._take():
                await self._place(attempt, head, batch)
            if batch.carried:
                await self._swap(head, batch)

    def _take(self) -> list[Attempt]:
        """Return who is carried next, as long as there is time for him."""
        in_time = [attempt for attempt in self._waiting if self._left_s(attempt) > 0.0]
        taken, self._waiting = in_time[:BATCH], in_time[BATCH:]
        return taken

    # --- 2. and 3. ---

    async def _place(self, attempt: Attempt, head: FleetHead, batch: Batch) -> None:
        """Settle a command, or put it into the batch; what only this batch is in the way of waits for the next."""
        committed = head.control.document
        try:
            await self.look_up(attempt, committed)
            if attempt.settled:
                return
            self._judge.validate(attempt.command, head)
            _check_in_time(attempt, committed)
        except PointsmanError as error:
            await self._refuse(attempt, error, head)
            return
        try:
            _check_in_time(attempt, batch.control)
            after = apply(batch.control, attempt.command, self._ground.time.now(), attempt.operation)
            after = fitted(after, head.envelope, attempt.command, head.trust)
        except ControlError as error:
            if batch.control is committed:
                await self._refuse(attempt, error, head)
            return
        batch.carry(attempt, after, changes(batch.control.orders, after.orders, attempt.command))

    async def _refuse(self, attempt: Attempt, error: PointsmanError, head: FleetHead) -> None:
        if isinstance(error, StoreError | ManifestError):
            attempt.miss(error)
            return
        if isinstance(error, ManifestPending) and attempt.awaits is None:
            attempt.awaits = head
            return
        attempt.refuse(error)
        if attempt.refused is error:
            end = End(outcome="refused", cseq=head.control.document.cseq, code=error.code, detail=error.message)
            await self.conclude(attempt.operation, end)

    # --- 4. ---

    async def _keep_evicted(self, control: Control, arriving: int) -> None:
        """Make sure that every operation that leaves the ring has its outcome written, by whomever."""
        for operation, cseq in evicted(control, arriving):
            if operation not in self._known:
                with nothing_sent():
                    if await self._journal.ended(operation) is None:
                        await self._journal.conclude(operation, End(outcome="applied", cseq=cseq))
                self._known.append(operation)

    # --- 5. ---

    async def _swap(self, head: FleetHead, batch: Batch) -> None:
        try:
            await self._keep_evicted(head.control.document, len(batch.carried))
            written = await self._writer.put(head, Intent.beside(head, batch.control))
        except PreconditionFailed:
            for attempt in batch.carried:
                attempt.lost()
        except Unavailable as error:
            if not error.sent:
                batch.unsend()
            for attempt in batch.carried:
                attempt.miss(error)
        except PointsmanError as error:  # the store, or the seal, says no: nothing of this round is under way
            batch.unsend()
            for attempt in batch.carried:
                attempt.give_up(error)
        else:
            numbers = dict(written.control.document.ring)
            for attempt in batch.carried:
                attempt.applied = numbers[attempt.operation], attempt.changed


def _check_in_time(attempt: Attempt, control: Control) -> None:
    if not attempt.begin.insist:
        check_in_time(control, attempt.command, attempt.begin.base, conditional=attempt.conditional)
