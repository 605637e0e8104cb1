"""Interleavings, move by move."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio
import pytest

from pointsman.errors import Forbidden, NotFound, PreconditionFailed, StoreError, Unavailable
from pointsman.stores.gate import Gate
from pointsman.stores.memory import MemoryStore, Operation
from pointsman.stores.store import Read, Written


class Caller:
    """A task that does one thing and keeps how it ended."""

    def __init__(self, call: Any, *args: Any, **kwargs: Any) -> None:
        self._call = lambda: call(*args, **kwargs)
        self.ended: object = None
        self.done = anyio.Event()

    async def __call__(self) -> None:
        try:
            self.ended = await self._call()
        except StoreError as exc:
            self.ended = exc
        self.done.set()


@pytest.fixture
async def head() -> tuple[MemoryStore, Gate, MemoryStore, str]:
    """A store with a head, a gate, the client behind it, and the head's generation."""
    store, gate = MemoryStore(), Gate()
    written = await store.create("head", b"one")
    return store, gate, store.connect(gate), written.generation


async def test_a_read_held_before_the_store_sees_what_was_written_meanwhile(head: Any) -> None:
    store, gate, client, generation = head
    flight = gate.hold("read", "head")
    caller = Caller(client.read, "head", max_bytes=10, unless=generation)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        assert await flight.departed() == Operation("read", "head", generation=generation)
        await store.write("head", b"two", expect=generation)
        flight.answer()
    assert isinstance(caller.ended, Read)
    assert caller.ended.body == b"two"


async def test_a_read_held_after_the_store_does_not(head: Any) -> None:
    store, gate, client, generation = head
    flight = gate.hold("read", "head")
    caller = Caller(client.read, "head", max_bytes=10, unless=generation)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await flight.departed()
        flight.land()
        await store.write("head", b"two", expect=generation)
        flight.answer()
    assert isinstance(caller.ended, Read)
    assert caller.ended.body is None


async def test_a_write_that_landed_without_an_answer_meets_its_own_success(head: Any) -> None:
    _, gate, client, generation = head
    flight = gate.hold("write", "head")
    caller = Caller(client.write, "head", b"two", expect=generation)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await flight.departed()
        assert isinstance(flight.land(), Written)
        flight.fail()
    assert isinstance(caller.ended, Unavailable)
    assert caller.ended.sent
    with pytest.raises(PreconditionFailed):
        await client.write("head", b"two", expect=generation)
    assert (await client.read("head", max_bytes=10)).body == b"two"


async def test_a_write_that_was_given_up_may_land_late(head: Any) -> None:
    _, gate, client, generation = head
    flight = gate.hold("write")
    caller = Caller(client.write, "head", b"two", expect=generation)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await flight.departed()
        flight.fail()
        await caller.done.wait()
    assert (await client.read("head", max_bytes=10)).body == b"one"
    assert isinstance(flight.land(), Written)
    assert (await client.read("head", max_bytes=10)).body == b"two"


async def test_a_write_that_lands_too_late_changes_nothing(head: Any) -> None:
    store, gate, client, generation = head
    flight = gate.hold("write", "head")
    caller = Caller(client.write, "head", b"two", expect=generation)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await flight.departed()
        await store.write("head", b"three", expect=generation)
        assert isinstance(flight.land(), PreconditionFailed)
        assert flight.land() is flight.land()
        flight.answer()
    assert isinstance(caller.ended, PreconditionFailed)
    assert (await client.read("head", max_bytes=10)).body == b"three"


async def test_a_cancelled_caller_does_not_stop_its_write(head: Any) -> None:
    _, gate, client, generation = head
    flight = gate.hold("write")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Caller(client.write, "head", b"two", expect=generation))
        await flight.departed()
        tasks.cancel_scope.cancel()
    flight.answer()
    assert (await client.read("head", max_bytes=10)).body == b"two"


async def test_two_holds_take_two_operations_in_order(head: Any) -> None:
    _, gate, client, _ = head
    first, second = gate.hold("create", "ops/*/begin"), gate.hold("create", "ops/*")
    async with anyio.create_task_group() as tasks:
        for name in ("ops/a/begin", "ops/b/begin"):
            tasks.start_soon(Caller(client.create, name, b""))
            await anyio.wait_all_tasks_blocked()
        assert (await first.departed()).name == "ops/a/begin"
        assert (await second.departed()).name == "ops/b/begin"
        second.answer()
        first.answer()
    assert [entry.generation for entry in await client.list("ops/")] == ["3", "2"]


async def test_refusals_last_for_their_number_or_until_they_are_undone(head: Any) -> None:
    _, gate, client, _ = head
    gate.refuse("read", "head", Forbidden("revoked"), times=1)
    with pytest.raises(Forbidden, match="revoked"):
        await client.read("head", max_bytes=10)
    await client.read("head", max_bytes=10)

    undo = gate.refuse()
    raised = []
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            await client.list("")
        raised.append(caught.value)
    assert not raised[0].sent
    assert raised[0] is not raised[1]
    undo()
    assert len(await client.list("")) == 1


async def test_every_operation_is_counted_however_it_ended(head: Any) -> None:
    _, gate, client, _ = head
    gate.refuse("read", times=1)
    for name in ("head", "head", "release"):
        with suppress(Unavailable, NotFound):
            await client.read(name, max_bytes=10)
    assert gate.count("read") == 3
    assert gate.count("read", "head") == 2
    assert gate.count("write") == 0
    assert [operation.name for operation in gate.seen] == ["head", "head", "release"]


def test_nothing_lands_before_it_departed() -> None:
    for move in ("land", "answer"):
        with pytest.raises(StoreError, match="departed"):
            getattr(Gate().hold("read"), move)()
