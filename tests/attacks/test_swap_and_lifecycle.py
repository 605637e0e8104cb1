"""Attacks on what lives: swaps under users, providers that fail or hang at each step, pauses at the worst moment."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import structs

from pointsman.errors import (
    ActivationFailed,
    ComponentDraining,
    ComponentPaused,
    HealthCheckFailed,
    LifecycleError,
    PointsmanError,
)
from pointsman.lifecycle.hooks import Moment
from tests.workshop import (
    CACHE,
    Gate,
    Patient,
    Product,
    Replica,
    World,
    control,
    hang,
    manifest,
    order,
    replica_of,
    turns,
    until,
    world_of,
)

USERS, SWAPS = 50, 200


async def test_a55_two_hundred_swaps_under_fifty_users_fail_none_and_leak_nothing() -> None:
    async with world_of() as world:
        world.register("adapter/cache=left", priority=1)
        world.register("adapter/cache=right")
        world.register("service/notes=sql", world.factory("sql", cache="adapter/cache"))
        stop, served, failed = asyncio.Event(), 0, []

        async def user() -> None:
            nonlocal served
            while not stop.is_set():
                lease = world.lease()
                try:
                    notes = await world.get(lease, "service/notes")
                    first = notes.use()
                    cache = await world.get(lease)
                    assert cache is notes.given["cache"]
                    await turns(3)
                    assert (notes.use(), cache.use()) == (first, cache.name)
                    served += 1
                except (AssertionError, PointsmanError) as error:
                    failed.append(error)
                finally:
                    lease.close()

        users = [asyncio.ensure_future(user()) for _ in range(USERS)]
        for number in range(SWAPS):
            await world.manager.swap("adapter", "cache", provider=("right", "left")[number % 2])
        stop.set()
        await asyncio.gather(*users)
        assert failed == []
        assert served > SWAPS
        assert len(list(world.manager.epochs.chain())) == 1
        await until(lambda: len(world.manager.keeper.instances) == len(world.bound))
        assert "adapter/cache=left" in world.bound
        assert len(world.open) == len(world.bound) <= 2


async def test_a55_the_old_instance_lives_until_its_last_lease() -> None:
    async with world_of() as world:
        world.register("adapter/cache=old", priority=1)
        world.register("adapter/cache=new")
        leases = [world.lease() for _ in range(3)]
        olds = [await world.get(lease) for lease in leases]
        await world.manager.swap("adapter", "cache", provider="new")
        for lease in leases:
            await turns()
            assert [old.use() for old in olds] == ["old"] * 3
            lease.close()
        await until(lambda: world.open == ["new"])


class Sick(Patient):
    well = False


class Silent(Patient):
    async def health(self) -> bool:
        await asyncio.Event().wait()
        return True


async def refuse(_product: Product) -> None:
    raise ConnectionError("refused")


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"kind": Sick}, HealthCheckFailed),
        ({"kind": Silent}, HealthCheckFailed),
        ({"enter": refuse}, ActivationFailed),
        ({"enter": hang}, ActivationFailed),
    ],
    ids=["unwell", "silent", "raises", "hangs"],
)
async def test_a56_a_new_provider_that_is_no_good_leaves_the_old_untouched(
    how: dict[str, Any], error: type[Exception]
) -> None:
    async with world_of(activation_timeout_s=0.01, health_timeout_s=0.005) as world:
        world.register("adapter/cache=old", priority=1)
        lease = world.lease()
        old = await world.get(lease)
        world.register("adapter/cache=new", world.factory("new", **how))
        with pytest.raises(error):
            await world.manager.swap("adapter", "cache", provider="new")
        await until(lambda: len(world.manager.keeper.instances) == 1)  # the hung task is gone, too
        assert (await world.get(lease)) is old
        assert (await world.manager.activate("adapter", "cache")) is old
        assert world.open == ["old"]
        lease.close()


STEPS = ("instantiate", "health_check", "pre_swap", "bind", "cleanup_old", "post_swap")


def breaking(world: World, step: str) -> dict[str, Any]:
    """Make one step of a swap to ``new`` raise; ``cleanup_old`` is the closing of ``old``."""

    def fail(_: Any = None) -> None:
        raise OSError(f"broken at {step}")

    async def fail_later(_: Any) -> None:
        fail()

    class Unwell(Patient):
        async def health(self) -> bool:
            raise OSError("broken")

    propose = world.manager.overriding
    if step == "bind":
        world.manager.overriding = lambda *whom: lambda: structs.replace(propose(*whom)(), commit=fail)
    hooked: dict[str, Moment] = {"pre_swap": "pre_swap", "post_swap": "post_swap"}
    if step in hooked:
        world.manager.hooks.add(hooked[step], fail_later)
    return {"instantiate": {"enter": fail_later}, "health_check": {"kind": Unwell}}.get(step, {})


@pytest.mark.parametrize("step", STEPS)
async def test_a57_an_exception_in_each_step_leaves_exactly_the_old_or_the_new(step: str) -> None:
    async def fail_to_close(_: Product) -> None:
        raise OSError("broken at cleanup_old")

    async with world_of() as world:
        leave = {"leave": fail_to_close} if step == "cleanup_old" else {}
        world.register("adapter/cache=old", world.factory("old", **leave), priority=1)
        world.register("service/notes=sql", world.factory("sql", cache="adapter/cache"))
        await world.manager.activate("service", "notes")
        world.register("adapter/cache=new", world.factory("new", **breaking(world, step)))
        try:
            await world.manager.swap("adapter", "cache", provider="new")
            expected = "new"
        except (LifecycleError, OSError):
            expected = "old"
        assert expected == ("new" if step in {"cleanup_old", "post_swap"} else "old")
        await until(lambda: sorted(world.open) == [expected, "sql"])
        notes = await world.manager.activate("service", "notes")
        assert (notes.use(), notes.given["cache"].use()) == ("sql", expected)
        assert (await world.manager.activate("adapter", "cache")) is notes.given["cache"]


async def test_a58_fifty_swaps_at_once_leave_one_instance_whatever_becomes_of_each() -> None:
    async with world_of() as world:
        for name in ("left", "right"):
            world.register(f"adapter/cache={name}")
        world.register("adapter/cache=bad", world.factory("bad", enter=refuse))
        await world.manager.activate("adapter", "cache", provider="left")
        swaps = [
            asyncio.ensure_future(world.manager.swap("adapter", "cache", provider=("left", "right", "bad")[number % 3]))
            for number in range(50)
        ]
        swaps[10].cancel()
        swaps[25].cancel()
        results = await asyncio.gather(*swaps, return_exceptions=True)
        assert {type(result) for result in results} == {Product, ActivationFailed, asyncio.CancelledError}
        serving = (await world.manager.activate("adapter", "cache")).use()
        live = {instance.plan.resolution.provider for instance in world.manager.keeper.instances if instance.usable}
        assert serving in live <= {"left", "right"}
        await until(lambda: len(world.open) == len(set(world.open)))


async def test_a59_from_a_to_b_to_a_while_a_drains_makes_a_again() -> None:
    async with world_of() as world:
        world.register("adapter/cache=a", priority=1)
        world.register("adapter/cache=b")
        stream = world.lease()
        first = await world.get(stream)
        unused = world.lease()
        await world.manager.swap("adapter", "cache", provider="b")
        second = await world.manager.swap("adapter", "cache", provider="a")
        assert (second.use(), second is first) == ("a", False)
        assert await world.get(unused) is first  # bound in the epoch that it pinned
        unused.close()
        stream.close()
        await until(lambda: not first.open)
        assert world.open == ["a"]
        assert second.use() == "a"


async def test_a60_a_pause_during_a_swap_binds_at_once_and_the_swap_goes_on() -> None:
    gate = Gate()
    async with replica_of("adapter/cache=old") as replica:
        slow = replica.candidate("adapter/cache=slow", replica.factory("slow", enter=gate), priority=-1)
        replica.resolver.register(slow)
        before = replica.runtime.components()
        swapping = asyncio.ensure_future(replica.manager.swap("adapter", "cache", provider="slow"))
        await gate.reached.wait()
        await pause(replica, "pause")
        with pytest.raises(ComponentPaused):
            await ask(replica)
        assert (await before.get(CACHE)).use() == "old"  # in flight: it finishes
        gate.open.set()
        assert (await swapping).use() == "slow"
        with pytest.raises(ComponentPaused):
            await ask(replica)
        await resume(replica)
        assert await ask(replica) == "slow"
        before.close()


async def test_a60_a_drain_then_a_resume_and_a_drain_that_ends_by_itself() -> None:
    async with replica_of("adapter/cache=own") as replica:
        assert await ask(replica) == "own"
        await pause(replica, "drain")
        with pytest.raises(ComponentDraining):
            await ask(replica)
        await resume(replica)
        assert await ask(replica) == "own"
        await pause(replica, "drain", until=60)
        replica.clock.advance(59)
        with pytest.raises(ComponentDraining) as refused:
            await ask(replica)
        assert refused.value.retry_after_s == 1
        replica.clock.advance(1)
        assert await ask(replica) == "own"
        assert replica.log == ["+own"]


async def pause(replica: Replica, kind: str, **said: Any) -> None:
    await replica.runtime.intake.take_control(control(1, adapter_cache=order(kind, **said)))


async def resume(replica: Replica) -> None:
    await replica.runtime.intake.take_control(control(2))


async def ask(replica: Replica) -> str:
    async with replica.runtime.components() as its:
        product: Product = await its.get(CACHE)
        return product.use()


async def test_a61_a_thousand_clients_that_go_away_at_any_moment_leave_no_hold() -> None:
    async with world_of() as world:
        world.register("adapter/cache=left", priority=1)
        world.register("adapter/cache=right")
        world.register("service/notes=sql", world.factory("sql", enter=lambda _: turns(5), cache="adapter/cache"))

        async def client(patience: int) -> None:
            lease = world.lease()
            try:
                notes = await world.get(lease, "service/notes")
                await turns(patience)
                notes.use()
            finally:
                lease.close()

        for number in range(1_000):
            going = asyncio.ensure_future(client(number % 7))
            await turns(number % 11)
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)
            if number % 50 == 0:
                await world.manager.swap("adapter", "cache", provider=("right", "left")[number % 100 == 0])
        await until(lambda: len(world.manager.keeper.instances) == 2)
        assert all(instance.leases == 0 for instance in world.manager.keeper.instances)
        assert [epoch.pins for epoch in world.manager.epochs.chain()] == [1]


async def test_a56_a_manifest_whose_provider_is_no_good_is_refused_under_users() -> None:
    async with replica_of("adapter/cache=old") as replica:
        its = replica.runtime.components()
        old = await its.get(CACHE)
        bad = replica.candidate("adapter/cache=bad", replica.factory("bad", enter=refuse), priority=9)
        for version in range(2, 5):
            with pytest.raises(PointsmanError):
                await replica.runtime.intake.take_manifest(manifest(bad, version=version))
        assert (await ask(replica), old.use(), replica.runtime.label) == ("old", "old", "0.0")
        its.close()
