"""How many tenants' instances may live, and which one goes when another needs its room.

Pure: it names an instance, and closes none. What lives within one request is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pointsman.errors import CapacityExceeded
from pointsman.lifecycle.instance import State

if TYPE_CHECKING:
    from pointsman.lifecycle.identity import Identity, Plan
    from pointsman.lifecycle.instance import Instance


def counts(plan: Plan) -> bool:
    """Whether an instance of this plan belongs to one tenant, and outlives a request."""
    return plan.identity.tenant is not None and plan.lifetime != "request"


def to_give_up(
    plan: Plan, instances: Iterable[Instance], bound: Mapping[Identity, Instance], limit: int
) -> Instance | None:
    """Return the instance that must go before a plan's can be made, or ``None`` where there is room.

    Args:
        instances: All that live.
        bound: Those that serve new requests: one that is warmed for what comes, or drains, never goes for another.

    Raises:
        CapacityExceeded: All of them are in use.
    """
    if not counts(plan):
        return None
    living = [one for one in instances if counts(one.plan) and one.usable]
    if len(living) < limit:
        return None
    idle = [one for one in living if one.idle and one.state is State.READY and bound.get(one.identity) is one]
    if not idle:
        raise CapacityExceeded(
            f"{plan} cannot be made: {len(living)} instances of tenants live, and all of them are in use.",
            hint="Raise lifecycle.tenant_instances_max, or send the tenant to another replica.",
        )
    return min(idle, key=lambda one: one.used_at)
