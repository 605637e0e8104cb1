"""A swap creates first, then switches, then retires; whatever fails leaves exactly the old or exactly the new."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from pointsman.declarations import Constraints, Tenant
from pointsman.errors import (
    ActivationFailed,
    HealthCheckFailed,
    LifecycleError,
    NoEligibleCandidate,
    UnknownComponent,
    UnknownProvider,
)
from pointsman.lifecycle.hooks import Swapping
from pointsman.lifecycle.swap import Proposal, Swap, proofs
from pointsman.resolution.contribution import Layered
from pointsman.resolution.decision import Question
from pointsman.resolution.selection import Choices, Split
from tests.workshop import CACHE, Gate, Patient, World, hang, turns, until, world_of

TENANTS: dict[str, dict[str, str]] = {"acme": {}, "globex": {}}


class Sick(Patient):
    well = False


@pytest.fixture
async def served(world: World) -> World:
    """``adapter/cache`` by ``old``, live, with ``service/notes`` on it; ``new`` is there to be swapped to."""
    world.register("adapter/cache=old", priority=1)
    world.register("adapter/cache=new")
    world.register("service/notes=sql", world.factory("sql", cache="adapter/cache"))
    await world.manager.activate("service", "notes")
    return world


async def test_a_swap_answers_the_new_instance_and_takes_all_that_stands_on_it_along(served: World) -> None:
    new = await served.manager.swap("adapter", "cache", provider="new")
    assert new.use() == "new"
    notes = await served.manager.activate("service", "notes")
    assert notes.given["cache"] is new
    await until(lambda: sorted(served.open) == ["new", "sql"])
    assert served.log == ["+old", "+sql", "+new", "+sql", "-sql", "-old"]  # closed dependents first


async def test_what_is_closed_while_the_new_is_made_is_nothing(served: World) -> None:
    gate = Gate()
    served.register("adapter/cache=slow", served.factory("slow", enter=gate))
    swapping = asyncio.ensure_future(served.manager.swap("adapter", "cache", provider="slow"))
    await gate.reached.wait()
    assert served.bound == ["adapter/cache=old", "service/notes=sql"]
    assert (await served.manager.activate("adapter", "cache")).use() == "old"
    gate.open.set()
    await swapping
    assert served.bound == ["adapter/cache=slow", "service/notes=sql"]


async def test_a_swap_to_what_serves_already_changes_nothing_that_lives(served: World) -> None:
    before = await served.manager.activate("adapter", "cache")
    assert await served.manager.swap("adapter", "cache", provider="old") is before
    assert served.log == ["+old", "+sql"]


async def test_a_swap_for_one_tenant_leaves_the_others(served: World) -> None:
    served.say(labels=TENANTS)
    await served.manager.swap("adapter", "cache", provider="new", tenant="acme")
    names = [
        (await served.manager.activate("adapter", "cache", tenant=tenant)).name for tenant in ("acme", "globex", None)
    ]
    assert names == ["new", "old", "old"]
    await served.manager.swap("adapter", "cache", provider="new")
    await served.manager.swap("adapter", "cache", provider="old", tenant="acme")
    assert (await served.manager.activate("adapter", "cache", tenant="acme")).name == "old"


@pytest.mark.parametrize(
    ("component", "provider", "error"),
    [("queue", "new", UnknownComponent), ("cache", "newer", UnknownProvider)],
)
async def test_what_nobody_registers_cannot_be_swapped_to(
    served: World, component: str, provider: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await served.manager.swap("adapter", component, provider=provider)
    assert served.bound == ["adapter/cache=old", "service/notes=sql"]


async def test_a_target_that_may_not_serve_is_refused(served: World) -> None:
    served.register("adapter/cache=foreign", constraints=Constraints(platforms=["mars"]))
    with pytest.raises(NoEligibleCandidate):
        await served.manager.swap("adapter", "cache", provider="foreign")


# --- a failure at each step ---


def break_at(step: str, world: World) -> dict[str, Any]:
    """Return the factory's options that make a swap fail at a step, or add the hook that does."""

    async def fail(_: object) -> None:
        raise OSError(f"broken at {step}")

    match step:
        case "instantiate":
            return {"enter": fail}
        case "health_check":
            return {"kind": Sick}
        case "pre_swap" | "post_swap":
            world.manager.hooks.add(step, fail)
    return {}


def hang_at(step: str, world: World) -> dict[str, Any]:
    async def never(_: Any) -> None:
        await asyncio.Event().wait()

    class Silent(Patient):
        async def health(self) -> bool:
            await asyncio.Event().wait()
            return True

    match step:
        case "instantiate":
            return {"enter": hang}
        case "health_check":
            return {"kind": Silent}
        case "pre_swap" | "post_swap":
            world.manager.hooks.add(step, never)
    return {}


@pytest.mark.parametrize("how", [break_at, hang_at], ids=["raises", "hangs"])
@pytest.mark.parametrize("step", ["instantiate", "health_check", "pre_swap"])
async def test_a57_a_step_before_the_switch_that_fails_leaves_exactly_the_old(step: str, how: Any) -> None:
    async with world_of(activation_timeout_s=0.01, health_timeout_s=0.01, hook_timeout_s=0.01) as world:
        world.register("adapter/cache=old", priority=1)
        old = await world.manager.activate("adapter", "cache")
        world.register("adapter/cache=new", world.factory("new", **how(step, world)))
        with pytest.raises(LifecycleError):
            await world.manager.swap("adapter", "cache", provider="new")
        assert await world.manager.activate("adapter", "cache") is old
        await until(lambda: world.open == ["old"])
        await until(lambda: len(world.manager.keeper.instances) == 1)
        assert world.resolver.resolve("adapter", "cache").provider == "old"
        status = world.manager.get_status("adapter", "cache")
        assert (status.state, status.current_provider) == ("ready", "old")
        assert str(status.last_error).startswith("swap to new: ")
        assert "adapter/cache=new" not in world.manager.board.as_dict()
        assert [fields["provider"] for fields in world.heard("swap-failed")] == ["new"]


@pytest.mark.parametrize("how", [break_at, hang_at], ids=["raises", "hangs"])
async def test_a57_a_step_after_the_switch_that_fails_leaves_exactly_the_new(how: Any) -> None:
    async with world_of(hook_timeout_s=0.01) as world:
        world.register("adapter/cache=old", priority=1)
        world.register("adapter/cache=new")
        await world.manager.activate("adapter", "cache")
        how("post_swap", world)
        new = await world.manager.swap("adapter", "cache", provider="new")
        assert new.use() == "new"
        await until(lambda: world.open == ["new"])
        assert world.manager.get_status("adapter", "cache").last_error is not None
        assert len(world.heard("hook-failed")) == 1


@pytest.mark.parametrize("step", ["instantiate", "health_check", "pre_swap", "post_swap"])
async def test_a57_a_swap_that_is_cancelled_at_a_step_leaves_exactly_one(step: str) -> None:
    reached, release = asyncio.Event(), asyncio.Event()

    async def wait(_: Any) -> None:
        reached.set()
        await release.wait()

    class Slow(Patient):
        async def health(self) -> bool:
            await wait(self)
            return True

    async with world_of() as world:
        world.register("adapter/cache=old", priority=1)
        old = await world.manager.activate("adapter", "cache")
        options: dict[str, Any] = {"instantiate": {"enter": wait}, "health_check": {"kind": Slow}}.get(step, {})
        world.register("adapter/cache=new", world.factory("new", **options))
        if not options:
            world.manager.hooks.add(step, wait)  # type: ignore[arg-type]
        swapping = asyncio.ensure_future(world.manager.swap("adapter", "cache", provider="new"))
        await reached.wait()
        swapping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await swapping
        release.set()
        expected = "new" if step == "post_swap" else "old"
        await until(lambda: world.open == [expected])
        await until(lambda: len(world.manager.keeper.instances) == 1)
        live = await world.manager.activate("adapter", "cache")
        assert live.use() == expected
        assert (live is old) is (expected == "old")
        await world.manager.swap("adapter", "cache", provider="new")  # the next one finds nothing in its way


async def test_a_hook_that_refuses_in_our_words_is_heard_as_it_is(served: World) -> None:
    def refuse(_: Swapping) -> None:
        raise LifecycleError("not on a Friday")

    undo = served.manager.hooks.add("pre_swap", refuse)
    with pytest.raises(LifecycleError, match=r"^not on a Friday$"):
        await served.manager.swap("adapter", "cache", provider="new")
    undo()
    served.manager.hooks.add("pre_swap", lambda _: (_ for _ in ()).throw(ValueError("Friday")))
    with pytest.raises(LifecycleError, match="A pre_swap hook refused adapter/cache=new: ValueError: Friday"):
        await served.manager.swap("adapter", "cache", provider="new")


async def test_hooks_see_the_old_and_the_new(served: World) -> None:
    seen: list[tuple[str, Swapping]] = []
    served.manager.hooks.add("pre_swap", lambda swapping: seen.append(("pre", swapping)))
    served.manager.hooks.add("post_swap", lambda swapping: seen.append(("post", swapping)))
    old = await served.manager.activate("adapter", "cache")
    new = await served.manager.swap("adapter", "cache", provider="new")
    expected = Swapping(CACHE, None, "new", old, new)
    assert seen == [("pre", expected), ("post", expected)]


# --- force ---


async def test_force_skips_health_and_nothing_else(served: World) -> None:
    served.register("adapter/cache=sick", served.factory("sick", kind=Sick))
    served.register("adapter/cache=broken", served.factory("broken", enter=break_at("instantiate", served)["enter"]))
    with pytest.raises(HealthCheckFailed):
        await served.manager.swap("adapter", "cache", provider="sick")
    with pytest.raises(ActivationFailed):
        await served.manager.swap("adapter", "cache", provider="broken", force=True)
    with pytest.raises(UnknownProvider):
        await served.manager.swap("adapter", "cache", provider="gone", force=True)
    assert (await served.manager.swap("adapter", "cache", provider="sick", force=True)).use() == "sick"


async def test_one_that_is_live_already_is_asked_for_its_health_all_the_same(served: World) -> None:
    served.register("adapter/cache=patient", served.factory("patient", kind=Patient))
    patient = await served.manager.activate("adapter", "cache", provider="patient")
    patient.well = False
    with pytest.raises(HealthCheckFailed, match="adapter/cache=patient is live, and says that it is not healthy"):
        await served.manager.swap("adapter", "cache", provider="patient")
    assert await served.manager.swap("adapter", "cache", provider="patient", force=True) is patient


async def test_an_operator_who_asks_again_is_not_told_to_wait(served: World) -> None:
    failing = True

    async def fail(_: object) -> None:
        if failing:
            raise OSError

    served.register("adapter/disk=own", served.factory("disk", enter=fail))
    served.register("adapter/cache=flaky", served.factory("flaky", disk="adapter/disk"))
    for _ in range(2):
        with pytest.raises(ActivationFailed, match="could not be made"):
            await served.manager.swap("adapter", "cache", provider="flaky")
    failing = False
    assert (await served.manager.swap("adapter", "cache", provider="flaky")).use() == "flaky"


# --- whom it proves ---


def asked(world: World, swap: Swap) -> list[Question]:
    return list(proofs(world.manager, world.resolver.catalog, swap))


async def test_it_proves_the_default_profile_and_every_live_one_up_to_sixteen(served: World) -> None:
    served.say(labels={f"t{number:02}": {} for number in range(30)})
    served.register("adapter/cache=own", priority=5, lifetime="tenant")
    for number in range(30):
        await served.manager.activate("adapter", "cache", tenant=f"t{number:02}")
    questions = asked(served, Swap(CACHE, "new"))
    assert len(questions) == 16
    assert questions[0] == Question(CACHE)
    assert {question.tenant for question in questions[1:]} <= {f"t{number:02}" for number in range(30)}
    assert asked(served, Swap(CACHE, "new", "t01")) == [Question(CACHE, "t01")]
    assert asked(served, Swap(CACHE, "new", tenants=("t01", "t02"))) == [
        Question(CACHE, "t01"),
        Question(CACHE, "t02"),
    ]


async def test_both_sides_of_a_split_are_proved_stay_while_it_lasts_and_leave_with_it(served: World) -> None:
    def splitting(selections: Choices) -> Callable[[], Proposal]:
        catalog = replace(served.resolver.catalog, serial=served.resolver.next_serial(), control=selections)
        return lambda: Proposal(catalog, lambda: served.resolver.show(catalog), lambda: True)

    split = Choices({CACHE: Split("old", (("new", 1),))})
    await served.manager.shift(splitting(split), prove=lambda _: (Question(CACHE),), strict=True)
    assert sorted(served.open) == ["new", "old", "sql"]
    served.register("adapter/queue=unrelated")
    served.manager.follow()
    await turns()
    assert sorted(served.open) == ["new", "old", "sql"]
    assert served.log == ["+old", "+sql", "+new"]
    await served.manager.shift(splitting(Choices()), strict=True)
    await until(lambda: sorted(served.open) == ["old", "sql"])


async def test_a_side_of_a_split_that_is_no_good_refuses_it(served: World) -> None:
    served.register("adapter/cache=sick", served.factory("sick", kind=Sick))
    split = Choices({CACHE: Split("old", (("sick", 1),))})
    catalog = replace(served.resolver.catalog, control=split)
    with pytest.raises(HealthCheckFailed):
        await served.manager.prove(catalog, (Question(CACHE),), strict=True)
    await until(lambda: sorted(served.open) == ["old", "sql"])


async def test_a_live_profile_that_the_target_fails_refuses_the_swap(served: World) -> None:
    class Settings(BaseModel):
        url: str

    served.register("adapter/cache=picky", served.factory("picky", settings=Settings))
    name = ("adapter", "cache", "picky")
    served.say(labels=TENANTS, provider_settings=Layered({name: {"url": "u"}}, {"acme": {name: {"url": None}}}))
    await served.manager.activate("adapter", "cache", tenant="acme")
    with pytest.raises(ActivationFailed, match="url: string_type"):
        await served.manager.swap("adapter", "cache", provider="picky")
    await until(lambda: sorted(served.open) == ["old", "sql"])


async def test_what_is_made_for_each_tenant_or_request_is_swapped_without_one(served: World) -> None:
    served.say(labels=TENANTS)
    served.register("adapter/cache=each", served.factory("each", tenant=Tenant), lifetime="tenant")
    served.register("adapter/disk=own", served.factory("disk"))
    served.register("adapter/cache=brief", served.factory("brief", disk="adapter/disk"), lifetime="request")
    served.register("service/free=own", priority=1)
    assert await served.manager.swap("service", "free", provider="own") is not None
    undo = served.register("service/notes=plain", priority=9)
    await served.manager.activate("service", "notes")
    assert await served.manager.swap("adapter", "cache", provider="each") is None
    assert "each" in served.open  # the first tenant stood for all
    assert await served.manager.swap("adapter", "cache", provider="brief") is None
    assert "disk" in served.open  # what it stands on was proved
    undo()


# --- several at once ---


async def test_a58_fifty_swaps_at_once_come_one_after_the_other_and_leave_one(served: World) -> None:
    under_way = most = 0

    async def count(_: object) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)

    async def uncount(_: object) -> None:
        nonlocal under_way
        under_way -= 1

    served.manager.hooks.add("pre_swap", count)
    served.manager.hooks.add("post_swap", uncount)
    swaps = [served.manager.swap("adapter", "cache", provider=("new", "old")[number % 2]) for number in range(50)]
    await asyncio.gather(*swaps)
    assert most == 1
    await until(lambda: sorted(served.open) == ["old", "sql"])
    await until(lambda: len(served.manager.keeper.instances) == 2)
    assert len(list(served.manager.epochs.chain())) == 1


async def test_what_is_registered_while_a_swap_warms_is_not_lost(served: World) -> None:
    gate = Gate()
    served.register("adapter/cache=slow", served.factory("slow", enter=gate))
    swapping = asyncio.ensure_future(served.manager.swap("adapter", "cache", provider="slow"))
    await gate.reached.wait()
    served.register("adapter/queue=nats")
    assert (await served.manager.activate("adapter", "queue")).use() == "nats"
    gate.open.set()
    assert (await swapping).use() == "slow"
    assert served.resolver.resolve("adapter", "queue").provider == "nats"
    assert served.log.count("+slow") == 1
    assert "nats" in served.open


async def test_a_swap_does_not_wait_for_what_it_does_not_touch(served: World) -> None:
    served.register("adapter/queue=nats", served.factory("nats", enter=hang))
    lease = served.lease()
    waiting = asyncio.ensure_future(served.get(lease, "adapter/queue"))
    await turns()
    assert (await served.manager.swap("adapter", "cache", provider="new")).use() == "new"
    waiting.cancel()
    lease.close()
    await served.manager.keeper.cancel()


async def test_what_a_request_made_beside_a_swap_leaves_with_the_request(served: World) -> None:
    gate = Gate()
    served.register("adapter/cache=slow", served.factory("slow", enter=gate))
    swapping = asyncio.ensure_future(served.manager.swap("adapter", "cache", provider="slow"))
    await gate.reached.wait()
    lease = served.lease()
    gate.open.set()
    own = await served.get(lease, provider="slow")
    assert await swapping is not own
    assert own.use() == "slow"
    lease.close()
    await until(lambda: sorted(served.open) == ["slow", "sql"])


async def test_a_swap_that_the_shutdown_overtakes_binds_nothing(served: World) -> None:
    gate = Gate()
    served.manager.hooks.add("pre_swap", lambda _: None)
    served.register("adapter/cache=slow", served.factory("slow", enter=gate))
    swapping = asyncio.ensure_future(served.manager.swap("adapter", "cache", provider="slow"))
    await gate.reached.wait()
    closing = asyncio.ensure_future(served.manager.aclose())
    await turns()
    gate.open.set()
    with pytest.raises(LifecycleError):
        await swapping
    await closing
    assert served.open == []


# --- seeing ---


async def test_a_swap_is_told_with_what_went_where(served: World) -> None:
    await served.manager.swap("adapter", "cache", provider="new")
    (told,) = served.heard("swapped")
    assert (told["component"], told["provider"]) == ("adapter/cache", "new")


async def test_the_status_tells_when_it_was_swapped_and_how_long_that_took(served: World) -> None:
    served.clock.advance(5)
    await served.manager.swap("adapter", "cache", provider="new")
    status = served.manager.get_status("adapter", "cache")
    assert status.last_swap_at == served.clock.now()
    assert status.last_swap_s is not None
