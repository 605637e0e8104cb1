"""FLEET, Write: one interleaving for each rule of a command's six steps."""

from __future__ import annotations

import anyio
import pytest

from pointsman.control.commands import Outcome, operation_id
from pointsman.control.rounds import BATCH
from pointsman.errors import (
    Conflict,
    ControlFull,
    Forbidden,
    HealthCheckFailed,
    InputError,
    ManifestPending,
    NoEligibleCandidate,
    OrderUnavailable,
    OutcomeUnknown,
    PointsmanError,
    PreconditionFailed,
    ReadOnlyReplica,
    Stale,
    Unavailable,
    UnknownComponent,
    UnknownProvider,
)
from pointsman.manifests.schema import MAX_RING, Order
from pointsman.resolution.selection import Split
from tests.fleet.world import CACHE, Replica, World, pause, quiet, refused, swap


async def applied(world: World, operation: str) -> int:
    """How often an operation took effect, as far as the head and the outcomes tell."""
    ring = [op for op, _ in (await world.control()).ring]
    return ring.count(operation)


async def ends(world: World) -> list[str]:
    return [entry.name for entry in await world.store.list("ops/") if entry.name.endswith("/end")]


async def test_a_command_is_in_force_here_at_once_and_everywhere_within_the_soft_limit(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    answer = await one.order(pause())
    assert isinstance(answer, Outcome)
    assert (answer.cseq, answer.local, answer.fleet, answer.bound_s) == (1, "applied", "converging", 60.0)
    assert [order.kind for order in one.plane.orders()] == ["pause"]
    assert two.plane.orders() == ()
    world.hands.turn(10)
    await two.fleet.before_request()
    await quiet()
    assert [order.kind for order in two.plane.orders()] == ["pause"]


async def test_an_operation_leaves_who_what_why_and_what_came_of_it(world: World):
    await world.begin()
    one = await world.started()
    answer = await one.order(swap(reason="vendor down", who="grace"))
    record = await one.fleet.operation(answer.operation)
    assert (record.begin.who, record.begin.reason, record.begin.base) == ("grace", "vendor down", 0)
    assert (record.end.outcome, record.end.cseq) == ("applied", 1)
    assert [each.operation for each in await one.fleet.audit()] == [answer.operation]


# --- the ring is looked up after a 412 ---


async def test_a96_a_412_that_was_our_own_success_is_a_success(world: World):
    await world.begin()
    one = await world.started()
    first, second = one.gate.hold("write", "head"), one.gate.hold("write", "head")
    world.send(one, swap())
    await first.departed()
    first.fail()
    await world.pass_time(1)
    await second.departed()
    first.land()
    second.answer()
    await world.pass_time(1)
    (answer,) = one.answers
    assert isinstance(answer, Outcome)
    assert (answer.cseq, (await world.control()).cseq) == (1, 1)


async def test_a47_a_write_whose_answer_was_lost_is_found_in_the_ring(world: World):
    await world.begin()
    one = await world.started()
    flight = one.gate.hold("write", "head")
    world.send(one, swap())
    await flight.departed()
    flight.land()
    flight.fail()
    await world.pass_time(2)
    (answer,) = one.answers
    assert isinstance(answer, Outcome)
    assert (await world.control()).cseq == 1
    assert one.gate.count("write", "head") == 1


# --- honest 503 ---


async def test_a47_a_write_that_lands_after_it_was_read_back_was_never_told_to_have_changed_nothing(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    flight = one.gate.hold("write", "head")
    one.gate.refuse("write", "head", Unavailable("too late", sent=True))
    command = swap(idempotency_key="k")
    world.send(one, command)
    await flight.departed()
    flight.fail()
    await world.pass_time(15)
    (answer,) = one.answers
    assert isinstance(answer, OutcomeUnknown)
    flight.land()
    again = await two.order(command)
    assert isinstance(again, Outcome)
    assert (again.cseq, (await world.control()).cseq) == (1, 1)


async def test_nothing_changed_is_said_only_when_nothing_was_sent(world: World):
    await world.begin()
    one = await world.started()
    undo = one.gate.refuse("read", "head")
    answer = await one.order(swap())
    assert isinstance(answer, Unavailable)
    assert (answer.sent, answer.retry_after_s) == (False, 1.0)
    assert "nothing" in answer.message
    undo()
    one.gate.refuse("write", "head", Unavailable("no route", sent=False))
    assert isinstance(await one.order(swap()), Unavailable)
    assert (await world.control()).cseq == 0


async def test_a_refused_write_changed_nothing_and_says_so(world: World):
    await world.begin()
    one = await world.started()
    one.gate.refuse("write", "head", Forbidden("no rights"))
    answer = await one.order(swap())
    assert isinstance(answer, Unavailable)
    assert not answer.sent


async def test_after_a_lost_answer_a_refused_write_is_not_known_to_have_changed_nothing(world: World):
    await world.begin()
    one = await world.started()
    flight = one.gate.hold("write", "head")
    one.gate.refuse("write", "head", Forbidden("no rights"))
    world.send(one, swap())
    await flight.departed()
    flight.fail()
    await world.pass_time(2)
    (answer,) = one.answers
    assert isinstance(answer, OutcomeUnknown)


async def test_a_store_that_stays_away_after_a_lost_answer_ends_in_unknown_not_in_a_loop(world: World):
    await world.begin()
    one = await world.started()
    flight = one.gate.hold("write", "head")
    world.send(one, swap())
    await flight.departed()
    one.gate.refuse("read", "head")
    flight.fail()
    await world.pass_time(15)
    (answer,) = one.answers
    assert isinstance(answer, OutcomeUnknown)


# --- the outcome before eviction, the head before the outcome ---


async def lands_and_dies(world: World, replica: Replica, key: str) -> str:
    """X is applied; its answer and its outcome are lost with the replica that sent it."""
    command = swap(idempotency_key=key, tenants=("x",))
    replica.gate.refuse("create", "ops/*/end", Unavailable("frozen", sent=False))
    await replica.order(command)
    operation = operation_id("ada", key)
    assert f"ops/{operation}/end" not in await ends(world)
    return operation


async def test_a97_who_evicts_an_operation_writes_its_outcome_so_it_is_applied_once(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    operation = await lands_and_dies(world, one, "x")
    for number in range(MAX_RING):
        assert isinstance(await two.order(pause(tenants=(f"t{number}",))), Outcome)
    assert await applied(world, operation) == 0
    assert f"ops/{operation}/end" in await ends(world)
    again = await two.order(swap(idempotency_key="x", tenants=("x",)))
    assert isinstance(again, Outcome)
    assert (again.cseq, (await world.control()).cseq) == (1, MAX_RING + 1)


async def test_nothing_is_evicted_while_the_outcome_cannot_be_written(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    await lands_and_dies(world, one, "x")
    for number in range(MAX_RING - 1):
        await two.order(pause(tenants=(f"t{number}",)))
    two.gate.refuse("create", "ops/*/end", Unavailable("no answer", sent=True), times=1)
    answer = await two.order(pause(tenants=("last",)))
    assert isinstance(answer, Unavailable)
    assert not answer.sent
    assert (await world.control()).cseq == MAX_RING


async def test_a97_the_head_is_read_before_the_outcome_so_an_eviction_between_is_seen(world: World):
    await world.begin()
    one, two, three = await world.started(), await world.started(), await world.started()
    flight = one.gate.hold("write", "head")
    world.send(one, swap(idempotency_key="x", tenants=("x",)))
    await flight.departed()
    one.gate.refuse("*", "*")
    flight.fail()
    await quiet()
    looking = three.gate.hold("read", "ops/*/end")
    world.send(three, swap(idempotency_key="x", tenants=("x",)))
    await looking.departed()
    flight.land()
    for number in range(MAX_RING):
        await two.order(pause(tenants=(f"t{number}",)))
    looking.answer()
    await quiet()
    (answer,) = three.answers
    assert isinstance(answer, Outcome)
    assert (answer.cseq, (await world.control()).cseq) == (1, MAX_RING + 1)


async def test_a48_an_operation_is_applied_once_after_many_further_ones(world: World):
    await world.begin()
    one = await world.started()
    command = swap(idempotency_key="k", tenants=("x",))
    first = await one.order(command)
    for number in range(MAX_RING + 1):
        await one.order(pause(tenants=(f"t{number}",)))
    again = await one.order(command)
    assert (again.operation, again.cseq) == (first.operation, first.cseq)
    assert (await world.control()).cseq == MAX_RING + 2


# --- one base for one id ---


async def test_a_command_told_409_here_is_told_409_everywhere(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    command = swap(idempotency_key="x")
    flight = one.gate.hold("write", "head")
    world.send(one, command)
    await flight.departed()
    await two.order(swap("redis"))
    flight.answer()
    await world.pass_time(3)
    (answer,) = one.answers
    assert isinstance(answer, Conflict)
    again = await two.order(command)
    assert isinstance(again, Conflict)
    assert [order.value for order in (await world.control()).orders["adapter/cache"]] == ["redis"]


async def test_the_base_of_the_first_try_rules_the_second_though_the_first_died_after_its_claim(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    command = swap(idempotency_key="x")
    one.gate.refuse("write", "head", Unavailable("dead", sent=False))
    await one.order(command)
    await two.order(swap("redis"))
    assert isinstance(await two.order(command), Conflict)


async def test_insisting_is_claimed_too(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    command = swap(idempotency_key="x", if_match="*")
    one.gate.refuse("write", "head", Unavailable("dead", sent=False))
    await one.order(command)
    await two.order(swap("redis"))
    assert isinstance(await two.order(command), Outcome)


# --- tombstones ---


async def test_a98_set_removed_and_set_again_between_read_and_write_is_a_conflict(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    flight = one.gate.hold("write", "head")
    world.send(one, swap())
    await flight.departed()
    await two.order(swap("redis"))
    await two.order(swap(None, clear=True))
    flight.answer()
    await world.pass_time(2)
    (answer,) = one.answers
    assert isinstance(answer, Conflict)
    assert "adapter/cache" not in (await world.control()).orders


# --- conflicts, If-Match, keys ---


async def test_a46_two_operators_at_once_one_succeeds_and_the_other_is_told_the_current_etag(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    mine, theirs = one.gate.hold("write", "head"), two.gate.hold("write", "head")
    world.send(one, swap("memory"))
    world.send(two, swap("redis"))
    await mine.departed()
    await theirs.departed()
    mine.answer()
    theirs.answer()
    await world.pass_time(2)
    assert isinstance(one.answers[0], Outcome)
    assert isinstance(two.answers[0], Conflict)
    assert '"s1"' in two.answers[0].hint


async def test_two_operators_of_two_keys_both_succeed(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    flight = one.gate.hold("write", "head")
    world.send(one, swap(tenants=("a",)))
    await flight.departed()
    await two.order(swap(tenants=("b",)))
    flight.answer()
    await world.pass_time(2)
    assert isinstance(one.answers[0], Outcome)
    assert (await world.control()).cseq == 2


async def test_a70_a_stale_if_match_is_412_and_insisting_goes_through(world: World):
    await world.begin()
    one = await world.started()
    await one.order(swap("redis"))
    await one.order(pause(tenants=("acme",)))
    assert isinstance(await one.order(swap(if_match='"s0"')), Stale)
    assert isinstance(await one.order(swap(if_match='"s1"')), Outcome)
    assert isinstance(await one.order(swap("redis", if_match="*")), Outcome)
    assert isinstance(await one.order(swap(if_match='"s0"', dry_run=True)), Stale)
    assert isinstance(await one.order(swap(if_match="*", dry_run=True)), Outcome)


async def test_a48_the_same_key_with_another_body_is_refused(world: World):
    await world.begin()
    one = await world.started()
    await one.order(swap("redis", idempotency_key="k"))
    assert isinstance(await one.order(swap("memory", idempotency_key="k")), InputError)
    assert isinstance(await one.order(swap("memory", idempotency_key="k", who="eve")), Outcome)


async def test_a48_the_same_key_at_the_same_time_is_one_command(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    command = swap(idempotency_key="k")
    answers = await world.play(one.order(command), two.order(command), one.order(command))
    assert {answer.cseq for answer in answers} == {1}
    assert (await world.control()).cseq == 1


async def test_a_refusal_is_answered_again_under_its_key(world: World):
    await world.begin()
    one = await world.started()
    await one.order(swap("redis"))
    command = swap(idempotency_key="k", if_match='"s0"')
    first, again = await one.order(command), await one.order(command)
    assert isinstance(first, Stale)
    assert isinstance(again, Stale)
    assert again.message == first.message


# --- validation ---


async def test_what_does_not_stand_here_is_refused_before_anything_is_written(world: World):
    await world.begin()
    one = await world.started()
    one.plane.sick = {"redis"}
    assert isinstance(await one.order(swap("redis")), HealthCheckFailed)
    assert isinstance(await one.order(swap("nowhere")), UnknownProvider)
    assert isinstance(await one.order(pause(component=CACHE._replace(domain="service"))), UnknownComponent)
    assert await world.store.list("ops/") == []
    assert isinstance(await one.order(swap("redis", force=True)), Outcome)


async def test_a_retry_that_cannot_be_judged_here_never_says_that_nothing_happened(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    flight = one.gate.hold("write", "head")
    command = swap("redis", idempotency_key="k")
    world.send(one, command)
    await flight.departed()
    two.plane.sick = {"redis"}
    assert isinstance(await two.order(command), OutcomeUnknown)
    flight.answer()
    await quiet()
    assert isinstance(one.answers[0], Outcome)
    assert isinstance(await two.order(command), Outcome)


async def test_once_claimed_only_a_conflict_is_final_for_every_try_of_a_key(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    keyed = swap("redis", idempotency_key="k")
    claim = one.gate.hold("create", "ops/*/begin")
    world.send(one, keyed)
    await claim.departed()
    claim.land()
    one.plane.providers.discard("redis")
    claim.answer()
    await quiet()
    assert isinstance(one.answers[0], OutcomeUnknown)
    assert isinstance(await two.order(keyed), Outcome)


async def test_without_a_key_a_refusal_after_the_claim_is_final_and_recorded(world: World):
    await world.begin()
    one = await world.started()
    claim = one.gate.hold("create", "ops/*/begin")
    world.send(one, swap("redis"))
    await claim.departed()
    one.plane.providers.discard("redis")
    claim.answer()
    await quiet()
    assert isinstance(one.answers[0], UnknownProvider)
    (record,) = await one.fleet.audit()
    assert (record.end.outcome, record.end.code) == ("refused", "unknown-provider")


async def test_a_lost_read_of_an_outcome_is_no_refusal(world: World):
    await world.begin()
    one = await world.started()
    one.gate.refuse("read", "ops/*/end", times=1)
    assert isinstance(await one.order(pause()), Unavailable)
    assert (await world.control()).cseq == 0
    assert isinstance(await one.order(pause()), Outcome)


async def test_two_tries_that_claim_at_once_take_one_base(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    command = swap(idempotency_key="k")
    claim = one.gate.hold("create", "ops/*/begin")
    world.send(one, command)
    await claim.departed()
    await two.order(command)
    claim.answer()
    await quiet()
    assert [answer.cseq for answer in (*one.answers, *two.answers)] == [1, 1]


@pytest.mark.parametrize("refusal", [NoEligibleCandidate, OrderUnavailable])
async def test_a_component_of_which_nobody_may_serve_can_still_be_paused(world: World, refusal: type[PointsmanError]):
    await world.begin()
    one = await world.started()
    one.plane.ineligible = refusal
    assert isinstance(await one.order(pause()), Outcome)
    assert isinstance(await one.order(swap("redis")), refusal)


async def test_code_may_order_a_swap_too(world: World):
    await world.begin()
    one = await world.started()
    await one.fleet.swap(CACHE, "redis", reason="nightly", tenant="acme", reach="fleet")
    (order,) = one.plane.orders()
    assert (order.tenants, order.value) == (("acme",), "redis")
    assert (await one.fleet.audit())[0].begin.who == "code@rev-a"


async def test_a_split_is_given_and_raised_under_one_salt(world: World):
    await world.begin()
    one = await world.started()
    first = await one.order(swap(Split("redis", (("memory", 100),)), kind="split"))
    await one.order(swap(Split("redis", (("memory", 5000),)), kind="split"))
    (order,) = one.plane.orders()
    assert (order.value.to, order.value.salt) == ((("memory", 5000),), first.operation[:16])
    assert one.plane.proved[:2] == ["redis", "memory"]


async def test_a_write_without_an_answer_in_time_may_have_been_taken(world: World):
    await world.begin()
    one = await world.started()
    one.gate.refuse("write", "head", TimeoutError(), times=1)  # type: ignore[arg-type]
    world.send(one, pause())
    await world.pass_time(2)
    assert isinstance(one.answers[0], Outcome)
    assert one.gate.count("write", "head") == 2


async def test_a_read_may_overtake_the_answer_to_our_own_write(world: World):
    await world.begin()
    one = await world.started()
    flight = one.gate.hold("write", "head")
    world.send(one, pause())
    await flight.departed()
    flight.land()
    await one.fleet.refresh()
    assert one.seq == 2
    flight.answer()
    await quiet()
    assert isinstance(one.answers[0], Outcome)
    assert [kind for kind, _ in one.plane.taken].count("control") == 2


async def test_an_outcome_record_that_vanishes_while_it_is_read_is_no_lost_command(world: World):
    await world.begin()
    one = await world.started()
    one.gate.refuse("create", "ops/*/end", PreconditionFailed("it exists"), times=1)
    assert isinstance(await one.order(pause()), Outcome)
    assert one.events.named("control.outcome-not-written")


async def test_nothing_is_ordered_before_the_replica_runs(world: World):
    await world.begin()
    with pytest.raises(RuntimeError, match="start"):
        await world.replica().fleet.run(pause())


async def test_a_caller_who_goes_away_leaves_those_whom_he_carried(world: World):
    await world.begin()
    one = await world.started()
    first = one.gate.hold("write", "head")
    world.send(one, pause(tenants=("first",)))
    await first.departed()
    async with anyio.create_task_group() as leader:
        leader.start_soon(one.order, pause(tenants=("leader",)))
        await quiet()
        world.send(one, pause(tenants=("carried",)))
        await quiet()
        second = one.gate.hold("write", "head")
        first.answer()
        await second.departed()
        leader.cancel_scope.cancel()
        second.answer()
    await quiet()
    assert (await world.control()).cseq == 3
    assert [type(answer) for answer in one.answers] == [Outcome, Outcome]


async def test_a_caller_who_goes_away_while_he_waits_sends_nothing(world: World):
    await world.begin()
    one = await world.started()
    flight = one.gate.hold("write", "head")
    world.send(one, pause(tenants=("first",)))
    await flight.departed()
    async with anyio.create_task_group() as waiting:
        waiting.start_soon(one.order, pause(tenants=("gone",)))
        await quiet()
        waiting.cancel_scope.cancel()
    flight.answer()
    await quiet()
    assert (await world.control()).cseq == 1


async def test_a_swap_is_judged_only_where_the_heads_manifest_serves_but_a_pause_always_gets_through(world: World):
    await world.begin()
    one = await world.started()
    two = world.replica()
    two.plane.refuses[1] = refused()
    await two.fleet.start(world.group)
    assert isinstance(await two.order(swap()), ManifestPending)
    assert isinstance(await two.order(pause()), Outcome)
    assert isinstance(await one.order(swap()), Outcome)


async def test_an_order_can_be_cleared_though_nobody_knows_its_component_any_more(world: World):
    await world.begin()
    one = await world.started()
    await one.order(pause())
    one.plane.providers = set()
    gone = pause(component=CACHE._replace(domain="service"), clear=True)
    assert isinstance(await one.order(gone), UnknownComponent)
    control = await world.control()
    ghost = Order(op="x", kind="pause", tenants="*", cseq=1)
    world.hands.turn(1)
    await world.forge(_with(control, {"service/cache": (ghost,)}))
    assert isinstance(await one.order(gone), Outcome)


async def test_check_at_rebase_a_swap_to_p_and_a_manifest_without_p_never_both_commit(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    one.plane.withheld[2] = two.plane.withheld[2] = {"memory"}
    flight = one.gate.hold("write", "head")
    world.send(one, swap("memory"))
    await flight.departed()
    await world.publish(2, world.manifest(2), world.manifest(1))
    await two.fleet.refresh()
    assert (await world.control()).release.version == 2
    flight.answer()
    await world.pass_time(2)
    (answer,) = one.answers
    assert isinstance(answer, UnknownProvider)
    assert (await world.control()).orders == {}


async def test_a_replica_without_a_control_key_only_reads(world: World):
    await world.begin()
    one = await world.started(signer=None)
    assert isinstance(await one.order(pause()), ReadOnlyReplica)
    other = await world.started(signer="somebody else's")
    assert isinstance(await other.order(pause()), ReadOnlyReplica)
    assert one.fleet.status()["writes"] is False


async def test_a_rehearsal_tells_what_would_change_and_writes_nothing(world: World):
    await world.begin()
    one = await world.started()
    await one.order(swap("redis", tenants=("a",)))
    answer = await one.order(swap(tenants=("a", "b"), dry_run=True))
    assert isinstance(answer, Outcome)
    assert [(change.tenant, change.before, change.after) for change in answer.changes] == [
        ("a", "use redis", "use memory"),
        ("b", None, "use memory"),
    ]
    assert (answer.local, answer.fleet, answer.bound_s) == ("untouched", "untouched", None)
    assert isinstance(await one.order(swap("nowhere", dry_run=True)), UnknownProvider)
    assert (await world.control()).cseq == 1


# --- this replica alone ---


async def test_a_command_for_one_replica_binds_it_alone_and_writes_nothing(world: World):
    await world.begin()
    one = await world.started(signer=None)
    answer = await one.order(pause(reach="replica"))
    assert isinstance(answer, Outcome)
    assert (answer.local, answer.fleet) == ("applied", "untouched")
    await one.order(swap(reach="replica", tenants=("a",)))
    assert [order.kind for order in one.plane.overrides["adapter/cache"]] == ["pause", "use"]
    rehearsed = await one.order(pause(reach="replica", clear=True, dry_run=True))
    assert rehearsed.local == "untouched"
    await one.order(pause(reach="replica", clear=True))
    assert [order.kind for order in one.plane.overrides["adapter/cache"]] == ["use"]
    assert isinstance(await one.order(swap("nowhere", reach="replica")), UnknownProvider)
    assert await world.store.list("ops/") == []


# --- batches, pace and room ---


async def test_one_compare_and_swap_carries_all_who_wait(world: World):
    await world.begin()
    one = await world.started()
    flight = one.gate.hold("write", "head")
    world.send(one, pause(tenants=("first",)))
    await flight.departed()
    for number in range(BATCH + 3):
        world.send(one, pause(tenants=(f"t{number}",)))
    await quiet()
    flight.answer()
    await quiet()
    assert [type(answer) for answer in one.answers] == [Outcome] * (BATCH + 4)
    assert sorted(answer.cseq for answer in one.answers) == list(range(1, BATCH + 5))
    assert one.gate.count("write", "head") == 3
    control = await world.control()
    assert (control.cseq, control.seq) == (BATCH + 4, 4)


async def test_commands_of_one_batch_that_touch_one_key_conflict_only_if_the_first_is_committed(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    flight = one.gate.hold("write", "head")
    world.send(one, pause(tenants=("first",)))
    await flight.departed()
    world.send(one, swap("redis"))
    world.send(one, swap("memory"))
    await quiet()
    second = one.gate.hold("write", "head")
    flight.answer()
    await second.departed()
    assert len(one.answers) == 1
    await two.order(pause(tenants=("other",)))
    second.answer()
    await world.pass_time(3)
    kinds = sorted(type(answer).__name__ for answer in one.answers)
    assert kinds == ["Conflict", "Outcome", "Outcome"]
    assert (await world.control()).cseq == 3


async def test_a_conflict_with_a_command_that_was_never_committed_is_none(world: World):
    await world.begin()
    one = await world.started()
    flight = one.gate.hold("write", "head")
    world.send(one, pause(tenants=("first",)))
    await flight.departed()
    world.send(one, swap("redis"))
    world.send(one, swap("memory"))
    await quiet()
    one.gate.refuse("write", "head", Forbidden("not now"), times=1)
    flight.answer()
    await quiet()
    assert [type(answer) for answer in one.answers] == [Outcome, Unavailable, Outcome]
    assert [order.value for order in (await world.control()).orders["adapter/cache"] if order.value] == ["memory"]


async def test_a49_a_paced_store_is_never_written_twice_a_second_and_nothing_is_lost(paced_world: World):
    world = paced_world
    await world.begin()
    replicas = [await world.started() for _ in range(3)]
    orders = [
        replica.order(pause(tenants=(f"{place}-{number}",)))
        for place, replica in enumerate(replicas)
        for number in range(4)
    ]
    answers = await world.play(*orders, step_s=0.05)
    assert [type(answer) for answer in answers] == [Outcome] * 12
    assert sorted(answer.cseq for answer in answers) == list(range(1, 13))
    assert sum(replica.gate.count("write", "head") for replica in replicas) <= 9


async def test_a49_what_cannot_be_brought_in_within_ten_seconds_changed_nothing(world: World):
    await world.begin()
    one = await world.started()
    flight = one.gate.hold("write", "head")
    world.send(one, pause(tenants=("first",)))
    await flight.departed()
    world.send(one, pause(tenants=("second",)))
    await quiet()
    world.hands.turn(11)
    flight.answer()
    await quiet()
    assert {type(answer) for answer in one.answers} == {Outcome, Unavailable}
    assert (await world.control()).cseq == 1


async def test_a_full_head_refuses_commands_but_keeps_room_for_pausing_everyone(world: World):
    await world.begin()
    one = await world.started()
    number = 0
    while True:
        tenants = tuple(f"tenant-{number:04d}-{each:04d}" for each in range(400))
        answer = await one.order(pause(tenants=tenants))
        if not isinstance(answer, Outcome):
            break
        number += 1
    assert isinstance(answer, ControlFull)
    assert number > 3
    assert isinstance(await one.order(pause()), Outcome)
    assert isinstance(await one.order(pause(kind="drain")), Outcome)
    cleared = tuple(f"tenant-0000-{each:04d}" for each in range(400))
    assert isinstance(await one.order(pause(clear=True, tenants=cleared)), Outcome)
    assert len(await world.bytes_of("head")) <= 64 * 1024


def _with(control, orders):
    from msgspec.structs import replace

    return replace(control, seq=control.seq + 1, orders={**control.orders, **orders})


@pytest.mark.parametrize("sent", [True, False])
async def test_a_lost_outcome_record_is_no_lost_command(world: World, sent: bool):
    await world.begin()
    one = await world.started()
    one.gate.refuse("create", "ops/*/end", Unavailable("away", sent=sent))
    assert isinstance(await one.order(pause()), Outcome)
    assert one.events.named("control.outcome-not-written")
