"""Inputs and snapshot change together: gates at once, and what was warmed on the newest inputs of all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from pointsman.errors import ActivationFailed, ConfigurationError, ProviderUnavailable
from pointsman.resolution.decision import Question
from tests.workshop import CACHE, EPOCH, Gate, Patient, Product, Replica, control, order, replica_of, until


def with_policy(**policy: object) -> dict[str, object]:
    return {"components": {"adapter/cache": policy}}


async def test_a91_a_pause_is_in_force_while_a_slow_warm_is_under_way() -> None:
    gate = Gate()
    async with replica_of("adapter/cache=old") as replica:
        replica.resolver.register(
            replica.candidate("adapter/cache=slow", replica.factory("slow", enter=gate), priority=-1)
        )
        await replica.manager.activate("adapter", "cache")
        points = replica.runtime.points
        warming = asyncio.ensure_future(
            points.take(
                lambda inputs: replace(inputs, control=control(1, adapter_cache=order("use", "slow"))), strict=True
            )
        )
        await gate.reached.wait()
        points.change(lambda inputs: replace(inputs, gating=control(2, adapter_cache=order("pause"))))
        assert points.snapshot.gates != ()
        assert replica.runtime.components().snapshot.gates != ()
        gate.open.set()
        await warming
        assert points.snapshot.gates != ()  # rebased on the newest inputs, not on those it began with
        assert points.snapshot.catalog.control.everyone == {CACHE: "slow"}
        assert replica.bound == ["adapter/cache=slow"]


async def test_a94_what_ends_by_itself_is_gone_at_its_time_though_nobody_changes_anything() -> None:
    async with replica_of("adapter/cache=old", "adapter/cache=new") as replica:
        replica.runtime.points.change(
            lambda inputs: replace(
                inputs,
                control=control(1, adapter_cache=order("use", "old", cseq=1, until=60)),
                gating=control(1, adapter_cache=order("pause", cseq=2, until=30)),
            )
        )
        explain = replica.runtime.explain
        assert explain("adapter", "cache").decided_by == "explicit selection"
        replica.clock.advance(29)
        assert replica.runtime.points.current().gates != ()
        replica.clock.advance(1)
        assert replica.runtime.points.current().gates == ()
        assert replica.runtime.snapshot.valid_until == EPOCH + timedelta(seconds=60)
        replica.clock.advance(30)
        assert explain("adapter", "cache").selected.provider == "new"  # type: ignore[union-attr]
        assert replica.runtime.snapshot.valid_until is None
        replica.clock.seconds = 5  # a clock that is set back
        assert replica.runtime.points.current().gates == ()


async def test_what_is_refused_changes_neither_inputs_nor_snapshot() -> None:
    async with replica_of("adapter/cache=old") as replica:
        points = replica.runtime.points
        before = points.inputs, points.snapshot, replica.manager.epochs.current

        def refuse(_catalog: object) -> tuple[Question, ...]:
            raise ConfigurationError("no")

        with pytest.raises(ConfigurationError):
            await points.take(
                lambda inputs: replace(inputs, settings=replace(inputs.settings)), strict=True, prove=refuse
            )
        assert (points.inputs, points.snapshot, replica.manager.epochs.current) == before


async def test_the_resolver_shows_what_the_snapshot_says() -> None:
    async with replica_of("adapter/cache=old", "adapter/cache=new") as replica:
        replica.runtime.points.change(
            lambda inputs: replace(inputs, control=control(adapter_cache=order("use", "old")))
        )
        assert replica.resolver.resolve("adapter", "cache").provider == "old"
        assert replica.resolver.catalog is replica.runtime.snapshot.catalog is replica.manager.epochs.current.catalog


# --- failover ---


class Vendor:
    """A step in a factory that fails while the vendor is down."""

    def __init__(self) -> None:
        self.down = True

    async def __call__(self, _product: Product) -> None:
        if self.down:
            raise ProviderUnavailable("the server refused")


async def failing_over(vendor: Vendor, **settings: object) -> Replica:
    replica = Replica(**settings)
    replica.assemble(
        replica.candidate("adapter/cache=vendor", replica.factory("vendor", enter=vendor), priority=2),
        replica.candidate("adapter/cache=spare", priority=1),
        replica.candidate("adapter/cache=third"),
    )
    return replica


async def test_next_walks_on_while_the_breaker_is_open_and_comes_back() -> None:
    vendor = Vendor()
    replica = await failing_over(vendor, **with_policy(on_unhealthy="next"))
    async with replica.runtime as runtime:
        with pytest.raises(ActivationFailed):
            await runtime.lifecycle.activate("adapter", "cache")
        (outage,) = runtime.snapshot.catalog.outages
        assert outage.candidate.provider == "vendor"
        explained = runtime.explain("adapter", "cache")
        assert (explained.selected.provider, explained.decided_by) == ("spare", "failover")  # type: ignore[union-attr]
        async with runtime.components() as its:
            assert (await its.get(CACHE)).use() == "spare"
        vendor.down = False
        assert runtime.snapshot.valid_until is not None
        replica.clock.advance(1)
        async with runtime.components() as its:
            assert its.snapshot.catalog.outages == frozenset()
            assert (await its.get(CACHE)).use() == its.explain(*CACHE).selected.provider == "vendor"  # type: ignore[union-attr]
        await until(lambda: replica.open == ["vendor"])
    assert runtime.points.inputs.outages == {}


async def test_a80_a_selected_provider_is_left_along_its_fallbacks_only() -> None:
    vendor = Vendor()
    for fallbacks, expected in (((), "vendor"), (("third",), "third")):
        replica = await failing_over(
            vendor,
            adapters={"selections": {"cache": "vendor"}},
            **with_policy(on_unhealthy="next", fallbacks=list(fallbacks)),
        )
        async with replica.runtime as runtime:
            with pytest.raises(ActivationFailed):
                await runtime.lifecycle.activate("adapter", "cache")
            assert runtime.explain("adapter", "cache").selected.provider == expected  # type: ignore[union-attr]
            if expected == "vendor":
                with pytest.raises(ActivationFailed):
                    await runtime.lifecycle.activate("adapter", "cache")
                assert replica.open == []


async def test_without_the_policy_a_failure_is_no_outage() -> None:
    replica = await failing_over(Vendor())
    async with replica.runtime as runtime:
        with pytest.raises(ActivationFailed):
            await runtime.lifecycle.activate("adapter", "cache")
        assert runtime.snapshot.catalog.outages == frozenset()
        assert runtime.explain("adapter", "cache").selected.provider == "vendor"  # type: ignore[union-attr]


async def test_what_is_live_and_says_that_it_is_not_well_is_walked_past_too() -> None:
    replica = Replica(**with_policy(on_unhealthy="next"))
    replica.assemble(
        replica.candidate("adapter/cache=patient", replica.factory("patient", kind=Patient), priority=1),
        replica.candidate("adapter/cache=spare"),
    )
    async with replica.runtime as runtime:
        patient = await runtime.lifecycle.activate("adapter", "cache")
        patient.well = False
        assert await runtime.lifecycle.probe_instance_health("adapter", "cache") is False
        assert (await runtime.lifecycle.activate("adapter", "cache")).use() == "spare"
        await until(lambda: replica.open == ["spare"])


async def test_outages_that_have_ended_leave_nothing_in_the_inputs() -> None:
    replica = Replica(**with_policy(on_unhealthy="next"), tenants={f"t{number}": {} for number in range(20)})
    vendor = Vendor()
    replica.assemble(
        replica.candidate(
            "adapter/cache=vendor", replica.factory("vendor", enter=vendor), lifetime="tenant", priority=1
        ),
        replica.candidate("adapter/cache=spare"),
    )
    async with replica.runtime as runtime:
        for number in range(20):
            with pytest.raises(ActivationFailed):
                await runtime.lifecycle.activate("adapter", "cache", tenant=f"t{number}")
            assert len(runtime.points.inputs.outages) == 1
            replica.clock.advance(1)


async def test_what_stands_on_what_fails_is_walked_past_as_long_as_that_is() -> None:
    vendor = Vendor()
    replica = Replica(components={"service/notes": {"on_unhealthy": "next"}})
    replica.assemble(
        replica.candidate("adapter/cache=vendor", replica.factory("vendor", enter=vendor)),
        replica.candidate("service/notes=cached", replica.factory("cached", cache="adapter/cache"), priority=1),
        replica.candidate("service/notes=plain"),
    )
    async with replica.runtime as runtime:
        with pytest.raises(ActivationFailed):
            await runtime.lifecycle.activate("service", "notes")
        assert (await runtime.lifecycle.activate("service", "notes")).use() == "plain"


# --- overrides of this replica ---


async def test_a_swap_of_the_lifecycle_is_an_order_of_this_replica_and_outlives_other_changes() -> None:
    async with replica_of("adapter/cache=new", "adapter/cache=old") as replica:
        runtime = replica.runtime
        assert (await runtime.lifecycle.swap("adapter", "cache", provider="new")).use() == "new"
        assert runtime.snapshot.catalog.replica.everyone == {CACHE: "new"}
        replica.resolver.register(replica.candidate("adapter/queue=nats"))
        async with runtime.components() as its:
            assert (await its.get(CACHE)).use() == its.explain(*CACHE).selected.provider == "new"  # type: ignore[union-attr]
        await runtime.lifecycle.swap("adapter", "cache", provider="old")
        await runtime.lifecycle.swap("adapter", "cache", provider="new", tenant="acme")
        assert [one.value for one in runtime.points.inputs.overrides["adapter/cache"]] == ["old", "new"]


async def test_a_change_needs_no_turn_of_the_loop() -> None:
    async with replica_of("adapter/cache=old", "adapter/cache=new") as replica:
        await replica.manager.activate("adapter", "cache", provider="old")
        epoch = replica.manager.epochs.current
        replica.runtime.points.change(lambda inputs: replace(inputs, settings=replace(inputs.settings)))
        assert replica.manager.epochs.current.number == epoch.number + 1
