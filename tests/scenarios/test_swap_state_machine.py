"""Any history of one replica: requests begin, use, are cancelled and end, while everything beneath them changes.

Whatever the order: nobody who is under way holds anything closed, explain says what is handed out, and at the end
there is nothing but what is bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from pointsman.declarations import Tenant
from pointsman.errors import (
    ActivationFailed,
    ComponentDraining,
    ComponentPaused,
    NoEligibleCandidate,
    OrderUnavailable,
    PointsmanError,
    TenantError,
    UnknownComponent,
)
from pointsman.lifecycle.instance import State
from pointsman.resolution.contribution import Policy
from pointsman.runtime.access import Components
from tests.workshop import CACHE, Product, Replica, control, manifest, order, turns

MAY_BE_TOLD = (
    ActivationFailed, ComponentDraining, ComponentPaused, NoEligibleCandidate, OrderUnavailable, TenantError,
    UnknownComponent,
)  # fmt: skip
"""What a request that is under way may be refused with; that its components are closed is none of it."""

tenants = st.sampled_from([None, "acme", "globex", "stranger"])
components = st.sampled_from(
    ["adapter/cache", "adapter/cache", "service/notes", "service/cart", "service/session", "adapter/queue"]
)
providers = st.sampled_from(["steady", "flaky", "brought", "late"])


@dataclass
class Request:
    """A request under way: its components, when it began, and all that it was handed."""

    its: Components
    began: float
    handed: list[Product] = field(default_factory=list)


class OneReplica(RuleBasedStateMachine):
    """Everything that may happen to a replica, one step at a time, with as many turns of the loop as a step says."""

    requests = Bundle("requests")

    @initialize(target=requests)
    def start(self) -> Any:
        self.loop = asyncio.new_event_loop()
        self.faults: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self.under_way: list[Request] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.undoes: list[Callable[[], None]] = []
        self.down = False
        self.cseq = self.version = 0
        self.orders: dict[str, tuple[Any, ...]] = {}
        self.run(self._start())
        return multiple(self.begin_for(None), self.begin_for("acme"))

    async def _start(self) -> None:
        self.replica = replica = Replica(tenants={"acme": {}, "globex": {}})
        cache = "adapter/cache"
        self.runtime = replica.assemble(
            replica.candidate("adapter/cache=steady", priority=1),
            replica.candidate("adapter/cache=flaky", replica.factory("flaky", enter=self._vendor)),
            replica.candidate("adapter/queue=nats"),
            replica.candidate("service/notes=sql", replica.factory("sql", cache=cache, queue="adapter/queue")),
            replica.candidate(
                "service/cart=own", replica.factory("own", tenant=Tenant, cache=cache), lifetime="tenant"
            ),
            replica.candidate(
                "service/session=mine", replica.factory("mine", notes="service/notes"), lifetime="request"
            ),
        )
        await self.runtime.start_once()

    async def _vendor(self, _product: Product) -> None:
        await turns(2)
        if self.down:
            raise ConnectionError("the vendor is down")

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    def soon(self, work: Coroutine[Any, Any, Any], wait: int) -> asyncio.Task[Any]:
        """Begin some work, and let it go on for a few turns only."""
        task = self.loop.create_task(work)
        self.tasks.append(task)
        self.run(turns(wait))
        return task

    # --- requests ---

    @rule(target=requests, tenant=tenants)
    def begin(self, tenant: str | None) -> Request:
        return self.begin_for(tenant)

    def begin_for(self, tenant: str | None) -> Request:
        request = Request(self.runtime.components(tenant=tenant), self.replica.clock.seconds)
        self.under_way.append(request)
        return request

    @rule(request=requests, component=components)
    def use(self, request: Request, component: str) -> None:
        self.run(self._use(request, component))

    @rule(request=requests, component=components, wait=st.integers(0, 8))
    def use_and_go_away(self, request: Request, component: str, wait: int) -> None:
        self.soon(self._use(request, component), wait).cancel()
        self.run(turns(2))

    @rule(request=requests, component=components, wait=st.integers(0, 4))
    def use_meanwhile(self, request: Request, component: str, wait: int) -> None:
        self.soon(self._use(request, component), wait)

    @rule(request=consumes(requests))
    def end(self, request: Request) -> None:
        request.its.close()
        self.under_way.remove(request)
        self.run(turns(1))

    @rule(target=requests, request=requests)
    def renew(self, request: Request) -> Any:
        return multiple() if len(self.under_way) > 8 else self.begin_for(request.its._tenant_id)

    @rule(component=components)
    def everybody_uses(self, component: str) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(*(self._use(request, component) for request in self.under_way))

        self.run(all_of_them())

    async def _use(self, request: Request, component: str) -> None:
        domain, key = component.split("/")
        try:
            product = await request.its.get(domain, key)
        except MAY_BE_TOLD:
            return
        except PointsmanError:
            assert request.its.closed
            return
        if request.its.closed:
            return
        product.use()
        request.handed.append(product)
        told = request.its.explain(domain, key)
        assert told.selected is not None
        if product.name != told.selected.provider:  # the one exception: its own was drained, which takes its time
            assert self.replica.heard("handed-over")
            assert self.replica.clock.seconds - request.began >= Policy().drain_timeout_s

    # --- what changes beneath ---

    @rule(provider=providers, tenant=tenants, wait=st.none() | st.integers(0, 6), cancel=st.booleans())
    def swap(self, provider: str, tenant: str | None, wait: int | None, cancel: bool) -> None:
        swapping = self._expecting(self.runtime.lifecycle.swap("adapter", "cache", provider=provider, tenant=tenant))
        if wait is None:
            self.run(swapping)
        elif cancel:
            self.soon(swapping, wait).cancel()
        else:
            self.soon(swapping, wait)

    @rule(
        kind=st.sampled_from(["pause", "drain", "use"]),
        tenant=tenants,
        provider=providers,
        lasts=st.sampled_from([None, 5]),
    )
    def order(self, kind: str, tenant: str | None, provider: str, lasts: int | None) -> None:
        self.cseq += 1
        until = None if lasts is None else self.replica.clock.seconds + lasts
        given = order(
            kind, provider if kind == "use" else None, cseq=self.cseq, until=until,
            tenants="*" if tenant is None else (tenant,),
        )  # fmt: skip
        self.orders["adapter_cache"] = (*self.orders.get("adapter_cache", ()), given)
        self.run(self._expecting(self._take_control()))
        assert kind == "use" or self.runtime.snapshot.gates

    @rule()
    def resume_all(self) -> None:
        self.cseq += 1
        self.orders.clear()
        self.run(self._take_control())
        assert not self.runtime.snapshot.gates

    async def _take_control(self) -> None:
        await self.runtime.intake.take_control(control(self.cseq, **self.orders))

    @rule(brings=st.booleans(), wins=st.booleans(), failover=st.booleans(), wait=st.none() | st.integers(0, 5))
    def manifest(self, brings: bool, wins: bool, failover: bool, wait: int | None) -> None:
        self.version += 1
        brought = [self.replica.candidate("adapter/cache=brought", self._factory("brought"), priority=5 * wins)]
        policies = {CACHE: Policy(on_unhealthy="next")} if failover else {}
        given = manifest(*brought[: int(brings)], version=self.version, policies=policies)
        taking = self._expecting(self.runtime.intake.take_manifest(given))
        if wait is None:
            self.run(taking)
        else:
            self.soon(taking, wait)

    @rule(wins=st.booleans())
    def register(self, wins: bool) -> None:
        late = self.replica.candidate("adapter/cache=late", self._factory("late"), priority=3 * wins)
        self.undoes.append(self.replica.resolver.register(late))
        self.run(turns(1))

    @rule()
    def undo(self) -> None:
        if self.undoes:
            self.undoes.pop()()
            self.run(turns(1))

    @rule()
    def break_or_mend(self) -> None:
        self.down = not self.down

    @rule(seconds=st.sampled_from([0.5, 2.0, 31.0, 61.0, 1_000.0]))
    def wait(self, seconds: float) -> None:
        self.replica.clock.advance(seconds)
        self.run(turns(3))

    def _factory(self, name: str) -> Any:
        factory: Any = self.__dict__.setdefault(f"_{name}", self.replica.factory(name))
        return factory

    @staticmethod
    async def _expecting(work: Any) -> None:
        with suppress(PointsmanError):
            await work

    # --- what always holds ---

    @invariant()
    def nobody_who_is_under_way_holds_anything_closed(self) -> None:
        for request in self.under_way:
            for product in request.handed:
                product.use()

    @invariant()
    def one_catalog_decides(self) -> None:
        current = self.runtime.lifecycle.epochs.current
        assert self.runtime.snapshot.catalog is self.replica.resolver.catalog is current.catalog

    @invariant()
    def every_pin_is_a_request(self) -> None:
        epochs = list(self.runtime.lifecycle.epochs.chain())
        assert sum(epoch.pins for epoch in epochs) == len(self.under_way) + 1 + self._pins_of_work()
        assert all(epoch.pins >= 0 for epoch in epochs)

    def _pins_of_work(self) -> int:
        """Return how many pins belong to activations that a swap answers with; none while no work is under way."""
        if all(task.done() for task in self.tasks):
            return 0
        epochs = self.runtime.lifecycle.epochs.chain()
        return sum(epoch.pins for epoch in epochs) - len(self.under_way) - 1

    @invariant()
    def no_instance_is_held_by_nobody(self) -> None:
        instances = self.runtime.lifecycle.keeper.instances
        lasting = [one for one in instances if one.state not in {State.CLOSED, State.FAILED}]
        for instance in instances:
            assert instance.leases >= 0
            assert instance.dependents == sum(other.needs.count(instance) for other in lasting)

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.run(self._finish())
        finally:
            self.run(self.runtime.stop())
            left = self.replica.open, self.runtime.lifecycle.keeper.instances
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()
        assert left == ([], ())
        assert self.faults == []

    async def _finish(self) -> None:
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for task in self.tasks:
            if not task.cancelled():
                assert task.exception() is None
        for request in self.under_way:
            request.its.close()
        self.replica.clock.advance(200)
        await turns(50)
        manager = self.runtime.lifecycle
        assert len(list(manager.epochs.chain())) == 1
        bound = set(map(id, manager.epochs.current.bindings.values()))
        assert {id(instance) for instance in manager.keeper.instances} <= bound | self._beneath(bound)
        assert len(self.replica.open) == len(manager.keeper.instances)
        assert all(instance.leases == 0 for instance in manager.keeper.instances)

    def _beneath(self, bound: set[int]) -> set[int]:
        """Return what the bound instances stand on."""
        found: set[int] = set()
        for instance in self.runtime.lifecycle.keeper.instances:
            if id(instance) in bound:
                found |= {id(need) for need in instance.needs if need is not None}
        return found


OneReplica.TestCase.settings = settings(
    max_examples=120, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
TestOneReplica = OneReplica.TestCase
