"""Whom a command would concern: the snapshot after it against the one in force, tenant by tenant; nothing is bound.

A command's own changes name keys, ``*`` among them; here is what they come to for the tenants that are declared, since
a tenant's own selection outranks an order for everyone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from pointsman.control.commands import EVERYONE
from pointsman.control.head import place
from pointsman.resolution.decision import Question, weigh
from pointsman.resolution.selection import Split
from pointsman.runtime.activity import strictest

if TYPE_CHECKING:
    from pointsman.control.commands import Command
    from pointsman.runtime.inputs import Inputs
    from pointsman.runtime.runtime import Runtime
    from pointsman.runtime.snapshot import Snapshot

MOST: Final = 500
"""Tenants that are told; of more the first by name."""


def effects_of(runtime: Runtime, command: Command) -> list[dict[str, str | None]]:
    """Return what would be another after a command: ``[{"tenant", "before", "after"}]``.

    Providers for a swap (a split as a whole: its salt is drawn with the command), activities for a pause or drain. The
    tenant ``*`` stands for whoever has no entry of their own.
    """
    before = runtime.points.current()
    after = runtime.points.made_of(_inputs_after(before.inputs, command, runtime), before)
    tenants = sorted({*before.catalog.tenants(), *(command.tenants or ())})
    rows: list[dict[str, str | None]] = []
    for tenant in (None, *tenants):
        was, would_be = _state(before, command, tenant), _state(after, command, tenant)
        if was != would_be and len(rows) < MOST:
            rows.append({"tenant": EVERYONE if tenant is None else tenant, "before": was, "after": would_be})
    return rows


def _inputs_after(inputs: Inputs, command: Command, runtime: Runtime) -> Inputs:
    number, now = 2**53 - 1, runtime.now()
    if command.reach == "replica":
        return replace(inputs, overrides=place(inputs.overrides, command, op="rehearsal", cseq=number, now=now))
    if inputs.gating is None:
        return inputs
    orders = dict(place(inputs.gating.orders, command, op="rehearsal", cseq=number, now=now))
    control = msgspec.structs.replace(inputs.gating, orders=orders)
    return replace(inputs, control=control, gating=control)


def _state(snapshot: Snapshot, command: Command, tenant: str | None) -> str | None:
    component = command.component
    if command.slot == "gate":
        gate = strictest(snapshot.gates, component, tenant)
        return "active" if gate is None else gate.activity
    named = snapshot.catalog.selection(component, tenant)
    if named is not None and isinstance(named[1], Split):
        return str(named[1])
    winner = weigh(snapshot.catalog, Question(component, tenant)).winner
    return None if winner is None else winner.candidate.provider
