from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pointsman.declarations import Candidate, Component
from pointsman.resolution.contribution import Contribution, Layered, Policy, merged
from pointsman.resolution.selection import Choices

Make = Callable[..., Candidate]
CACHE, QUEUE = Component[Any]("adapter", "cache"), Component[Any]("adapter", "queue")
REDIS, NATS = ("adapter", "cache", "redis"), ("adapter", "queue", "nats")


def test_nothing_merged_with_nothing_is_nothing() -> None:
    assert merged(Contribution(), Contribution()) == Contribution()


def test_of_two_contributions_the_later_counts_where_both_speak(candidate: Make) -> None:
    one = Contribution(
        (candidate("redis"),),
        Choices({CACHE: "redis", QUEUE: "nats"}, {"acme": {CACHE: "redis", QUEUE: "nats"}}),
        Layered({REDIS: {"url": "a"}, NATS: {"url": "n"}}, {"acme": {REDIS: {"url": "b"}}}),
        {"acme": {"plan": "gold"}, "globex": {}},
        {CACHE: Policy(isolated=True), QUEUE: Policy(isolated=True)},
    )
    other = Contribution(
        (candidate("memory"),),
        Choices({CACHE: "memory"}, {"acme": {CACHE: "memory"}, "initech": {QUEUE: "nats"}}),
        Layered({REDIS: {"url": "c"}}, {"acme": {NATS: {"url": "d"}}}),
        {"acme": {"plan": "trial"}},
        {CACHE: Policy(on_unhealthy="next")},
    )
    assert merged(one, other) == Contribution(
        (candidate("redis"), candidate("memory")),
        Choices(
            {CACHE: "memory", QUEUE: "nats"},
            {"acme": {CACHE: "memory", QUEUE: "nats"}, "initech": {QUEUE: "nats"}},
        ),
        Layered({REDIS: {"url": "c"}, NATS: {"url": "n"}}, {"acme": {REDIS: {"url": "b"}, NATS: {"url": "d"}}}),
        {"acme": {"plan": "trial"}, "globex": {}},
        {CACHE: Policy(on_unhealthy="next"), QUEUE: Policy(isolated=True)},
    )
    assert merged(one, Contribution()) == merged(Contribution(), one) == one


def test_merging_changes_neither_part() -> None:
    one, other = (Contribution(choices=Choices({CACHE: name}, {"acme": {CACHE: name}})) for name in ("redis", "memory"))
    merged(one, other)
    assert one.choices.tenants == {"acme": {CACHE: "redis"}}
    assert other.choices.tenants == {"acme": {CACHE: "memory"}}
