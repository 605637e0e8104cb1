"""Replace what a component is bound to, once the new instance has proved healthy.

``resolve → instantiate → health_check → pre_swap → bind → cleanup_old → post_swap``: a failure at any step leaves
exactly the old or exactly the new bound, never a closed one. Creating comes first, the switch is one assignment, and
retiring waits for whoever still uses the old.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pointsman.lifecycle.hooks import Swapping
from pointsman.resolution.decision import Question, possible_providers
from pointsman.resolution.resolver import resolve_in
from pointsman.resolution.selection import Choices, Selection

if TYPE_CHECKING:
    from pointsman.declarations import Component
    from pointsman.lifecycle.manager import LifecycleManager
    from pointsman.lifecycle.warming import Warming
    from pointsman.resolution.catalog import Catalog
    from pointsman.resolution.resolver import Resolver


@dataclass(frozen=True, slots=True)
class Swap:
    """One swap.

    Attributes:
        provider: The target; one of the providers, where the selection is a split.
        tenant: For whom, or ``None`` for everyone.
        tenants: For whom, where they are several.
        force: Whether health is not asked; everything else is proved all the same.
    """

    component: Component[Any]
    provider: str
    tenant: str | None = None
    tenants: tuple[str, ...] = ()
    force: bool = False

    @property
    def whom(self) -> tuple[str | None, ...]:
        """Every tenant that the swap names; ``None`` for everyone."""
        return self.tenants or (self.tenant,)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A catalog that may be bound.

    Attributes:
        commit: Makes the inputs behind it the ones in force; called right before it is bound.
        in_force: Whether the inputs that it was made from are still the newest.
    """

    catalog: Catalog
    commit: Callable[[], None]
    in_force: Callable[[], bool]


async def perform(manager: LifecycleManager, swap: Swap, propose: Callable[[], Proposal]) -> None:
    """Carry out one swap.

    Raises:
        PointsmanError: A step before the switch failed, and the old binding serves on.
    """
    started = perf_counter()
    old = manager.live(Question(swap.component, swap.whom[0]))
    seen: list[Swapping] = []

    async def pre_swap(warming: Warming) -> None:
        seen[:] = [_seen(swap, old.value if old else None, warming)]
        await manager.hooks.run("pre_swap", seen[0], manager.limits.hook_timeout_s)

    try:
        await manager.shift(
            propose,
            prove=lambda catalog: proofs(manager, catalog, swap),
            strict=True,
            check_health=not swap.force,
            before=pre_swap,
        )
    except BaseException as error:
        manager.swap_failed(swap, error)
        raise
    manager.swapped(swap, perf_counter() - started)
    await manager.tell_hooks(seen[0])


def proofs(manager: LifecycleManager, catalog: Catalog, swap: Swap) -> tuple[Question, ...]:
    """Return the questions that a swap must prove: whom it names, the default profile, every live profile.

    At most ``proved_profiles_max`` of them; under a split, both sides of each.

    Raises:
        ResolutionError: For one whom it names, the target may not serve.
    """
    whom = list(swap.whom)
    for tenant in whom:
        resolve_in(catalog, Question(swap.component, tenant, provider=swap.provider))
    for instance in manager.keeper.instances:
        question = instance.plan.question
        if None in whom and question.component == swap.component and question.tenant not in whom:
            whom.append(question.tenant)
    questions = []
    for tenant in whom[: manager.limits.proved_profiles_max]:
        question = Question(swap.component, tenant)
        providers = possible_providers(catalog, question)
        questions.append(question)
        if len(providers) > 1:
            questions += [replace(question, provider=provider) for provider in providers]
    return tuple(questions)


def override(resolver: Resolver, component: Component[Any], selection: Selection, tenant: str | None) -> Catalog:
    """Return the resolver's catalog with one more override of this replica."""
    catalog = resolver.catalog
    everyone, tenants = dict(catalog.replica.everyone), dict(catalog.replica.tenants)
    if tenant is None:
        everyone[component] = selection
    else:
        tenants[tenant] = {**tenants.get(tenant, {}), component: selection}
    return replace(catalog, serial=resolver.next_serial(), replica=Choices(everyone, tenants))


def _seen(swap: Swap, old: object, warming: Warming) -> Swapping:
    tenant = swap.whom[0]
    plan = warming.plans.get(Question(swap.component, tenant))
    new = warming.fresh.find(plan.identity) if plan else None
    return Swapping(swap.component, tenant, swap.provider, old, new.value if new else None)
