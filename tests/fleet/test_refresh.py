"""FLEET, Refresh: one interleaving for each rule about what a replica serves, and how old it may be."""

from __future__ import annotations

import anyio
import pytest
from msgspec.structs import replace

from pointsman.control.commands import Outcome
from pointsman.control.convergence import Freshness
from pointsman.errors import Forbidden, NotFound, Unavailable
from pointsman.manifests.schema import Order
from pointsman.stores.memory import MemoryStore
from pointsman.stores.store import Read
from tests.fleet.world import Hands, Replica, World, pause, quiet, refused, swap


def reads(replica: Replica) -> int:
    return replica.gate.count("read", "head")


async def request(replica: Replica) -> None:
    """One request, and all that it sets off."""
    await replica.fleet.before_request()
    await quiet()


def paused(replica: Replica) -> bool:
    return any(order.kind == "pause" for order in replica.plane.orders())


# --- age counts from the departure of the read ---


async def test_a95_an_unchanged_answer_from_before_a_freeze_makes_nothing_fresh(world: World):
    await world.begin()
    writer, reader = await world.started(), await world.started()
    flight = reader.gate.hold("read", "head")
    world.hands.turn(10)
    await reader.fleet.before_request()
    await flight.departed()
    flight.land()
    await writer.order(pause())
    world.hands.turn(70)
    flight.answer()
    await quiet()
    assert reader.fleet.convergence.age_s() >= 70
    assert reader.fleet.convergence.condition() is Freshness.STALE
    await request(reader)
    assert paused(reader)


@pytest.mark.parametrize("set_back", [0.0, 3600.0])
async def test_a_suspended_replica_knows_its_age_though_its_wall_clock_was_set_back(world: World, set_back: float):
    await world.begin()
    reader = await world.started(hands=(hands := Hands()))
    hands.turn(70, suspended=True)
    hands.time -= set_back
    assert reader.fleet.convergence.condition() is Freshness.STALE


async def test_a_wall_clock_that_jumps_ahead_makes_a_replica_look_again_and_no_more(world: World):
    await world.begin()
    reader = await world.started(hands=(hands := Hands()))
    hands.time += 86_400
    assert reader.fleet.is_stale()
    await request(reader)
    assert not reader.fleet.is_stale()
    assert reader.fleet.now() < world.hands.now() + (hands.now() - world.hands.now()) / 2


async def test_a41_a_replica_that_was_stopped_past_the_hard_limit_refreshes_before_it_serves(world: World):
    await world.begin()
    writer, reader = await world.started(), await world.started(hands=(hands := Hands()))
    await writer.order(pause())
    hands.turn(61)
    assert reader.fleet.is_stale()
    await reader.fleet.before_request()
    assert paused(reader)
    assert not reader.fleet.is_stale()


async def test_a41_a_read_from_before_the_stop_does_not_pass_for_a_refresh(world: World):
    await world.begin()
    writer, reader = await world.started(), await world.started(hands=(hands := Hands()))
    flight = reader.gate.hold("read", "head")
    hands.turn(10)
    await reader.fleet.before_request()
    await flight.departed()
    flight.land()
    await writer.order(pause())
    hands.turn(61)
    async with anyio.create_task_group() as asking:
        asking.start_soon(reader.fleet.before_request)
        await quiet()
        flight.answer()
    assert paused(reader)
    assert not reader.fleet.is_stale()


async def test_a_request_looks_first_only_where_a_refresh_is_due_or_under_way(world: World):
    await world.begin()
    reader = await world.started(hands=(hands := Hands()))
    assert not reader.fleet.looks_first()
    flight = reader.gate.hold("read", "head")
    hands.turn(10)
    assert reader.fleet.looks_first()
    await reader.fleet.before_request()
    await flight.departed()
    assert reader.fleet.looks_first()
    flight.land()
    flight.answer()
    await quiet()
    assert not reader.fleet.looks_first()


async def test_a_request_that_need_not_look_breaks_the_silence_as_one_that_does(world: World):
    await world.begin()
    writer, reader = await world.started(), await world.started(hands=(hands := Hands()))
    hands.turn(10)
    await request(reader)
    await writer.order(pause())
    hands.turn(7)
    assert not reader.fleet.looks_first()
    flight = reader.gate.hold("read", "head")
    hands.turn(4)
    with anyio.fail_after(5):  # for one that waits by a clock that nobody turns
        await reader.fleet.before_request()
    await flight.departed()
    assert not paused(reader)
    flight.land()
    flight.answer()
    await quiet()
    assert paused(reader)


async def test_a41_without_the_store_it_is_stale_and_no_request_hangs(world: World):
    await world.begin()
    reader = await world.started(hands=(hands := Hands()))
    reader.gate.refuse("read", "head")
    hands.turn(61)
    await request(reader)
    assert reader.fleet.is_stale()
    before = reads(reader)
    await reader.fleet.before_request()
    assert reads(reader) == before


# --- triggers ---


async def test_a42_a_loop_that_stood_still_converges_through_the_next_request(world: World):
    await world.begin()
    writer, reader = await world.started(), await world.started(hands=(hands := Hands()))
    await writer.order(pause())
    hands.turn(11)
    await request(reader)
    assert paused(reader)


async def test_where_the_cpu_is_always_there_a_loop_converges_without_any_request(world: World):
    await world.begin()
    writer, reader = await world.started(), await world.started()
    await writer.order(pause())
    await world.pass_time(11)
    assert paused(reader)


async def test_a43_a_hundred_requests_at_the_limit_are_one_read(world: World):
    await world.begin()
    reader = await world.started(hands=(hands := Hands()))
    before = reads(reader)
    hands.turn(61)
    async with anyio.create_task_group() as asking:
        for _ in range(100):
            asking.start_soon(reader.fleet.before_request)
    assert reads(reader) == before + 1
    assert not reader.fleet.is_stale()


async def test_a44_replicas_that_start_together_read_at_times_that_spread(world: World):
    await world.begin()
    hands = [Hands() for _ in range(60)]
    fleet = [await world.started(hands=each) for each in hands]
    buckets = [0] * 10
    for second in range(10):
        for replica, own in zip(fleet, hands, strict=True):
            before = reads(replica)
            own.turn(1)
            await replica.fleet.before_request()
            await quiet()
            buckets[second] += reads(replica) - before
    assert sum(buckets) >= 60
    assert max(buckets) <= 20


async def test_a45_a_cold_start_is_two_reads_and_writes_nothing(world: World):
    await world.begin()
    hands = [Hands() for _ in range(20)]
    fleet = [await world.started(hands=each) for each in hands]
    for own in hands:
        own.turn(4.9)
    for replica in fleet:
        await request(replica)
    for replica in fleet:
        assert replica.gate.count("write") + replica.gate.count("create") == 0
        assert [op.name.split("/")[0] for op in replica.gate.seen if op.kind == "read"][:2] == ["head", "manifests"]
        assert replica.gate.count("read", "manifests/*") == 1


async def test_a_request_after_a_silence_waits_for_the_refresh_but_a_busy_one_does_not(world: World):
    await world.begin()
    reader = await world.started(hands=(hands := Hands()))
    writer = await world.started()
    await writer.order(pause())
    flight = reader.gate.hold("read", "head")
    for _ in range(3):
        hands.turn(4)
        await reader.fleet.before_request()
    assert not paused(reader)
    await flight.departed()
    flight.answer()
    await quiet()
    assert paused(reader)
    await writer.order(pause(clear=True))
    hands.turn(11)
    await reader.fleet.before_request()
    assert not paused(reader)


async def test_a_silent_replica_waits_a_quarter_of_a_second_and_then_serves_what_it_has(world: World):
    await world.begin()
    reader = await world.started(hands=(hands := Hands()))
    flight = reader.gate.hold("read", "head")
    hands.turn(11)
    async with anyio.create_task_group() as asking:
        asking.start_soon(reader.fleet.before_request)
        await flight.departed()
        hands.turn(0.25)
    assert reader.fleet.convergence.condition() is Freshness.FRESH
    flight.answer()


async def test_a50_two_pushes_are_one_read_and_the_second_is_not_forgotten(world: World):
    await world.begin()
    writer, reader = await world.started(), await world.started()
    world.hands.turn(5)
    await quiet()
    before = reads(reader)
    await reader.fleet.refresh(hint=True)
    await quiet()
    await writer.order(pause())
    await reader.fleet.refresh(hint=True)
    await reader.fleet.refresh(hint=True)
    await quiet()
    assert reads(reader) == before + 1
    await world.pass_time(1)
    assert reads(reader) == before + 2
    assert paused(reader)


async def test_converging_now_reads_after_the_call_though_a_read_is_under_way(world: World):
    await world.begin()
    writer, reader = await world.started(), await world.started(hands=(hands := Hands()))
    flight = reader.gate.hold("read", "head")
    hands.turn(10)
    await reader.fleet.before_request()
    await flight.departed()
    flight.land()
    await writer.order(pause())
    async with anyio.create_task_group() as asking:
        asking.start_soon(reader.fleet.refresh)
        await quiet()
        flight.answer()
    assert paused(reader)


# --- what is dropped, and what is an alarm ---


async def test_an_older_answer_that_arrives_late_is_dropped_without_an_alarm(world: World):
    await world.begin()
    one = await world.started()
    flight = one.gate.hold("read", "head")
    world.hands.turn(10)
    await one.fleet.before_request()
    await flight.departed()
    await one.order(pause(tenants=("other",)))
    stale = await world.bytes_of("head")
    assert stale
    flight.land()
    await one.order(pause())
    flight.answer()
    await quiet()
    assert paused(one)
    assert one.seq == 3
    assert one.events.alarms == []


async def test_an_older_head_that_a_later_read_shows_is_dropped_with_an_alarm(world: World):
    await world.begin()
    old = await world.bytes_of("head")
    one = await world.started()
    await one.order(pause())
    await world.put_back(old)
    await one.fleet.refresh()
    assert paused(one)
    assert one.events.alarms == ["control.refresh-failed"]
    assert "rollback" in one.fleet.status()["last_error"]


async def test_two_control_documents_of_one_number_are_an_alarm_and_change_nothing(world: World):
    await world.begin()
    one = await world.started()
    control = await world.control()
    forged = Order(op="x", kind="drain", tenants="*", cseq=0)
    await world.forge(replace(control, orders={"adapter/cache": (forged,)}))
    await one.fleet.refresh()
    assert one.plane.orders() == ()
    assert "equivocation" in one.fleet.status()["last_error"]


async def test_a38_the_same_head_under_a_new_generation_is_applied_once_and_renews(world: World):
    await world.begin()
    one = await world.started(hands=(hands := Hands()))
    hands.turn(30)
    world.hands.turn(30)
    await world.put_back(await world.bytes_of("head"))
    await request(one)
    assert [kind for kind, _ in one.plane.taken] == ["control", "manifest"]
    assert one.fleet.convergence.age_s() < 30
    assert isinstance(await one.order(pause()), Outcome)


# --- control apart from the manifest ---


async def test_a101_a_pause_and_a_bad_manifest_in_one_head_the_pause_binds_the_manifest_is_refused(world: World):
    await world.begin()
    writer, reader = await world.started(), await world.started()
    reader.plane.refuses[2] = refused()
    await world.publish(2, world.manifest(2), world.manifest(1))
    await writer.fleet.refresh()
    await writer.order(pause())
    await reader.fleet.refresh()
    assert paused(reader)
    assert reader.plane.manifest.version == 1
    assert [refusal.error for refusal in reader.fleet.refusals] == ["preflight-failed"]


async def test_a91_a_pause_binds_while_a_manifest_and_a_swap_are_still_warming(world: World):
    await world.begin()
    writer, reader = await world.started(), await world.started()
    reader.plane.warming = anyio.Event()
    await world.publish(2, world.manifest(2), world.manifest(1))
    await writer.fleet.refresh()
    await writer.order(swap("redis"))
    await reader.fleet.refresh(hint=True)
    await quiet()
    await writer.order(pause())
    world.hands.turn(2)
    await reader.fleet.refresh(hint=True)
    await quiet()
    assert paused(reader)
    assert reader.plane.manifest.version == 1
    assert reader.plane.control.cseq == 0
    reader.plane.warming.set()
    await quiet()
    assert (reader.plane.manifest.version, reader.plane.control.cseq) == (2, 2)


async def test_the_generation_is_told_only_when_all_of_control_was_applied(world: World):
    await world.begin()
    writer, reader = await world.started(), await world.started()
    reader.plane.uses_fail = [OSError("vendor is away")]
    await writer.order(swap("redis"))
    await reader.fleet.refresh()
    assert reader.plane.control.cseq == 0
    assert reader.events.named("control.uses-failed")
    await reader.fleet.refresh()
    await quiet()
    assert reader.plane.control.cseq == 1


async def test_a_swap_that_is_still_warming_here_is_told_as_pending(world: World):
    await world.begin()
    one = await world.started()
    one.plane.warming = anyio.Event()
    world.send(one, swap("redis"))
    await world.pass_time(4)
    assert one.answers == []
    await world.pass_time(2)
    (answer,) = one.answers
    assert (answer.local, answer.fleet) == ("pending", "converging")
    one.plane.warming.set()


# --- faults ---


async def test_a35_a_store_that_is_away_is_tried_again_with_backoff_and_recovers_by_itself(world: World):
    await world.begin()
    writer, reader = await world.started(), await world.started()
    undo = reader.gate.refuse("read", "head")
    before = reads(reader)
    await world.pass_time(120)
    assert 8 <= reads(reader) - before <= 80
    assert paused(reader) is False
    await writer.order(pause())
    undo()
    await world.pass_time(16)
    assert paused(reader)
    assert reader.fleet.status()["last_error"] is None


@pytest.mark.parametrize("error", [NotFound("gone"), Forbidden("revoked")])
async def test_a39_a54_gone_or_revoked_is_never_read_as_empty(world: World, error: Exception):
    await world.begin()
    one = await world.started()
    await one.order(pause())
    one.gate.refuse("read", "head", error)
    await world.pass_time(90)
    assert paused(one)
    assert one.plane.manifest.version == 1
    assert one.fleet.is_stale()
    assert ("control.refresh-failed" in one.events.alarms) is isinstance(error, Forbidden)


async def test_a37_an_unchanged_head_after_an_error_renews_and_clears_it(world: World):
    await world.begin()
    one = await world.started()
    one.gate.refuse("read", "head", times=1)
    await one.fleet.refresh()
    assert one.fleet.status()["last_error"]
    await one.fleet.refresh()
    assert one.fleet.status()["last_error"] is None
    assert one.fleet.convergence.age_s() == 0


async def test_a36_a_malformed_head_changes_nothing_and_the_next_good_one_is_taken(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    good = await world.bytes_of("head")
    await world.put_back(b'{"release":1}')
    await one.fleet.refresh()
    assert "malformed" in one.fleet.status()["last_error"]
    assert isinstance(await two.order(pause()), Unavailable)
    await world.put_back(good)
    assert isinstance(await two.order(pause()), Outcome)
    await one.fleet.refresh()
    assert paused(one)


async def test_the_refresher_survives_what_nobody_foresaw(world: World):
    await world.begin()
    one = await world.started()
    one.gate.refuse("read", "head", RuntimeError("?"), times=1)  # type: ignore[arg-type]
    await one.fleet.refresh()
    assert one.fleet.status()["last_error"] == "RuntimeError: ?"
    assert one.events.alarms == ["control.refresh-failed"]
    await one.fleet.refresh()
    assert one.fleet.convergence.condition() is Freshness.FRESH


async def test_a_request_that_goes_away_takes_no_refresh_with_it(world: World):
    await world.begin()
    reader = await world.started(hands=(hands := Hands()))
    flight = reader.gate.hold("read", "head")
    hands.turn(61)
    async with anyio.create_task_group() as asking:
        asking.start_soon(reader.fleet.before_request)
        await flight.departed()
        asking.cancel_scope.cancel()
    flight.answer()
    await quiet()
    assert not reader.fleet.is_stale()


# --- cold start ---


async def test_until_there_is_a_head_nothing_is_served_and_the_first_one_is_found_by_itself(world: World):
    await world.publish(1, world.manifest(1))
    one = await world.started()
    assert one.fleet.convergence.condition() is Freshness.NEVER
    assert (one.fleet.is_stale(), one.fleet.head, one.plane.taken) == (True, None, [])
    assert isinstance(await one.order(pause()), Unavailable)
    assert one.fleet.status()["head"] is None
    await world.found()
    await world.pass_time(16)
    assert [kind for kind, _ in one.plane.taken] == ["control", "manifest"]


async def test_a51_a_replica_that_starts_while_the_head_is_bad_serves_nothing_and_recovers_by_itself(world: World):
    await world.begin()
    good = await world.bytes_of("head")
    await world.put_back(good[:-40])
    one = await world.started(image=world.manifest(1))
    assert one.plane.taken == []
    assert one.fleet.is_stale()
    await world.put_back(good)
    await world.pass_time(16)
    assert one.plane.manifest.version == 1


async def test_a93_a_store_that_is_away_at_the_start_is_no_error_and_recovers_by_itself(world: World):
    await world.begin()
    one = world.replica()
    undo = one.gate.refuse()
    await one.fleet.start(world.group)
    assert one.plane.taken == []
    undo()
    await world.pass_time(16)
    assert one.plane.manifest.version == 1


async def test_a93_a_start_that_is_given_up_goes_on_in_the_background(world: World):
    await world.begin()
    one = world.replica()
    flight = one.gate.hold("read", "head")
    with anyio.move_on_after(0.01):
        await one.fleet.start(world.group)
    flight.answer()
    await quiet()
    await request(one)
    assert one.plane.manifest.version == 1


async def test_a_cold_start_applies_the_head_before_the_manifest(world: World):
    await world.begin()
    writer = await world.started()
    await writer.order(pause())
    one = await world.started()
    assert [kind for kind, _ in one.plane.taken] == ["control", "manifest"]
    assert paused(one)


# --- an old head, an aged one ---


async def test_a74_an_old_head_put_back_is_recognised_at_a_cold_start_and_never_signed_anew(world: World):
    await world.begin()
    old = await world.bytes_of("head")
    one = await world.started(hands=Hands())
    await one.order(pause())
    world.hands.turn(61)
    await world.put_back(old)
    cold = await world.started()
    assert cold.fleet.head is None
    assert cold.events.alarms == ["control.refresh-failed"]
    assert "replayed-head" in cold.fleet.status()["last_error"]
    assert isinstance(await cold.order(pause()), Unavailable)
    await world.pass_time(60, step_s=5)
    assert await world.bytes_of("head") == old


async def test_a74_a_genuine_head_eight_days_old_is_served_aged_and_signed_anew(world: World):
    await world.begin()
    world.hands.turn(8 * 86_400)
    one = await world.started()
    assert one.fleet.convergence.condition() is Freshness.AGED
    assert one.plane.manifest.version == 1
    assert "control.not-signed-for-long" in one.events.alarms
    await world.pass_time(4)
    assert one.gate.count("write", "head") == 0
    await world.pass_time(40, step_s=1)
    assert one.fleet.convergence.condition() is Freshness.FRESH
    assert (await world.control()).seq == 2


async def test_a25_the_head_is_signed_anew_between_half_and_three_quarters_of_its_life_and_once(world: World):
    await world.begin()
    fleet = [await world.started() for _ in range(5)]
    for _ in range(84):
        world.hands.turn(3600)
        await quiet()
    assert (await world.control()).seq == 1
    for _ in range(42 + 1):
        world.hands.turn(3600)
        await quiet()
    assert (await world.control()).seq == 2
    assert all(replica.events.alarms == [] for replica in fleet)


async def test_decide_again_a_signature_that_waited_is_moot_after_anothers(world: World):
    await world.begin()
    one, two = await world.started(hands=(slow := Hands())), await world.started(hands=(other := Hands()))
    world.hands.turn(6 * 86_400)
    flight = one.gate.hold("write", "head")
    for hands, replica in ((slow, one), (other, two)):
        hands.turn(6 * 86_400)
        await request(replica)
        hands.turn(31)
        await request(replica)
    await flight.departed()
    assert (await world.control()).seq == 2
    flight.answer()
    await quiet()
    slow.turn(1)
    await quiet()
    assert (await world.control()).seq == 2
    assert one.fleet.status()["problems"] == []


async def test_an_answer_that_is_unchanged_though_nobody_asked_is_no_head(world: World):
    await world.begin()
    now = world.hands.now()

    class Lying(MemoryStore):
        async def read(self, name: str, *, max_bytes: int, unless: str | None = None) -> Read:
            return Read(None, "1", now, now)

    one = await world.started(store=Lying())
    assert one.fleet.head is None


async def test_a_command_on_an_aged_head_signs_it_anew(world: World):
    await world.begin()
    world.hands.turn(8 * 86_400)
    one = await world.started()
    assert isinstance(await one.order(pause()), Outcome)
    assert one.fleet.convergence.condition() is Freshness.FRESH


# --- the store's clock ---


async def test_an_order_ends_by_the_stores_clock_whatever_its_writers_says(world: World):
    await world.begin()
    hands = Hands()
    hands.time -= 600
    slow = await world.started(hands=hands)
    await slow.order(pause(ttl_s=120.0))
    (order,) = slow.plane.orders()
    assert (order.until - world.hands.now()).total_seconds() == 120
    assert slow.fleet.now() == world.hands.now()


async def test_a94_an_order_that_ended_leaves_the_head_with_the_next_write_and_leaves_a_tombstone(world: World):
    await world.begin()
    one = await world.started()
    await one.order(pause(ttl_s=30.0))
    await world.pass_time(89, step_s=1)
    await one.order(swap("redis", tenants=("a",)))
    assert [order.kind for order in (await world.control()).orders["adapter/cache"]] == ["pause", "use"]
    await world.pass_time(2, step_s=1)
    await one.order(swap("redis", tenants=("b",)))
    control = await world.control()
    assert [order.kind for order in control.orders["adapter/cache"]] == ["use", "use"]
    assert control.gone == {"adapter/cache|*|gate": 1}
