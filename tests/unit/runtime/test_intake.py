"""Control speaks to a replica through one door: each thing is taken whole or refused whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pointsman.declarations import Candidate, Component, Constraints, Use
from pointsman.errors import (
    ActivationFailed,
    ComponentPaused,
    DanglingSelection,
    FactoryForbidden,
    HealthCheckFailed,
    NoEligibleCandidate,
    OrderUnavailable,
    PreflightFailed,
    UnknownComponent,
    UnknownProvider,
)
from pointsman.resolution.contribution import Policy
from pointsman.resolution.reference import GatedReference
from pointsman.resolution.selection import Choices, Split
from pointsman.runtime.inputs import ManifestInput
from pointsman.runtime.runtime import Runtime
from tests.workshop import CACHE, Gate, Patient, Product, Replica, control, manifest, order, replica_of, until

QUEUE = Component[Any]("adapter", "queue")


async def fail(_product: Product) -> None:
    raise OSError("down")


def state(runtime: Runtime) -> tuple[object, ...]:
    points = runtime.points
    return points.inputs, points.snapshot, runtime.lifecycle.epochs.current, runtime.resolver.catalog


# --- control ---


async def test_when_the_call_returns_pauses_bind_and_when_it_is_awaited_uses_do_too() -> None:
    async with replica_of("adapter/cache=new", "adapter/cache=old") as replica:
        runtime = replica.runtime
        await runtime.lifecycle.activate("adapter", "cache")
        taken = runtime.intake.take_control(
            control(7, adapter_cache=(order("use", "new", cseq=6), order("pause", cseq=7)))
        )
        with pytest.raises(ComponentPaused):
            async with runtime.components() as its:
                await its.get(CACHE)
        assert runtime.explain("adapter", "cache").selected.provider == "old"  # type: ignore[union-attr]
        await taken
        assert replica.bound == ["adapter/cache=new"]
        assert runtime.label == "0.7"
        await runtime.intake.take_control(control(8))
        assert (runtime.snapshot.gates, replica.bound) == ((), ["adapter/cache=old"])


async def test_a_later_control_document_overtakes_one_that_still_warms() -> None:
    gate = Gate()
    async with replica_of("adapter/cache=old", "adapter/cache=new") as replica:
        replica.resolver.register(
            replica.candidate("adapter/cache=slow", replica.factory("slow", enter=gate), priority=-1)
        )
        runtime = replica.runtime
        await runtime.lifecycle.activate("adapter", "cache")
        slow = asyncio.ensure_future(runtime.intake.take_control(control(1, adapter_cache=order("use", "slow"))))  # type: ignore[arg-type]
        await gate.reached.wait()
        await runtime.intake.take_control(control(2, adapter_cache=order("use", "old", cseq=2)))
        assert runtime.label == "0.2"
        gate.open.set()
        await slow
        assert (runtime.label, replica.bound) == ("0.2", ["adapter/cache=old"])
        await until(lambda: replica.open == ["old"])


async def test_an_order_that_cannot_be_warmed_fails_its_own_use_and_nothing_else() -> None:
    async with replica_of("adapter/cache=old", "adapter/queue=nats", "adapter/queue=kafka") as replica:
        replica.resolver.register(
            replica.candidate("adapter/cache=bad", replica.factory("bad", enter=fail), priority=-1)
        )
        runtime = replica.runtime
        for key in ("cache", "queue"):
            await runtime.lifecycle.activate("adapter", key)
        await runtime.intake.take_control(
            control(1, adapter_cache=order("use", "bad"), adapter_queue=order("use", "nats"))
        )
        assert replica.bound == ["adapter/queue=nats"]
        with pytest.raises(ActivationFailed):
            await runtime.lifecycle.activate("adapter", "cache")


async def test_an_order_without_its_provider_is_told_and_never_passed_over() -> None:
    async with replica_of("adapter/cache=old") as replica:
        await replica.runtime.intake.take_control(control(1, adapter_cache=order("use", "gone")))
        async with replica.runtime.components() as its:
            with pytest.raises(OrderUnavailable):
                await its.get(CACHE)


# --- this replica's own ---


async def test_own_orders_replace_those_before_gates_first() -> None:
    async with replica_of("adapter/cache=new", "adapter/cache=old") as replica:
        runtime, take = replica.runtime, replica.runtime.intake.take_overrides
        await runtime.lifecycle.activate("adapter", "cache")
        taken = take({"adapter/cache": (order("use", "new", cseq=1), order("pause", cseq=2))})
        assert [gates[CACHE].everyone[0].activity for gates in runtime.snapshot.gates] == ["paused"]
        await taken
        assert replica.bound == ["adapter/cache=new"]
        taken = take({"adapter/queue": (order("drain", cseq=3),)})
        assert [list(gates) for gates in runtime.snapshot.gates] == [[QUEUE]]
        assert runtime.snapshot.catalog.replica.everyone == {CACHE: "new"}  # until what replaces it is warm
        await taken
        assert replica.bound == ["adapter/cache=old"]


async def test_later_own_orders_overtake_those_that_still_warm() -> None:
    gate = Gate()
    async with replica_of("adapter/cache=old", "adapter/cache=new") as replica:
        replica.resolver.register(
            replica.candidate("adapter/cache=slow", replica.factory("slow", enter=gate), priority=-1)
        )
        runtime = replica.runtime
        await runtime.lifecycle.activate("adapter", "cache")
        take = runtime.intake.take_overrides
        slow = asyncio.ensure_future(take({"adapter/cache": (order("use", "slow", cseq=1),)}))  # type: ignore[arg-type]
        await gate.reached.wait()
        await take({"adapter/cache": (order("use", "old", cseq=2),)})
        gate.open.set()
        await slow
        assert runtime.snapshot.catalog.replica.everyone == {CACHE: "old"}
        assert replica.bound == ["adapter/cache=old"]


# --- manifests ---


async def test_a_manifest_is_warm_before_it_is_bound_and_what_it_prewarms_too() -> None:
    async with replica_of("adapter/cache=old") as replica:
        runtime = replica.runtime
        await runtime.lifecycle.activate("adapter", "cache")
        brought = manifest(
            replica.candidate("adapter/cache=new", priority=9),
            replica.candidate("adapter/queue=nats", lifetime="tenant"),
            version=12,
            labels={"acme": {}, "globex": {}},
            policies={QUEUE: Policy(prewarm=("globex",))},
        )
        await runtime.intake.take_manifest(brought)
        assert replica.bound == ["adapter/cache=new", "adapter/queue=nats for globex"]
        assert runtime.label == "12.0"


def fails_to_warm(replica: Replica) -> ManifestInput:
    broken = replica.candidate("adapter/cache=bad", replica.factory("bad", enter=fail), priority=9)
    return manifest(broken)


def fails_to_prewarm(replica: Replica) -> ManifestInput:
    broken = replica.candidate("adapter/disk=bad", replica.factory("bad", enter=fail))
    return manifest(broken, policies={Component("adapter", "disk"): Policy(prewarm=True)})


def dangles(_replica: Replica) -> ManifestInput:
    return manifest(choices=Choices({CACHE: "gone"}))


def lacks_what_is_required(replica: Replica) -> ManifestInput:
    return manifest(replica.candidate("service/notes=sql", replica.factory("sql", gone="adapter/gone")))


def stands_on_itself(replica: Replica) -> ManifestInput:
    ring = replica.factory("ring", cache="adapter/cache")
    return manifest(replica.candidate("adapter/cache=ring", ring, priority=9))


@pytest.mark.parametrize(
    ("draft", "error", "words"),
    [
        (fails_to_warm, PreflightFailed, "manifest 1: .* could not be made: OSError: down"),
        (fails_to_prewarm, PreflightFailed, "adapter/disk=bad could not be made"),
        (dangles, DanglingSelection, "manifest selects adapter/cache=gone, which nobody registers"),
        (lacks_what_is_required, PreflightFailed, "nothing is registered for adapter/gone"),
        (stands_on_itself, PreflightFailed, "stands on itself: adapter/cache=ring → adapter/cache=ring"),
    ],
)
async def test_a_manifest_that_is_refused_changes_nothing(
    draft: Callable[[Replica], ManifestInput], error: type[Exception], words: str
) -> None:
    async with replica_of("adapter/cache=old") as replica:
        runtime = replica.runtime
        await runtime.lifecycle.activate("adapter", "cache")
        before = state(runtime)
        with pytest.raises(error, match=words):
            await runtime.intake.take_manifest(draft(replica))
        assert state(runtime) == before
        await until(lambda: replica.open == ["old"])
        await runtime.intake.take_manifest(manifest(version=14))
        assert runtime.label == "14.0"


async def test_a_refusal_of_the_gate_keeps_its_own_name() -> None:
    async with replica_of("adapter/cache=old") as replica:
        await replica.runtime.lifecycle.activate("adapter", "cache")
        foreign = Candidate(*CACHE, "foreign", GatedReference("asyncio:sleep"), priority=9)
        with pytest.raises(FactoryForbidden):
            await replica.runtime.intake.take_manifest(manifest(foreign))


async def test_a_manifest_that_takes_away_what_a_selection_names_is_refused_naming_it() -> None:
    replica = Replica(adapters={"selections": {"cache": "brought"}})
    with pytest.raises(Exception, match="settings selects adapter/cache=brought, which nobody registers"):
        replica.assemble(replica.candidate("adapter/cache=old"))
    async with replica_of("adapter/cache=old") as replica:
        runtime = replica.runtime
        brought = replica.candidate("adapter/cache=brought")
        await runtime.intake.take_manifest(manifest(brought, version=1))
        await runtime.intake.take_control(control(1, adapter_cache=order("use", "brought")))
        with pytest.raises(DanglingSelection, match="control selects adapter/cache=brought, which nobody registers"):
            await runtime.intake.take_manifest(manifest(version=2))
        assert runtime.label == "1.1"


async def test_what_is_effective_by_fallback_answers_dangling_orders_though_they_are_required() -> None:
    async with replica_of("adapter/cache=old") as replica:
        runtime = replica.runtime
        runtime.require([(Use("adapter", "cache"), "handlers.notes:create, parameter cache")])
        await runtime.intake.take_manifest(manifest(replica.candidate("adapter/cache=brought"), version=2))
        await runtime.intake.take_control(control(1, adapter_cache=order("use", "brought")))
        await runtime.lifecycle.activate("adapter", "cache")
        await runtime.intake.take_manifest(manifest(version=1), by_fallback=True)
        with pytest.raises(OrderUnavailable):
            await runtime.lifecycle.activate("adapter", "cache")
        with pytest.raises(DanglingSelection, match="manifest selects"):
            await runtime.intake.take_manifest(manifest(choices=Choices({CACHE: "gone"})), by_fallback=True)


async def test_a_swap_and_a_manifest_without_its_target_do_not_both_commit() -> None:
    gate = Gate()
    async with replica_of("adapter/cache=old") as replica:
        runtime = replica.runtime
        await runtime.intake.take_manifest(manifest(replica.candidate("adapter/cache=brought"), version=1))
        await runtime.lifecycle.activate("adapter", "cache")
        slow = replica.candidate("adapter/cache=slow", replica.factory("slow", enter=gate), priority=9)
        taking = asyncio.ensure_future(runtime.intake.take_manifest(manifest(slow, version=2)))
        await gate.reached.wait()
        await runtime.intake.take_control(control(1, adapter_cache=order("use", "brought")))
        gate.open.set()
        with pytest.raises(DanglingSelection):
            await taking
        assert runtime.label == "1.1"


async def test_the_same_manifest_again_activates_nothing() -> None:
    async with replica_of("adapter/cache=old") as replica:
        runtime, factory = replica.runtime, replica.factory("new")
        for _ in range(50):
            brought = manifest(replica.candidate("adapter/cache=new", factory, priority=9), version=3)
            await runtime.intake.take_manifest(brought)
            await runtime.lifecycle.activate("adapter", "cache")
        assert replica.log == ["+new"]
        assert len(list(runtime.lifecycle.epochs.chain())) == 1


# --- preflight ---


async def test_a_preflight_proves_and_binds_nothing_and_what_it_made_is_taken_over() -> None:
    async with replica_of("adapter/cache=old") as replica:
        runtime = replica.runtime
        await runtime.lifecycle.activate("adapter", "cache")
        brought = manifest(replica.candidate("adapter/cache=new", priority=9), version=2)
        before = state(runtime)
        await runtime.intake.preflight(brought, {})
        assert state(runtime) == before
        assert sorted(replica.open) == ["new", "old"]
        await runtime.intake.take_manifest(brought)
        assert replica.log[:2] == ["+old", "+new"]
        await until(lambda: replica.open == ["new"])


async def test_a_preflight_judges_beside_the_orders_of_a_head_that_was_not_taken_yet() -> None:
    async with replica_of("adapter/cache=old") as replica:
        preflight = replica.runtime.intake.preflight
        use = {"adapter/cache": (order("use", "brought"),)}
        with pytest.raises(DanglingSelection, match="control selects adapter/cache=brought"):
            await preflight(manifest(), use)
        await preflight(manifest(replica.candidate("adapter/cache=brought")), use)
        ended = {"adapter/cache": (order("use", "brought", until=5),)}
        replica.clock.advance(5)
        await preflight(manifest(), ended)
        with pytest.raises(PreflightFailed, match="nothing is registered for adapter/gone"):
            await preflight(
                manifest(replica.candidate("service/notes=sql", replica.factory("sql", gone="adapter/gone"))), {}
            )


# --- what an order would bind ---


async def test_what_an_order_names_is_proved_before_it_is_given() -> None:
    class Sick(Patient):
        well = False

    async with replica_of("adapter/cache=new", "adapter/cache=old", tenants={"acme": {}, "globex": {}}) as replica:
        replica.resolver.register(
            replica.candidate("adapter/cache=sick", replica.factory("sick", kind=Sick), priority=-1)
        )
        replica.resolver.register(
            replica.candidate("adapter/cache=bad", replica.factory("bad", enter=fail), priority=-1)
        )
        runtime, prove = replica.runtime, replica.runtime.intake.prove
        before = state(runtime)
        await prove(CACHE, "new", None)
        assert replica.open == ["new"]
        with pytest.raises(HealthCheckFailed):
            await prove(CACHE, "sick", ("acme",))
        await prove(CACHE, "sick", ("acme",), force=True)
        with pytest.raises(ActivationFailed):
            await prove(CACHE, Split("old", (("bad", 100),)), None, force=True)
        with pytest.raises(UnknownProvider):
            await prove(CACHE, "gone", None)
        assert state(runtime) == before
        await prove(CACHE, Split("old", (("new", 100),)), ("acme", "globex"))
        await runtime.intake.take_control(control(1, adapter_cache=order("use", "new", tenants=("acme",))))
        assert replica.log.count("+new") == 1


async def test_an_order_is_judged_by_what_it_names_and_for_whom() -> None:
    async with replica_of("adapter/cache=old", tenants={"acme": {}}) as replica:
        check = replica.runtime.intake.check_order
        check(CACHE, ("old",), ())
        check(CACHE, (), ("acme",))
        with pytest.raises(UnknownComponent):
            check(QUEUE, (), ())
        with pytest.raises(UnknownProvider):
            check(CACHE, ("old", "gone"), ("acme",))
        replica.resolver.register(replica.candidate("adapter/cache=own", constraints=Constraints(tenants=["acme"])))
        check(CACHE, ("own",), ("acme",))
        with pytest.raises(NoEligibleCandidate):
            check(CACHE, ("own",), ())


async def test_routes_may_be_served_once_a_manifest_stands() -> None:
    async with replica_of("adapter/cache=old") as replica:
        intake = replica.runtime.intake
        assert replica.runtime.catalog_stands
        intake.catalog_stands = False
        with pytest.raises(DanglingSelection):
            await intake.take_manifest(manifest(choices=Choices({CACHE: "gone"})))
        assert not replica.runtime.catalog_stands
        await intake.take_manifest(manifest())
        assert replica.runtime.catalog_stands
