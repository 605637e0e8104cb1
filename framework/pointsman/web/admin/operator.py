"""What the operators' routes ask of control; and what carries out orders that reach this replica alone.

Without a store there is no fleet: orders reach this replica, by the same rules, and are gone with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

import anyio

from pointsman.control.commands import Command, Outcome, body_digest, operation_id
from pointsman.control.head import changes, in_slot, place, providers
from pointsman.errors import InputError, NoEligibleCandidate, NotFound, OrderUnavailable, ReadOnlyReplica
from pointsman.lifecycle.swap import Swap
from pointsman.resolution.selection import Split

if TYPE_CHECKING:
    from pointsman.control.journal import Record
    from pointsman.control.reading import FleetHead
    from pointsman.runtime.inputs import Inputs, Orders
    from pointsman.runtime.runtime import Runtime

REMEMBERED: Final = 256
"""Answers to commands with an Idempotency-Key that are kept to be given again."""


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
    """Carries out commands on this replica; stands for the fleet where there is none. Concurrent requests share one.

    Every change is made over the newest orders at the moment when it is bound: no two commands lose one another, and a
    pause never waits for a swap that warms.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._answers: dict[str, tuple[str, Outcome]] = {}
        self._under_way: dict[str, anyio.Event] = {}

    @property
    def head(self) -> FleetHead | None:
        """There is none."""
        return None

    async def run(self, command: Command) -> Outcome:
        """Carry out a command that reaches this replica.

        Raises:
            ReadOnlyReplica: It should reach the fleet.
            InputError: It carries an If-Match, or its Idempotency-Key was used with another body.
            PointsmanError: What it names is unknown, or does not stand here; nothing changed.
        """
        if command.reach == "fleet":
            raise ReadOnlyReplica("No control store is configured: there is no fleet.", hint='Say "reach": "replica".')
        if command.if_match is not None:
            raise _header("If-Match", "expected none: the orders of one replica have no ETag", "not-here")
        if command.idempotency_key is None or command.dry_run:
            return await self._perform(command, uuid4().hex)
        return await self._once(command, operation_id(command.who, command.idempotency_key))

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

    # --- within ---

    async def _once(self, command: Command, operation: str) -> Outcome:
        """Carry a command out, or give the answer that was given under its key; wait for a try that is under way."""
        digest = body_digest(command)
        while (other := self._under_way.get(operation)) is not None:
            await other.wait()
        if operation in self._answers:
            known, outcome = self._answers[operation]
            if known != digest:
                raise _header("Idempotency-Key", "expected the body that was sent under this key before", "reused")
            return replace(outcome, changes=())
        done = self._under_way[operation] = anyio.Event()
        try:
            outcome = await self._perform(command, operation)
        finally:
            del self._under_way[operation]
            done.set()
        self._answers[operation] = digest, outcome
        while len(self._answers) > REMEMBERED:
            del self._answers[next(iter(self._answers))]
        return outcome

    async def _perform(self, command: Command, operation: str) -> Outcome:
        self._judge(command)
        before = self._runtime.points.inputs.overrides
        outcome = Outcome(
            operation=operation,
            cseq=self._cseq,
            local="untouched",
            fleet="untouched",
            bound_s=None,
            changes=changes(before, self._placed(before, command, operation), command),
        )
        if command.dry_run:
            await self._prove(command)
            return outcome
        await self._bind(command, operation)
        self._runtime.events.tell("control.command", operation=operation, who=command.who, command=command.body())
        return replace(outcome, local="applied")

    async def _bind(self, command: Command, operation: str) -> None:
        points, lifecycle = self._runtime.points, self._runtime.lifecycle

        def change(inputs: Inputs) -> Inputs:
            return replace(inputs, overrides=self._placed(inputs.overrides, command, operation))

        if command.slot == "gate":
            points.change(change)
        elif command.value is None:
            await points.take(change, strict=True)
        else:
            target = command.value.providers[-1] if isinstance(command.value, Split) else command.value
            swap = Swap(command.component, target, tenants=command.tenants or (), force=command.force)
            await lifecycle.perform(swap, points.proposing(change))

    def _placed(self, orders: Orders, command: Command, operation: str) -> Orders:
        """Return orders with one command more; its number is above all that are there, so that the last one counts."""
        number = 1 + max((order.cseq for given in orders.values() for order in given), default=0)
        return place(orders, command, op=operation, cseq=number, now=self._runtime.now())

    def _judge(self, command: Command) -> None:
        """Refuse what names nothing that is known; what stands there may be taken away in any case.

        Raises:
            ResolutionError: The component or a provider is unknown, or no candidate of it is eligible.
        """
        orders, component = self._runtime.points.inputs.overrides, str(command.component)
        if command.clear and any(in_slot(orders, component, name, command.slot) for name in command.names):
            return
        try:
            named = providers(command.value)
            self._runtime.intake.check_order(command.component, named, command.tenants or ())
        except (NoEligibleCandidate, OrderUnavailable):
            if command.value is not None:  # a gate needs a component that is known, and no more
                raise

    async def _prove(self, command: Command) -> None:
        if command.value is not None:
            await self._runtime.intake.prove(command.component, command.value, command.tenants, force=command.force)

    @property
    def _cseq(self) -> int:
        control = self._runtime.points.inputs.gating
        return 0 if control is None else control.cseq


def _header(name: str, detail: str, code: str) -> InputError:
    return InputError(f"{name}: {detail}.", errors=({"in": "header", "name": name, "detail": detail, "code": code},))
