"""Commands that reach one replica alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from pointsman import Candidate, Runtime
from pointsman.control.commands import Command, Outcome
from pointsman.declarations import Component
from pointsman.errors import InputError, LifecycleError, NotFound, UnknownComponent
from pointsman.manifests.schema import Order
from pointsman.web.admin.operator import REMEMBERED, Alone

WORD = Component[Any]("service", "word")


class Slow:
    """A factory that waits for the test."""

    def __init__(self) -> None:
        self.reached, self.go = anyio.Event(), anyio.Event()
        self.made = 0

    async def __call__(self) -> str:
        self.reached.set()
        await self.go.wait()
        self.made += 1
        return "slow"


@pytest.fixture
async def slow() -> Slow:
    return Slow()


@pytest.fixture
async def runtime(slow: Slow) -> AsyncIterator[Runtime]:
    async def make() -> str:
        return await slow()

    include = [
        Candidate(*WORD, "plain", lambda: "plain", priority=3),
        Candidate(*WORD, "loud", lambda: "LOUD"),
        Candidate(*WORD, "slow", make, priority=-1),
    ]
    async with Runtime(include=include, plugins=False) as runtime:
        yield runtime


@pytest.fixture
async def alone(runtime: Runtime) -> Alone:
    return Alone(runtime)


def command(kind: Any = "use", **more: Any) -> Command:
    value = "loud" if kind == "use" and not more.get("clear") else None
    fields = {"component": WORD, "reason": "drill", "who": "ops", "reach": "replica", "value": value, **more}
    return Command(kind=kind, **fields)


def kinds(runtime: Runtime) -> list[str]:
    return [order.kind for order in runtime.points.inputs.overrides.get(str(WORD), ())]


async def test_no_command_loses_another_and_a_pause_does_not_wait(runtime: Runtime, alone: Alone, slow: Slow) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(alone.run, command(value="slow"))
        await slow.reached.wait()
        await alone.run(command("pause"))
        assert kinds(runtime) == ["pause"]
        await alone.run(command("drain", tenants=("acme",)))
        slow.go.set()
    assert sorted(kinds(runtime)) == ["drain", "pause", "use"]
    assert runtime.resolver.resolve(*WORD).provider == "slow"


async def test_the_hooks_of_a_swap_are_asked_and_may_refuse(runtime: Runtime, alone: Alone) -> None:
    async def refuse(_swapping: object) -> None:
        raise RuntimeError("not today")

    runtime.lifecycle.hooks.add("pre_swap", refuse)
    with pytest.raises(LifecycleError, match="not today"):
        await alone.run(command())
    assert kinds(runtime) == []


async def test_one_key_is_one_command(runtime: Runtime, alone: Alone) -> None:
    keyed = command(idempotency_key="k1")
    first = await alone.run(keyed)
    again = await alone.run(keyed)
    assert (again.operation, again.local, again.changes) == (first.operation, "applied", ())
    assert len(first.changes) == 1
    with pytest.raises(InputError) as caught:
        await alone.run(command(idempotency_key="k1", reason="another"))
    assert caught.value.errors[0]["code"] == "reused"
    assert (await alone.run(command(idempotency_key="k1", who="eve"))).operation != first.operation


async def test_a_key_under_way_is_waited_for(alone: Alone, slow: Slow) -> None:
    found: list[Outcome] = []

    async def send() -> None:
        found.append(await alone.run(command(value="slow", idempotency_key="k1")))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        await slow.reached.wait()
        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        slow.go.set()
    assert (len(found), len({one.operation for one in found}), slow.made) == (2, 1, 1)


async def test_a_command_that_failed_may_be_sent_again(runtime: Runtime, alone: Alone) -> None:
    keyed = command(value="late", idempotency_key="k1")
    with pytest.raises(Exception, match="late"):
        await alone.run(keyed)
    runtime.resolver.register(Candidate(*WORD, "late", lambda: "late", priority=-5))
    assert (await alone.run(keyed)).local == "applied"


async def test_answers_are_kept_for_a_while_only(alone: Alone) -> None:
    for number in range(REMEMBERED + 10):
        await alone.run(command("pause", idempotency_key=str(number)))
    assert len(alone._answers) == REMEMBERED


async def test_a_rehearsal_proves_and_changes_nothing(runtime: Runtime, alone: Alone) -> None:
    for one in (command(dry_run=True, idempotency_key="k1"), command("pause", dry_run=True)):
        outcome = await alone.run(one)
        assert (outcome.local, len(outcome.changes)) == ("untouched", 1)
    assert kinds(runtime) == []


async def test_an_order_has_no_etag_here(alone: Alone) -> None:
    with pytest.raises(InputError) as caught:
        await alone.run(command(if_match='"s1"'))
    assert caught.value.errors[0]["name"] == "If-Match"


async def test_what_stands_is_taken_away_though_nobody_knows_the_component(runtime: Runtime, alone: Alone) -> None:
    gone = command("gate", clear=True, component=Component("service", "gone"))
    with pytest.raises(UnknownComponent):
        await alone.run(gone)
    pause = Order(op="p", kind="pause", tenants="*", cseq=1)
    await runtime.intake.take_overrides({"service/gone": (pause,)})
    await alone.run(gone)
    assert runtime.points.inputs.overrides == {}


async def test_a_dangling_order_keeps_nobody_from_a_pause(runtime: Runtime, alone: Alone) -> None:
    dangling = Order(op="u", kind="use", tenants="*", value="gone", cseq=1)
    await runtime.intake.take_overrides({str(WORD): (dangling,)})
    await alone.run(command("pause"))
    assert kinds(runtime) == ["use", "pause"]
    await alone.run(command("use", clear=True))
    assert kinds(runtime) == ["pause"]


async def test_a_split_for_two_tenants_proves_both_sides(runtime: Runtime, alone: Alone) -> None:
    from pointsman.resolution.selection import Split

    split = command("split", value=Split("plain", (("loud", 10_000),)), tenants=("acme", "globex"))
    await alone.run(split)
    assert runtime.resolver.resolve(*WORD, tenant="acme").provider == "loud"
    assert runtime.resolver.resolve(*WORD).provider == "plain"


async def test_without_a_store_there_is_nothing_to_show(alone: Alone) -> None:
    assert (alone.head, await alone.audit()) == (None, ())
    with pytest.raises(NotFound):
        await alone.operation("4f1c")
