"""What the operators' routes ask of control; and what answers where there is none.

Without a store there is no fleet: orders reach this replica alone, by the same rules, and are gone with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from pointsman.control.commands import Command, Outcome
from pointsman.control.head import changes, place, providers
from pointsman.errors import NoEligibleCandidate, NotFound, ReadOnlyReplica

if TYPE_CHECKING:
    from pointsman.control.journal import Record
    from pointsman.control.reading import FleetHead
    from pointsman.runtime.runtime import Runtime


class Operator(Protocol):
    """Carries out commands, and tells what was done; `control.fleet.Fleet` is one."""

    @property
    def head(self) -> FleetHead | None:
        """The head in force here."""
        ...

    async def run(self, command: Command) -> Outcome:
        """Carry out a command."""
        ...

    async def operation(self, operation: str) -> Record:
        """Return one operation."""
        ...

    async def audit(self, limit: int = 50) -> tuple[Record, ...]:
        """Return the operations begun last."""
        ...

    async def refresh(self, *, hint: bool = False) -> None:
        """Converge now."""
        ...

    def status(self) -> dict[str, object]:
        """Return how this replica stands to its fleet."""
        ...


class Alone:
    """Carries out commands on this replica, where there is no fleet."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._cseq = 0

    @property
    def head(self) -> FleetHead | None:
        """There is none."""
        return None

    async def run(self, command: Command) -> Outcome:
        """Carry out a command that reaches this replica.

        Raises:
            ReadOnlyReplica: It should reach the fleet.
            PointsmanError: What it names is unknown, or does not stand here.
        """
        if command.reach == "fleet":
            raise ReadOnlyReplica("No control store is configured: there is no fleet.", hint='Say "reach": "replica".')
        await self._judge(command)
        before = self._runtime.points.inputs.overrides
        after = place(before, command, op=uuid4().hex, cseq=self._cseq + 1, now=self._runtime.now())
        changed = changes(before, after, command)
        operation = uuid4().hex
        if command.dry_run:
            return Outcome(
                operation=operation, cseq=0, local="untouched", fleet="untouched", bound_s=None, changes=changed
            )
        self._cseq += 1
        await self._runtime.intake.take_overrides(after)
        self._runtime.events.tell("control.command", operation=operation, who=command.who, command=command.body())
        return Outcome(operation=operation, cseq=0, local="applied", fleet="untouched", bound_s=None, changes=changed)

    async def operation(self, operation: str) -> Record:
        """Raise that nothing is kept."""
        raise NotFound(f"There is no operation {operation}: without a store none is kept.")

    async def audit(self, limit: int = 50) -> tuple[Record, ...]:
        """Return nothing: without a store the log is the audit."""
        return ()

    async def refresh(self, *, hint: bool = False) -> None:
        """Do nothing: there is nothing to converge to."""

    def status(self) -> dict[str, object]:
        """Return that there is no fleet."""
        return {"freshness": "alone", "head": None, "manifest": None, "refusals": []}

    async def _judge(self, command: Command) -> None:
        intake = self._runtime.intake
        try:
            intake.check_order(command.component, providers(command.value), command.tenants or ())
        except NoEligibleCandidate:
            if command.value is not None:  # a gate needs a component that is known, and no more
                raise
        if command.value is not None:
            await intake.prove(command.component, command.value, command.tenants, force=command.force)
