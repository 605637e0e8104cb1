"""One owned task for each instance; one activation at a time; failures remembered, hangs cut off, all of it closed."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import pytest
from pydantic import BaseModel
from starlette.requests import Request

from pointsman.declarations import Use
from pointsman.errors import (
    ActivationFailed,
    CapacityExceeded,
    ComponentsClosed,
    HealthCheckFailed,
    InputError,
    PointsmanError,
)
from pointsman.lifecycle.keeper import ready
from pointsman.resolution.contribution import Layered
from pointsman.resolution.decision import Question
from tests.workshop import CACHE, Gate, Patient, Product, World, hang, turns, until, world_of

SIZE = ("adapter", "cache", "redis")


class Settings(BaseModel):
    size: int = 1
    token: str = ""


# --- making ---


async def test_fifty_who_ask_at_once_get_one(world: World) -> None:
    gate = Gate()
    world.register("adapter/cache=redis", world.factory("redis", enter=gate))
    leases = [world.lease() for _ in range(50)]
    waiting = [asyncio.ensure_future(world.get(lease)) for lease in leases]
    await gate.reached.wait()
    gate.open.set()
    assert {id(product) for product in await asyncio.gather(*waiting)} == {id(world.products[0])}
    assert world.log == ["+redis"]
    for lease in leases:
        lease.close()


async def test_a89_the_first_caller_goes_away_and_the_others_get_it(world: World) -> None:
    gate = Gate()
    world.register("adapter/cache=redis", world.factory("redis", enter=gate))
    with_first, with_second = world.lease(), world.lease()
    first = asyncio.ensure_future(world.get(with_first))
    await gate.reached.wait()
    second = asyncio.ensure_future(world.get(with_second))
    await turns()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with_first.close()
    gate.open.set()
    assert (await second).use() == "redis"
    (instance,) = world.manager.keeper.instances
    assert instance.leases == 1
    with_second.close()


async def test_all_callers_go_away_and_the_next_finds_it_made(world: World) -> None:
    gate = Gate()
    world.register("adapter/cache=redis", world.factory("redis", enter=gate))
    lease = world.lease()
    waiting = asyncio.ensure_future(world.get(lease))
    await gate.reached.wait()
    waiting.cancel()
    lease.close()
    gate.open.set()
    await until(lambda: world.log == ["+redis"])
    later = world.lease()
    assert await world.get(later) is world.products[0]
    later.close()


async def test_a89_a_factory_with_a_task_group_entered_by_one_request_is_left_cleanly_after_another(
    world: World,
) -> None:
    stopped = asyncio.Event()

    @asynccontextmanager
    async def pool() -> AsyncGenerator[str]:
        async def refresh() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                stopped.set()

        async with anyio.create_task_group() as group:
            group.start_soon(refresh)
            yield "pool"
            group.cancel_scope.cancel()

    world.register("adapter/cache=pool", pool)
    world.register("adapter/cache=redis", priority=-1)
    first = world.lease()
    assert await world.get(first) == "pool"
    first.close()
    second = world.lease()
    await world.get(second)
    await world.manager.swap("adapter", "cache", provider="redis")
    second.close()
    await until(stopped.is_set)
    await until(lambda: len(world.manager.keeper.instances) == 1)
    assert [fields["error"] for fields in world.heard("instance-closed")] == [None]


async def test_the_task_of_an_instance_knows_nothing_of_who_asked_first(world: World) -> None:
    asking: contextvars.ContextVar[str] = contextvars.ContextVar("asking", default="nobody")
    seen: list[str] = []

    async def look(_product: Product) -> None:
        seen.append(asking.get())

    world.register("adapter/cache=redis", world.factory("redis", enter=look))
    asking.set("acme")
    await world.manager.activate("adapter", "cache")
    assert seen == ["nobody"]


async def test_an_instance_that_is_none_is_an_instance(world: World) -> None:
    made: list[int] = []

    async def nothing() -> None:
        made.append(1)

    world.register("adapter/cache=redis", nothing)
    lease = world.lease()
    assert await world.get(lease) is None
    assert await world.get(lease) is None
    assert made == [1]
    lease.close()


# --- what it is given ---


async def test_a_factory_is_given_settings_with_every_blank_filled_in(world: World) -> None:
    world.register("adapter/cache=redis", world.factory("redis", settings=Settings))
    world.say(
        labels={"acme": {}},
        provider_settings=Layered({SIZE: {"token": "${env:HOME}/${tenant}"}}, {"acme": {SIZE: {"size": 7}}}),
    )
    product = await world.manager.activate("adapter", "cache", tenant="acme")
    assert product.given["settings"] == Settings(size=7, token="/home/acme")


async def test_settings_for_a_factory_that_takes_none_are_a_mistake(world: World) -> None:
    world.register("adapter/cache=redis")
    world.say(provider_settings=Layered({SIZE: {"url": "somewhere", "size": 1}}))
    with pytest.raises(ActivationFailed, match="expected no settings, found size, url: its factory takes none"):
        await world.manager.activate("adapter", "cache")


async def test_what_lives_within_a_request_is_given_the_request_also_beneath(world: World) -> None:
    world.register("adapter/session=own", world.factory("session", request=Request), lifetime="request")
    world.register("service/cart=own", world.factory("cart", session="adapter/session"), lifetime="request")
    request = object()
    lease = world.lease(connection=request)
    cart = await world.get(lease, "service/cart")
    assert cart.given["session"].given == {"request": request}
    lease.close()


async def test_what_asks_for_a_request_cannot_be_had_without_one(world: World) -> None:
    world.register("adapter/session=own", world.factory("session", request=Request), lifetime="request")
    lease = world.lease()
    with pytest.raises(PointsmanError, match=r"asks for a request .parameter `request`., and there is none here"):
        await world.get(lease, "adapter/session")
    lease.close()


# --- failing ---


async def broken(_product: Product) -> None:
    raise OSError("connection refused")


async def test_failures_are_remembered_for_one_to_sixty_seconds(world: World) -> None:
    made: list[int] = []

    async def fail(_product: Product) -> None:
        made.append(1)
        raise OSError("connection refused")

    world.register("adapter/cache=redis", world.factory("redis", enter=fail))
    waits = []
    for attempt in range(1, 9):
        with pytest.raises(ActivationFailed, match="could not be made: OSError: connection refused") as failed:
            await world.manager.activate("adapter", "cache")
        wait = failed.value.retry_after_s
        assert wait is not None
        waits.append(wait)
        world.clock.advance(wait - 0.5)
        with pytest.raises(ActivationFailed, match=r"It is tried again in 0\.5 s") as refused:
            await world.manager.activate("adapter", "cache")
        assert (refused.value.retry_after_s, len(made)) == (0.5, attempt)
        world.clock.advance(0.5)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_a_failure_long_ago_counts_no_more(world: World) -> None:
    world.register("adapter/cache=redis", world.factory("redis", enter=broken))
    for _ in range(3):
        with pytest.raises(ActivationFailed):
            await world.manager.activate("adapter", "cache")
        world.clock.advance(10)
    assert world.manager.get_status("adapter", "cache").state == "failed"
    world.clock.advance(64)
    assert (world.manager.keeper._failures, world.manager.board.as_dict()) == ({}, {})


async def test_a_success_ends_the_row_of_failures(world: World) -> None:
    well = False

    async def try_it(_product: Product) -> None:
        if not well:
            raise OSError

    world.register("adapter/cache=redis", world.factory("redis", enter=try_it))
    for _ in range(3):
        with pytest.raises(ActivationFailed):
            await world.manager.activate("adapter", "cache")
        world.clock.advance(60)
    well = True
    await world.manager.activate("adapter", "cache")
    assert world.manager.keeper._failures == {}
    assert world.manager.get_status("adapter", "cache").last_error is None


async def test_all_who_wait_are_told_each_by_an_error_of_its_own(world: World) -> None:
    gate = Gate()

    async def fail(product: Product) -> None:
        await gate(product)
        raise OSError("refused")

    world.register("adapter/cache=redis", world.factory("redis", enter=fail))
    waiting = [asyncio.ensure_future(world.manager.activate("adapter", "cache")) for _ in range(3)]
    await gate.reached.wait()
    gate.open.set()
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(error) for error in errors} == {ActivationFailed}
    assert len({id(error) for error in errors}) == 3
    assert {type(error.__cause__) for error in errors if isinstance(error, ActivationFailed)} == {OSError}


async def test_a56_a_factory_that_hangs_is_cut_off_and_cancelled() -> None:
    async with world_of(activation_timeout_s=0.01) as world:
        world.register("adapter/cache=redis", world.factory("redis", enter=hang))
        with pytest.raises(ActivationFailed, match="adapter/cache=redis was not made in time") as failed:
            await world.manager.activate("adapter", "cache")
        assert isinstance(failed.value.__cause__, TimeoutError)
        await until(lambda: not world.manager.keeper.instances)
        assert world.open == []


async def test_one_that_says_it_is_not_well_is_left_and_refused(world: World) -> None:
    class Sick(Patient):
        well = False

    left: list[bool] = []

    async def note(product: Product) -> None:
        left.append(product.open)

    world.register("adapter/cache=redis", world.factory("redis", kind=Sick, leave=note))
    with pytest.raises(HealthCheckFailed, match="adapter/cache=redis was made, and says that it is not healthy"):
        await world.manager.activate("adapter", "cache")
    assert left == [True]  # its factory was left as after any service, not by a foreign error
    product = await world.manager.activate("adapter", "cache", force=True)
    assert isinstance(product, Sick)


async def test_a_secret_in_what_a_factory_raises_is_told_to_nobody() -> None:
    hidden = {"surroundings": {"scrub": lambda text: text.replace("hunter2", "[secret]")}}

    async def leak(_product: Product) -> None:
        raise ConnectionError("redis://:hunter2@host refused")

    async def leak_unwell(_product: Product) -> None:
        raise HealthCheckFailed("hunter2 is not accepted")

    async with world_of(**hidden) as world:
        for name, step in (("redis", leak), ("memory", leak_unwell)):
            world.register(f"adapter/cache={name}", world.factory(name, enter=step))
            with pytest.raises(PointsmanError) as failed:
                await world.manager.activate("adapter", "cache", provider=name)
            assert "[secret]" in failed.value.message
        told = [str(fields) for _, fields in world.told] + [str(world.manager.board.as_dict())]
        assert not any("hunter2" in text for text in told)


async def test_a_factory_that_swallows_that_its_time_is_over_failed_all_the_same() -> None:
    @asynccontextmanager
    async def swallowing() -> AsyncGenerator[str]:
        try:
            yield "value"
        except asyncio.CancelledError:
            return

    async def ask_for_ever() -> bool:
        await asyncio.Event().wait()
        return True

    async with world_of(activation_timeout_s=0.01) as world:
        world.register("adapter/cache=redis", swallowing, health=ask_for_ever)
        with pytest.raises(ActivationFailed, match="was not made, and its factory does not say why"):
            await world.manager.activate("adapter", "cache")
        assert len(world.manager.keeper._failures) == 1


async def test_a_generator_that_yields_nothing_failed(world: World) -> None:
    async def nothing() -> AsyncGenerator[str]:
        if not world:
            yield ""

    world.register("adapter/cache=redis", nothing)
    with pytest.raises(ActivationFailed, match="didn't yield"):
        await world.manager.activate("adapter", "cache")


# --- what stands on what ---


async def test_what_stands_on_a_failure_fails_with_it_and_is_tried_again_with_it(world: World) -> None:
    world.register("adapter/cache=redis", world.factory("redis", enter=broken))
    world.register("service/notes=sql", world.factory("sql", cache="adapter/cache"))
    world.register("service/top=own", world.factory("top", notes="service/notes"))
    for expected in (1, 2):
        with pytest.raises(
            ActivationFailed, match="top=own stands on what failed: service/notes=sql stands on"
        ) as told:
            await world.manager.activate("service", "top")
        assert told.value.retry_after_s == expected
        with pytest.raises(ActivationFailed, match="stands on what failed") as refused:
            await world.manager.activate("service", "top")
        assert refused.value.retry_after_s == expected
        world.clock.advance(expected)
    assert {str(identity) for identity in world.manager.keeper._failures} == {"adapter/cache=redis"}
    assert all(instance.dependents == 0 for instance in world.manager.keeper.instances)


async def test_dependencies_come_first_and_go_last(world: World) -> None:
    world.register("adapter/cache=redis")
    world.register("adapter/queue=redis", world.factory("queue"))
    world.register("service/notes=sql", world.factory("sql", queue="adapter/queue", cache="adapter/cache"))
    world.register("service/top=own", world.factory("top", notes="service/notes", cache="adapter/cache"))
    await world.manager.activate("service", "top")
    await world.manager.aclose()
    assert world.log.index("+sql") > max(world.log.index("+redis"), world.log.index("+queue"))
    assert world.log[4:6] == ["-top", "-sql"]
    assert set(world.log[6:]) == {"-redis", "-queue"}


async def test_a_client_that_goes_away_while_what_it_needs_is_made_leaves_nothing_behind(world: World) -> None:
    gate = Gate()
    world.register("adapter/cache=redis", world.factory("redis", enter=gate))
    world.register("adapter/queue=nats")
    world.register("service/notes=sql", world.factory("sql", cache="adapter/cache", queue="adapter/queue"))
    lease = world.lease()
    waiting = asyncio.ensure_future(world.get(lease, "service/notes"))
    await gate.reached.wait()
    world.register("service/notes=other", priority=1)
    world.manager.follow()  # notes=sql leaves; what it stands on is asked for by its own name, and stays
    waiting.cancel()
    await turns()
    lease.close()
    gate.open.set()
    await until(lambda: "-sql" in world.log)
    assert sorted(world.open) == ["nats", "redis"]
    assert world.bound == ["adapter/cache=redis", "adapter/queue=nats"]
    assert all(instance.idle for instance in world.manager.keeper.instances)


async def test_what_is_bound_while_its_needs_are_made_shares_them_with_whoever_asks_next(world: World) -> None:
    gate = Gate()
    world.register("adapter/cache=redis", world.factory("redis", enter=gate))
    world.register("service/notes=sql", world.factory("sql", cache="adapter/cache"))
    lease = world.lease()
    waiting = asyncio.ensure_future(world.get(lease, "service/notes"))
    await gate.reached.wait()
    world.register("adapter/queue=unrelated")
    later = world.lease()
    asking = asyncio.ensure_future(world.get(later))
    gate.open.set()
    assert (await waiting).given["cache"] is await asking
    lease.close()
    later.close()


async def test_an_instance_that_dies_of_itself_is_made_again_with_all_that_stands_on_it(world: World) -> None:
    crash = asyncio.Event()

    @asynccontextmanager
    async def fragile() -> AsyncGenerator[Product]:
        async def watch() -> None:
            await crash.wait()
            raise OSError("gone")

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            product = Product("redis", {})
            try:
                yield product
            finally:
                product.open = False
            group.cancel_scope.cancel()

    world.register("adapter/cache=redis", fragile)
    world.register("service/notes=sql", world.factory("sql", cache="adapter/cache"))
    world.register("service/top=own", world.factory("top", notes="service/notes"))
    before = await world.manager.activate("service", "top")
    assert before.use() == "top"
    crash.set()
    await until(lambda: world.heard("instance-closed"))
    assert world.heard("instance-closed")[0]["error"] == "OSError: gone"
    crash.clear()
    after = await world.manager.activate("service", "top")
    assert after.use() == "top"
    assert after is not before
    await until(lambda: not before.open)


async def test_what_is_absent_and_optional_is_given_as_none(world: World) -> None:
    optional = Annotated[object | None, Use("adapter", "queue")]
    world.register("adapter/cache=redis")
    world.register("service/notes=sql", world.factory("sql", cache="adapter/cache", queue=optional))
    notes = await world.manager.activate("service", "notes")
    assert notes.given["queue"] is None
    assert notes.given["cache"].use() == "redis"


async def test_what_finds_no_room_beneath_holds_nothing() -> None:
    async with world_of(tenant_instances_max=1) as world:
        world.register("adapter/cache=redis")
        world.register("adapter/session=own", lifetime="tenant")
        world.register("service/cart=own", world.factory("cart", cache="adapter/cache", session="adapter/session"),
                       lifetime="request")  # fmt: skip
        one, other = world.lease(), world.lease()
        await world.get(one, "service/cart", "acme")
        with pytest.raises(CapacityExceeded):
            await world.get(other, "service/cart", "globex")
        one.close()
        other.close()
        await until(lambda: sorted(world.open) == ["own", "redis"])
        assert all(instance.idle for instance in world.manager.keeper.instances)


# --- requests ---


async def test_the_failure_of_what_lives_within_a_request_is_that_requests_alone(world: World) -> None:
    async def refuse(_product: Product) -> None:
        raise InputError("no session")

    world.register("adapter/session=own", world.factory("session", enter=refuse), lifetime="request")
    world.register("service/cart=own", world.factory("cart", session="adapter/session"), lifetime="request")
    for _ in range(2):
        lease = world.lease()
        with pytest.raises(InputError, match="no session"):
            await world.get(lease, "service/cart")
        lease.close()
    assert (world.manager.keeper._failures, world.manager.board.as_dict()) == ({}, {})
    assert world.heard("activation-failed") == []


async def test_a_request_that_waits_too_long_or_in_vain_for_a_part_of_itself_is_told_so() -> None:
    async with world_of(activation_timeout_s=0.01) as world:
        world.register("adapter/session=slow", world.factory("slow", enter=hang), lifetime="request")
        world.register("adapter/cache=redis", world.factory("redis", enter=broken))
        world.register("service/cart=own", world.factory("cart", cache="adapter/cache"), lifetime="request")
        lease = world.lease()
        with pytest.raises(ActivationFailed, match="adapter/session=slow was not made in time"):
            await world.get(lease, "adapter/session")
        with pytest.raises(ActivationFailed, match="service/cart=own stands on what failed") as told:
            await world.get(lease, "service/cart")
        assert (type(told.value), told.value.retry_after_s) == (ActivationFailed, 1)
        lease.close()


async def test_what_lives_within_a_request_is_closed_at_its_end(world: World) -> None:
    world.register("adapter/session=own", lifetime="request")
    world.register("adapter/cache=redis")
    world.register("service/cart=cart", world.factory("cart", session="adapter/session", cache="adapter/cache"),
                   lifetime="request")  # fmt: skip
    one, other = world.lease(), world.lease()
    cart = await world.get(one, "service/cart")
    assert await world.get(one, "service/cart") is cart
    assert await world.get(one, "adapter/session") is cart.given["session"]
    assert await world.get(other, "service/cart") is not cart
    one.close()
    await until(lambda: world.log[-2:] == ["-cart", "-own"])
    assert sorted(world.open) == ["cart", "own", "redis"]
    other.close()
    await until(lambda: world.open == ["redis"])


# --- the end ---


async def test_closing_that_hangs_is_cut_off_and_one_that_raises_is_told() -> None:
    async def raising(_product: Product) -> None:
        raise OSError("lost")

    async with world_of(close_timeout_s=0.01) as world:
        world.register("adapter/cache=hanging", world.factory("hanging", leave=hang))
        world.register("adapter/queue=raising", world.factory("raising", leave=raising))
        await world.manager.activate("adapter", "cache")
        await world.manager.activate("adapter", "queue")
        await world.manager.aclose()
        assert sorted(str(fields["error"]) for fields in world.heard("instance-closed")) == [
            "OSError: lost",
            "TimeoutError",
        ]


async def test_a_closing_off_the_loop_that_hangs_is_left_behind() -> None:
    import threading

    stuck = threading.Event()

    class Stuck:
        def close(self) -> None:
            stuck.wait(10)

    async with world_of(close_timeout_s=0.01) as world:
        world.register("adapter/cache=stuck", Stuck)
        await world.manager.activate("adapter", "cache")
        await world.manager.aclose()
        assert [fields["error"] for fields in world.heard("instance-closed")] == ["TimeoutError"]
        stuck.set()


async def test_nothing_is_started_once_everything_is_closed(world: World) -> None:
    world.register("adapter/cache=redis")
    lease = world.lease()
    await world.manager.aclose()
    with pytest.raises(ComponentsClosed, match="The process is stopping"):
        await world.get(lease)
    lease.close()


async def test_whoever_waits_for_one_that_is_cancelled_is_told(world: World) -> None:
    world.register("adapter/cache=redis", world.factory("redis", enter=hang))
    lease = world.lease()
    waiting = asyncio.ensure_future(world.get(lease))
    await turns()
    await world.manager.keeper.cancel()
    with pytest.raises(ActivationFailed, match="was cancelled while it was made"):
        await waiting
    lease.close()


async def test_one_that_ended_before_it_was_used_is_no_instance(world: World) -> None:
    world.register("adapter/cache=redis")
    await world.manager.activate("adapter", "cache")
    instance: Any = world.manager.live(Question(CACHE))
    instance.retire()
    with pytest.raises(ActivationFailed, match="ended before it could be used"):
        await ready(instance)
