from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from pointsman.declarations import Candidate, Component, Constraints
from pointsman.resolution.catalog import Catalog, Outage
from pointsman.resolution.contribution import Contribution, Layered, Policy, Source
from pointsman.resolution.decision import (
    Question,
    Verdict,
    is_failing,
    outage_of,
    possible_providers,
    settings_key,
    weigh,
)
from pointsman.resolution.precedence import register_as
from pointsman.resolution.selection import Choices, Selection, Split

Make = Callable[..., Candidate]
MakeCatalog = Callable[..., Catalog]
CACHE = Component[Any]("adapter", "cache")
NEXT = Policy(on_unhealthy="next")
AWAY = Constraints(platforms=["win32"])


def ask(catalog: Catalog, **words: Any) -> Verdict:
    return weigh(catalog, Question(CACHE, **words))


def served(catalog: Catalog, **words: Any) -> str | None:
    winner = ask(catalog, **words).winner
    return winner.candidate.provider if winner else None


def selecting(selection: Selection, tenant: str | None = None) -> Contribution:
    rules = {CACHE: selection}
    return Contribution(choices=Choices({}, {tenant: rules}) if tenant else Choices(rules))


def providers(verdict: Verdict) -> list[str]:
    return [entry.candidate.provider for entry in verdict.eligible]


def test_nothing_registered_is_a_verdict_without_a_winner(catalog_of: MakeCatalog) -> None:
    verdict = ask(catalog_of())
    assert (verdict.winner, verdict.eligible, verdict.ineligible, verdict.rule) == (None, (), (), "nothing eligible")


@pytest.mark.parametrize(
    ("one", "other", "rule"),
    [
        ({"priority": 2}, {"priority": 1, "stack_level": 9}, "priority"),
        ({"stack_level": 1}, {}, "stack level"),
        ({}, {}, "registration order"),
    ],
)
def test_the_ranking_decides_where_nothing_is_selected(
    catalog_of: MakeCatalog, candidate: Make, one: dict[str, int], other: dict[str, int], rule: str
) -> None:
    verdict = ask(catalog_of(candidate("loser", **other), candidate("winner", **one)))
    assert providers(verdict) == ["winner", "loser"]
    assert verdict.winner is verdict.eligible[0]
    assert verdict.rule == rule
    assert ask(catalog_of(candidate("alone", **other))).rule == "only candidate"


def test_an_ineligible_candidate_never_wins_and_keeps_its_reason(catalog_of: MakeCatalog, candidate: Make) -> None:
    catalog = catalog_of(
        candidate("windows", priority=99, constraints=AWAY),
        candidate("acme-only", priority=50, constraints=Constraints(tenants=["acme"])),
        candidate("redis"),
    )
    verdict = ask(catalog, tenant="globex")
    assert served(catalog, tenant="globex") == "redis"
    assert verdict.rule == "only candidate"
    assert [(entry.candidate.provider, reason) for entry, reason in verdict.ineligible] == [
        ("windows", "platform win32 wanted, linux, x86_64 found"),
        ("acme-only", "only for tenants acme"),
    ]
    assert served(catalog, tenant="acme") == "acme-only"


def test_a_filter_by_provider_leaves_only_its_candidates_and_skips_selections(
    catalog_of: MakeCatalog, candidate: Make
) -> None:
    catalog = catalog_of(
        candidate("redis", priority=5), candidate("memory", priority=1), candidate("memory", priority=3),
        settings=selecting("redis"), replica=Choices({CACHE: "redis"}),
    )  # fmt: skip
    verdict = ask(catalog, provider="memory")
    assert verdict.winner is not None
    assert (verdict.winner.candidate.provider, verdict.winner.priority) == ("memory", 3)
    assert verdict.rule == "provider asked for"
    assert verdict.layer is None
    assert [(entry.candidate.provider, reason) for entry, reason in verdict.ineligible] == [
        ("redis", "provider memory was asked for")
    ]
    assert ask(catalog, provider="gone").rule == "nothing eligible"


def test_a_filter_by_capabilities_ranks_only_what_has_them_all(catalog_of: MakeCatalog, candidate: Make) -> None:
    catalog = catalog_of(
        candidate("redis", priority=5, capabilities={"ttl"}), candidate("disk", capabilities={"ttl", "scan"})
    )
    assert served(catalog, requires=frozenset({"ttl"})) == "redis"
    assert served(catalog, requires=frozenset({"ttl", "scan"})) == "disk"
    assert served(catalog, requires=frozenset({"incr"})) is None


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ({"requires": frozenset({"scan"})}, "lacks scan"),
        ({"tenant": "initech"}, "not for tenant initech"),
    ],
)
def test_a_selected_provider_that_cannot_serve_is_never_replaced(
    catalog_of: MakeCatalog, candidate: Make, question: dict[str, Any], reason: str
) -> None:
    catalog = catalog_of(
        candidate("redis", constraints=Constraints(not_tenants=["initech"])),
        candidate("disk", capabilities={"scan"}, priority=9),
        settings=selecting("redis"),
        manifest=selecting("disk"),
    )
    verdict = ask(catalog, **question)
    assert verdict.winner is None
    assert verdict.rule == "explicit selection"
    assert verdict.selected == "redis"
    assert [(entry.candidate.provider, why) for entry, why in verdict.ineligible] == [("redis", reason)]


def test_a_selection_moves_all_candidates_of_its_provider_to_the_front(
    catalog_of: MakeCatalog, candidate: Make
) -> None:
    catalog = catalog_of(
        candidate("redis", priority=1), candidate("disk", priority=9), candidate("redis", priority=2),
        settings=selecting("redis"),
    )  # fmt: skip
    verdict = ask(catalog)
    assert [(entry.candidate.provider, entry.priority) for entry in verdict.eligible] == [
        ("redis", 2), ("redis", 1), ("disk", 9),
    ]  # fmt: skip
    assert verdict.winner is verdict.eligible[0]


@pytest.mark.parametrize(("layer", "ordered"), [("replica", True), ("control", True), ("settings", False)])
def test_only_replica_and_control_speak_for_operators(
    catalog_of: MakeCatalog, candidate: Make, layer: str, *, ordered: bool
) -> None:
    choices = Choices({}, {"acme": {CACHE: "redis"}})
    inputs: dict[str, Any] = {layer: choices if ordered else Contribution(choices=choices)}
    catalog = catalog_of(candidate("redis"), **inputs)
    assert ask(catalog, tenant="acme").by_order is ordered
    assert not ask(catalog, tenant="globex").by_order


def test_a_split_is_drawn_for_the_subject_or_else_the_tenant_or_else_not_at_all(
    catalog_of: MakeCatalog, candidate: Make
) -> None:
    split = Split("redis", (("memory", 5_000),), "s")
    catalog = catalog_of(candidate("redis"), candidate("memory"), settings=selecting(split))
    assert [served(catalog, subject=f"u{number}") for number in range(6)] == [
        served(catalog, tenant=f"u{number}") for number in range(6)
    ]
    assert {served(catalog, tenant=f"u{number}") for number in range(30)} == {"redis", "memory"}
    assert {served(catalog, tenant=f"u{number}", subject="u1") for number in range(30)} == {
        served(catalog, subject="u1")
    }
    for number in range(10):  # an empty subject is one, and no invitation to take the tenant
        assert served(catalog, tenant=f"u{number}", subject="") == served(catalog, subject="")
    assert served(catalog) == "redis"
    assert ask(catalog).depends_on_subject
    assert not ask(catalog, provider="redis").depends_on_subject


def test_every_side_of_a_split_is_a_possible_provider(catalog_of: MakeCatalog, candidate: Make) -> None:
    split = Split("redis", (("memory", 1),), "s")
    catalog = catalog_of(candidate("redis"), candidate("memory"), settings=selecting(split))
    assert possible_providers(catalog, Question(CACHE)) == ("redis", "memory")
    assert possible_providers(catalog, Question(CACHE, provider="memory")) == ("memory",)
    assert possible_providers(catalog_of(candidate("redis")), Question(CACHE)) == ("redis",)
    assert possible_providers(catalog_of(), Question(CACHE)) == ()


def test_a_replaced_component_has_one_candidate_whatever_else_is_said(catalog_of: MakeCatalog, candidate: Make) -> None:
    fake = register_as(candidate("fake"), Source.CODE, 1)
    catalog = catalog_of(candidate("redis"), settings=selecting("redis"), replaced={CACHE: fake})
    for words in ({}, {"provider": "redis"}, {"requires": frozenset({"x"})}, {"tenant": "acme"}):
        verdict = ask(catalog, **words)
        assert verdict.winner is fake
        assert verdict.eligible == (fake,)
        assert verdict.rule == "replaced for a test"


# --- failover ---


def failing(*candidates: Candidate, settings: str = "{}", tenant: str | None = None) -> frozenset[Outage]:
    return frozenset(Outage(candidate, settings, tenant) for candidate in candidates)


@pytest.fixture
def three(candidate: Make) -> tuple[Candidate, Candidate, Candidate]:
    return candidate("redis", priority=3), candidate("memory", priority=2), candidate("disk", priority=1)


Three = tuple[Candidate, Candidate, Candidate]


def test_next_walks_on_in_the_ranking_past_what_fails(catalog_of: MakeCatalog, three: Three) -> None:
    policies = Contribution(policies={CACHE: NEXT})
    redis, memory, disk = three
    verdict = ask(catalog_of(*three, settings=policies, outages=failing(redis, memory)))
    assert providers(verdict) == ["disk", "redis", "memory"]
    assert verdict.rule == "failover"
    assert [entry.candidate for entry in verdict.passed_over] == [redis, memory]
    assert verdict.winner is not None
    assert verdict.winner.candidate is disk


def test_fail_stays_with_what_fails(catalog_of: MakeCatalog, three: Three) -> None:
    verdict = ask(catalog_of(*three, outages=failing(three[0])))
    assert verdict.winner is not None
    assert (verdict.winner.candidate, verdict.rule, verdict.passed_over) == (three[0], "priority", ())


def test_an_outage_of_a_loser_changes_nothing(catalog_of: MakeCatalog, three: Three) -> None:
    verdict = ask(catalog_of(*three, settings=Contribution(policies={CACHE: NEXT}), outages=failing(three[1])))
    assert (providers(verdict), verdict.rule) == (["redis", "memory", "disk"], "priority")


def test_where_all_fail_the_first_stays_and_tells_its_own_error(catalog_of: MakeCatalog, three: Three) -> None:
    verdict = ask(catalog_of(*three, settings=Contribution(policies={CACHE: NEXT}), outages=failing(*three)))
    assert (providers(verdict), verdict.rule) == (["redis", "memory", "disk"], "priority")


@pytest.mark.parametrize(
    ("fallbacks", "down", "winner"),
    [
        ((), "redis", "redis"),
        (("disk",), "redis", "disk"),
        (("disk", "memory"), "redis", "disk"),
        (("disk", "memory"), "redis disk", "memory"),
        (("disk",), "redis disk", "redis"),
        (("nobody", "disk"), "redis", "disk"),
        (("redis",), "redis", "redis"),
        (("disk",), "memory", "redis"),
    ],
)
def test_an_explicit_selection_is_left_only_along_its_fallbacks(
    catalog_of: MakeCatalog, three: Three, fallbacks: tuple[str, ...], down: str, winner: str
) -> None:
    settings = Contribution(
        choices=Choices({CACHE: "redis"}), policies={CACHE: Policy(on_unhealthy="next", fallbacks=fallbacks)}
    )
    outages = failing(*(each for each in three if each.provider in down.split()))
    assert served(catalog_of(*three, settings=settings, outages=outages)) == winner


def test_fallbacks_of_a_component_that_answers_fail_are_not_used(catalog_of: MakeCatalog, three: Three) -> None:
    settings = Contribution(choices=Choices({CACHE: "redis"}), policies={CACHE: Policy(fallbacks=("disk",))})
    assert served(catalog_of(*three, settings=settings, outages=failing(three[0]))) == "redis"


def test_another_candidate_of_the_selected_provider_does_not_leave_the_selection(
    catalog_of: MakeCatalog, candidate: Make
) -> None:
    west, east, disk = candidate("redis", priority=2), candidate("redis", priority=1), candidate("disk", priority=9)
    settings = Contribution(choices=Choices({CACHE: "redis"}), policies={CACHE: NEXT})
    verdict = ask(catalog_of(west, east, disk, settings=settings, outages=failing(west)))
    assert verdict.winner is not None
    assert verdict.winner.candidate is east
    both_down = ask(catalog_of(west, east, disk, settings=settings, outages=failing(west, east)))
    assert both_down.winner is not None
    assert both_down.winner.candidate is west


def test_failover_never_leads_to_another_provider_than_the_one_asked_for(catalog_of: MakeCatalog, three: Three) -> None:
    settings = Contribution(policies={CACHE: Policy(on_unhealthy="next", fallbacks=("disk",))})
    assert served(catalog_of(*three, settings=settings, outages=failing(three[1])), provider="memory") == "memory"


def test_failover_never_leads_to_an_ineligible_candidate(catalog_of: MakeCatalog, candidate: Make) -> None:
    redis, away, disk = (
        candidate("redis", priority=3),
        candidate("away", priority=2, constraints=AWAY),
        candidate("disk"),
    )
    catalog = catalog_of(redis, away, disk, settings=Contribution(policies={CACHE: NEXT}), outages=failing(redis))
    assert served(catalog) == "disk"
    selected = Contribution(
        choices=Choices({CACHE: "redis"}), policies={CACHE: Policy(on_unhealthy="next", fallbacks=("away", "disk"))}
    )
    assert served(catalog_of(redis, away, disk, settings=selected, outages=failing(redis))) == "disk"


def test_both_sides_of_a_split_fall_back_the_same_way(catalog_of: MakeCatalog, three: Three) -> None:
    settings = Contribution(
        choices=Choices({CACHE: Split("redis", (("memory", 5_000),), "s")}),
        policies={CACHE: Policy(on_unhealthy="next", fallbacks=("disk",))},
    )
    catalog = catalog_of(*three, settings=settings, outages=failing(three[0], three[1]))
    assert {served(catalog, subject=f"u{number}") for number in range(30)} == {"disk"}
    half = catalog_of(*three, settings=settings, outages=failing(three[1]))
    assert {served(half, subject=f"u{number}") for number in range(30)} == {"redis", "disk"}


def test_an_outage_is_of_a_candidate_with_its_settings_and_of_a_tenant_only_where_that_matters(
    catalog_of: MakeCatalog, candidate: Make
) -> None:
    shared, own = candidate("redis"), candidate("disk", lifetime="tenant")
    layered = Layered(
        {("adapter", "cache", "redis"): {"url": "a"}}, {"acme": {("adapter", "cache", "redis"): {"url": "b"}}}
    )
    catalog = catalog_of(shared, own, settings=Contribution(provider_settings=layered))
    assert (
        outage_of(catalog, shared, None) == outage_of(catalog, shared, "globex") == Outage(shared, "{'url': 'a'}", None)
    )
    assert outage_of(catalog, shared, "acme") == Outage(shared, "{'url': 'b'}", None)
    assert outage_of(catalog, own, "acme") == Outage(own, "{}", "acme")
    down = catalog_of(
        shared, own, settings=Contribution(provider_settings=layered), outages={outage_of(catalog, shared, "acme")}
    )
    assert is_failing(down, shared, "acme")
    assert not is_failing(down, shared, "globex")
    assert not is_failing(down, shared, None)


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": {"x": 1, "y": 2}}, {"b": {"y": 2, "x": 1}, "a": 1}),
        ({"a": [1, 2]}, {"a": (1, 2)}),
        ({"a": {"x": 1}}, MappingProxyType({"a": MappingProxyType({"x": 1})})),
        ({"a": {"p", "q", "r", "s"}}, {"a": frozenset({"s", "r", "q", "p"})}),
        ({}, MappingProxyType({})),
        ({1: "one", "two": 2}, {"two": 2, 1: "one"}),
        ({"a": Odd()}, {"a": Odd()}),
    ],
)
def test_equal_settings_have_one_key_whatever_their_order(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> None:
    assert settings_key(one) == settings_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": None}, {}),
        ({1: "x"}, {"1": "x"}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": [[1], [2]]}, {"a": [[1, 2]]}),
        ({"a": ""}, {"a": []}),
        ({"a": {}}, {"a": []}),
        ({"a": "1, 'b': 2"}, {"a": 1, "b": 2}),
        ({"a": ["x, y"]}, {"a": ["x", "y"]}),
        ({"a": b"x"}, {"a": "x"}),
    ],
)
def test_different_settings_have_different_keys(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> None:
    assert settings_key(one) != settings_key(other)
