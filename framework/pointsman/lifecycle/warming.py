"""Make and prove, beside the epoch in force, what the next catalog will need.

Nothing is bound here, so a failure leaves everything as it was; what was warmed for nothing is closed again. No lock
is held: whoever binds looks again whether the catalog that was warmed is still the one to bind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from pointsman.errors import (
    HealthCheckFailed,
    LifecycleError,
    OrderUnavailable,
    PointsmanError,
    ResolutionError,
    TenantError,
)
from pointsman.lifecycle.epoch import Epoch, Epochs, Fresh
from pointsman.lifecycle.health import check
from pointsman.lifecycle.keeper import Keeper, ready
from pointsman.lifecycle.planning import NotLoaded, Planner
from pointsman.resolution.decision import possible_providers

if TYPE_CHECKING:
    from pointsman.lifecycle.identity import Identity, Plan
    from pointsman.lifecycle.instance import Instance
    from pointsman.resolution.catalog import Catalog
    from pointsman.resolution.decision import Question

SLICE = 100
"""Plans that are made between two turns of the event loop."""


class Warming:
    """Plans and instances for a catalog that nobody has bound yet.

    Attributes:
        plans: The answer to each question that was live, or is to be proved.
        wanted: These, and the other sides of splits that were proved.
    """

    def __init__(self, epochs: Epochs, planner: Planner, keeper: Keeper, proven: dict[Identity, Instance]) -> None:
        self._epochs = epochs
        self._planner = planner
        self._keeper = keeper
        self.fresh = Fresh(epochs, proven)
        self.plans: dict[Question, Plan] = {}
        self.wanted: tuple[Plan, ...] = ()

    async def prepare(
        self, catalog: Catalog, prove: Sequence[Question] = (), *, strict: bool, check_health: bool = True
    ) -> None:
        """Plan what is live now under the catalog, and warm what changed.

        Args:
            prove: Questions whose instances must be made and well, live or not; under a split, those of both sides.
            strict: Whether a live identity that cannot be warmed is an error, or fails only its own use later.
            check_health: Whether what is made must say that it is healthy.

        Raises:
            PointsmanError: Something to be proved, or with ``strict`` something live, cannot be planned or made.
        """
        live = await self._replanned(catalog, strict=strict)
        proved = [plan for question in prove for plan in await self._proof(catalog, question)]
        self.wanted = (*live, *proved)
        self.plans = {plan.question: plan for plan in reversed(self.wanted)}  # of several of one question the first
        for plan in proved:
            self._keeper.forget(plan)  # somebody asked on purpose
        changed = [plan for plan in live if self._epochs.current.find(plan.identity) is None]
        lived = [one for part in _lasting(proved) if (one := self.fresh.find(part.identity)) is not None]
        targets = self._started(proved, strict=True, check_health=check_health)
        others = self._started(changed, strict=strict, check_health=check_health)
        await _settled(targets, strict=True)
        if check_health:
            await self._ask(lived)
        await _settled(others, strict=strict)

    async def _replanned(self, catalog: Catalog, *, strict: bool) -> list[Plan]:
        plans = []
        for place, question in enumerate(live_questions(self._epochs.current), 1):
            if place % SLICE == 0:
                await asyncio.sleep(0)
            try:
                plans.append(await self._planner.plan(catalog, question))
            except (ResolutionError, OrderUnavailable):
                continue  # nobody serves it under this catalog: whoever asks is told
            except PointsmanError as error:
                if strict and not (isinstance(error, TenantError) and question.tenant is None):
                    raise
        return plans

    async def _proof(self, catalog: Catalog, question: Question) -> list[Plan]:
        """Plan what must be proved; for what is made tenant by tenant, the first tenant stands for everyone."""
        try:
            plan = await self._planner.plan(catalog, question)
        except TenantError:
            return [await self._planner.plan(catalog, replace(question, tenant=name)) for name in catalog.tenants()[:1]]
        sides = [await self._planner.plan(catalog, side) for side in sides_of(catalog, plan)]
        return [plan, *(msgspec.structs.replace(side, question=question) for side in sides)]

    def _started(self, plans: Iterable[Plan], *, strict: bool, check_health: bool) -> list[Instance]:
        """Begin to make what is not there; all of it side by side."""
        started = []
        for plan in _lasting(plans):
            try:
                started.append(
                    self.fresh.find(plan.identity) or self._keeper.start(plan, self.fresh, check_health=check_health)
                )
            except LifecycleError:
                if strict:
                    raise
        return started

    async def _ask(self, lived: Iterable[Instance]) -> None:
        """Ask those for their health that lived before, and were not asked when they were made."""
        timeout_s = self._keeper.limits.health_timeout_s
        for instance in dict.fromkeys(lived):
            with instance.held():
                if not await check(instance.value, instance.plan.resolution.candidate, timeout_s):
                    raise HealthCheckFailed(f"{instance.plan} is live, and says that it is not healthy.")


async def _settled(instances: Iterable[Instance], *, strict: bool) -> None:
    for instance in instances:
        try:
            await ready(instance)
        except LifecycleError:
            if strict:
                raise


def _lasting(plans: Iterable[Plan]) -> Iterator[Plan]:
    """Yield the plans whose instances outlive a request; for one that does not, those that it stands on."""
    for plan in plans:
        if plan.lifetime != "request":
            yield plan
        else:
            yield from (part for part in plan.closure() if part.lifetime != "request")


def sides_of(catalog: Catalog, plan: Plan) -> tuple[Question, ...]:
    """Return a question for each provider that a split may give to other subjects; none where there is no split."""
    if not plan.by_subject or plan.question.provider is not None:
        return ()
    providers = possible_providers(catalog, plan.question)
    return tuple(replace(plan.question, provider=provider) for provider in providers if len(providers) > 1)


def live_questions(epoch: Epoch) -> tuple[Question, ...]:
    """Return every question that led to an instance which serves now."""
    asked = [plan.question for plan in epoch.plans.values() if epoch.find(plan.identity) is not None]
    led = [instance.plan.question for instance in epoch.bindings.values() if instance.usable]
    return tuple(dict.fromkeys((*asked, *led)))


def successor(current: Epoch, catalog: Catalog, planner: Planner, warming: Warming | None = None) -> Epoch:
    """Return the epoch that follows: a pure step, with no await in it.

    Whatever is live and still the answer to some question is carried over, for other subjects too; what was warmed
    for it is bound.
    """
    plans = dict(warming.plans) if warming else {}
    for question in live_questions(current):
        if question not in plans and (plan := _planned(catalog, question, planner)) is not None:
            plans[question] = plan
    sides = [_planned(catalog, side, planner) for plan in plans.values() for side in sides_of(catalog, plan)]
    find = warming.fresh.find if warming else current.find
    bindings = _bindings((*plans.values(), *(side for side in sides if side is not None)), find)
    return Epoch(current.number + 1, catalog, plans, bindings)


def _planned(catalog: Catalog, question: Question, planner: Planner) -> Plan | None:
    try:
        return planner.plan_now(catalog, question)
    except (PointsmanError, NotLoaded):
        return None  # whoever asks next plans it, and is told


def _bindings(plans: Iterable[Plan], find: Callable[[Identity], Instance | None]) -> dict[Identity, Instance]:
    bindings: dict[Identity, Instance] = {}
    for plan in (part for whole in plans for part in whole.closure()):
        instance = find(plan.identity)
        if instance is not None and not instance.retired:
            bindings[plan.identity] = instance
    return bindings
