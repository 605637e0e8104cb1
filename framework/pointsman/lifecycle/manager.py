"""Keep instances running, and replace them while they run: the one door to the life of components.

The manager holds epochs, plans and instances together; what is bound changes in `shift` and `follow` alone, by one
assignment. It knows nothing of HTTP, manifests or the fleet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pointsman.declarations import Component
from pointsman.errors import ComponentsClosed, ConfigurationError, PointsmanError
from pointsman.lifecycle.breaker import Breaker
from pointsman.lifecycle.capacity import counts, to_give_up
from pointsman.lifecycle.epoch import Epoch, Epochs
from pointsman.lifecycle.hooks import Hooks
from pointsman.lifecycle.instance import State
from pointsman.lifecycle.keeper import Failure, Keeper
from pointsman.lifecycle.lease import Lease, stopping
from pointsman.lifecycle.limits import Limits
from pointsman.lifecycle.planning import NotLoaded, Planner
from pointsman.lifecycle.reporting import Reporter
from pointsman.lifecycle.status import Board, Status
from pointsman.lifecycle.surroundings import Surroundings
from pointsman.lifecycle.swap import Proposal, Swap, overriding, perform
from pointsman.lifecycle.warming import Warming, successor
from pointsman.resolution.decision import Question

if TYPE_CHECKING:
    from pointsman.lifecycle.factories import Given
    from pointsman.lifecycle.identity import Identity, Plan
    from pointsman.lifecycle.instance import Instance
    from pointsman.resolution.catalog import Catalog
    from pointsman.resolution.resolver import Resolver

StrPath: TypeAlias = str | PathLike[str]
PROVEN_S = 60.0
"""How long an instance that was proved waits to be bound, seconds."""


class LifecycleManager:
    """Makes, proves, swaps and closes the instances of components.

    Args:
        resolver: Says which candidate serves.
        status_snapshot_path: Where the status of all components is written after each change.
        limits: Bounds on times and numbers.
        surroundings: Secrets, clocks and listeners.

    Attributes:
        on_failure: Told why something could not be made, or is not well any more.
        closed: Whether the process ends: nothing new is leased.
        overriding: Makes what proposes an override of this replica: component, provider, tenant or ``None``.
    """

    def __init__(
        self,
        resolver: Resolver,
        *,
        status_snapshot_path: StrPath | None = None,
        limits: Limits | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.resolver = resolver
        self.limits = limits or Limits()
        self.surroundings = surroundings or Surroundings()
        self.hooks = Hooks()
        self.on_failure: Callable[[Plan, Failure], None] = lambda _plan, _failure: None
        self.overriding: Callable[[Component[Any], str, str | None], Callable[[], Proposal]] = partial(overriding, self)
        self.reporter = Reporter(self.surroundings, Path(status_snapshot_path) if status_snapshot_path else None)
        self.planner = Planner(self.surroundings.secret_epoch)
        self.keeper = Keeper(self.limits, self, self.surroundings)
        self.breaker = Breaker(
            self.limits, self.surroundings.clock, self.board, lambda plan, failure: self.on_failure(plan, failure)
        )
        self.epochs = Epochs(Epoch(1, resolver.catalog))
        self.proven: dict[Identity, Instance] = {}
        self._swapping = asyncio.Lock()
        self.closed = False

    @property
    def board(self) -> Board:
        """The status of every identity that lives or failed lately."""
        return self.reporter.board

    # --- what users call ---

    async def activate(
        self, domain: str, key: str, *, tenant: str | None = None, provider: str | None = None, force: bool = False
    ) -> Any:
        """Return the live object of a component, making it where it is not live.

        The caller holds no lease: a swap may close it. A handler's ``Use``, `Lease` and the bridges hold one.

        Args:
            provider: Only this provider.
            force: Make it without asking for its health, and although it failed lately.

        Raises:
            ResolutionError: Nothing may serve.
            LifecycleError: The factory raised or hung, or the instance says that it is not well.
            ConfigurationError: The component lives only within a request.
        """
        question = Question(Component(domain, key), tenant, provider)
        with closing(self.lease()) as lease:
            plan = await self.plan(lease.epoch, question)
            if plan.lifetime == "request":
                raise ConfigurationError(f"{plan} lives only within a request: take it from that request's components.")
            if force and lease.scope.find(plan.identity) is None:
                self.keeper.forget(plan)
                self.keeper.start(plan, lease.scope, check_health=False)
            try:
                return await lease.take(question)
            finally:
                await self.reporter.write()

    async def swap(
        self, domain: str, key: str, *, provider: str, tenant: str | None = None, force: bool = False
    ) -> Any:
        """Replace what a component is bound to, once the new instance has proved healthy.

        Returns:
            The live object of the new provider; ``None`` where it is made for each request, or for each tenant and
            none is named.

        Raises:
            ResolutionError: There is no such provider, or it may not serve.
            LifecycleError: The new instance cannot be made or is not well; the old one still serves.
        """
        component = Component(domain, key)
        await self.perform(Swap(component, provider, tenant, force=force), self.overriding(component, provider, tenant))
        plan = self._known_plan(Question(component, tenant))
        if plan is None or plan.lifetime == "request":
            return None
        return await self.activate(domain, key, tenant=tenant)

    async def probe_instance_health(self, domain: str, key: str, *, tenant: str | None = None) -> bool | None:
        """Return what a live instance says of its health; ``None`` where it is not live or declares no check.

        One that is not well stays bound, unless the component's policy says to walk on to the next.
        """
        self.follow()
        instance = self.live(Question(Component(domain, key), tenant))
        return None if instance is None else await self.breaker.look(instance)

    def get_status(self, domain: str, key: str, *, tenant: str | None = None) -> Status:
        """Return what is known of a component's life. Never raises."""
        plan = self._known_plan(Question(Component(domain, key), tenant))
        if plan is None:
            return Status()
        status, instance = self.board.get(plan.identity), self.epochs.current.bindings.get(plan.identity)
        if instance is not None and instance.state is State.ACTIVATING:
            return replace(status, state="activating", current_provider=plan.resolution.provider)
        if instance is not None and instance.state is State.ENDING:
            return replace(status, state="draining")
        return status

    def lease(self, given: Given | None = None) -> Lease:
        """Pin the current epoch; the lease is closed by whoever took it.

        Raises:
            ComponentsClosed: The manager is closed.
        """
        if self.closed:
            raise stopping()
        self.follow()
        return Lease(self, given)

    async def aclose(self) -> None:
        """Close every instance, dependents first; leases that outlast the grace are broken."""
        if self.closed:
            return
        self.closed = True
        await self.breaker.aclose()
        for instance in self.keeper.instances:
            instance.retire()
        if not await self.keeper.wait(self.limits.shutdown_grace_s):
            for instance in self.keeper.instances:
                if instance.leases > 0:
                    self.reporter.tell("lease-broken", instance.plan, leases=instance.leases)
                instance.break_leases()
            await self.keeper.wait(self.limits.close_timeout_s)
        await self.keeper.cancel()
        await self.reporter.write()

    # --- what the layers above build on ---

    async def perform(self, swap: Swap, propose: Callable[[], Proposal]) -> None:
        """Carry out one swap, after those that came before it.

        Raises:
            PointsmanError: A step before the switch failed, and the old binding serves on.
        """
        async with self._swapping:
            try:
                await perform(self, swap, propose)
            finally:
                await self.reporter.write()

    async def shift(
        self,
        propose: Callable[[], Proposal],
        *,
        prove: Callable[[Catalog], tuple[Question, ...]] = lambda _catalog: (),
        strict: bool,
        check_health: bool = True,
        before: Callable[[Warming], Awaitable[None]] | None = None,
    ) -> None:
        """Warm what a proposed catalog needs, then bind it if its inputs are still the newest, else propose again.

        Args:
            propose: Makes the catalog from the newest inputs, and says how to commit to it.
            prove: Questions whose instances must be made and well under the catalog.
            strict: Whether a live identity that cannot be warmed is an error.
            before: Called with what was warmed, just before the switch; may refuse by raising.

        Raises:
            PointsmanError: Warming failed; nothing was bound.
        """
        with self._warming() as warming:
            while True:
                proposal = propose()
                questions = prove(proposal.catalog)
                await warming.prepare(proposal.catalog, questions, strict=strict, check_health=check_health)
                if before is not None:
                    await before(warming)
                if self.closed:
                    raise ComponentsClosed("The process is stopping: nothing is bound any more.")
                if proposal.in_force():
                    proposal.commit()
                    self.bind(proposal.catalog, warming)
                    return

    async def prove(
        self, catalog: Catalog, questions: Sequence[Question], *, strict: bool, check_health: bool = True
    ) -> None:
        """Warm what a catalog would need, and bind nothing; what was made is kept a while for the binding to come.

        Raises:
            PointsmanError: It cannot be planned, made, or is not well.
        """
        with self._warming() as warming:
            await warming.prepare(catalog, questions, strict=strict, check_health=check_health)
            for identity, instance in warming.fresh.made.items():
                self.proven[identity] = instance
                self.surroundings.later(PROVEN_S, self._forget_proof, instance)
            warming.fresh.made.clear()

    def bind(self, catalog: Catalog, warming: Warming | None = None) -> None:
        """Make a catalog the one in force: one assignment; what nobody binds any more begins to retire."""
        current = self.epochs.current
        if catalog is current.catalog:
            if warming is not None:
                current.adopt(warming.plans, warming.wanted, warming.fresh.made)
            return
        epoch = successor(current, catalog, self.planner, warming)
        for instance in self.epochs.bind(epoch):
            self.retire_in_time(instance)
        for identity in [one for one, instance in self.proven.items() if epoch.bindings.get(one) is instance]:
            del self.proven[identity]
        if catalog.candidates is not current.catalog.candidates:
            self.planner.keep(catalog)

    def follow(self) -> None:
        """Bind the resolver's catalog, where candidates were registered since."""
        if self.resolver.catalog is not self.epochs.current.catalog:
            self.bind(self.resolver.catalog)

    async def plan(self, epoch: Epoch, question: Question) -> Plan:
        """Return the plan for a question in an epoch; remembered unless its tenant is unknown or a subject was named.

        Raises:
            PointsmanError: Nothing may serve; a factory cannot be read.
        """
        plan = epoch.plans.get(question)
        if plan is None:
            plan = await self.planner.plan(epoch.catalog, question)
            if question.subject is None and (question.tenant is None or epoch.catalog.knows(question.tenant)):
                if len(epoch.plans) >= self.limits.remembered_plans_max:
                    epoch.plans.clear()
                epoch.plans[question] = plan
        return plan

    def live(self, question: Question) -> Instance | None:
        """Return the instance that answers a question now, if it serves."""
        plan = self._known_plan(question)
        instance = self.epochs.current.find(plan.identity) if plan else None
        return instance if instance is not None and instance.state is State.READY else None

    def known_identities(self, swap: Swap) -> tuple[Identity, ...]:
        """Return the identities that serve those whom a swap names, as far as they can be told without an await."""
        plans = (self._known_plan(question) for question in swap.questions)
        return tuple(plan.identity for plan in plans if plan is not None)

    def retire_in_time(self, instance: Instance) -> None:
        """Close an instance that only older requests may use, once they had the time that its policy gives."""
        policy = self.epochs.current.catalog.policy(instance.plan.component)
        self.surroundings.later(policy.drain_timeout_s, self._drain_deadline, instance)

    # --- told by the keeper ---

    def admit(self, plan: Plan) -> None:
        """Make room for a tenant's instance: close one that is idle, where the number is at its cap.

        Raises:
            CapacityExceeded: All of them are in use.
        """
        unneeded = to_give_up(
            plan, self.keeper.instances, self.epochs.current.bindings, self.limits.tenant_instances_max
        )
        if unneeded is not None:
            self._give_up(unneeded)

    def made(self, instance: Instance) -> None:
        """An instance is ready."""
        self.reporter.made(instance)
        if self.closed:
            instance.retire()
        elif counts(instance.plan):
            self.surroundings.later(self.limits.tenant_idle_s, self._look_at_idle, instance)

    def failed(self, plan: Plan, failure: Failure) -> None:
        """An activation failed."""
        self.reporter.failed(plan, failure)
        self.on_failure(plan, failure)

    def forgotten(self, identity: Identity) -> None:
        """The failures of an identity are long ago."""
        self.board.forget(identity)

    def ended(self, instance: Instance, error: BaseException | None) -> None:
        """An instance is closed, or could not be made."""
        if instance.state is State.FAILED:
            self.epochs.forget(instance)
            return
        self.reporter.closed(instance, error)
        if not instance.ending.is_set():
            self._lost(instance)

    # --- within ---

    def _known_plan(self, question: Question) -> Plan | None:
        try:
            return self.epochs.current.plans.get(question) or self.planner.plan_now(self.resolver.catalog, question)
        except (PointsmanError, NotLoaded):
            return None

    @contextmanager
    def _warming(self) -> Iterator[Warming]:
        """Give a place to warm in; what nobody has bound or kept at the end is closed."""
        warming = Warming(self.epochs, self.planner, self.keeper, self.proven)
        try:
            yield warming
        finally:
            for instance in warming.fresh.discard():
                self.board.forget(instance.identity)

    def _forget_proof(self, instance: Instance) -> None:
        if self.proven.get(instance.identity) is instance:
            del self.proven[instance.identity]
            instance.retire()

    def _look_at_idle(self, instance: Instance) -> None:
        """Close a tenant's instance that nobody has held for long, else look again when that may be so."""
        if not instance.usable:
            return
        left = instance.used_at + self.limits.tenant_idle_s - self.surroundings.clock()
        if instance.idle and left <= 0:
            self._give_up(instance)
        else:
            self.surroundings.later(left if left > 0 else self.limits.tenant_idle_s, self._look_at_idle, instance)

    def _give_up(self, instance: Instance) -> None:
        """Bind an instance no more, and close it when nobody needs it."""
        self.epochs.forget(instance)
        instance.retire()

    def _lost(self, instance: Instance) -> None:
        """An instance ended of itself: nobody is given it again, nor what stands on it."""
        self.epochs.forget(instance)
        for other in self.keeper.instances:
            if instance in other.needs and other.usable:
                self._give_up(other)
                self._lost(other)

    def _drain_deadline(self, instance: Instance) -> None:
        if instance.usable and not instance.idle:
            self.reporter.tell("drain-overdue", instance.plan, leases=instance.leases)
        instance.retire()
