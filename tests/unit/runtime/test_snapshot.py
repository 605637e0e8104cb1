"""A snapshot is a pure function of its inputs and the time; what did not change is the same object as before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.declarations import Candidate
from pointsman.manifests.schema import Split as SplitOrder
from pointsman.resolution.catalog import Catalog, Outage, registrations_of
from pointsman.resolution.contribution import Contribution, Policy, Source
from pointsman.resolution.decision import Question
from pointsman.resolution.resolver import explain_in
from pointsman.resolution.selection import Split
from pointsman.runtime.inputs import Inputs
from pointsman.runtime.snapshot import Snapshot, choices_of, in_force, snapshot_of
from tests.workshop import CACHE, EPOCH, HERE, control, manifest, order

REDIS, MEMORY = (Candidate(*CACHE, name, f"caches:{name}") for name in ("redis", "memory"))
REGISTERED = registrations_of(Contribution((REDIS, MEMORY)), Source.CODE)
OUTAGE = Outage(MEMORY, "{}", None)


def made(inputs: Inputs, at: float = 0, before: Snapshot | None = None) -> Snapshot:
    serial = before.catalog.serial + 1 if before else 1
    return snapshot_of(
        inputs, EPOCH + timedelta(seconds=at), before, environment=HERE, next_serial=count(serial).__next__
    )


def decided(snapshot: Snapshot) -> object:
    """Everything that a request can tell of a snapshot, but its number."""
    answers = []
    for tenant in (None, "acme", "globex"):
        told = explain_in(snapshot.catalog, Question(CACHE, tenant)).as_dict()
        told.pop("catalog")
        answers.append(told)
    return answers, snapshot.gates, snapshot.valid_until, snapshot.label, snapshot.guarded


# --- sharing ---


def test_a_pause_makes_no_new_catalog() -> None:
    inputs = Inputs(REGISTERED)
    before = made(inputs)
    after = made(replace(inputs, gating=control(adapter_cache=order("pause"))), before=before)
    assert after.catalog is before.catalog
    assert (before.gates, before.guarded, after.guarded) == ((), frozenset(), {CACHE})


def test_an_order_makes_no_new_index_of_candidates() -> None:
    inputs = Inputs(REGISTERED)
    before = made(inputs)
    after = made(replace(inputs, control=control(7, adapter_cache=order("use", "redis"))), before=before)
    assert after.catalog.candidates is before.catalog.candidates
    assert (before.catalog.serial, after.catalog.serial) == (1, 2)
    assert (before.label, after.label) == ("0.0", "0.7")
    again = made(replace(inputs, control=control(8, adapter_cache=order("use", "redis"))), before=after)
    assert again.catalog is after.catalog
    assert again.label == "0.8"


def test_a_manifest_makes_both_anew_and_its_end_leaves_no_trace() -> None:
    inputs = Inputs(REGISTERED)
    before = made(inputs)
    brought = manifest(Candidate(*CACHE, "third", "caches:third", priority=5), version=12)
    during = made(replace(inputs, manifest=brought), before=before)
    after = made(inputs, before=during)
    assert during.label == "12.0"
    assert next(entry.candidate.provider for entry in during.catalog.candidates.of(CACHE)) == "third"
    assert decided(after) == decided(before)


# --- time ---


def test_the_earliest_end_is_when_it_stops_to_be_valid() -> None:
    inputs = Inputs(
        REGISTERED,
        control=control(adapter_cache=(order("use", "redis", cseq=1, until=60), order("use", "memory", cseq=2))),
        gating=control(adapter_cache=order("pause", cseq=3, until=30)),
        overrides={"adapter/cache": (order("drain", cseq=4, until=45),)},
        outages={OUTAGE: EPOCH + timedelta(seconds=50)},
    )
    ends, snapshot = [], made(inputs)
    while snapshot.valid_until is not None:
        at = (snapshot.valid_until - EPOCH).total_seconds()
        ends.append(at)
        snapshot = made(inputs, at, snapshot)
    assert ends == [30, 45, 50, 60]
    assert (snapshot.gates, snapshot.catalog.outages) == ((), frozenset())
    assert snapshot.catalog.control.everyone == {CACHE: "memory"}


def test_a_clock_that_is_set_back_revives_nothing() -> None:
    inputs = Inputs(
        REGISTERED,
        control=control(adapter_cache=order("use", "memory", cseq=1, until=60)),
        gating=control(adapter_cache=order("pause", cseq=2, until=60)),
    )
    ended = made(inputs, 60, made(inputs))
    assert ended.expired == {"use-1", "pause-2"}
    back = made(inputs, 10, ended)
    assert (back.gates, back.catalog.control.everyone, back.expired) == ((), {}, ended.expired)
    without = made(Inputs(REGISTERED), 10, back)
    assert without.expired == frozenset()  # nothing is remembered of what is gone
    assert made(inputs, 10).gates != ()


def test_orders_that_have_ended_are_not_in_force_whatever_the_clock_says() -> None:
    orders = {"adapter/cache": (order("pause", cseq=1, until=5), order("use", "redis", cseq=2))}
    assert [one.op for _, one in in_force(orders, (), EPOCH)] == ["pause-1", "use-2"]
    assert [one.op for _, one in in_force(orders, {"use-2"}, EPOCH + timedelta(seconds=5))] == []


# --- orders ---


def test_a_later_command_counts_before_an_earlier_one() -> None:
    choices = choices_of(
        [
            ("adapter/cache", order("use", "late", cseq=9)),
            ("adapter/cache", order("use", "early", cseq=3)),
            ("adapter/cache", order("use", "own", cseq=4, tenants=("acme", "globex"))),
            ("adapter/cache", order("use", "newer", cseq=5, tenants=("acme",))),
            ("adapter/queue", order("pause", cseq=6)),
            ("adapter/disk", order("use", None, cseq=7)),
        ]
    )
    assert choices.everyone == {CACHE: "late"}
    assert choices.tenants == {"acme": {CACHE: "newer"}, "globex": {CACHE: "own"}}


def test_a_split_of_the_wire_is_a_split_of_the_catalog() -> None:
    wired = SplitOrder(incumbent="redis", to=(("memory", 500),), salt="s")
    assert choices_of([("adapter/cache", order("split", wired))]).everyone == {
        CACHE: Split("redis", (("memory", 500),), "s")
    }


def test_what_is_isolated_or_denied_when_stale_is_looked_at_in_each_request() -> None:
    for policy in (Policy(isolated=True), Policy(on_stale="deny")):
        assert made(Inputs(REGISTERED, Contribution(policies={CACHE: policy}))).guarded
        assert made(Inputs(REGISTERED, manifest=manifest(policies={CACHE: policy}))).guarded
    assert not made(Inputs(REGISTERED, Contribution(policies={CACHE: Policy(prewarm=True)}))).guarded


# --- any history ---

ends = st.none() | st.integers(1, 20)
orders = st.lists(
    st.builds(
        lambda kind, value, tenants, cseq, until: order(
            kind, value if kind == "use" else None, op=f"{kind}-{cseq}-{until}", tenants=tenants, cseq=cseq, until=until
        ),
        st.sampled_from(["use", "pause", "drain"]),
        st.sampled_from(["redis", "memory"]),
        st.sampled_from(["*", ("acme",), ("acme", "globex")]),
        st.integers(1, 6),
        ends,
    ),
    max_size=4,
    unique_by=lambda one: one.op,
).map(tuple)
controls = st.none() | st.builds(lambda cseq, given: control(cseq, adapter_cache=given), st.integers(1, 9), orders)
inputs_of = st.builds(
    Inputs,
    registrations=st.just(REGISTERED),
    settings=st.sampled_from([Contribution(), Contribution(labels={"acme": {}})]),
    manifest=st.none() | st.sampled_from([manifest(version=3), manifest(Candidate(*CACHE, "third", "c:t"), version=4)]),
    control=controls,
    gating=controls,
    overrides=st.builds(lambda given: {"adapter/cache": given}, orders),
    outages=st.sampled_from([{}, {OUTAGE: EPOCH + timedelta(seconds=7)}]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(inputs_of, st.integers(0, 5)), min_size=1, max_size=6))
def test_while_time_only_grows_a_snapshot_depends_on_nothing_but_inputs_and_time(
    steps: list[tuple[Inputs, int]],
) -> None:
    at, snapshot = 0, None
    for inputs, passed in steps:
        at += passed
        snapshot = made(inputs, at, snapshot)
        assert decided(snapshot) == decided(made(inputs, at))


@settings(max_examples=60, deadline=None)
@given(inputs_of, inputs_of, st.integers(0, 20))
def test_a_catalog_is_the_same_object_exactly_when_nothing_in_it_changed(one: Inputs, other: Inputs, at: int) -> None:
    before = made(one, at)
    after = made(other, at, before)
    same = one.settings is other.settings and one.manifest is other.manifest
    assert (after.catalog.candidates is before.catalog.candidates) is same
    if after.catalog is not before.catalog:
        assert after.catalog.serial > before.catalog.serial
    else:
        assert isinstance(after.catalog, Catalog)
        assert same
