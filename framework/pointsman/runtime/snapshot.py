"""The one immutable value that decides about a request, as a pure function of its inputs and the time.

What did not change is shared with the snapshot before: a pause makes no new catalog, an override no new index of
candidates. A request compares the clock with ``valid_until`` and with nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pointsman.declarations import Component, parse_component
from pointsman.resolution.catalog import Candidates, Catalog, Outage, registrations_of
from pointsman.resolution.contribution import Contribution, Source
from pointsman.resolution.selection import Choices, Selection, Split
from pointsman.runtime.activity import Gates, gates_of
from pointsman.runtime.inputs import Inputs, Orders
from pointsman.values import frozen

if TYPE_CHECKING:
    from pointsman.manifests.schema import Order
    from pointsman.resolution.eligibility import Environment

_NOTHING = Contribution()


@frozen(eq=False)
class Snapshot:
    """What decides about a request.

    Attributes:
        gates: Pauses and drains of the fleet, and of this replica.
        valid_until: When the first order or outage ends by itself (store's clock); ``None`` for never.
        expired: Operations whose orders were seen to end: a clock that is set back revives none of them.
        label: ``<manifest version>.<cseq>``.
        guarded: Components that not everyone is given at any time: paused, draining, isolated, or denied when stale.
    """

    inputs: Inputs
    catalog: Catalog
    gates: tuple[Gates, ...] = ()
    valid_until: datetime | None = None
    expired: frozenset[str] = frozenset()
    label: str = "0.0"
    guarded: frozenset[Component[Any]] = frozenset()


def snapshot_of(
    inputs: Inputs,
    now: datetime,
    before: Snapshot | None,
    *,
    environment: Environment,
    next_serial: Callable[[], int],
) -> Snapshot:
    """Return the snapshot of these inputs at this time.

    Args:
        before: The one in force, with which whatever stays is shared.
        environment: What constraints are weighed against.
        next_serial: Called once, if the catalog differs.
    """
    expired = _expired(inputs, now, before)
    control, gating, own = (in_force(orders, expired, now) for orders in _orders(inputs))
    catalog = _catalog(inputs, now, before, choices_of(control), choices_of(own), environment, next_serial)
    gates = tuple(gates for gates in (gates_of(gating), gates_of(own)) if gates)
    version = inputs.manifest.version if inputs.manifest else 0
    cseq = inputs.control.cseq if inputs.control else 0
    return Snapshot(
        inputs=inputs,
        catalog=catalog,
        gates=gates,
        valid_until=_first_end([*control, *gating, *own], inputs.outages, now),
        expired=expired,
        label=f"{version}.{cseq}",
        guarded=_guarded(gates, catalog, before),
    )


def choices_of(orders: list[tuple[str, Order]]) -> Choices:
    """Return the selections that orders to use and to split make; a later command counts before an earlier one."""
    everyone: dict[Component[Any], Selection] = {}
    tenants: dict[str, dict[Component[Any], Selection]] = {}
    for name, order in sorted(orders, key=lambda pair: pair[1].cseq):
        if order.kind not in {"use", "split"} or order.value is None:
            continue
        component, value = parse_component(name), order.value
        selection: Selection = value if isinstance(value, str) else Split(value.incumbent, value.to, value.salt)
        if order.tenants == "*":
            everyone[component] = selection
        else:
            for tenant in order.tenants:
                tenants.setdefault(tenant, {})[component] = selection
    return Choices(everyone, tenants)


def _catalog(
    inputs: Inputs,
    now: datetime,
    before: Snapshot | None,
    control: Choices,
    replica: Choices,
    environment: Environment,
    next_serial: Callable[[], int],
) -> Catalog:
    old = before.catalog if before else None
    catalog = Catalog(
        serial=0,
        candidates=_candidates(inputs, before, environment),
        settings=inputs.settings,
        manifest=inputs.manifest.contribution if inputs.manifest else _NOTHING,
        control=old.control if old and old.control == control else control,
        replica=old.replica if old and old.replica == replica else replica,
        given=inputs.given,
        replaced=inputs.replaced,
        outages=_outages(inputs, now, old),
    )
    if old is not None and _same(old, catalog):
        return old
    return replace(catalog, serial=next_serial())


def _candidates(inputs: Inputs, before: Snapshot | None, environment: Environment) -> Candidates:
    if before is not None and _brings_the_same(before.inputs, inputs):
        return before.catalog.candidates
    manifest = inputs.manifest.contribution if inputs.manifest else _NOTHING
    groups = (
        inputs.registrations,
        registrations_of(inputs.settings, Source.SETTINGS),
        registrations_of(manifest, Source.MANIFEST),
    )
    return Candidates(groups, environment)


def _brings_the_same(old: Inputs, new: Inputs) -> bool:
    return old.registrations is new.registrations and old.settings is new.settings and old.manifest is new.manifest


def _same(old: Catalog, new: Catalog) -> bool:
    return all(
        getattr(old, name) is getattr(new, name)
        for name in ("candidates", "settings", "manifest", "control", "replica", "given", "replaced", "outages")
    )


def _outages(inputs: Inputs, now: datetime, old: Catalog | None) -> frozenset[Outage]:
    outages = frozenset(outage for outage, until in inputs.outages.items() if until > now)
    return old.outages if old is not None and old.outages == outages else outages


def _expired(inputs: Inputs, now: datetime, before: Snapshot | None) -> frozenset[str]:
    """Return the operations whose orders have ended; each is latched until its order is gone."""
    known = before.expired if before else frozenset()
    present = (order for orders in _orders(inputs) for given in orders.values() for order in given)
    return frozenset(order.op for order in present if order.until and (order.until <= now or order.op in known))


def _orders(inputs: Inputs) -> tuple[Orders, Orders, Orders]:
    """Return the orders whose uses count, those whose gates count, and this replica's own."""
    control, gating = inputs.control, inputs.gating
    return control.orders if control else {}, gating.orders if gating else {}, inputs.overrides


def in_force(orders: Orders, expired: Collection[str], now: datetime) -> list[tuple[str, Order]]:
    """Return the orders that have not ended, each with its component's name.

    Args:
        expired: Operations whose orders were seen to end, whatever the clock says now.
    """
    return [
        (name, order)
        for name, given in orders.items()
        for order in given
        if order.op not in expired and (order.until is None or order.until > now)
    ]


def _first_end(orders: list[tuple[str, Order]], outages: Mapping[Outage, datetime], now: datetime) -> datetime | None:
    ends = [order.until for _, order in orders if order.until is not None]
    return min((*ends, *(until for until in outages.values() if until > now)), default=None)


def _guarded(gates: tuple[Gates, ...], catalog: Catalog, before: Snapshot | None) -> frozenset[Component[Any]]:
    policies = (*catalog.settings.policies.items(), *catalog.manifest.policies.items())
    guarded = frozenset(
        (
            *(component for gated in gates for component in gated),
            *(component for component, policy in policies if policy.isolated or policy.on_stale == "deny"),
        )
    )
    return before.guarded if before is not None and before.guarded == guarded else guarded
