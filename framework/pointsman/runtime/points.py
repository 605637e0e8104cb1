"""The points: the one place where inputs and snapshot change, always together.

Each event replaces one input. What must not wait is bound at once; what must be warm is warmed beside what serves,
rebased on the newest inputs, and then bound by one assignment. Nothing here knows who sent the change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pointsman.lifecycle.swap import Proposal
from pointsman.manifests.schema import Order
from pointsman.resolution.decision import Question, outage_of
from pointsman.runtime.inputs import Inputs
from pointsman.runtime.snapshot import Snapshot, snapshot_of

if TYPE_CHECKING:
    from pointsman.declarations import Component
    from pointsman.lifecycle.identity import Plan
    from pointsman.lifecycle.keeper import Failure
    from pointsman.lifecycle.manager import LifecycleManager
    from pointsman.resolution.catalog import Catalog
    from pointsman.resolution.resolver import Resolver


def _nothing_to_prove(_catalog: Catalog) -> tuple[Question, ...]:
    return ()


class Points:
    """The newest inputs, and the snapshot that was made of them.

    Args:
        resolver: Shows each catalog to whoever asks it.
        inputs: The first inputs.

    Attributes:
        time: The store's time as far as it is known; this machine's until control knows better. Aware UTC.
    """

    def __init__(self, resolver: Resolver, inputs: Inputs) -> None:
        self.resolver = resolver
        self.time: Callable[[], datetime] = _wall_time
        self.inputs = inputs
        self.snapshot: Snapshot = self.made_of(inputs, None)
        resolver.show(self.snapshot.catalog)
        self._lifecycle: LifecycleManager | None = None

    def join(self, lifecycle: LifecycleManager) -> None:
        """Let instances follow the snapshot from now on."""
        self._lifecycle = lifecycle
        lifecycle.on_failure = self._failed
        lifecycle.overriding = self.overriding

    @property
    def lifecycle(self) -> LifecycleManager:
        """The manager whose instances follow."""
        assert self._lifecycle is not None
        return self._lifecycle

    def made_of(self, inputs: Inputs, before: Snapshot | None) -> Snapshot:
        """Return the snapshot of inputs now, sharing with the one before whatever stays."""
        resolver = self.resolver
        return snapshot_of(
            inputs, self.time(), before, environment=resolver.environment, next_serial=resolver.next_serial
        )

    def current(self) -> Snapshot:
        """Return the snapshot that decides now; the first to look past ``valid_until`` makes the next one."""
        ends = self.snapshot.valid_until
        if ends is not None and self.time() >= ends:
            self.change(self._without_ended_outages)
        return self.snapshot

    def change(self, make: Callable[[Inputs], Inputs]) -> None:
        """Replace inputs and bind at once, without warming: what is not live is made when it is asked for."""
        snapshot = self.made_of(make(self.inputs), self.snapshot)
        self._commit(snapshot)
        self.lifecycle.bind(snapshot.catalog)

    async def take(
        self,
        make: Callable[[Inputs], Inputs],
        *,
        strict: bool,
        prove: Callable[[Catalog], tuple[Question, ...]] = _nothing_to_prove,
    ) -> None:
        """Warm what changed inputs need, rebase on the newest inputs, and bind.

        Args:
            make: The change; called again on the newest inputs until none came meanwhile.
            strict: Whether something live that cannot be warmed refuses the change, or fails only its own use.
            prove: Judges the catalog, and names what must be made and well under it.

        Raises:
            PointsmanError: The change is refused; nothing was bound.
        """
        await self.lifecycle.shift(self.proposing(make), prove=prove, strict=strict)

    def proposing(self, make: Callable[[Inputs], Inputs]) -> Callable[[], Proposal]:
        """Return what proposes a change on the newest inputs, each time it is called."""

        def propose() -> Proposal:
            base = self.inputs
            snapshot = self.made_of(make(base), self.snapshot)
            return Proposal(snapshot.catalog, lambda: self._commit(snapshot), lambda: self.inputs is base)

        return propose

    def overriding(self, component: Component[Any], provider: str, tenant: str | None) -> Callable[[], Proposal]:
        """Return what proposes one more order that reaches this replica only."""
        order = Order(op=uuid4().hex, kind="use", tenants="*" if tenant is None else (tenant,), value=provider, cseq=0)

        def change(inputs: Inputs) -> Inputs:
            kept = [one for one in inputs.overrides.get(str(component), ()) if one.tenants != order.tenants]
            return replace(inputs, overrides={**inputs.overrides, str(component): (*kept, order)})

        return self.proposing(change)

    def _commit(self, snapshot: Snapshot) -> None:
        self.inputs, self.snapshot = snapshot.inputs, snapshot
        self.resolver.show(snapshot.catalog)

    def _failed(self, plan: Plan, failure: Failure) -> None:
        """An activation failed: where the policy says so, the ranking walks past it until it may be tried again."""
        if self.snapshot.catalog.policy(plan.component).on_unhealthy != "next":
            return
        outage = outage_of(self.snapshot.catalog, plan.resolution.candidate, plan.question.tenant)
        left_s = failure.until - self.lifecycle.surroundings.clock()
        until = self.time() + timedelta(seconds=max(left_s, 0.0))

        def change(inputs: Inputs) -> Inputs:
            others = self._without_ended_outages(inputs).outages
            return replace(inputs, outages={**others, outage: until})

        self.change(change)

    def _without_ended_outages(self, inputs: Inputs) -> Inputs:
        now = self.time()
        lasting = {outage: until for outage, until in inputs.outages.items() if until > now}
        return inputs if len(lasting) == len(inputs.outages) else replace(inputs, outages=lasting)


def _wall_time() -> datetime:
    return datetime.now(UTC)
