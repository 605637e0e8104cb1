"""Make and prove, beside the epoch in force, what the next catalog will need.

Nothing is bound here, so a failure leaves everything as it was; what was warmed for nothing is closed again. No lock
is held: whoever binds looks again whether the catalog that was warmed is still the one to bind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pointsman.errors import LifecycleError, PointsmanError, ResolutionError, TenantError
from pointsman.lifecycle.epoch import Epoch, Epochs, Fresh
from pointsman.lifecycle.keeper import Keeper, ready
from pointsman.lifecycle.planning import NotLoaded, Planner

if TYPE_CHECKING:
    from pointsman.lifecycle.identity import Identity, Plan
    from pointsman.lifecycle.instance import Instance
    from pointsman.resolution.catalog import Catalog
    from pointsman.resolution.decision import Question

SLICE = 100
"""Plans that are made between two turns of the event loop."""


class Warming:
    """Plans and instances for a catalog that nobody has bound yet."""

    def __init__(self, epochs: Epochs, planner: Planner, keeper: Keeper, proven: dict[Identity, Instance]) -> None:
        self._epochs = epochs
        self._planner = planner
        self._keeper = keeper
        self.fresh = Fresh(epochs, proven)
        self.plans: dict[Question, Plan] = {}

    async def prepare(
        self, catalog: Catalog, prove: Sequence[Question] = (), *, strict: bool, check_health: bool = True
    ) -> None:
        """Plan what is live now under the catalog, and warm what changed.

        Args:
            prove: Questions whose instances must be made and well, live or not.
            strict: Whether a live identity that cannot be warmed is an error, or fails only its own use later.
            check_health: Whether what is made must say that it is healthy.

        Raises:
            PointsmanError: Something to be proved, or with ``strict`` something live, cannot be planned or made.
        """
        live = await self._replanned(catalog, strict=strict)
        proved = [plan for question in prove for plan in await self._proof(catalog, question)]
        self.plans = {plan.question: plan for plan in (*live, *proved)}
        await self._warm(live, strict=strict, check_health=check_health)
        for plan in proved:
            self._keeper.forget(plan.identity)
        await self._warm(proved, strict=True, check_health=check_health)

    async def _replanned(self, catalog: Catalog, *, strict: bool) -> list[Plan]:
        plans = []
        for place, question in enumerate(live_questions(self._epochs.current), 1):
            if place % SLICE == 0:
                await asyncio.sleep(0)
            try:
                plans.append(await self._planner.plan(catalog, question))
            except ResolutionError:
                continue  # nobody serves it under this catalog: whoever asks is told
            except PointsmanError:
                if strict:
                    raise
        return plans

    async def _proof(self, catalog: Catalog, question: Question) -> list[Plan]:
        """Plan what must be proved; for what is made tenant by tenant, the first tenant stands for everyone."""
        try:
            return [await self._planner.plan(catalog, question)]
        except TenantError:
            if question.tenant is not None:
                raise
            return [await self._planner.plan(catalog, replace(question, tenant=name)) for name in catalog.tenants()[:1]]

    async def _warm(self, plans: Iterable[Plan], *, strict: bool, check_health: bool) -> None:
        """Start everything first, then wait: activations run side by side."""
        started = [self._start(plan, strict=strict, check_health=check_health) for plan in plans]
        for instance in started:
            try:
                if instance is not None:
                    await ready(instance)
            except LifecycleError:
                if strict:
                    raise

    def _start(self, plan: Plan, *, strict: bool, check_health: bool) -> Instance | None:
        if plan.lifetime == "request":
            return None
        try:
            return self.fresh.find(plan.identity) or self._keeper.start(plan, self.fresh, check_health=check_health)
        except LifecycleError:
            if strict:
                raise
            return None


def live_questions(epoch: Epoch) -> tuple[Question, ...]:
    """Return every question that led to an instance which serves now."""
    asked = [plan.question for plan in epoch.plans.values() if epoch.find(plan.identity) is not None]
    led = [instance.plan.question for instance in epoch.bindings.values() if instance.usable]
    return tuple(dict.fromkeys((*asked, *led)))


def successor(current: Epoch, catalog: Catalog, planner: Planner, warming: Warming | None = None) -> Epoch:
    """Return the epoch that follows: a pure step, with no await in it.

    Whatever is live and still the answer to some question is carried over; what was warmed for it is bound.
    """
    plans = dict(warming.plans) if warming else {}
    for question in live_questions(current):
        if question not in plans and (plan := _planned(catalog, question, planner)) is not None:
            plans[question] = plan
    find = warming.fresh.find if warming else current.find
    bindings = _bindings(plans.values(), find)
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
