"""The one door to the life of components: activate, shift, prove, look, stop; and room for tenants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from pydantic import BaseModel

from pointsman.declarations import Component, Tenant
from pointsman.errors import (
    ActivationFailed,
    CapacityExceeded,
    ComponentsClosed,
    ConfigurationError,
    OrderUnavailable,
    TenantError,
    UnknownComponent,
)
from pointsman.lifecycle.keeper import Failure
from pointsman.lifecycle.limits import Limits
from pointsman.lifecycle.manager import LifecycleManager
from pointsman.lifecycle.settings import LifecycleSettings
from pointsman.lifecycle.status import Status
from pointsman.lifecycle.surroundings import Surroundings
from pointsman.lifecycle.swap import Proposal
from pointsman.resolution.catalog import Catalog
from pointsman.resolution.contribution import Layered
from pointsman.resolution.decision import Question
from pointsman.resolution.resolver import Resolver
from pointsman.resolution.selection import Choices
from tests.workshop import CACHE, Gate, Patient, Product, World, hang, turns, until, world_of

TENANTS: Mapping[str, Mapping[str, str]] = {name: {} for name in ("acme", "globex", "initech")}


def proposal(world: World, **changes: Any) -> Proposal:
    """Propose the catalog in force with changes, whatever comes between."""
    catalog = replace(world.resolver.catalog, serial=world.resolver.next_serial(), **changes)
    return Proposal(catalog, lambda: world.resolver.show(catalog), lambda: True)


async def test_it_works_without_being_given_anything(tmp_path: Path) -> None:
    resolver = Resolver()
    manager = LifecycleManager(resolver)
    with pytest.raises(UnknownComponent):
        await manager.activate("adapter", "cache")
    await manager.aclose()
    await manager.aclose()


async def test_the_surroundings_of_a_process_are_its_own() -> None:
    around, called = Surroundings(), asyncio.Event()
    around.later(0, called.set)
    await called.wait()
    assert (around.secret_epoch("any"), around.scrub("text"), around.tell("event", any=1)) == (0, "text", None)
    assert around.now().tzinfo is not None
    assert "PATH" in around.environ
    with pytest.raises(ConfigurationError, match="service/a=one: expected settings of the image alone"):
        await around.look_again({"url": "https://example.com"}, "service/a=one")


# --- activate ---


async def test_what_lives_within_a_request_is_not_activated(world: World) -> None:
    world.register("adapter/session=own", lifetime="request")
    with pytest.raises(ConfigurationError, match="adapter/session=own lives only within a request"):
        await world.manager.activate("adapter", "session")


async def test_force_makes_what_failed_lately(world: World) -> None:
    failing = True

    async def fail(_: object) -> None:
        if failing:
            raise OSError

    world.register("adapter/cache=redis", world.factory("redis", enter=fail))
    with pytest.raises(ActivationFailed):
        await world.manager.activate("adapter", "cache")
    failing = False
    product = await world.manager.activate("adapter", "cache", force=True)
    assert await world.manager.activate("adapter", "cache", force=True) is product


async def test_an_activation_that_a_change_overtakes_leaves_nothing_behind(world: World) -> None:
    gate = Gate()
    world.register("adapter/cache=redis", world.factory("redis", enter=gate))
    activating = asyncio.ensure_future(world.manager.activate("adapter", "cache"))
    await gate.reached.wait()
    world.register("adapter/cache=memory", priority=1)
    assert (await world.manager.activate("adapter", "cache")).use() == "memory"
    gate.open.set()
    await activating
    await until(lambda: world.open == ["memory"])


# --- look ---


async def test_a_probe_asks_what_is_live_and_makes_nothing(world: World) -> None:
    world.register("adapter/cache=patient", world.factory("patient", kind=Patient))
    world.register("adapter/queue=plain")
    probe = world.manager.probe_instance_health
    assert await probe("adapter", "cache") is None
    assert world.products == []
    patient = await world.manager.activate("adapter", "cache")
    await world.manager.activate("adapter", "queue")
    assert await probe("adapter", "queue") is None
    assert await probe("adapter", "cache") is True
    blamed: list[tuple[str, Failure]] = []
    world.manager.on_failure = lambda plan, failure: blamed.append((str(plan), failure))
    patient.well = False
    assert await probe("adapter", "cache") is False
    ((whom, failure),) = blamed
    assert (whom, failure.until) == ("adapter/cache=patient", 1.0)
    assert world.manager.get_status("adapter", "cache").last_health is False
    assert patient.use() == "patient"  # it stays bound: who asked decides what that means


async def test_the_status_follows_a_life(world: World) -> None:
    status = world.manager.get_status
    assert status("adapter", "cache") == Status()
    gate = Gate()
    world.register("adapter/cache=redis", world.factory("redis", enter=gate))
    assert status("adapter", "cache").state == "unknown"
    lease = world.lease()
    asking = asyncio.ensure_future(world.get(lease))
    await gate.reached.wait()
    assert (status("adapter", "cache").state, status("adapter", "cache").current_provider) == ("activating", "redis")
    gate.open.set()
    await asking
    assert status("adapter", "cache") == Status("ready", "redis", None, world.clock.now())
    stopping = asyncio.ensure_future(world.manager.aclose())
    await turns()
    assert status("adapter", "cache").state == "ready"  # still held
    lease.close()
    assert status("adapter", "cache").state == "draining"
    await stopping
    assert status("adapter", "cache").state == "unknown"


async def test_the_status_of_what_is_only_a_reference_is_unknown(world: World) -> None:
    world.register("adapter/cache=redis", "nowhere:redis")
    assert world.manager.get_status("adapter", "cache") == Status()


async def test_the_board_is_written_after_each_change_and_a_reader_never_sees_half_of_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "status.json"
    world = World()
    manager = LifecycleManager(world.resolver, status_snapshot_path=path, surroundings=world.manager.surroundings)
    world.register("adapter/cache=redis")
    world.register("adapter/queue=nats")
    await asyncio.gather(*(manager.activate("adapter", key) for key in ("cache", "queue") for _ in range(20)))
    board = json.loads(path.read_text())
    assert {name: entry["state"] for name, entry in board.items()} == {
        "adapter/cache=redis": "ready",
        "adapter/queue=nats": "ready",
    }
    with pytest.raises(UnknownComponent):
        await manager.swap("adapter", "gone", provider="any")
    await manager.aclose()
    assert json.loads(path.read_text()) == {}
    assert [file.name for file in path.parent.iterdir()] == ["status.json"]


async def test_a_board_that_cannot_be_written_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    world = World()
    surroundings = world.manager.surroundings
    manager = LifecycleManager(
        world.resolver, status_snapshot_path=tmp_path / "file" / "status.json", surroundings=surroundings
    )
    world.register("adapter/cache=redis")
    assert (await manager.activate("adapter", "cache")).use() == "redis"
    assert [fields.keys() for fields in world.heard("status-failed")] == [{"error"}] * 1
    await manager.aclose()


# --- tenants ---


async def activate_for(world: World, *tenants: str) -> list[Product]:
    return [await world.manager.activate("service", "notes", tenant=tenant) for tenant in tenants]


async def test_the_tenants_instance_that_was_unused_longest_goes_for_another() -> None:
    async with world_of(tenant_instances_max=2) as world:
        world.register("service/notes=sql", lifetime="tenant")
        await activate_for(world, "acme")
        world.clock.advance(1)
        await activate_for(world, "globex")
        world.clock.advance(1)
        lease = world.lease()
        await world.get(lease, "service/notes", "acme")
        world.clock.advance(1)
        lease.close()
        await activate_for(world, "initech")
        assert world.bound == ["service/notes=sql for acme", "service/notes=sql for initech"]
        await until(lambda: len(world.open) == 2)


async def test_full_and_all_in_use_is_refused_with_what_to_do() -> None:
    async with world_of(tenant_instances_max=1) as world:
        world.register("service/notes=sql", lifetime="tenant")
        lease = world.lease()
        await world.get(lease, "service/notes", "acme")
        with pytest.raises(CapacityExceeded, match="1 instances of tenants live, and all of them are in use") as full:
            await activate_for(world, "globex")
        assert "tenant_instances_max" in full.value.hint
        assert full.value.retry_after_s == 1.0
        lease.close()
        await activate_for(world, "globex")


async def test_one_that_is_given_up_is_made_again_for_an_older_request_not_replaced() -> None:
    async with world_of(tenant_instances_max=1) as world:
        world.register("service/notes=sql", lifetime="tenant")
        await activate_for(world, "acme")
        old = world.lease()
        world.register("service/notes=other", lifetime="tenant", priority=-1)
        world.manager.follow()
        await activate_for(world, "globex")
        world.register("service/notes=third", lifetime="tenant", priority=1)
        assert (await world.get(old, "service/notes", "acme")).use() == "sql"
        assert world.heard("handed-over") == []
        old.close()


async def test_what_lives_within_a_request_takes_no_room() -> None:
    async with world_of(tenant_instances_max=1) as world:
        world.register("service/notes=sql", lifetime="tenant")
        world.register("service/cart=own", lifetime="request")
        await activate_for(world, "acme")
        leases = [world.lease() for _ in range(3)]
        for lease in leases:
            await world.get(lease, "service/cart", "acme")
        assert world.bound == ["service/notes=sql for acme"]
        for lease in leases:
            lease.close()


async def test_a_tenants_instance_that_nobody_holds_for_long_is_closed(world: World) -> None:
    world.register("service/notes=sql", lifetime="tenant")
    world.register("adapter/cache=redis")
    await world.manager.activate("adapter", "cache")
    lease = world.lease()
    await world.get(lease, "service/notes", "acme")
    world.clock.advance(2_000)
    await turns()
    assert sorted(world.open) == ["redis", "sql"]
    lease.close()
    world.clock.advance(800)
    assert "sql" in world.open
    world.clock.advance(1_000)
    await until(lambda: world.open == ["redis"])
    assert world.bound == ["adapter/cache=redis"]
    assert (await activate_for(world, "acme"))[0].use() == "sql"


async def test_one_that_was_given_up_before_its_time_is_left_alone(world: World) -> None:
    world.register("service/notes=old", lifetime="tenant")
    world.register("service/notes=new", lifetime="tenant", priority=-1)
    await activate_for(world, "acme")
    await world.manager.swap("service", "notes", provider="new", tenant="acme")
    world.clock.advance(899)
    await activate_for(world, "acme")
    world.clock.advance(1)
    await until(lambda: world.open == ["new"])


async def test_one_that_is_used_now_and_then_stays(world: World) -> None:
    world.register("service/notes=sql", lifetime="tenant")
    for _ in range(5):
        await activate_for(world, "acme")
        world.clock.advance(600)
    await turns()
    assert world.log == ["+sql"]


async def test_what_stands_for_a_tenant_counts_as_used_until_what_stands_on_it_is_closed(world: World) -> None:
    world.register("adapter/cache=redis", lifetime="tenant")
    world.register("service/notes=sql", world.factory("sql", cache="adapter/cache"), lifetime="tenant")
    await activate_for(world, "acme")
    world.clock.advance(900)
    await until(lambda: world.open == ["redis"])
    world.clock.advance(1_800)
    await until(lambda: world.open == [])


# --- shifting ---


async def test_what_is_live_and_what_must_be_proved_is_warm_before_it_is_bound(world: World) -> None:
    world.register("adapter/cache=old")
    world.register("adapter/cache=new", priority=-1)
    world.register("adapter/queue=nats")
    await world.manager.activate("adapter", "cache")
    queue = Question(Component("adapter", "queue"))
    await world.manager.shift(
        lambda: proposal(world, control=Choices({CACHE: "new"})), prove=lambda _: (queue,), strict=True
    )
    assert world.bound == ["adapter/cache=new", "adapter/queue=nats"]
    assert sorted(world.log) == ["+nats", "+new", "+old"]


async def test_the_first_tenant_is_proved_for_all_where_each_has_its_own(world: World) -> None:
    world.register("service/notes=sql", world.factory("sql", tenant=Tenant), lifetime="tenant")
    world.say(labels=TENANTS)
    notes = Question(Component("service", "notes"))
    await world.manager.shift(lambda: proposal(world), prove=lambda _: (notes,), strict=True)
    assert world.bound == ["service/notes=sql for acme"]
    with pytest.raises(TenantError, match="nobody said which"):
        await world.manager.activate("service", "notes")


@pytest.mark.parametrize("strict", [True, False])
async def test_what_is_live_and_cannot_be_warmed_refuses_or_fails_its_own_use(world: World, *, strict: bool) -> None:
    async def fail(_: object) -> None:
        raise OSError("down")

    world.register("adapter/cache=old")
    world.register("adapter/cache=new", world.factory("new", enter=fail), priority=-1)
    old = await world.manager.activate("adapter", "cache")
    shifting = world.manager.shift(lambda: proposal(world, control=Choices({CACHE: "new"})), strict=strict)
    if strict:
        with pytest.raises(ActivationFailed):
            await shifting
        assert await world.manager.activate("adapter", "cache") is old
    else:
        await shifting
        with pytest.raises(ActivationFailed, match=r"It is tried again in 1\.0 s"):
            await world.manager.activate("adapter", "cache")
        await world.manager.shift(lambda: proposal(world, control=Choices({CACHE: "new"})), strict=False)


@pytest.mark.parametrize("strict", [True, False])
async def test_what_failed_lately_is_not_tried_for_what_comes_unasked(world: World, *, strict: bool) -> None:
    async def fail(_: object) -> None:
        raise OSError("down")

    world.register("adapter/cache=old")
    world.register("adapter/cache=new", world.factory("new", enter=fail), priority=-1)
    await world.manager.activate("adapter", "cache")
    with pytest.raises(ActivationFailed):
        await world.manager.activate("adapter", "cache", provider="new")
    shifting = world.manager.shift(lambda: proposal(world, control=Choices({CACHE: "new"})), strict=strict)
    if strict:
        with pytest.raises(ActivationFailed, match="It is tried again"):
            await shifting
    else:
        await shifting
    assert len(world.products) == 2


async def test_a_live_profile_without_a_tenant_keeps_nobody_from_one_for_each_tenant(world: World) -> None:
    world.register("adapter/cache=old")
    world.register("adapter/cache=each", lifetime="tenant", priority=-1)
    world.say(labels=TENANTS)
    for tenant in (None, "acme"):
        await world.manager.activate("adapter", "cache", tenant=tenant)
    await world.manager.shift(lambda: proposal(world, control=Choices({CACHE: "each"})), strict=True)
    assert world.bound == ["adapter/cache=each for acme"]


@pytest.mark.parametrize("strict", [True, False])
async def test_an_order_whose_provider_is_gone_binds_all_the_same_and_is_told_to_whoever_asks(
    world: World, *, strict: bool
) -> None:
    world.register("adapter/cache=old")
    await world.manager.activate("adapter", "cache")
    await world.manager.shift(lambda: proposal(world, control=Choices({CACHE: "gone"})), strict=strict)
    with pytest.raises(OrderUnavailable):
        await world.manager.activate("adapter", "cache")
    await until(lambda: world.open == [])


@pytest.mark.parametrize("strict", [True, False])
async def test_what_cannot_be_planned_any_more_refuses_or_fails_its_own_use(world: World, *, strict: bool) -> None:
    world.register("adapter/cache=old")
    world.register("adapter/cache=each", lifetime="tenant", priority=-1)
    world.register("service/notes=sql", world.factory("sql", cache="adapter/cache"))
    world.say(labels=TENANTS)
    await world.manager.activate("service", "notes", tenant="acme")
    shifting = world.manager.shift(lambda: proposal(world, control=Choices({CACHE: "each"})), strict=strict)
    if strict:
        with pytest.raises(ConfigurationError, match="stands on adapter/cache=each, which lives as 'tenant'"):
            await shifting
        assert "adapter/cache=old" in world.bound
    else:
        await shifting
        with pytest.raises(ConfigurationError):
            await world.manager.activate("service", "notes", tenant="acme")


async def test_newer_inputs_are_proposed_anew_and_what_was_warmed_is_not_made_twice(world: World) -> None:
    world.register("adapter/cache=old")
    world.register("adapter/cache=new", priority=-1)
    await world.manager.activate("adapter", "cache")
    looks = iter([False, False, True])

    def propose() -> Proposal:
        return structs.replace(proposal(world, control=Choices({CACHE: "new"})), in_force=lambda: next(looks))

    await world.manager.shift(propose, strict=True)
    assert world.log == ["+old", "+new"]
    assert world.bound == ["adapter/cache=new"]


async def test_a_shift_that_changes_nothing_keeps_the_epoch_and_takes_in_what_was_warmed(world: World) -> None:
    world.register("adapter/cache=redis")
    world.manager.follow()
    catalog, epoch = world.resolver.catalog, world.manager.epochs.current
    same = Proposal(catalog, lambda: None, lambda: True)
    await world.manager.shift(lambda: same, prove=lambda _: (Question(CACHE),), strict=True)
    assert world.manager.epochs.current is epoch
    assert world.bound == ["adapter/cache=redis"]
    world.manager.bind(catalog)
    assert world.open == ["redis"]


async def test_many_live_questions_are_planned_with_the_loop_let_in_between() -> None:
    async with world_of(remembered_plans_max=1_000) as world:
        names = {f"t{number:03}": {} for number in range(250)}
        world.register("adapter/cache=redis")
        world.register("adapter/cache=memory", priority=-1)
        world.say(labels=names)
        for name in names:
            await world.manager.activate("adapter", "cache", tenant=name)
        await world.manager.shift(lambda: proposal(world, control=Choices({CACHE: "memory"})), strict=True)
        assert world.log == ["+redis", "+memory"]
        assert len(world.manager.epochs.current.plans) == 250


async def test_only_so_many_plans_are_remembered_and_none_of_strangers() -> None:
    async with world_of(remembered_plans_max=2) as world:
        world.register("adapter/cache=redis")
        world.say(labels=TENANTS)
        plans = world.manager.epochs.current.plans
        for tenant in ("acme", "globex", "initech"):
            await world.manager.activate("adapter", "cache", tenant=tenant)
            assert len(world.manager.epochs.current.plans) <= 2
        await world.manager.activate("adapter", "cache", tenant="stranger")
        lease = world.lease()
        await world.get(lease, subject="somebody")
        lease.close()
        assert all(question.tenant in TENANTS for question in plans)


# --- proving ---


async def test_what_was_proved_is_bound_if_that_comes_soon(world: World) -> None:
    world.register("adapter/cache=old")
    world.register("adapter/cache=new", priority=-1)
    await world.manager.activate("adapter", "cache")
    proposed = proposal(world, control=Choices({CACHE: "new"}))
    await world.manager.prove(proposed.catalog, (Question(CACHE),), strict=True)
    assert world.bound == ["adapter/cache=old"]
    assert sorted(world.open) == ["new", "old"]
    await world.manager.shift(lambda: proposed, strict=True)
    assert world.log == ["+old", "+new"]
    world.clock.advance(100)
    await turns()
    assert "new" in world.open
    assert world.manager.proven == {}


async def test_what_was_proved_and_never_bound_is_closed_after_a_while(world: World) -> None:
    world.register("adapter/cache=old")
    world.register("adapter/cache=new", priority=-1)
    catalog: Catalog = proposal(world, control=Choices({CACHE: "new"})).catalog
    await world.manager.prove(catalog, (Question(CACHE),), strict=True)
    await world.manager.prove(catalog, (Question(CACHE),), strict=True)
    assert world.log == ["+new"]
    world.clock.advance(59)
    await turns()
    assert world.open == ["new"]
    world.clock.advance(1)
    await until(lambda: world.open == [])


async def test_a_proof_that_fails_leaves_nothing(world: World) -> None:
    async def fail(_: object) -> None:
        raise OSError("down")

    world.register("adapter/cache=bad", world.factory("bad", enter=fail))
    world.register("adapter/queue=nats")
    questions = (Question(Component("adapter", "queue")), Question(CACHE))
    with pytest.raises(ActivationFailed):
        await world.manager.prove(world.resolver.catalog, questions, strict=True)
    await until(lambda: not world.manager.keeper.instances)
    assert world.manager.board.as_dict() == {}
    assert world.manager.proven == {}


# --- stopping ---


async def test_a_shutdown_waits_for_leases_then_breaks_them() -> None:
    world = World(shutdown_grace_s=0.01)
    world.register("adapter/cache=redis")
    world.register("service/notes=sql", world.factory("sql", cache="adapter/cache"))
    lease = world.lease()
    notes = await world.get(lease, "service/notes")
    await world.manager.aclose()
    assert world.log[2:] == ["-sql", "-redis"]
    assert not notes.open
    assert [(told["component"], told["leases"]) for told in world.heard("lease-broken")] == [("service/notes", 1)]
    lease.close()
    with pytest.raises(ComponentsClosed, match="The process is stopping"):
        world.lease()


async def test_a_shutdown_lets_requests_finish_what_they_began_and_waits_no_longer() -> None:
    world = World(shutdown_grace_s=60)
    world.register("adapter/cache=redis")
    world.register("adapter/queue=nats")
    lease, late = world.lease(), world.lease()
    redis = await world.get(lease)
    stopping = asyncio.ensure_future(world.manager.aclose())
    await turns()
    assert redis.use() == "redis"
    nats = await world.get(late, "adapter/queue")  # first used while the process stops
    lease.close()
    await until(lambda: world.open == ["nats"])
    await turns()
    assert nats.use() == "nats"
    late.close()
    await until(stopping.done)
    assert world.open == []
    assert world.heard("lease-broken") == []


async def test_one_that_is_to_close_is_never_bound_again(world: World) -> None:
    world.register("adapter/cache=redis")
    lease = world.lease()
    await world.get(lease)
    stopping = asyncio.ensure_future(world.manager.aclose())
    await turns()
    world.register("adapter/queue=nats")
    world.manager.follow()
    assert (world.bound, world.open) == ([], ["redis"])
    lease.close()
    await stopping


async def test_nothing_is_bound_once_the_process_stops(world: World) -> None:
    gate = Gate()
    world.register("adapter/cache=old", priority=1)
    world.register("adapter/cache=new")
    await world.manager.activate("adapter", "cache")
    epoch = world.manager.epochs.current
    world.manager.hooks.add("pre_swap", lambda _: gate(world.products[-1]))
    swapping = asyncio.ensure_future(world.manager.swap("adapter", "cache", provider="new"))
    await gate.reached.wait()
    await world.manager.aclose()
    gate.open.set()
    with pytest.raises(ComponentsClosed, match="nothing is bound any more"):
        await swapping
    assert world.manager.epochs.current is epoch


async def test_a_shutdown_closes_also_what_nobody_has_bound_yet() -> None:
    async with world_of(activation_timeout_s=60) as world:
        world.register("adapter/cache=new")
        world.register("adapter/queue=stuck", world.factory("stuck", enter=hang))
        questions = (Question(CACHE), Question(Component("adapter", "queue")))
        proving = asyncio.ensure_future(world.manager.prove(world.resolver.catalog, questions, strict=True))
        await until(lambda: world.open == ["new", "stuck"])
        proving.cancel()
        await turns()
        await until(lambda: world.open == ["stuck"])
        await world.manager.keeper.cancel()


def test_the_settings_say_what_the_limits_say() -> None:
    assert LifecycleSettings().limits() == Limits()
    assert LifecycleSettings(backoff_max_s=5).limits().backoff_max_s == 5


async def test_settings_of_a_profile_are_warmed_with_it(world: World) -> None:
    class Settings(BaseModel):
        size: int = 0

    world.register("adapter/cache=old")
    world.register("adapter/cache=new", world.factory("new", settings=Settings), priority=-1)
    name = ("adapter", "cache", "new")
    world.say(labels=TENANTS, provider_settings=Layered({}, {"acme": {name: {"size": 1}}}))
    for tenant in TENANTS:
        await world.manager.activate("adapter", "cache", tenant=tenant)
    await world.manager.swap("adapter", "cache", provider="new")
    assert sorted(product.given["settings"].size for product in world.products if product.open and product.given) == [
        0,
        1,
    ]
