"""Carry out an operator's command: once, whatever is lost on the way, and told as it was.

The six steps of FLEET, Write: 1. `Operations` claims the operation, and so fixes its base for every try. `Rounds` looks
whether it is done (2), judges it (3), keeps the outcomes of those who leave the ring (4), and compares and swaps (5).
6. `Operations` waits until it is in force here, writes its outcome, and answers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from uuid import UUID

from pointsman.control.attempts import Attempt, claim, nothing_sent, unjudged
from pointsman.control.clocks import Reading
from pointsman.control.commands import Change, Command, Outcome, operation_id
from pointsman.control.head import apply, changes, check_in_time, place
from pointsman.control.journal import Begin, End
from pointsman.control.rounds import Rounds
from pointsman.control.sealing import fitted
from pointsman.errors import InputError, OutcomeUnknown, PointsmanError

if TYPE_CHECKING:
    from pointsman.control.convergence import Convergence
    from pointsman.control.journal import Journal
    from pointsman.control.judging import Judge
    from pointsman.control.ports import DataPlane, Ground
    from pointsman.control.reading import FleetHead
    from pointsman.control.writing import Writer
    from pointsman.runtime.inputs import Orders

SETTLE_S: Final = 5.0
"""How long an answer waits for what the command names to be warm here."""
_REHEARSAL: Final = "rehearsal"


class Operations:
    """Carries out commands; concurrent tasks may share one.

    Args:
        ground: The outside world.
        convergence: Holds the head.
        writer: Writes it.
        judge: Validates and proves what a command names.
        journal: The audit.
        plane: Takes this replica's own orders.
    """

    def __init__(
        self,
        ground: Ground,
        convergence: Convergence,
        writer: Writer,
        judge: Judge,
        journal: Journal,
        plane: DataPlane,
    ) -> None:
        self._ground = ground
        self._convergence = convergence
        self._writer = writer
        self._judge = judge
        self._journal = journal
        self._plane = plane
        self._rounds = Rounds(ground, writer, journal, judge)
        self._own: Orders = {}
        self._own_cseq = 0

    async def run(self, command: Command) -> Outcome:
        """Carry out a command, or with ``dry_run`` all of it but the writing.

        Raises:
            ResolutionError: The component or the provider is unknown (404), or not eligible (422). Nothing changed.
            LifecycleError: The target does not stand here (422). Nothing changed.
            InputError: The Idempotency-Key was used with another body (422).
            Conflict: What it touches moved since it was begun (409).
            Stale: What it touches moved since ``If-Match`` (412).
            ControlFull: The head has no room for it (409).
            ReadOnlyReplica: This replica cannot write the head.
            ManifestPending: This replica does not serve the head's manifest, so it cannot judge a swap.
            Unavailable: The store is out of reach, or too busy; this try sent nothing.
            OutcomeUnknown: Something was sent, and no answer came: try again under the same key.
        """
        if command.reach == "replica":
            return await self._run_here(command)
        with nothing_sent():
            head = await self._convergence.fresh()
        self._writer.check(head.trust)
        if command.dry_run:
            return await self._rehearse(command, head)
        attempt = await self._begin(command, head)
        await self._rounds.carry(attempt)
        return await self._finish(attempt)

    async def _begin(self, command: Command, head: FleetHead) -> Attempt:
        """Claim an operation, having proved it; or take up the claim of another try, with its base."""
        operation, keyed = self._name(command), command.idempotency_key is not None
        mine = claim(command, head.control.document)
        with nothing_sent():
            standing = await self._journal.begun(operation) if keyed else None
        if standing is None:
            await self._judge.prove(command, head)
            with nothing_sent():
                standing = await self._journal.claim(operation, mine)
        _check_body(standing, mine)
        attempt = Attempt(command, operation, standing, keyed, standing is mine, Reading.of(self._ground.clock))
        if not attempt.ours:
            await self._help(attempt, head)
        return attempt

    async def _help(self, attempt: Attempt, head: FleetHead) -> None:
        """Go on with an operation that another try began: it may be done, and it may be under way."""
        with nothing_sent():
            await self._rounds.look_up(attempt, head.control.document)
        if attempt.settled:
            return
        try:
            await self._judge.prove(attempt.command, head)
        except PointsmanError as error:
            raise unjudged(error) from error

    def _name(self, command: Command) -> str:
        if command.idempotency_key is not None:
            return operation_id(command.who, command.idempotency_key)
        return UUID(int=self._ground.random.getrandbits(128), version=4).hex

    async def _finish(self, attempt: Attempt) -> Outcome:
        """Wait until the command is in force here, write its outcome, and answer."""
        if attempt.applied is None:
            raise attempt.refused or OutcomeUnknown("The command was left without an answer.")
        cseq, changed = attempt.applied
        bound = await self._convergence.settled(SETTLE_S)
        await self._rounds.conclude(attempt.operation, End(outcome="applied", cseq=cseq))
        self._tell(attempt.command, attempt.operation, cseq)
        return Outcome(
            operation=attempt.operation,
            cseq=cseq,
            local="applied" if bound else "pending",
            fleet="converging",
            bound_s=self._ground.limits.hard_s,
            changes=changed,
        )

    async def _rehearse(self, command: Command, head: FleetHead) -> Outcome:
        control, mine = head.control.document, claim(command, head.control.document)
        if not mine.insist:
            check_in_time(control, command, mine.base, conditional=command.if_match is not None)
        await self._judge.prove(command, head)
        after = apply(control, command, self._ground.time.now(), _REHEARSAL)
        after = fitted(after, head.envelope, command, head.trust)
        return _untouched(_REHEARSAL, control.cseq, changes(control.orders, after.orders, command))

    async def _run_here(self, command: Command) -> Outcome:
        """Change this replica alone, by the same rules over its own orders."""
        await self._judge.prove_here(command)
        head, operation, before = self._convergence.head, self._name(command), self._own
        after = place(before, command, op=operation, cseq=self._own_cseq + 1, now=self._ground.time.now())
        cseq = 0 if head is None else head.control.document.cseq
        untouched = _untouched(operation, cseq, changes(before, after, command))
        if command.dry_run:
            return untouched
        self._own, self._own_cseq = after, self._own_cseq + 1
        await self._plane.take_overrides(after)
        self._tell(command, operation, cseq)
        return replace(untouched, local="applied")

    def _tell(self, command: Command, operation: str, cseq: int) -> None:
        self._ground.report("control.command", operation=operation, cseq=cseq, who=command.who, command=command.body())


def _check_body(standing: Begin, mine: Begin) -> None:
    if standing.body != mine.body:
        raise InputError(
            "Idempotency-Key: expected the body that was sent under this key before, found another.",
            errors=({"in": "header", "name": "Idempotency-Key", "detail": "used before", "code": "reused"},),
            hint="Send another command under another key.",
        )


def _untouched(operation: str, cseq: int, changed: tuple[Change, ...]) -> Outcome:
    return Outcome(operation=operation, cseq=cseq, local="untouched", fleet="untouched", bound_s=None, changes=changed)
