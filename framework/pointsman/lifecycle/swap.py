"""Replace what a component is bound to, once the new instance has proved healthy.

``resolve → instantiate → health_check → pre_swap → bind → cleanup_old → post_swap``: a failure at any step leaves
exactly the old or exactly the new bound, never a closed one. Creating comes first, the switch is one assignment, and
retiring waits for whoever still uses the old.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from pointsman.errors import LifecycleError, PointsmanError
from pointsman.lifecycle.hooks import Swapping
from pointsman.lifecycle.reporting import in_words
from pointsman.observability.tracing import span
from pointsman.resolution.decision import Question
from pointsman.resolution.resolver import resolve_in
from pointsman.resolution.selection import Choices

if TYPE_CHECKING:
    from pointsman.declarations import Component
    from pointsman.lifecycle.manager import LifecycleManager
    from pointsman.lifecycle.warming import Warming
    from pointsman.resolution.catalog import Catalog


class Swap(msgspec.Struct, frozen=True):
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

    @property
    def questions(self) -> tuple[Question, ...]:
        """What those ask whom the swap names."""
        return tuple(Question(self.component, tenant) for tenant in self.whom)


class Proposal(msgspec.Struct, frozen=True):
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
    old = manager.live(swap.questions[0])
    seen: list[Swapping] = []

    async def pre_swap(warming: Warming) -> None:
        seen[:] = [_seen(swap, old.value if old else None, warming)]
        await _ask_hooks(manager, swap, seen[0])

    with span("lifecycle.swap", component=str(swap.component), provider=swap.provider):
        try:
            await manager.shift(
                propose,
                prove=lambda catalog: proofs(manager, catalog, swap),
                strict=True,
                check_health=not swap.force,
                before=pre_swap,
            )
        except BaseException as error:
            manager.reporter.went_wrong("swap-failed", swap, manager.known_identities(swap), error)
            raise
        manager.reporter.swapped(swap, manager.known_identities(swap), perf_counter() - started)
        await _tell_hooks(manager, swap, seen[0])


def proofs(manager: LifecycleManager, catalog: Catalog, swap: Swap) -> tuple[Question, ...]:
    """Return the questions that a swap must prove: whom it names, the default profile, every live profile.

    At most ``proved_profiles_max`` of them; a warming proves both sides of a split for each.

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
    return tuple(Question(swap.component, tenant) for tenant in whom[: manager.limits.proved_profiles_max])


def overriding(
    manager: LifecycleManager, component: Component[Any], provider: str, tenant: str | None
) -> Callable[[], Proposal]:
    """Return what proposes the catalog then in force with one more override of this replica."""

    def propose() -> Proposal:
        manager.follow()
        base, resolver = manager.epochs.current, manager.resolver
        catalog = replace(
            base.catalog,
            serial=resolver.next_serial(),
            replica=_more(base.catalog.replica, component, provider, tenant),
        )
        return Proposal(catalog, lambda: resolver.show(catalog), lambda: manager.epochs.current is base)

    return propose


def _more(choices: Choices, component: Component[Any], provider: str, tenant: str | None) -> Choices:
    everyone, tenants = dict(choices.everyone), dict(choices.tenants)
    if tenant is None:
        everyone[component] = provider
    else:
        tenants[tenant] = {**tenants.get(tenant, {}), component: provider}
    return Choices(everyone, tenants)


async def _ask_hooks(manager: LifecycleManager, swap: Swap, swapping: Swapping) -> None:
    """Run the ``pre_swap`` hooks, any of which may refuse.

    Raises:
        LifecycleError: One refused, in its own words, or hung.
    """
    try:
        await manager.hooks.run("pre_swap", swapping, manager.limits.hook_timeout_s)
    except PointsmanError:
        raise
    except Exception as error:
        why = manager.surroundings.scrub(in_words(error))
        raise LifecycleError(f"A pre_swap hook refused {swap.component}={swap.provider}: {why}") from error


async def _tell_hooks(manager: LifecycleManager, swap: Swap, swapping: Swapping) -> None:
    """Run the ``post_swap`` hooks; the new binding stands, whatever they say."""
    try:
        await manager.hooks.run("post_swap", swapping, manager.limits.hook_timeout_s)
    except Exception as error:  # noqa: BLE001 - the boundary around the user's hooks, after the switch
        manager.reporter.went_wrong("hook-failed", swap, manager.known_identities(swap), error)


def _seen(swap: Swap, old: object, warming: Warming) -> Swapping:
    tenant = swap.whom[0]
    plan = warming.plans.get(swap.questions[0])
    new = warming.fresh.find(plan.identity) if plan else None
    return Swapping(swap.component, tenant, swap.provider, old, new.value if new else None)
