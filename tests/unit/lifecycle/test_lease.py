"""A lease pins its epoch, holds what was taken under it, and gives everything back, once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from threading import Event
from types import ModuleType

import pytest

from pointsman.errors import ComponentsClosed, UnknownComponent
from pointsman.resolution.contribution import Policy
from pointsman.resolution.decision import Question
from tests.workshop import CACHE, Gate, World, turns, until


async def test_what_was_taken_is_held_once_however_often_it_is_taken(world: World) -> None:
    world.register("adapter/cache=redis")
    lease = world.lease()
    product = await world.get(lease)
    assert [await world.get(lease), await world.get(lease)] == [product, product]
    (instance,) = lease.held
    assert instance.leases == 1
    lease.close()
    lease.close()
    assert (instance.leases, lease.epoch.pins) == (0, 1)


async def test_two_tasks_of_one_request_that_wait_for_the_same_hold_it_once(world: World) -> None:
    gate = Gate()
    world.register("adapter/cache=redis", world.factory("redis", enter=gate))
    lease = world.lease()
    waiting = [asyncio.ensure_future(world.get(lease)) for _ in range(2)]
    await gate.reached.wait()
    gate.open.set()
    await asyncio.gather(*waiting)
    assert [instance.leases for instance in lease.held] == [1]
    lease.close()


async def test_asking_after_the_end_is_refused_with_what_to_do_instead(world: World) -> None:
    world.register("adapter/cache=redis")
    lease = world.lease()
    lease.close()
    with pytest.raises(ComponentsClosed) as refused:
        await world.get(lease)
    assert refused.value.render() == (
        "ComponentsClosed [components-closed]: adapter/cache was asked for after the request had ended. What outlives "
        "a request takes its own leases: `async with components.renew() as own:`."
    )


async def test_a_request_that_ends_while_it_waits_gets_nothing_and_leaves_nothing(world: World) -> None:
    gate = Gate()
    world.register("adapter/session=own", world.factory("session", enter=gate), lifetime="request")
    lease = world.lease()
    waiting = asyncio.ensure_future(world.get(lease, "adapter/session"))
    await gate.reached.wait()
    lease.close()
    gate.open.set()
    with pytest.raises(ComponentsClosed):
        await waiting
    await until(lambda: not world.manager.keeper.instances)


async def test_a_request_that_ends_while_a_factory_is_loaded_starts_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, may_answer = Event(), Event()

    class Warehouse(ModuleType):
        @property
        def redis(self) -> Callable[[], object]:
            asked.set()
            may_answer.wait()
            return world.factory("redis")

    monkeypatch.setitem(sys.modules, "warehouse", Warehouse("warehouse"))
    world.register("adapter/cache=redis", "warehouse:redis")
    lease = world.lease()
    waiting = asyncio.ensure_future(world.get(lease))
    await asyncio.to_thread(asked.wait)
    lease.close()
    may_answer.set()
    with pytest.raises(ComponentsClosed):
        await waiting
    assert world.products == []


async def test_a61_a_client_that_goes_away_in_mid_resolution_holds_nothing(world: World) -> None:
    gate = Gate()
    world.register("adapter/cache=redis", world.factory("redis", enter=gate))
    lease = world.lease()
    waiting = asyncio.ensure_future(world.get(lease))
    await gate.reached.wait()
    waiting.cancel()
    await turns()
    (instance,) = world.manager.keeper.instances
    assert instance.leases == 0
    gate.open.set()
    lease.close()
    assert lease.epoch.pins == 1


async def test_a_failure_leaves_no_hold(world: World) -> None:
    lease = world.lease()
    with pytest.raises(UnknownComponent):
        await world.get(lease)
    assert lease.held == ()
    lease.close()


# --- an old epoch ---


async def test_a90_what_is_first_used_after_a_swap_is_what_was_bound_before_it(world: World) -> None:
    world.register("adapter/cache=redis", priority=1)
    world.register("adapter/cache=memory")
    world.register("adapter/queue=nats", priority=1)
    world.register("adapter/queue=kafka")
    await world.manager.activate("adapter", "cache")
    lease = world.lease()
    await world.manager.swap("adapter", "cache", provider="memory")
    await world.manager.swap("adapter", "queue", provider="kafka")
    assert (await world.get(lease)).use() == "redis"
    assert (await world.get(lease, "adapter/queue")).use() == "nats"  # made for this old request alone
    lease.close()
    await until(lambda: sorted(world.open) == ["kafka", "memory"])


async def test_a90_past_its_time_what_an_old_request_never_used_is_closed_and_it_is_given_the_current(
    world: World,
) -> None:
    world.register("adapter/cache=redis", priority=1)
    world.register("adapter/cache=memory")
    world.register("adapter/queue=nats")
    await world.manager.activate("adapter", "cache")
    stream = world.lease()
    await world.get(stream, "adapter/queue")
    await world.manager.swap("adapter", "cache", provider="memory")
    world.clock.advance(29)
    assert "redis" in world.open
    world.clock.advance(1)
    await until(lambda: "redis" not in world.open)
    assert (await world.get(stream)).use() == "memory"
    assert [fields["provider"] for fields in world.heard("handed-over")] == ["redis"]
    assert (await world.get(stream)).use() == "memory"
    assert (await world.get(stream, "adapter/queue")).use() == "nats"
    stream.close()


async def test_what_is_handed_over_is_held_like_anything_else_and_stays_the_same(world: World) -> None:
    world.register("adapter/cache=redis", priority=2)
    world.register("adapter/cache=memory", priority=1)
    world.register("adapter/cache=third")
    await world.manager.activate("adapter", "cache")
    stream = world.lease()
    await world.manager.swap("adapter", "cache", provider="memory")
    world.clock.advance(30)
    memory = await world.get(stream)
    await world.manager.swap("adapter", "cache", provider="third")
    world.clock.advance(30)
    await turns()
    assert memory.use() == "memory"
    assert await world.get(stream) is memory
    assert len(world.heard("handed-over")) == 1
    stream.close()
    await until(lambda: world.open == ["third"])


async def test_what_is_in_use_past_its_time_is_reported_and_never_broken(world: World) -> None:
    world.register("adapter/cache=redis", priority=1)
    world.register("adapter/cache=memory")
    world.say(policies={CACHE: Policy(drain_timeout_s=3)})
    stream = world.lease()
    redis = await world.get(stream)
    await world.manager.swap("adapter", "cache", provider="memory")
    world.clock.advance(3)
    await turns()
    assert (await world.get(stream)) is redis
    assert redis.use() == "redis"
    assert [fields["leases"] for fields in world.heard("drain-overdue")] == [1]
    stream.close()
    await until(lambda: world.open == ["memory"])


async def test_what_was_made_for_an_old_request_is_not_kept_by_another_that_never_used_it(world: World) -> None:
    world.register("adapter/cache=redis", priority=1)
    world.register("adapter/cache=memory")
    stream, short = world.lease(), world.lease()
    await world.manager.swap("adapter", "cache", provider="memory")
    assert (await world.get(short)).use() == "redis"
    short.close()
    world.clock.advance(30)
    await until(lambda: world.open == ["memory"])
    stream.close()


async def test_one_that_is_still_made_when_its_time_is_over_is_given_to_nobody_more(world: World) -> None:
    gate = Gate()
    world.register("adapter/cache=redis", world.factory("redis", enter=gate), priority=1)
    world.register("adapter/cache=memory")
    stream, gone = world.lease(), world.lease()
    waiting = asyncio.ensure_future(world.get(gone))
    await gate.reached.wait()
    await world.manager.swap("adapter", "cache", provider="memory")
    waiting.cancel()
    await turns()
    gone.close()
    world.clock.advance(30)
    asking = asyncio.ensure_future(world.get(stream))
    await turns()
    gate.open.set()
    assert (await asking).use() == "memory"
    stream.close()


async def test_a_failure_in_an_old_epoch_is_not_taken_for_something_that_drained(world: World) -> None:
    failing = True

    async def fail_once(_product: object) -> None:
        if failing:
            raise OSError("refused")

    world.register("adapter/cache=redis", world.factory("redis", enter=fail_once), priority=1)
    world.register("adapter/cache=memory")
    lease = world.lease()
    await world.manager.swap("adapter", "cache", provider="memory")
    with pytest.raises(Exception, match="refused"):
        await world.get(lease)
    failing = False
    world.clock.advance(1)
    assert (await world.get(lease)).use() == "redis"
    assert world.heard("handed-over") == []
    lease.close()


async def test_an_old_epoch_finds_what_a_newer_one_made(world: World) -> None:
    world.register("adapter/cache=redis")
    old = world.lease()
    world.register("adapter/queue=nats")
    new = world.lease()
    made = await world.get(new)
    assert old.epoch is not new.epoch
    assert await world.get(old) is made
    assert old.ready(Question(CACHE)) is None  # found by its identity, not by its question
    old.close()
    new.close()
