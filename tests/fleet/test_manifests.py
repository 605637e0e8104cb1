"""FLEET, Manifests: who adopts what, and what each replica serves."""

from __future__ import annotations

import json
from datetime import timedelta

import anyio
import pytest
from msgspec.structs import replace

from pointsman.control.commands import Outcome
from pointsman.control.convergence import Freshness
from pointsman.control.effective import LARGE_BYTES
from pointsman.control.founding import adopt_head
from pointsman.control.publishing import Publisher
from pointsman.control.reading import Reader
from pointsman.control.roots import Roots
from pointsman.control.sealing import Seal
from pointsman.errors import ActivationFailed, Unavailable, UntrustedRoot
from pointsman.manifests.canonical import decode_document, encode
from pointsman.manifests.envelope import decode_envelope, digest_of, sign
from pointsman.manifests.schema import MAX_INT, Bad, Control, Good, Manifest, Release, TenantEntry, payload_type
from pointsman.manifests.trust import Trust
from pointsman.manifests.verification import decode_head, encode_head
from pointsman.stores.memory import MemoryStore
from tests.fleet.world import AUDIENCE, Events, Replica, World, key, pause, quiet, refused, swap


def serves(replica: Replica) -> int | None:
    return None if replica.plane.manifest is None else replica.plane.manifest.version


def problems(replica: Replica) -> str:
    return str(replica.fleet.status()["problems"])


# --- adopt ---


async def test_a_release_is_seen_within_its_interval_adopted_once_and_taken_everywhere(world: World):
    await world.begin()
    fleet = [await world.started() for _ in range(3)]
    await world.publish(2, world.manifest(2), world.manifest(1))
    await world.pass_time(75, step_s=1)
    assert [serves(replica) for replica in fleet] == [2, 2, 2]
    control = await world.control()
    assert (control.release.version, control.seq, control.cseq) == (2, 2, 0)
    assert sum(len(replica.events.named("release.adopted")) for replica in fleet) == 1


async def test_a_hint_makes_one_replica_look_at_the_release_at_once(world: World):
    await world.begin()
    one = await world.started()
    await world.publish(2, world.manifest(2), world.manifest(1))
    world.hands.turn(2)
    await one.fleet.refresh(hint=True)
    await quiet()
    await quiet()
    assert serves(one) == 2


async def test_a_manifest_that_fails_its_preflight_is_not_adopted_and_is_tried_again(world: World):
    await world.begin()
    one = await world.started()
    one.plane.refuses[2] = refused()
    await world.publish(2, world.manifest(2), world.manifest(1))
    await one.fleet.refresh()
    assert (serves(one), (await world.control()).release.version) == (1, 1)
    assert "preflight" in problems(one)
    one.plane.refuses.clear()
    await world.pass_time(125, step_s=1)
    assert serves(one) == 2
    assert problems(one) == "[]"


async def test_a_release_is_not_adopted_where_an_order_in_force_would_lose_its_provider(world: World):
    await world.begin()
    one = await world.started()
    await one.order(swap("redis"))
    one.plane.withheld[2] = {"redis"}
    await world.publish(2, world.manifest(2), world.manifest(1))
    await one.fleet.refresh()
    assert (await world.control()).release.version == 1
    assert "redis" in problems(one)
    await one.order(swap(None, clear=True))
    await world.pass_time(20, step_s=1)
    assert serves(one) == 2


async def test_decide_again_an_adoption_that_waited_never_lands_on_a_newer_release(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    await world.publish(2, world.manifest(2), world.manifest(1))
    flight = one.gate.hold("write", "head")
    world.group.start_soon(one.fleet.refresh)
    await flight.departed()
    await world.publish(3, world.manifest(3), world.manifest(1))
    await two.fleet.refresh()
    flight.answer()
    await world.pass_time(2)
    assert (await world.control()).release.version == 3
    assert serves(one) == 3


async def test_decide_again_an_adoption_whose_answer_was_lost_is_found_done(world: World):
    await world.begin()
    one = await world.started()
    await world.publish(2, world.manifest(2), world.manifest(1))
    flight = one.gate.hold("write", "head")
    world.group.start_soon(one.fleet.refresh)
    await flight.departed()
    flight.land()
    flight.fail()
    await world.pass_time(2)
    assert serves(one) == 2
    assert (await world.control()).seq == 2
    assert problems(one) == "[]"


async def test_an_adoption_that_never_gets_through_is_given_up_and_tried_later(world: World):
    await world.begin()
    one = await world.started()
    undo = one.gate.refuse("write", "head", Unavailable("too many", sent=True))
    await world.publish(2, world.manifest(2), world.manifest(1))
    world.group.start_soon(one.fleet.refresh)
    await world.pass_time(20)
    assert "outcome-unknown" in problems(one)
    undo()
    await world.pass_time(10)
    assert serves(one) == 2


async def test_an_adoption_that_sends_nothing_says_so(world: World):
    await world.begin()
    one = await world.started()
    one.gate.refuse("write", "head", Unavailable("no route", sent=False), times=1)
    await world.publish(2, world.manifest(2), world.manifest(1))
    await one.fleet.refresh()
    assert "no route" in problems(one)
    await world.pass_time(11)
    assert serves(one) == 2


async def test_a_release_that_drops_all_that_proved_itself_is_not_adopted(world: World):
    first = world.manifest(1)
    await world.begin(first)
    one = await world.started()
    control = await world.control()
    world.hands.turn(1)
    await world.forge(replace(control, seq=2, good=(Good(digest=digest_of(first), version=1),)))
    await one.fleet.refresh()
    await world.publish(2, world.manifest(2))
    await one.fleet.refresh()
    assert "proved themselves" in problems(one)
    await world.publish(3, world.manifest(3), first)
    await one.fleet.refresh()
    assert serves(one) == 3
    assert [good.version for good in (await world.control()).good] == [1]
    await world.publish(4, world.manifest(4), floor=2)
    await one.fleet.refresh()
    assert serves(one) == 4
    assert (await world.control()).good == ()


async def test_a_release_that_went_back_or_has_two_faces_is_an_alarm_and_changes_nothing(world: World):
    await world.begin()
    one = await world.started()
    await world.publish(2, world.manifest(2), world.manifest(1))
    await one.fleet.refresh()
    other = await world.store.read("release", max_bytes=1 << 16)
    await world.store.write("release", world.release(1, (world.manifest(1),)), expect=other.generation)
    await one.fleet.refresh()
    assert "rollback" in problems(one)
    other = await world.store.read("release", max_bytes=1 << 16)
    await world.store.write("release", world.release(2, (world.manifest(1),)), expect=other.generation)
    await world.pass_time(61, step_s=1)
    assert "equivocation" in problems(one)
    assert "release.refused" in one.events.alarms
    assert serves(one) == 2


async def test_an_unchanged_release_is_read_and_nothing_is_done(world: World):
    await world.begin()
    one = await world.started()
    await one.fleet.refresh()
    await one.fleet.refresh()
    assert one.gate.count("read", "release") == 2
    assert (await world.control()).seq == 1


async def test_going_back_is_a_new_release_that_names_an_older_manifest(world: World):
    first, second = world.manifest(1), world.manifest(2)
    await world.begin(first)
    one = await world.started()
    await world.publish(2, second, first)
    await one.fleet.refresh()
    await world.publish(3, first, second)
    await one.fleet.refresh()
    assert serves(one) == 1


async def test_a_replica_that_cannot_sign_adopts_nothing_and_follows(world: World):
    await world.begin()
    reader, writer = await world.started(signer=None), await world.started()
    await world.publish(2, world.manifest(2), world.manifest(1))
    await reader.fleet.refresh()
    assert (serves(reader), reader.gate.count("write")) == (1, 0)
    await writer.fleet.refresh()
    await reader.fleet.refresh()
    assert serves(reader) == 2


# --- the effective manifest ---


async def test_a51_a77_a_replica_that_starts_while_the_current_one_is_bad_walks_the_list(world: World):
    first, second, third = world.manifest(1), world.manifest(2), world.manifest(3)
    await world.publish(1, third, second, first)
    await world.found()
    one = world.replica()
    one.plane.refuses = {3: refused(), 2: ActivationFailed("vendor is down")}
    await one.fleet.start(world.group)
    assert serves(one) == 1
    assert {refusal.version: refusal.error for refusal in one.fleet.refusals} == {
        3: "preflight-failed",
        2: "activation-failed",
    }
    one.plane.refuses = {2: refused()}
    await world.pass_time(20, step_s=1)
    assert serves(one) == 3
    assert [refusal.version for refusal in one.fleet.refusals] == [2]


async def test_a_command_that_meets_a_newer_head_waits_for_its_manifest_too(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    one.plane.warming = anyio.Event()
    await world.publish(2, world.manifest(2), world.manifest(1))
    await two.fleet.refresh()
    world.hands.turn(2)
    await one.fleet.refresh(hint=True)
    await quiet()
    await world.publish(3, world.manifest(3), world.manifest(1))
    await two.fleet.refresh()
    world.send(one, swap("v3"))
    await quiet()
    one.plane.warming.set()
    await quiet()
    assert isinstance(one.answers[0], Outcome)
    assert [version for kind, version in one.plane.taken if kind == "manifest"] == [1, 2, 3]


async def test_a40_a_refused_manifest_is_tried_again_with_backoff_though_the_head_is_unchanged(world: World):
    await world.begin()
    one = world.replica()
    one.plane.refuses[1] = refused()
    await one.fleet.start(world.group)
    await world.pass_time(300, step_s=1)
    (refusal,) = one.fleet.refusals
    assert 4 <= refusal.tries <= 40
    assert one.gate.count("read", "manifests/*") == 1
    one.plane.refuses.clear()
    await world.pass_time(75, step_s=1)
    assert serves(one) == 1


async def test_a_replica_that_serves_something_permitted_does_not_walk_on_over_a_refusal(
    world: World,
):
    first, second, third = world.manifest(1), world.manifest(2), world.manifest(3)
    await world.begin(first)
    one, two = await world.started(), await world.started()
    one.plane.refuses[3] = refused()
    await world.publish(2, third, second, first)
    await two.fleet.refresh()
    await one.fleet.refresh()
    assert (serves(two), serves(one)) == (3, 1)


async def test_a52_what_is_bad_for_one_revision_is_served_by_another(world: World):
    first, second = world.manifest(1), world.manifest(2)
    await world.publish(1, second, first)
    await world.found()
    a, b = await world.started(revision="rev-a"), await world.started(revision="rev-b")
    control = await world.control()
    world.hands.turn(1)
    bad = Bad(digest=digest_of(second), revision="rev-a", by=("x", "y"), rule="preflight-failed")
    await world.forge(replace(control, seq=2, bad=(bad,)))
    await a.fleet.refresh()
    await b.fleet.refresh()
    assert (serves(a), serves(b)) == (1, 2)
    assert serves(await world.started(revision="rev-a")) == 1
    assert (await world.control()).release.version == 1


async def test_a100_a_deployment_rolled_back_to_an_image_that_loads_neither_serves_the_images_own(world: World):
    first, second = world.manifest(1), world.manifest(2)
    await world.publish(1, second, first)
    await world.found()
    own = world.manifest(3)
    old = world.replica(image=own)
    old.plane.refuses = {1: refused(), 2: refused()}
    await old.fleet.start(world.group)
    assert serves(old) == 3
    assert old.gate.count("read", f"manifests/sha256/{digest_of(own)}") == 0


async def test_the_images_own_manifest_is_not_served_below_the_floor(world: World):
    await world.publish(1, world.manifest(5), floor=4)
    await world.found()
    old = world.replica(image=world.manifest(3))
    old.plane.refuses = {5: refused()}
    await old.fleet.start(world.group)
    assert serves(old) is None
    assert [refusal.error for refusal in old.fleet.refusals] == ["preflight-failed", "rollback"]


async def test_a_large_manifest_is_judged_beside_the_event_loop_and_refused_as_any_other(world: World):
    tenants = {f"tenant-{number}": TenantEntry(labels={"plan": "x" * 60}) for number in range(1000)}
    large, wrong = world.manifest(2, tenants=tenants), world.manifest(3, tenants=tenants, epoch=2)
    assert len(large) > LARGE_BYTES
    await world.publish(1, large)
    await world.found()
    one = world.replica(image=wrong)
    one.plane.refuses[2] = refused()
    await one.fleet.start(world.group)
    assert [refusal.error for refusal in one.fleet.refusals] == ["preflight-failed", "wrong-epoch"]
    one.plane.refuses.clear()
    assert serves(await world.started()) == 2


async def test_an_image_whose_manifest_is_approved_does_not_list_it_twice(world: World):
    first = world.manifest(1)
    await world.begin(first)
    one = await world.started(image=first)
    assert len(one.fleet.effective.choices(one.fleet.head)) == 1


async def test_a30_a_manifest_whose_bytes_are_not_those_that_were_approved_is_refused(world: World):
    first, second = world.manifest(1), world.manifest(2)
    await world.publish(1, second, first)
    await world.found()
    lie = await world.store.read(f"manifests/sha256/{digest_of(second)}", max_bytes=1 << 20)
    await world.store.write(f"manifests/sha256/{digest_of(second)}", first, expect=lie.generation)
    one = await world.started()
    assert serves(one) == 1
    assert [refusal.error for refusal in one.fleet.refusals] == ["digest-mismatch"]


async def test_a_manifest_that_cannot_be_fetched_leaves_what_serves_and_is_no_alarm(world: World):
    await world.begin()
    one, two = await world.started(), await world.started()
    one.gate.refuse("read", "manifests/*", times=1)
    await world.publish(2, world.manifest(2), world.manifest(1))
    await two.fleet.refresh()
    await one.fleet.refresh()
    await world.pass_time(20)
    assert serves(one) == 2
    assert one.events.alarms == []


async def test_a26_an_expired_manifest_has_its_grace_while_a_release_names_it(world: World):
    issued = world.hands.now()
    short = world.manifest(1, expires=issued + timedelta(days=2))
    await world.begin(short)
    world.hands.turn(3 * 86_400)
    assert serves(await world.started()) == 1
    world.hands.turn(2 * 86_400)
    late = await world.started()
    assert serves(late) is None
    assert [refusal.error for refusal in late.fleet.refusals] == ["expired"]


async def test_a_manifest_that_the_gate_refuses_is_refused_whole(world: World):
    await world.begin()
    one = await world.started()
    await world.publish(
        2, world.manifest(2, provider_settings={"adapter/cache/redis": {"url": "x"}}), world.manifest(1)
    )
    await one.fleet.refresh()
    assert "gate is closed" in problems(one)
    assert serves(one) == 1


# --- trust ---


async def test_a75_a_control_document_older_than_the_release_demands_is_never_written(world: World):
    await world.begin()
    one = await world.started()
    await world.publish(2, world.manifest(2), world.manifest(1), min_control_seq=5)
    await one.fleet.refresh()
    assert "rollback" in problems(one)
    for number in range(3):
        await one.order(pause(tenants=(f"t{number}",)))
    await world.pass_time(30, step_s=1)
    assert serves(one) == 2
    assert (await world.control()).seq == 5


async def test_a75_a_new_release_beside_an_old_control_document_or_the_reverse_is_refused(world: World):
    await world.begin()
    one = await world.started()
    old = decode_head(await world.bytes_of("head"), world.trust)
    await world.publish(2, world.manifest(2), world.manifest(1))
    await one.fleet.refresh()
    new = decode_head(await world.bytes_of("head"), world.trust)
    for release, control in ((new.release, old.control), (old.release, new.control)):
        await world.put_back(encode_head(bytes(release), bytes(control)))
        await one.fleet.refresh()
        assert "digest-mismatch" in one.fleet.status()["last_error"]
        assert (await world.started()).fleet.head is None
    assert serves(one) == 2


async def test_a76_the_control_key_has_no_say_about_the_floor(world: World):
    await world.begin()
    one = await world.started()
    control = json.loads(encode(await world.control())) | {"seq": 2, "floor": 9}
    signed = sign(payload_type(Control), json.dumps(control, separators=(",", ":")).encode(), [key("control")])
    head = decode_head(await world.bytes_of("head"), world.trust)
    await world.put_back(encode_head(bytes(head.release), signed))
    await one.fleet.refresh()
    assert "malformed" in one.fleet.status()["last_error"]
    assert serves(one) == 1


async def test_a76_a_number_used_up_by_a_stolen_key_is_out_of_the_way_after_a_new_epoch(world: World):
    await world.begin()
    one = await world.started()
    control = await world.control()
    world.hands.turn(1)
    await world.forge(replace(control, seq=MAX_INT))
    answer = await one.order(pause())
    assert "epoch" in str(answer)
    second = world.root(2, epoch=2, by=1)
    await world.publish(2, world.manifest(1, epoch=2), roots={2: second}, epoch=2, root=2)
    await one.fleet.refresh()
    assert one.fleet.head.position == (2, 1)
    assert isinstance(await one.order(pause()), Outcome)
    cold = await world.started()
    assert cold.fleet.head.position == (2, 2)


async def test_a33_a_release_waits_for_the_roots_that_it_wants_and_takes_no_step_without_them(world: World):
    await world.begin()
    one = await world.started()
    standing = await world.store.read("release", max_bytes=1 << 16)
    await world.store.write("release", world.release(2, (world.manifest(1),), root=3), expect=standing.generation)
    await one.fleet.refresh()
    assert "untrusted-root" in problems(one)
    assert "release.refused" in one.events.alarms
    await world.store.create("roots/3", world.root(3, by=2))
    await world.store.create("roots/2", world.root(2, by=1))
    await world.pass_time(10)
    assert one.fleet.head.release.document.root == 3


async def test_a_rotated_control_key_signs_nothing_any_more(world: World):
    await world.begin()
    one = await world.started()
    two = world.root(2, by=1, control=("control", "next"))
    await world.publish(2, world.manifest(1), roots={2: two}, root=2)
    await one.fleet.refresh()
    assert one.fleet.head.trust.root.version == 2
    new = await world.started(signer="next")
    assert isinstance(await new.order(pause()), Outcome)
    three = world.root(3, by=2, control=("next",))
    await world.publish(3, world.manifest(1), roots={3: three}, root=3)
    await new.fleet.refresh()
    await one.fleet.refresh()
    assert one.fleet.status()["writes"] is False
    assert new.fleet.status()["writes"] is True
    control = new.fleet.head.control.document
    world.hands.turn(1)
    await world.forge(replace(control, seq=control.seq + 1), signer="control")
    await one.fleet.refresh()
    assert "bad-signature" in one.fleet.status()["last_error"]


async def test_a_head_that_names_an_older_root_is_judged_by_the_one_in_force(world: World):
    await world.begin()
    old = await world.bytes_of("head")
    one = await world.started()
    two = world.root(2, by=1, control=("next",))
    await world.publish(2, world.manifest(1), roots={2: two}, root=2)
    new = await world.started(signer="next")
    await new.fleet.refresh()
    await one.fleet.refresh()
    assert one.fleet.head.release.document.root == 2
    await world.put_back(old)
    await one.fleet.refresh()
    assert "bad-signature" in one.fleet.status()["last_error"]


async def test_a81_a_root_that_the_image_demands_and_the_store_withholds_stops_the_start(world: World):
    await world.begin()
    one = world.replica(min_root=2)
    with pytest.raises(UntrustedRoot):
        await one.fleet.check_root()
    await one.fleet.start(world.group)
    assert one.fleet.head is None
    await world.store.create("roots/2", world.root(2, by=1))
    two = await world.started(min_root=2)
    await two.fleet.check_root()
    assert serves(two) == 1
    assert two.fleet.head.trust.root.version == 2


async def test_a_demanded_root_that_cannot_be_fetched_yet_stops_nothing_and_serves_nothing(world: World):
    await world.begin()
    await world.store.create("roots/2", world.root(2, by=1))
    one = world.replica(min_root=2)
    undo = one.gate.refuse("read", "roots/*")
    await one.fleet.check_root()
    assert one.events.named("control.root-not-fetched")
    await one.fleet.start(world.group)
    assert serves(one) is None
    undo()
    await world.pass_time(16)
    assert serves(one) == 1


async def test_unsigned_documents_are_read_in_development_and_signed_by_nobody(world: World):
    audience = replace(AUDIENCE, environment="development")
    trust = Trust(None, audience, unsigned=True)
    store = MemoryStore(clock=world.hands.now)

    def bare(kind: type[Manifest | Release], envelope: bytes) -> bytes:
        document = decode_document(kind, decode_envelope(envelope, 1 << 20).payload)
        return encode(replace(document, audience=audience))

    manifest = bare(Manifest, world.manifest(1))
    release = bare(Release, world.release(1, (manifest,), versions=(1,)))
    await Publisher(store, trust, world.hands.now).publish(release, manifests=[manifest])
    ground = world.ground(world.hands, store, store, Events())
    await adopt_head(ground, Reader(ground, Roots(trust, store)), Seal())
    one = await world.started(trust=trust, store=store, signer=None)
    assert serves(one) == 1
    assert isinstance(await one.order(pause()), Outcome)


# --- without a head ---


class Published:
    """A store over which nothing can be written, as https is."""

    writable = False
    paced = False
    url = "https://releases.example"

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def read(self, name, *, max_bytes, unless=None):
        return await self._store.read(name, max_bytes=max_bytes, unless=unless)

    async def list(self, prefix):
        return await self._store.list(prefix)

    async def aclose(self) -> None:
        await self._store.aclose()


async def test_over_https_a_replica_follows_the_release_alone_and_commands_reach_itself(world: World):
    await world.publish(1, world.manifest(1))
    one = await world.started(store=Published(world.memory))
    assert (serves(one), one.fleet.convergence.condition()) == (1, Freshness.FRESH)
    await world.publish(2, world.manifest(2), world.manifest(1))
    await world.pass_time(11)
    assert serves(one) == 2
    answer = await one.order(pause())
    assert "replica" in answer.hint
    assert isinstance(await one.order(pause(reach="replica")), Outcome)
    assert one.events.alarms == []


async def test_over_https_an_expired_release_is_stale_and_goes_on(world: World):
    now = world.hands.now()
    await world.publish(1, world.manifest(1), expires=now + timedelta(days=5))
    one = await world.started(store=Published(world.memory))
    for _ in range(4):
        world.hands.turn(86_400)
        await quiet()
    assert one.fleet.convergence.condition() is Freshness.FRESH
    assert one.events.alarms == ["control.not-signed-for-long"]
    world.hands.turn(86_400)
    await quiet()
    await one.fleet.refresh()
    assert one.fleet.convergence.condition() is Freshness.STALE
    assert serves(one) == 1
    assert one.plane.gating.orders == {}


async def test_over_https_an_older_release_is_never_taken(world: World):
    await world.publish(1, world.manifest(1))
    old = await world.bytes_of("release")
    one = await world.started(store=Published(world.memory))
    await world.publish(2, world.manifest(2), world.manifest(1))
    await one.fleet.refresh()
    standing = await world.store.read("release", max_bytes=1 << 16)
    await world.store.write("release", old, expect=standing.generation)
    await one.fleet.refresh()
    assert serves(one) == 2
    assert one.events.alarms == ["control.refresh-failed"]
