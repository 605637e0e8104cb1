"""The first head, a restored one, and the publisher's side."""

from __future__ import annotations

import pytest

from pointsman.control.commands import Outcome
from pointsman.control.head import RESTORED_JUMP
from pointsman.control.publishing import Publisher
from pointsman.errors import (
    BadSignature,
    Conflict,
    DigestMismatch,
    Equivocation,
    NotFound,
    PreconditionFailed,
    ReadOnlyReplica,
    Rollback,
    UntrustedRoot,
)
from pointsman.manifests.envelope import digest_of
from pointsman.stores.gate import Gate
from pointsman.stores.memory import MemoryStore
from pointsman.stores.store import Read
from tests.fleet.world import World, pause, quiet, swap


async def test_the_first_head_is_created_once(world: World):
    await world.publish(1, world.manifest(1), min_control_seq=7)
    head = await world.found()
    assert head.position == (1, 7)
    with pytest.raises(Conflict):
        await world.found()


async def test_the_first_head_needs_a_release_and_a_control_key(world: World):
    with pytest.raises(NotFound):
        await world.found()
    await world.publish(1, world.manifest(1))
    with pytest.raises(ReadOnlyReplica):
        await world.found(signer="release")


async def test_a_head_that_was_lost_is_founded_above_what_running_replicas_hold(world: World):
    await world.publish(1, world.manifest(1))
    await world.found(min_seq=100)
    one = await world.started()
    assert one.seq == 100


async def test_of_two_who_found_at_once_one_is_told_that_it_stands(world: World):
    await world.publish(1, world.manifest(1))
    gate = Gate()
    flight = gate.hold("create", "head")
    answers: list[Exception] = []

    async def late() -> None:
        try:
            await world.found(wire=gate)
        except Conflict as error:
            answers.append(error)

    world.group.start_soon(late)
    await flight.departed()
    await world.found()
    flight.answer()
    await quiet()
    assert len(answers) == 1


async def test_an_answer_without_bytes_founds_nothing(world: World):
    await world.begin()
    now = world.hands.now()

    class Lying(MemoryStore):
        lies: tuple[str, ...] = ("release",)

        async def read(self, name: str, *, max_bytes: int, unless: str | None = None) -> Read:
            if name in self.lies:
                return Read(None, "1", now, now)
            return await world.store.read(name, max_bytes=max_bytes, unless=unless)

    store = Lying()
    with pytest.raises(NotFound):
        await world.found(store=store)
    store.lies = ("head",)
    with pytest.raises(NotFound):
        await world.found(store=store)


async def test_a_restored_backup_is_refused_until_it_is_adopted_and_then_taken_by_running_replicas(world: World):
    await world.begin()
    one = await world.started()
    await one.order(pause())
    backup = await world.bytes_of("head")
    await one.order(pause(clear=True))
    await one.order(swap("redis"))
    await world.publish(2, world.manifest(2), world.manifest(1))
    await one.fleet.refresh()
    world.hands.turn(3600)
    await world.put_back(backup)
    await one.fleet.refresh()
    assert "replayed-head" in one.fleet.status()["last_error"]
    head = await world.found()
    assert head.position[1] > RESTORED_JUMP
    assert head.release.document.version == 2
    await one.fleet.refresh()
    assert one.fleet.status()["last_error"] is None
    assert [order.kind for order in one.plane.orders()] == ["pause"]
    cold = await world.started()
    assert cold.plane.manifest.version == 2
    assert isinstance(await cold.order(pause(clear=True)), Outcome)


async def test_a_restored_backup_beside_the_release_that_it_knows_keeps_it(world: World):
    await world.begin()
    backup = await world.bytes_of("head")
    world.hands.turn(3600)
    await world.put_back(backup)
    head = await world.found(min_seq=RESTORED_JUMP)
    assert head.position[1] > 2 * RESTORED_JUMP
    assert head.release.document.version == 1


async def test_a_release_is_published_last_and_only_with_all_that_it_names(world: World):
    publisher = Publisher(world.store, world.trust, world.hands.now)
    first = world.manifest(1)
    with pytest.raises(NotFound):
        await publisher.publish(world.release(1, (first,)))
    assert await publisher.current() is None
    assert (await publisher.publish(world.release(1, (first,)), manifests=[first])).changed
    assert not (await publisher.publish(world.release(1, (first,)), manifests=[first])).changed
    later = await publisher.publish(world.release(2, (first,)))
    assert (later.changed, later.release.document.version) == (True, 2)
    assert (await publisher.current()).document.version == 2
    assert [entry.name for entry in await world.store.list("")] == [f"manifests/sha256/{digest_of(first)}", "release"]


async def test_what_replicas_would_refuse_is_refused_before_it_is_written(world: World):
    publisher = Publisher(world.store, world.trust, world.hands.now)
    first = world.manifest(1)
    await publisher.publish(world.release(2, (first,)), manifests=[first])
    with pytest.raises(Rollback):
        await publisher.publish(world.release(1, (first,)))
    with pytest.raises(Equivocation):
        await publisher.publish(world.release(2, (first,), floor=1))
    with pytest.raises(UntrustedRoot):
        await publisher.publish(world.release(3, (first,), root=2))
    with pytest.raises(DigestMismatch):
        await publisher.publish(world.release(3, (first,), versions=(9,)))
    with pytest.raises(BadSignature):
        await publisher.publish(world.release(3, (first,), root=2), roots={2: world.root(2, by=1, release=("other",))})


async def test_roots_are_created_once_and_never_replaced(world: World):
    publisher = Publisher(world.store, world.trust, world.hands.now)
    first, second = world.manifest(1), world.root(2, by=1)
    await publisher.publish(world.release(1, (first,), root=2), manifests=[first], roots={2: second})
    await publisher.publish(world.release(2, (first,), root=2), roots={2: second})
    with pytest.raises(Equivocation):
        await publisher.publish(world.release(3, (first,), root=2), roots={2: world.root(2, by=1, epoch=2)})


async def test_two_publishers_at_once_do_not_overwrite_one_another(world: World):
    first = world.manifest(1)
    await world.publish(1, first)
    gate = Gate()
    flight = gate.hold("write", "release")
    slow = Publisher(world.memory.connect(gate), world.trust, world.hands.now)
    failed: list[Exception] = []

    async def late() -> None:
        try:
            await slow.publish(world.release(2, (first,)))
        except PreconditionFailed as error:
            failed.append(error)

    world.group.start_soon(late)
    await flight.departed()
    await world.publish(2, first, floor=1)
    flight.answer()
    await world.pass_time(0.25)
    assert len(failed) == 1
