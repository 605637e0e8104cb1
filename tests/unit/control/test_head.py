from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from pointsman.control import head
from pointsman.errors import Conflict, ControlFull, Stale
from pointsman.manifests.canonical import decode_document, encode
from pointsman.manifests.schema import MAX_GONE, MAX_INT, MAX_RING, Approved, Audience, Bad, Control, Good
from pointsman.resolution.selection import Split

CACHE = "adapter/cache"


def told(control: Control) -> list[tuple[str, object, object]]:
    return [(order.kind, order.tenants, order.value) for order in control.orders.get(CACHE, ())]


def test_a_command_is_one_order_one_number_and_one_place_in_the_ring(control, swap, now):
    after = head.apply(control, swap(tenants=("zoe", "acme")), now, "op1")
    assert told(after) == [("use", ("acme", "zoe"), "memory")]
    assert (after.cseq, after.seq) == (control.cseq + 1, control.seq)
    assert after.ring == (("op1", 1),)
    assert decode_document(Control, encode(after)) == after


def test_a_write_grows_seq_once_and_dates_the_signature_by_the_stores_clock(control, now):
    later = now + timedelta(days=1)
    after = head.advance(control, later)
    assert (after.seq, after.signed_at, after.expires) == (control.seq + 1, later, later + timedelta(days=7))


def test_a_swap_replaces_exactly_its_own_key(control, swap, now):
    after = head.apply(control, swap(tenants=("a", "b", "c")), now, "op1")
    after = head.apply(after, swap(tenants=("b",), value="redis"), now, "op2")
    after = head.apply(after, swap(value="multitier"), now, "op3")
    assert told(after) == [("use", ("a", "c"), "memory"), ("use", ("b",), "redis"), ("use", "*", "multitier")]
    after = head.apply(after, swap(clear=True), now, "op4")
    assert told(after) == [("use", ("a", "c"), "memory"), ("use", ("b",), "redis")]
    after = head.apply(after, swap(kind="split", value=Split("redis", (("memory", 1),)), tenants=("b",)), now, "op5")
    assert [kind for kind, *_ in told(after)] == ["use", "split"]


def test_a_resume_removes_exactly_its_own(control, swap, now):
    after = head.apply(control, swap(kind="pause"), now, "1")
    after = head.apply(after, swap(kind="drain"), now, "2")
    after = head.apply(after, swap(kind="pause", tenants=("acme",)), now, "3")
    assert [(kind, tenants) for kind, tenants, _ in told(after)] == [
        ("pause", "*"),
        ("drain", "*"),
        ("pause", ("acme",)),
    ]
    resumed = head.apply(after, swap(kind="pause", clear=True), now, "4")
    assert [(kind, tenants) for kind, tenants, _ in told(resumed)] == [("drain", "*"), ("pause", ("acme",))]
    opened = head.apply(after, swap(kind="gate", clear=True), now, "5")
    assert [(kind, tenants) for kind, tenants, _ in told(opened)] == [("pause", ("acme",))]


def test_the_last_order_takes_its_component_with_it(control, swap, now):
    after = head.apply(head.apply(control, swap(), now, "1"), swap(clear=True), now, "2")
    assert after.orders == {}
    assert after.gone == {f"{CACHE}|*|use": 2}
    again = head.apply(after, swap(), now, "3")
    assert again.gone == {}


def test_what_moved_after_the_base_is_a_conflict_and_other_keys_are_not(control, swap, now):
    after = head.apply(control, swap(tenants=("acme",)), now, "1")
    assert head.conflict(after, swap(tenants=("acme",)), 0) == f"{CACHE}|acme|use"
    assert head.conflict(after, swap(tenants=("acme",)), 1) is None
    assert head.conflict(after, swap(), 0) is None
    assert head.conflict(after, swap(kind="pause", tenants=("acme",)), 0) is None
    with pytest.raises(Conflict):
        head.check_in_time(after, swap(tenants=("acme",)), 0, conditional=False)
    with pytest.raises(Stale, match="s1 now"):
        head.check_in_time(after, swap(tenants=("acme",)), 0, conditional=True)
    head.check_in_time(after, swap(tenants=("acme",)), 1, conditional=True)


def test_a_drain_that_was_cleared_moves_the_gate_though_the_pause_is_older(control, swap, now):
    after = head.apply(control, swap(kind="pause"), now, "1")
    after = head.apply(after, swap(kind="drain"), now, "2")
    after = head.apply(after, swap(kind="drain", clear=True), now, "3")
    assert head.moved(after, f"{CACHE}|*|gate") == 3
    assert head.conflict(after, swap(kind="pause", clear=True), 2) is not None


def test_a_tenant_whose_name_holds_the_separator_has_a_key_of_its_own(control, swap, now):
    after = head.apply(control, swap(tenants=("a|b",), clear=True), now, "1")
    assert head.conflict(after, swap(tenants=("a|b",)), 0) is not None
    assert head.conflict(after, swap(tenants=("a",)), 0) is None


def test_what_is_forgotten_conflicts_with_every_older_base(control, swap, now):
    after = control
    for number in range(MAX_GONE + 1):
        after = head.apply(after, swap(tenants=(f"t{number}",), clear=True), now, f"op{number}")
    assert len(after.gone) == MAX_GONE
    assert after.gone_floor == 1
    assert head.conflict(after, swap(tenants=("t0",)), 0) is not None
    assert head.conflict(after, swap(tenants=("t0",)), 1) is None
    assert head.conflict(after, swap(tenants=("never seen",)), 0) is not None
    assert len(after.ring) == MAX_RING


def test_forgetting_goes_from_the_oldest_until_nothing_is_left(control, swap, now):
    after = head.apply(control, swap(clear=True), now, "1")
    after = head.apply(after, swap(kind="pause", clear=True), now, "2")
    fewer = head.forget(after)
    assert fewer is not None
    assert (list(fewer.gone.values()), fewer.gone_floor) == ([2], 1)
    none = head.forget(fewer)
    assert none is not None
    assert head.forget(none) is None


def test_an_order_leaves_a_minute_after_its_end_and_leaves_a_tombstone(control, swap, now):
    after = head.apply(control, swap(kind="pause", ttl_s=30.0, tenants=("acme",)), now, "1")
    after = head.apply(after, swap(), now, "2")
    assert head.sweep(after, now + timedelta(seconds=89)) == after
    swept = head.advance(after, now + timedelta(seconds=90))
    assert told(swept) == [("use", "*", "memory")]
    assert swept.gone == {f"{CACHE}|acme|gate": 1}
    assert head.conflict(swept, swap(kind="pause", tenants=("acme",), clear=True), 0) is not None


def test_an_order_for_everyone_that_ended_leaves_one_tombstone(control, swap, now):
    after = head.apply(control, swap(ttl_s=1.0), now, "1")
    assert head.sweep(after, now + timedelta(days=1)).gone == {f"{CACHE}|*|use": 1}


def test_a_split_keeps_its_salt_while_its_providers_stay(control, swap, now):
    split = Split("redis", (("memory", 100),))
    after = head.apply(control, swap(kind="split", value=split, tenants=("a",)), now, "0123456789abcdef0")
    after = head.apply(after, swap(kind="split", value=split, tenants=("b",)), now, "fedcba9876543210f")
    more = Split("redis", (("memory", 5000),), "mine")
    after = head.apply(after, swap(kind="split", value=more, tenants=("a", "b", "c")), now, "op3")
    salts = {order.tenants: order.value.salt for order in after.orders[CACHE]}
    assert salts == {("a",): "0123456789abcdef", ("b",): "fedcba9876543210", ("c",): "mine"}
    other = head.apply(after, swap(kind="split", value=Split("redis", (("sql", 1),)), tenants=("a",)), now, "op4")
    assert {order.value.salt for order in other.orders[CACHE] if order.tenants == ("a",)} == {"op4"}


def test_what_a_command_changes_is_told_for_each_tenant(control, swap, now):
    before = head.apply(control, swap(tenants=("a",)), now, "1")
    command = swap(kind="split", value=Split("redis", (("memory", 500),)), tenants=("a", "b"), ttl_s=60.0)
    after = head.place(before.orders, command, op="2", cseq=2, now=now)
    told = [(change.tenant, change.before, change.after) for change in head.changes(before.orders, after, command)]
    text = "use redis (split: memory 5 %) until 2026-01-01T00:01:00+00:00"
    assert told == [("a", "use memory", text), ("b", None, text)]
    cleared = swap(kind="pause", clear=True)
    assert [change.after for change in head.changes(after, after, cleared)] == [None]


def test_ids_leave_the_ring_oldest_first(control, swap, now):
    full = replace(control, ring=tuple((f"op{n}", n) for n in range(MAX_RING)))
    assert head.evicted(full, 2) == (("op0", 0), ("op1", 1))
    assert head.evicted(control, 32) == ()
    assert head.apply(full, swap(), now, "new").ring[0] == ("op1", 1)


def test_used_up_numbers_are_refused_with_the_way_out(control, swap, now):
    with pytest.raises(ControlFull, match="epoch"):
        head.apply(replace(control, cseq=MAX_INT), swap(), now, "op")
    with pytest.raises(ControlFull):
        head.advance(replace(control, seq=MAX_INT), now)


def test_adopting_keeps_of_good_and_bad_what_the_release_approves(control, release, now):
    known = replace(
        control,
        good=(Good(digest="a" * 64, version=1), Good(digest="b" * 64, version=2)),
        bad=(Bad(digest="c" * 64, revision="r", by=("x", "y"), rule="unsigned"),),
    )
    newer = release(version=2, approved=(Approved(digest="a" * 64, length=1, version=1),))
    after = head.adopt(known, newer, "e" * 64, now)
    assert (after.release.version, after.release.digest) == (2, "e" * 64)
    assert [good.digest for good in after.good] == ["a" * 64]
    assert after.bad == ()
    assert after.seq == control.seq
    assert head.adopt(known, release(version=2, floor=2), "e" * 64, now).good == ()


def test_a_new_epoch_starts_seq_again_and_keeps_the_orders(control, release, swap, now):
    told = head.apply(replace(control, seq=MAX_INT), swap(), now, "1")
    after = head.advance(head.adopt(told, release(epoch=2), "e" * 64, now), now)
    assert (after.epoch, after.seq, after.cseq) == (2, 1, 1)
    assert after.orders == told.orders


def test_the_first_document_stands_beside_its_release(release, now):
    audience = Audience("shop", "production")
    assert head.first(release(min_control_seq=7), "d" * 64, audience, now).seq == 7
    assert head.first(release(), "d" * 64, audience, now).seq == 1


def test_a_restored_document_leaps_beyond_what_replicas_have_seen(control, swap, now):
    before = head.apply(control, swap(kind="pause"), now, "1")
    after = head.restored(before, 5, now)
    assert after.seq > 5 + head.RESTORED_JUMP
    assert after.orders == before.orders
    assert head.conflict(after, swap(tenants=("acme",)), before.cseq + 1000) is not None
    assert head.conflict(after, swap(tenants=("acme",)), after.cseq) is None
