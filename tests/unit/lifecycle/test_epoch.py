"""Epochs are let go strictly oldest first, and what left with one closes only then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.lifecycle.bundle import Bundle
from pointsman.lifecycle.epoch import Epoch, Epochs, Fresh, OfRequest
from pointsman.lifecycle.instance import Instance

if TYPE_CHECKING:
    from pointsman.lifecycle.identity import Identity, Plan


def instance(name: str, lifetime: str = "shared") -> Instance:
    plan = SimpleNamespace(identity=name, lifetime=lifetime, facade=False)
    made = Instance(cast("Plan", plan), lambda: 0.0)
    made.became_ready(name)
    return made


def epoch(number: int, *instances: Instance) -> Epoch:
    return Epoch(number, cast("Any", None), bindings={one.identity: one for one in instances})


def named(name: str) -> Identity:
    return cast("Identity", name)


def test_what_the_next_epoch_does_not_bind_leaves_and_closes_when_nobody_pins_the_old_one() -> None:
    stays, leaves = instance("stays"), instance("leaves")
    epochs = Epochs(epoch(1, stays, leaves))
    pinned = epochs.pin()
    assert epochs.bind(epoch(2, stays)) == (leaves,)
    assert (leaves.retired, pinned.find(named("leaves"))) == (False, leaves)
    epochs.unpin(pinned)
    assert (leaves.retired, stays.retired) == (True, False)
    assert [one.number for one in epochs.chain()] == [2]


def test_without_a_pin_the_old_epoch_is_let_go_at_once() -> None:
    leaves = instance("leaves")
    epochs = Epochs(epoch(1, leaves))
    epochs.bind(epoch(2))
    assert leaves.retired
    assert epochs.oldest is epochs.current


def test_a_newer_epoch_without_pins_waits_for_the_older_ones() -> None:
    first, second = instance("first"), instance("second")
    epochs = Epochs(epoch(1, first))
    oldest = epochs.pin()
    epochs.bind(epoch(2, second))
    middle = epochs.pin()
    epochs.bind(epoch(3))
    epochs.unpin(middle)
    assert not second.retired  # a request of epoch 1 may still come upon it
    assert oldest.find(named("second")) is second
    epochs.unpin(oldest)
    assert first.retired
    assert second.retired


def test_what_leaves_late_is_closed_after_all_epochs_that_bound_it() -> None:
    both = instance("both")
    epochs = Epochs(epoch(1, both))
    oldest = epochs.pin()
    epochs.bind(epoch(2, both))
    epochs.bind(epoch(3))
    assert not both.retired
    epochs.unpin(oldest)
    assert both.retired


def test_an_instance_for_an_old_epoch_leaves_with_it() -> None:
    epochs = Epochs(epoch(1))
    pinned = epochs.pin()
    epochs.bind(epoch(2))
    late = instance("late")
    pinned.put(late)
    assert epochs.current.find(named("late")) is None
    epochs.unpin(pinned)
    assert late.retired


@given(st.lists(st.sampled_from(["pin", "unpin", "bind"]), max_size=60), st.data())
def test_no_pinned_epoch_ever_loses_what_it_may_find(steps: list[str], data: st.DataObject) -> None:
    epochs, pinned, number = Epochs(epoch(1, instance("0"))), [], 1
    for step in steps:
        if step == "pin":
            pinned.append(epochs.pin())
        elif step == "unpin" and pinned:
            epochs.unpin(pinned.pop(data.draw(st.integers(0, len(pinned) - 1))))
        elif step == "bind":
            number += 1
            kept = [one for one in epochs.current.bindings.values() if data.draw(st.booleans())]
            epochs.bind(epoch(number, *kept, instance(str(number))))
        for one in (*pinned, epochs.current):
            for identity, bound in one.bindings.items():
                assert one.find(identity) is bound
        assert sum(one.pins for one in epochs.chain()) == len(pinned) + 1
        if not pinned:
            assert list(epochs.chain()) == [epochs.current]


def test_an_instance_that_serves_no_more_is_not_found_and_its_successor_is() -> None:
    old, new = instance("one"), instance("one")
    epochs = Epochs(epoch(1, old))
    pinned = epochs.pin()
    epochs.bind(epoch(2, new))
    old.retire()
    assert pinned.find(named("one")) is new
    assert pinned.drained(named("one"))
    assert not epochs.current.drained(named("one"))
    assert not pinned.drained(named("other"))


def test_what_is_forgotten_is_found_by_nobody() -> None:
    one, other = instance("one"), instance("one")
    epochs = Epochs(epoch(1, one))
    pinned = epochs.pin()
    epochs.bind(epoch(2, one))
    epochs.forget(other)
    assert pinned.find(named("one")) is one
    epochs.forget(one)
    assert pinned.find(named("one")) is epochs.current.find(named("one")) is None
    assert not pinned.drained(named("one"))


def test_what_was_warmed_is_taken_in_where_nobody_made_the_same_and_somebody_asks_for_it() -> None:
    own, warmed, more, unasked = instance("one"), instance("one"), instance("two"), instance("three")
    for one in (own, more):
        one.plan.closure = lambda plan=one.plan: iter([plan])  # type: ignore[method-assign,misc]
    current = epoch(1, own)
    plans: Any = {"first": own.plan, "second": more.plan}
    made = {named("one"): warmed, named("two"): more, named("three"): unasked}
    current.adopt(plans, plans.values(), made)
    assert current.bindings == {"one": own, "two": more}
    assert current.plans == plans


def test_a_warming_stands_on_its_own_then_on_what_was_proved_then_on_what_is_bound() -> None:
    bound, made, proved, retired = instance("one"), instance("one"), instance("two"), instance("three")
    epochs = Epochs(epoch(1))
    fresh = Fresh(epochs, {named("two"): proved, named("three"): retired})
    retired.lease()
    retired.retire()
    epochs.current.put(bound)
    assert fresh.find(named("one")) is bound
    fresh.put(made)
    assert [fresh.find(named(name)) for name in ("one", "two", "three")] == [made, proved, None]
    assert fresh.discard() == (made,)
    assert (made.retired, bound.retired, proved.retired) == (True, False, False)


@pytest.mark.parametrize("lifetime", ["shared", "request"])
def test_a_request_keeps_its_own_apart_and_tells_what_comes_too_late(lifetime: str) -> None:
    late: list[Instance] = []
    epochs = Epochs(epoch(1))
    scope = OfRequest(epochs.pin(), late.append)
    epochs.bind(epoch(2))
    one = instance("one", lifetime)
    scope.put(one)
    assert scope.find(named("one")) is one
    assert (one in late) is (lifetime == "shared")
    assert (named("one") in scope.made) is (lifetime == "request")
    one.retire()
    assert scope.find(named("one")) is None


def test_a_bundle_is_held_with_the_epoch_pinned_and_given_back_with_it() -> None:
    one = instance("one")
    epochs = Epochs(epoch(1, one))
    current = epochs.current
    assert current.hold("acme", "asked") is None
    current.shelve("acme", "asked", Bundle({"one": one.value}, [one]))
    assert (current.hold("globex", "asked"), current.hold("acme", "other"), current.pins) == (None, None, 1)
    bundle = current.hold("acme", "asked")
    assert bundle is not None
    assert (bundle.values, one.leases, current.pins) == (("one",), 1, 2)
    epochs.bind(epoch(2))
    one.retire()
    assert current.hold("acme", "asked") is None
    assert (one.retired, epochs.oldest is current, one.ending.is_set()) == (True, True, False)
    epochs.release(current, bundle)
    assert (one.leases, epochs.oldest is epochs.current, one.ending.is_set()) == (0, True, True)
