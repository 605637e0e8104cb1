"""Keep instances running, and replace them while they run: the one door to the life of components.

The manager holds epochs, plans and instances together; what is bound changes in `shift` and `follow` alone, by one
assignment. It knows nothing of HTTP, manifests or the fleet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from anyio import to_thread

from pointsman.declarations import Component
from pointsman.errors import CapacityExceeded, ComponentsClosed, ConfigurationError, PointsmanError
from pointsman.lifecycle.epoch import Epoch, Epochs
from pointsman.lifecycle.health import answer
from pointsman.lifecycle.hooks import Hooks, Swapping
from pointsman.lifecycle.keeper import Failure, Keeper
from pointsman.lifecycle.lease import Lease
from pointsman.lifecycle.limits import Limits
from pointsman.lifecycle.planning import NotLoaded, Planner
from pointsman.lifecycle.status import Board, Status, write_board
from pointsman.lifecycle.swap import Proposal, Swap, override, perform
from pointsman.lifecycle.warming import Warming, successor
from pointsman.resolution.decision import Question
from pointsman.resolution.template import SecretSource

if TYPE_CHECKING:
    from pointsman.lifecycle.identity import Identity, Plan
    from pointsman.lifecycle.instance import Instance
    from pointsman.resolution.catalog import Catalog
    from pointsman.resolution.resolver import Resolver

StrPath: TypeAlias = str | PathLike[str]
PROVEN_S = 60.0
"""How long an instance that was proved waits to be bound, seconds."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a manager is given of the world, each replaceable in a test.

    Attributes:
        secrets: Where ``${secret:}`` is read.
        secret_epoch: How often a secret was rotated.
        scrub: Takes resolved secrets out of a message.
        clock: Monotonic seconds.
        now: Wall time, aware UTC.
        tell: Who hears of lives: ``tell("instance-made", component=…, …)``; must not raise.
    """

    secrets: SecretSource | None = None
    secret_epoch: Callable[[str], int] = lambda _name: 0
    scrub: Callable[[str], str] = str
    clock: Callable[[], float] = monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    tell: Callable[..., None] = lambda _event, **_fields: None


class LifecycleManager:
    """Makes, proves, swaps and closes the instances of components.

    Args:
        resolver: Says which candidate serves.
        status_snapshot_path: Where the status of all components is written after each change.
        limits: Bounds on times and numbers.
        surroundings: Secrets, clocks and listeners.
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
        self.clock = self.surroundings.clock
        self.hooks = Hooks()
        self.board = Board()
        self.on_failure: Callable[[Plan, Failure], None] | None = None
        self.planner = Planner(self.surroundings.secret_epoch)
        self.keeper = Keeper(
            self.limits,
            self,
            secrets=self.surroundings.secrets,
            clock=self.clock,
            scrub=self.surroundings.scrub,
        )
        self.epochs = Epochs(Epoch(1, resolver.catalog))
        self.proven: dict[Identity, Instance] = {}
        self._status_path = Path(status_snapshot_path) if status_snapshot_path is not None else None
        self._swapping = asyncio.Lock()
        self._closed = False

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
            ActivationFailed: The factory raised or hung; HealthCheckFailed: it says that it is not well.
            ConfigurationError: The component lives only within a request.
        """
        self.follow()
        question = Question(Component(domain, key), tenant, provider)
        epoch = self.epochs.current
        plan = await self.plan(epoch, question)
        if plan.lifetime == "request":
            raise ConfigurationError(f"{plan} lives only within a request: take it from that request's components.")
        if force:
            self.keeper.forget(plan.identity)
        if force and epoch.find(plan.identity) is None:
            self.keeper.start(plan, epoch, check_health=False)
        instance = await self.keeper.obtain(plan, epoch)
        try:
            await self.write_status()
            return instance.hand_out(tenant)
        finally:
            instance.release()

    async def swap(
        self, domain: str, key: str, *, provider: str, tenant: str | None = None, force: bool = False
    ) -> Any:
        """Replace what a component is bound to, once the new instance has proved healthy.

        Returns:
            The live object of the new provider.

        Raises:
            ResolutionError: There is no such provider, or it may not serve.
            LifecycleError: The new instance cannot be made or is not well; the old one still serves.
        """
        component = Component(domain, key)
        swap = Swap(component, provider, tenant, force=force)

        def propose() -> Proposal:
            self.follow()
            base = self.epochs.current
            catalog = override(self.resolver, component, provider, tenant)
            return Proposal(catalog, lambda: self.resolver.show(catalog), lambda: self.epochs.current is base)

        await self.perform(swap, propose)
        return await self.activate(domain, key, tenant=tenant)

    async def probe_instance_health(self, domain: str, key: str, *, tenant: str | None = None) -> bool | None:
        """Return what a live instance says of its health; ``None`` where it is not live or declares no check."""
        self.follow()
        instance = self.live(Question(Component(domain, key), tenant))
        if instance is None:
            return None
        instance.lease()
        try:
            candidate = instance.plan.resolution.candidate
            healthy = await answer(instance.value, candidate, self.limits.health_timeout_s)
        finally:
            instance.release()
        self.board.note(instance.identity, last_health=healthy)
        return healthy

    def get_status(self, domain: str, key: str, *, tenant: str | None = None) -> Status:
        """Return what is known of a component's life. Never raises."""
        plan = self._known_plan(Question(Component(domain, key), tenant))
        return self.board.get(plan.identity) if plan else Status()

    def lease(self, given: Mapping[str, Any] | None = None) -> Lease:
        """Pin the current epoch; the lease is closed by whoever took it.

        Raises:
            ComponentsClosed: The manager is closed.
        """
        if self._closed:
            raise ComponentsClosed("The process is stopping: no new work is taken.")
        self.follow()
        return Lease(self, given)

    async def aclose(self) -> None:
        """Close every instance, dependents first; leases that outlast the grace are broken."""
        if self._closed:
            return
        self._closed = True
        for instance in self.proven.values():
            instance.retire()
        for epoch in self.epochs.chain():
            for instance in epoch.bindings.values():
                instance.retire()
        if not await self.keeper.wait(self.limits.shutdown_grace_s):
            for instance in [one for one in self.keeper.instances if one.leases]:
                self._tell("lease-broken", instance.plan, leases=instance.leases)
                instance.break_leases()
            await self.keeper.wait(self.limits.close_timeout_s)
        await self.keeper.cancel()
        await self.write_status()

    # --- what the layers above build on ---

    async def perform(self, swap: Swap, propose: Callable[[], Proposal]) -> None:
        """Carry out one swap, after those that came before it.

        Raises:
            PointsmanError: A step before the switch failed, and the old binding serves on.
        """
        async with self._swapping:
            await perform(self, swap, propose)

    async def shift(
        self,
        propose: Callable[[], Proposal],
        *,
        prove: Callable[[Catalog], tuple[Question, ...]] = lambda _catalog: (),
        strict: bool,
        check_health: bool = True,
        before: Callable[[Warming], Any] | None = None,
    ) -> Epoch:
        """Warm what a proposed catalog needs, then bind it if its inputs are still the newest, else propose again.

        Args:
            propose: Makes the catalog from the newest inputs, and says how to commit to it.
            prove: Questions whose instances must be made and well under the catalog.
            strict: Whether a live identity that cannot be warmed is an error.
            before: Called with what was warmed, just before the switch; may refuse by raising.

        Raises:
            PointsmanError: Warming failed; nothing was bound.
        """
        warming = self._warming()
        try:
            while True:
                proposal = propose()
                questions = prove(proposal.catalog)
                await warming.prepare(proposal.catalog, questions, strict=strict, check_health=check_health)
                if before is not None:
                    await before(warming)
                if proposal.in_force():
                    proposal.commit()
                    self.bind(proposal.catalog, warming)
                    return self.epochs.current
        finally:
            warming.fresh.discard()

    async def prove(
        self, catalog: Catalog, questions: Sequence[Question], *, strict: bool, check_health: bool = True
    ) -> None:
        """Warm what a catalog would need, and bind nothing; what was made is kept a while for the binding to come.

        Raises:
            PointsmanError: It cannot be planned, made, or is not well.
        """
        warming = self._warming()
        try:
            await warming.prepare(catalog, questions, strict=strict, check_health=check_health)
            for identity, instance in warming.fresh.made.items():
                self.proven[identity] = instance
                asyncio.get_running_loop().call_later(PROVEN_S, self._forget_proof, instance)
            warming.fresh.made.clear()
        finally:
            warming.fresh.discard()

    def bind(self, catalog: Catalog, warming: Warming | None = None) -> None:
        """Make a catalog the one in force: one assignment; what nobody binds any more begins to retire."""
        current = self.epochs.current
        if catalog is current.catalog:
            if warming is not None:
                current.adopt(warming.plans, warming.fresh.made)
            return
        epoch = successor(current, catalog, self.planner, warming)
        for instance in self.epochs.bind(epoch):
            self._retire_in_time(instance)
        for identity in [one for one, instance in self.proven.items() if epoch.bindings.get(one) is instance]:
            del self.proven[identity]

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
        plan = self.epochs.current.plans.get(question)
        instance = self.epochs.current.find(plan.identity) if plan else None
        return instance if instance is not None and instance.value is not None else None

    def handed_over(self, plan: Plan) -> None:
        """A request of an old epoch is given the current binding, since its own was drained."""
        self._tell("handed-over", plan)

    async def write_status(self) -> None:
        """Write the status snapshot, where a path was given."""
        if self._status_path is not None:
            await to_thread.run_sync(write_board, self._status_path, self.board.as_dict())

    # --- told by the keeper ---

    def admit(self, plan: Plan) -> None:
        """Make room for a tenant's instance: close one that is idle, where the number is at its cap.

        Raises:
            CapacityExceeded: All of them are leased.
        """
        if plan.identity.tenant is None:
            return
        mine = [one for one in self.keeper.instances if one.identity.tenant is not None and one.usable]
        now = self.clock()
        for instance in [one for one in mine if one.idle and now - one.used_at >= self.limits.tenant_idle_s]:
            self._evict(instance)
        living = [one for one in mine if one.usable]
        if len(living) < self.limits.tenant_instances_max:
            return
        idle = [one for one in living if one.idle and one.value is not None]
        if not idle:
            raise CapacityExceeded(
                f"{plan} cannot be made: {len(living)} instances of tenants live, and all of them are in use.",
                hint="Raise lifecycle.tenant_instances_max, or send the tenant to another replica.",
            )
        self._evict(min(idle, key=lambda one: one.used_at))

    def made(self, instance: Instance) -> None:
        """An instance is ready."""
        self.board.began(instance.identity, self.surroundings.now())
        self._tell("instance-made", instance.plan, took_s=instance.took_s)

    def failed(self, plan: Plan, failure: Failure) -> None:
        """An activation failed."""
        self.board.note(plan.identity, state="failed", last_error=failure.error.message)
        self._tell("activation-failed", plan, error=failure.error.message, count=failure.count)
        if self.on_failure is not None:
            self.on_failure(plan, failure)

    def closed(self, instance: Instance, error: BaseException | None) -> None:
        """An instance is closed; leaving its factory may have raised."""
        self.board.ended(instance.identity)
        message = self.surroundings.scrub(f"{type(error).__name__}: {error}") if error else None
        self._tell("instance-closed", instance.plan, error=message)

    # --- told by a swap ---

    def swapped(self, swap: Swap, took_s: float) -> None:
        """The switch is made."""
        for tenant in swap.whom:
            if plan := self._known_plan(Question(swap.component, tenant)):
                self.board.note(plan.identity, last_swap_at=self.surroundings.now(), last_swap_s=took_s)
        self.surroundings.tell("swapped", component=str(swap.component), provider=swap.provider, took_s=took_s)

    def swap_failed(self, swap: Swap, error: BaseException) -> None:
        """The old binding serves on; its status says what went wrong."""
        message = self.surroundings.scrub(f"swap to {swap.provider}: {error}")
        for tenant in swap.whom:
            if plan := self._known_plan(Question(swap.component, tenant)):
                self.board.note(plan.identity, last_error=message)
        self.surroundings.tell("swap-failed", component=str(swap.component), provider=swap.provider, error=message)

    async def tell_hooks(self, swapping: Swapping) -> None:
        """Run the ``post_swap`` hooks; the new binding stands, whatever they say."""
        try:
            await self.hooks.run("post_swap", swapping, self.limits.hook_timeout_s)
        except Exception as error:  # noqa: BLE001 - the boundary around the user's hooks, after the switch
            message = self.surroundings.scrub(f"post_swap: {type(error).__name__}: {error}")
            if plan := self._known_plan(Question(swapping.component, swapping.tenant)):
                self.board.note(plan.identity, last_error=message)
            self.surroundings.tell("hook-failed", component=str(swapping.component), error=message)
        await self.write_status()

    def _known_plan(self, question: Question) -> Plan | None:
        try:
            return self.epochs.current.plans.get(question) or self.planner.plan_now(self.resolver.catalog, question)
        except (PointsmanError, NotLoaded):
            return None

    def _warming(self) -> Warming:
        return Warming(self.epochs, self.planner, self.keeper, self.proven)

    def _forget_proof(self, instance: Instance) -> None:
        if self.proven.get(instance.identity) is instance:
            del self.proven[instance.identity]
            instance.retire()

    def _evict(self, instance: Instance) -> None:
        for epoch in self.epochs.chain():
            if epoch.bindings.get(instance.identity) is instance and epoch is self.epochs.current:
                del epoch.bindings[instance.identity]
        instance.retire()

    def _retire_in_time(self, instance: Instance) -> None:
        policy = self.epochs.current.catalog.policy(instance.plan.component)
        asyncio.get_running_loop().call_later(policy.drain_timeout_s, self._drain_deadline, instance)

    def _drain_deadline(self, instance: Instance) -> None:
        if instance.usable and not instance.idle:
            self._tell("drain-overdue", instance.plan, leases=instance.leases)
        instance.retire()

    def _tell(self, event: str, plan: Plan, **fields: object) -> None:
        self.surroundings.tell(
            event, component=str(plan.component), provider=plan.resolution.provider,
            tenant=plan.identity.tenant, **fields,
        )  # fmt: skip
