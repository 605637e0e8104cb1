"""Operator routes that look and change nothing; each function makes one answer, in JSON types.

GET /admin/explain/{domain}/{key}?tenant=acme   why this provider serves this component
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from pointsman.declarations import Component, parse_component
from pointsman.errors import NotFound, UnknownComponent
from pointsman.resolution.decision import Question, weigh
from pointsman.resolution.narration import known_components
from pointsman.runtime.activity import GatesOfComponent

if TYPE_CHECKING:
    from pointsman.lifecycle.instance import Instance
    from pointsman.resolution.catalog import Catalog
    from pointsman.resolution.explanation import Explanation
    from pointsman.runtime.runtime import Runtime
    from pointsman.web.admin.operator import Operator


def explained(
    runtime: Runtime, component: Component[Any], tenant: str | None, provider: str | None, requires: frozenset[str],
    subject: str | None,
) -> Explanation:  # fmt: skip
    """Return why a provider serves a component, as the next request would meet it.

    Raises:
        UnknownComponent: Nothing is registered for it.
    """
    catalog = runtime.points.current().catalog
    if not catalog.candidates.of(component) and component not in catalog.replaced:
        raise UnknownComponent(
            f"nothing is registered for {component}.", hint=known_components(catalog, str(component))
        )
    return runtime.explain(*component, tenant=tenant, provider=provider, requires=requires, subject=subject)


def components_of(runtime: Runtime) -> list[dict[str, object]]:
    """Return every component with its candidates, and who serves it for nobody in particular."""
    catalog = runtime.points.current().catalog
    return [_component(catalog, component) for component in catalog.candidates]


def tenant_of(runtime: Runtime, tenant: str) -> dict[str, object]:
    """Return a tenant's labels, and which provider serves it for every component.

    Raises:
        NotFound: Neither settings nor the manifest declare it.
    """
    catalog = runtime.points.current().catalog
    if not catalog.knows(tenant):
        raise NotFound(f"Neither settings nor the manifest declare a tenant {tenant!r}.")
    return {
        "tenant": tenant,
        "labels": dict(catalog.labels(tenant)),
        "components": {str(component): _served(catalog, component, tenant) for component in catalog.candidates},
    }


def activity_of(runtime: Runtime) -> list[dict[str, object]]:
    """Return every pause and drain in force, the fleet's and this replica's; what nobody uses any more is drained."""
    snapshot = runtime.points.current()
    own = {order.op for orders in snapshot.inputs.overrides.values() for order in orders}
    in_use = {instance.plan.component for instance in runtime.lifecycle.keeper.instances if instance.leases}
    return [
        {**row, "reach": "replica" if row["operation"] in own else "fleet"}
        for gates in snapshot.gates
        for component, found in sorted(gates.items())
        for row in _gates(str(component), found, in_use=component in in_use)
    ]


async def health_of(runtime: Runtime, *, probe: bool, domain: str | None, key: str | None) -> dict[str, object]:
    """Return the state of all that lives or last failed, asking what lives for its health where ``probe`` says so."""
    instances = [
        instance
        for instance in runtime.lifecycle.keeper.instances
        if instance.usable and domain in {None, instance.plan.component.domain}
        if key in {None, instance.plan.component.key}
    ]
    if probe:
        asked = {(instance.plan.component, instance.plan.question.tenant) for instance in instances}
        await asyncio.gather(
            *(runtime.lifecycle.probe_instance_health(*component, tenant=tenant) for component, tenant in asked)
        )
    rows = [_instance(runtime, instance) for instance in instances]
    lives = {str(row["identity"]) for row in rows}
    rows += [row for row in _failed(runtime, domain, key) if row["identity"] not in lives]
    sick = any(row["health"] is False or row["state"] == "failed" for row in rows)
    degraded = sick or runtime.is_stale() or bool(runtime.snapshot.catalog.outages)
    return {
        "alive": True,
        "ready": runtime.state == "serving" and runtime.catalog_stands,
        "fresh": not runtime.is_stale(),
        "degraded": degraded,
        "components": sorted(rows, key=lambda row: str(row["identity"])),
    }


def manifest_of(runtime: Runtime, operator: Operator) -> dict[str, object]:
    """Return the manifest in force, how fresh the head is, and what was refused and why."""
    found = runtime.snapshot.inputs.manifest
    taken = None
    if found is not None:
        taken = {"version": found.version, "digest": found.digest, "expires": found.expires.isoformat()}
    return {"in_force": taken, **operator.status()}


def control_of(operator: Operator) -> dict[str, object]:
    """Return the control document in force.

    Raises:
        NotFound: There is no head.
    """
    if operator.head is None:
        raise NotFound("There is no head in force here.", hint="pointsman head adopt")
    document: dict[str, object] = to_builtins(operator.head.control.document)
    return document


def _component(catalog: Catalog, component: Component[Any]) -> dict[str, object]:
    return {
        "component": str(component),
        "selected": _served(catalog, component, None),
        "candidates": [
            {
                "provider": entry.candidate.provider,
                "source": str(entry.source),
                "priority": entry.priority,
                "stack_level": entry.candidate.stack_level,
                "lifetime": entry.candidate.lifetime,
                "capabilities": list(entry.candidate.capabilities),
                "description": entry.candidate.description,
            }
            for entry in catalog.candidates.of(component)
        ],
    }


def _served(catalog: Catalog, component: Component[Any], tenant: str | None) -> str | None:
    winner = weigh(catalog, Question(component, tenant)).winner
    return winner.candidate.provider if winner is not None else None


def _gates(component: str, found: GatesOfComponent, *, in_use: bool) -> Iterator[dict[str, object]]:
    pairs = [("*", gate) for gate in found.everyone]
    pairs += [(tenant, gate) for tenant, gates in sorted(found.tenants.items()) for gate in gates]
    for tenant, gate in pairs:
        yield {
            "component": component,
            "tenant": tenant,
            "activity": "drained" if gate.activity == "draining" and not in_use else gate.activity,
            "operation": gate.op,
            "until": gate.until.isoformat() if gate.until else None,
        }


def _instance(runtime: Runtime, instance: Instance) -> dict[str, object]:
    status = runtime.lifecycle.board.get(instance.identity)
    return {
        "identity": str(instance.identity),
        "component": str(instance.plan.component),
        "provider": instance.plan.resolution.provider,
        "tenant": instance.identity.tenant,
        "state": str(instance.state),
        "leases": instance.leases,
        "health": status.last_health,
        "last_error": status.last_error,
        "activated_at": status.last_activated_at.isoformat() if status.last_activated_at else None,
    }


def _failed(runtime: Runtime, domain: str | None, key: str | None) -> Iterator[dict[str, object]]:
    """Yield what could not be made when it was last tried; the board names it ``adapter/cache=redis for acme``."""
    for identity, status in runtime.lifecycle.board.as_dict().items():
        name, _, rest = identity.partition("=")
        component = parse_component(name)
        tenant = rest.partition(" for ")[2]
        if status["state"] == "failed" and domain in {None, component.domain} and key in {None, component.key}:
            yield {
                "identity": identity,
                "component": name,
                "provider": status["current_provider"],
                "tenant": tenant or None,
                "state": "failed",
                "leases": 0,
                "health": status["last_health"],
                "last_error": status["last_error"],
                "activated_at": status["last_activated_at"],
            }
