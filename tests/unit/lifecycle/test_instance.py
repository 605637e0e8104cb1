"""An instance is closed when it is retired, nothing stands on it and nobody holds it: all three, in any order."""

from __future__ import annotations

from itertools import permutations
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pointsman.lifecycle.instance import Instance, State
from tests.workshop import Clock

if TYPE_CHECKING:
    from pointsman.lifecycle.identity import Plan


def instance(clock: Clock | None = None, *, facade: bool = False) -> Instance:
    return Instance(cast("Plan", SimpleNamespace(identity="one", facade=facade)), clock or Clock())


@pytest.mark.parametrize("order", list(permutations(["retire", "release", "unsupport"])))
def test_only_the_last_of_three_lets_it_end(order: tuple[str, ...]) -> None:
    one = instance()
    one.became_ready("value")
    one.lease()
    one.support()
    for step in order:
        assert (one.usable, one.ending.is_set(), one.state) == (True, False, State.READY)
        getattr(one, step)()
    assert (one.usable, one.ending.is_set(), one.state) == (False, True, State.ENDING)


def test_one_that_nobody_wants_while_it_is_made_is_given_to_nobody_and_ends_when_it_is_made() -> None:
    one = instance()
    one.retire()
    assert (one.usable, one.state) == (False, State.ACTIVATING)
    one.became_ready("value")
    assert (one.settled.is_set(), one.state) == (True, State.ENDING)


def test_broken_leases_may_be_given_back_all_the_same() -> None:
    one = instance()
    one.became_ready("value")
    one.lease()
    one.break_leases()
    assert one.state is State.ENDING
    one.release()
    assert one.idle


def test_it_knows_how_long_it_took_and_when_it_was_last_held() -> None:
    clock = Clock()
    one = instance(clock)
    clock.advance(3)
    one.became_ready("value")
    assert (one.took_s, one.used_at) == (3, 0)
    with one.held():
        clock.advance(4)
    assert (one.used_at, one.idle) == (7, True)
    one.support()
    clock.advance(5)
    one.unsupport()
    assert one.used_at == 12


def test_a_shared_client_hands_out_a_view_for_each_tenant() -> None:
    class Client:
        def for_tenant(self, tenant: str | None) -> object:
            return "view", tenant

    one: Any = instance(facade=True)
    one.became_ready(Client())
    assert (one.hand_out("acme"), one.hand_out(None)) == (("view", "acme"), ("view", None))
    other = instance()
    other.became_ready("value")
    assert other.hand_out("acme") == "value"
