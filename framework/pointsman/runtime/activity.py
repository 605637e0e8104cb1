"""Whether a component takes new work: active, paused or draining, for everyone or for one tenant.

Pure. Gates are made from orders; a component's gate covers all that stands on it, and the strictest one wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from pointsman.declarations import Component, parse_component
from pointsman.errors import ComponentDraining, ComponentPaused, LifecycleError

if TYPE_CHECKING:
    from pointsman.manifests.schema import Order

Activity: TypeAlias = Literal["active", "paused", "draining"]
DEFAULT_RETRY_AFTER_S = 5.0


class Gate(msgspec.Struct, frozen=True):
    """One pause or drain in force.

    Attributes:
        op: The operation that ordered it.
        until: When it ends by itself, store's clock.
    """

    activity: Literal["paused", "draining"]
    op: str
    cseq: int
    until: datetime | None = None

    @property
    def strictness(self) -> int:
        """A drain is stricter than a pause: it also waits for what is under way."""
        return 1 if self.activity == "paused" else 2


Gates: TypeAlias = Mapping[Component[Any], "GatesOfComponent"]


class GatesOfComponent(msgspec.Struct, frozen=True):
    """The gates of one component: those for everyone, and those of single tenants."""

    everyone: tuple[Gate, ...] = ()
    tenants: Mapping[str, tuple[Gate, ...]] = {}

    def of(self, tenant: str | None) -> tuple[Gate, ...]:
        """Return the gates that concern a tenant, or who asks without one."""
        return self.everyone + (self.tenants.get(tenant, ()) if tenant is not None else ())


def strictest(sources: Iterable[Gates], component: Component[Any], tenant: str | None) -> Gate | None:
    """Return the gate that counts for a tenant, whoever ordered it, or ``None``."""
    found = [gate for gates in sources if component in gates for gate in gates[component].of(tenant)]
    return max(found, key=lambda gate: gate.strictness, default=None)


def gates_of(orders: Iterable[tuple[str, Order]]) -> Gates:
    """Return the gates that orders in force make.

    Args:
        orders: Component names with orders; those that give no gate are passed over.
    """
    everyone: dict[Component[Any], list[Gate]] = {}
    tenants: dict[Component[Any], dict[str, list[Gate]]] = {}
    for name, order in orders:
        if order.kind not in {"pause", "drain"}:
            continue
        component = parse_component(name)
        gate = Gate("paused" if order.kind == "pause" else "draining", order.op, order.cseq, order.until)
        everyone.setdefault(component, [])
        if order.tenants == "*":
            everyone[component].append(gate)
            continue
        for tenant in order.tenants:
            tenants.setdefault(component, {}).setdefault(tenant, []).append(gate)
    return {
        component: GatesOfComponent(
            tuple(found), {tenant: tuple(own) for tenant, own in tenants.get(component, {}).items()}
        )
        for component, found in everyone.items()
    }


def refusal(component: Component[Any], gate: Gate, now: datetime) -> LifecycleError:
    """Return the error that a gate answers new work with."""
    left = (gate.until - now).total_seconds() if gate.until else DEFAULT_RETRY_AFTER_S
    wait = min(max(left, 1.0), 60.0)
    if gate.activity == "paused":
        return ComponentPaused(f"{component} is paused by operation {gate.op}.", retry_after_s=wait)
    return ComponentDraining(f"{component} is draining by operation {gate.op}.", retry_after_s=wait)
