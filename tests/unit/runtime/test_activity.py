"""The strictest gate wins, whoever ordered it; it says when to come again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pointsman.declarations import Component
from pointsman.errors import ComponentDraining, ComponentPaused, LifecycleError
from pointsman.runtime.activity import Gate, gates_of, refusal, strictest
from tests.workshop import CACHE, EPOCH, order

QUEUE = Component("adapter", "queue")


def test_orders_make_gates_for_everyone_and_for_tenants() -> None:
    gates = gates_of(
        [
            ("adapter/cache", order("pause", cseq=1)),
            ("adapter/cache", order("drain", tenants=("acme", "globex"), cseq=2, until=60)),
            ("adapter/cache", order("use", "redis", cseq=3)),
            ("adapter/queue", order("pause", tenants=("acme",), cseq=4)),
            ("service/notes", order("use", "sql", cseq=5)),
        ]
    )
    assert set(gates) == {CACHE, QUEUE}
    paused = Gate("paused", "pause-1", 1)
    draining = Gate("draining", "drain-2", 2, EPOCH + timedelta(seconds=60))
    assert gates[CACHE].of(None) == (paused,)
    assert gates[CACHE].of("acme") == (paused, draining)
    assert gates[QUEUE].of("globex") == ()


def test_the_strictest_wins_whoever_ordered_it() -> None:
    fleet = gates_of([("adapter/cache", order("pause", cseq=1))])
    own = gates_of([("adapter/cache", order("drain", cseq=2))])
    for sources in ((fleet, own), (own, fleet)):
        found = strictest(sources, CACHE, None)
        assert found is not None
        assert found.activity == "draining"
    assert strictest((fleet, own), QUEUE, None) is None
    assert strictest((), CACHE, None) is None


@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [("pause", ComponentPaused, "component-paused"), ("drain", ComponentDraining, "component-draining")],
)
@pytest.mark.parametrize(("until", "wait"), [(None, 5.0), (30, 30.0), (0.2, 1.0), (3_600, 60.0), (-5, 1.0)])
def test_a_refusal_says_when_to_come_again(
    kind: str, error: type[LifecycleError], code: str, until: float | None, wait: float
) -> None:
    (gate,) = gates_of([("adapter/cache", order(kind, until=until))])[CACHE].everyone
    refused = refusal(CACHE, gate, EPOCH)
    assert type(refused) is error
    assert (refused.code, refused.retry_after_s) == (code, wait)
    assert f"adapter/cache is {gate.activity} by operation {kind}-1" in refused.message
