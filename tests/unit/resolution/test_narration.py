from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from pointsman.declarations import Candidate, Component, Constraints
from pointsman.errors import NoEligibleCandidate, OrderUnavailable, PointsmanError, UnknownComponent, UnknownProvider
from pointsman.resolution.catalog import Catalog, Outage
from pointsman.resolution.contribution import Contribution, Policy, Source
from pointsman.resolution.decision import Question, weigh
from pointsman.resolution.narration import error_of, explanation_of, known_components
from pointsman.resolution.precedence import register_as
from pointsman.resolution.resolver import Resolver
from pointsman.resolution.selection import Choices, Selection, Split

Make = Callable[..., Candidate]
MakeCatalog = Callable[..., Catalog]
CACHE = Component[Any]("adapter", "cache")
AWAY = Constraints(platforms=["win32"])


def why(catalog: Catalog, **words: Any) -> str:
    return explanation_of(catalog, weigh(catalog, Question(CACHE, **words))).why


def error(catalog: Catalog, component: Component[Any] = CACHE, **words: Any) -> PointsmanError:
    verdict = weigh(catalog, Question(component, **words))
    assert verdict.winner is None
    return error_of(catalog, verdict)


def selecting(selection: Selection, **policy: Any) -> dict[str, Any]:
    return {"settings": Contribution(choices=Choices({CACHE: selection}), policies={CACHE: Policy(**policy)})}


def test_a_ranked_winner_says_what_it_beats(catalog_of: MakeCatalog, candidate: Make) -> None:
    catalog = catalog_of(candidate("memory", priority=5), candidate("redis", priority=10))
    assert why(catalog, tenant="acme") == (
        "redis selected for acme: priority 10 beats memory's 5 (no explicit selection)"
    )
    assert why(catalog) == "redis selected: priority 10 beats memory's 5 (no explicit selection)"
    assert why(catalog_of(candidate("redis"))) == (
        "redis selected: it is the only eligible candidate (no explicit selection)"
    )


def test_a_better_candidate_that_is_ineligible_is_named(catalog_of: MakeCatalog, candidate: Make) -> None:
    bank = candidate("bank", priority=10, constraints=Constraints(not_tenants=["initech"]))
    worse = candidate("worse", constraints=AWAY)
    exchange, contract = candidate("exchange", priority=5), candidate("contract", priority=1)
    assert why(catalog_of(worse, contract, exchange, bank), tenant="initech") == (
        "exchange selected for initech: priority 5 beats contract's 1 (no explicit selection); bank is ineligible"
    )
    windows = candidate("windows", priority=7, constraints=AWAY)
    assert why(
        catalog_of(windows, exchange, bank, candidate("windows", priority=8, constraints=AWAY)), tenant="initech"
    ) == (
        "exchange selected for initech: it is the only eligible candidate (no explicit selection); "
        "bank, windows are ineligible"
    )


def test_what_a_filter_took_away_is_not_called_ineligible_in_the_sentence(
    catalog_of: MakeCatalog, candidate: Make
) -> None:
    catalog = catalog_of(candidate("redis", priority=9), candidate("memory"))
    assert why(catalog, provider="memory") == "memory selected: provider memory was asked for"


def test_an_explicit_selection_names_its_layer(catalog_of: MakeCatalog, candidate: Make) -> None:
    redis, memory = candidate("redis"), candidate("memory", priority=9, constraints=AWAY)
    assert why(catalog_of(redis, memory, **selecting("redis"))) == "redis selected: settings selects it"
    control = catalog_of(redis, memory, control=Choices({}, {"acme": {CACHE: "redis"}}))
    assert why(control, tenant="acme") == "redis selected for acme: control(acme) selects it"


def test_a_split_names_the_bucket(catalog_of: MakeCatalog, candidate: Make) -> None:
    split = Split("redis", (("memory", 8_760),), "spring")  # acme has bucket 8759
    catalog = catalog_of(candidate("redis"), candidate("memory"), **selecting(split))
    said = "settings splits redis (split: memory 87.6 %)"
    assert why(catalog, tenant="acme") == f"memory selected for acme: {said}, and acme has bucket 8759 of 10000"
    assert why(catalog, tenant="globex", subject="acme") == (
        f"memory selected for globex: {said}, and acme has bucket 8759 of 10000"
    )
    assert why(catalog) == f"redis selected: {said}, and there is no subject"


def test_failover_names_what_it_walked_past(catalog_of: MakeCatalog, candidate: Make) -> None:
    a, b, c = candidate("a", priority=3), candidate("b", priority=2), candidate("c")
    outages = frozenset({Outage(a, "{}", None), Outage(b, "{}", None)})
    ranked = Contribution(policies={CACHE: Policy(on_unhealthy="next")})
    assert why(catalog_of(a, b, c, settings=ranked, outages=outages)) == (
        "c selected: a, b failing, next in the ranking"
    )
    selected = selecting("a", on_unhealthy="next", fallbacks=("c",))
    assert why(catalog_of(a, b, c, outages=outages, **selected)) == "c selected: a failing, next of its fallbacks"


def test_a_replaced_component_says_so(catalog_of: MakeCatalog, candidate: Make) -> None:
    fake = register_as(candidate("fake"), Source.CODE, 1)
    catalog = catalog_of(candidate("redis", priority=9, constraints=AWAY), replaced={CACHE: fake})
    assert why(catalog, tenant="acme") == "fake selected for acme: a test replaced the component"


def test_an_unknown_component_lists_what_is_known_and_the_nearest(catalog_of: MakeCatalog, candidate: Make) -> None:
    catalog = catalog_of(candidate("redis"), Candidate("adapter", "database", "sqlite", "m:f"))
    found = error(catalog, Component("adapter", "cahe"))
    assert isinstance(found, UnknownComponent)
    assert found.render() == (
        "UnknownComponent [unknown-component]: nothing is registered for adapter/cahe.\n"
        '  Known: adapter/cache, adapter/database. Write Use("adapter", "cache").'
    )
    assert known_components(catalog, "task/mail") == "Known: adapter/cache, adapter/database."


def test_a_long_list_of_known_components_is_cut_but_the_nearest_is_still_found(catalog_of: MakeCatalog) -> None:
    catalog = catalog_of(*(Candidate("service", f"s{number:03}", "x", "m:f") for number in range(50)))
    hint = known_components(catalog, "service/s04")
    assert hint.count("service/s0") == 20
    assert hint.startswith("Known: service/s000, ")
    assert ", service/s019 …. Write Use(" in hint
    twenty = catalog_of(*(Candidate("service", f"s{number:03}", "x", "m:f") for number in range(20)))
    assert "…" not in known_components(twenty, "adapter/zzz")


def test_with_nothing_registered_the_hint_says_how_to_register(catalog_of: MakeCatalog) -> None:
    assert error(catalog_of()).hint == "Nothing is registered at all: pass candidates with include=."


def test_an_unknown_provider_lists_those_that_are_registered(catalog_of: MakeCatalog, candidate: Make) -> None:
    found = error(catalog_of(candidate("memory"), candidate("redis", priority=1), candidate("redis")), provider="mem")
    assert isinstance(found, UnknownProvider)
    assert str(found) == "no provider mem is registered for adapter/cache.\n  Registered: redis, memory."


def test_no_eligible_candidate_tells_each_reason_and_carries_the_explanation(
    catalog_of: MakeCatalog, candidate: Make
) -> None:
    catalog = catalog_of(candidate("redis", priority=1, constraints=AWAY), candidate("memory"))
    found = error(catalog, tenant="acme", requires=frozenset({"ttl"}))
    assert isinstance(found, NoEligibleCandidate)
    assert found.message == "no candidate of adapter/cache is eligible for acme (redis: lacks ttl; memory: lacks ttl)."
    assert found.hint == "pointsman explain adapter/cache --tenant acme"
    assert found.explanation == explanation_of(
        catalog, weigh(catalog, Question(CACHE, "acme", requires=frozenset({"ttl"})))
    )
    assert error(catalog, provider="redis").message == (
        "no candidate of adapter/cache is eligible (redis: platform win32 wanted, linux, x86_64 found; "
        "memory: provider redis was asked for)."
    )
    assert error(catalog, provider="redis").hint == "pointsman explain adapter/cache"


def test_a_selected_provider_that_cannot_serve_is_named_with_its_layer_and_reason(
    catalog_of: MakeCatalog, candidate: Make
) -> None:
    barred = catalog_of(candidate("redis", constraints=AWAY), candidate("memory"), **selecting("redis"))
    found = error(barred, tenant="acme")
    assert isinstance(found, NoEligibleCandidate)
    assert found.message == (
        "settings selects redis for adapter/cache for acme, "
        "and it cannot serve (platform win32 wanted, linux, x86_64 found)."
    )
    dangling = error(catalog_of(candidate("memory"), **selecting("redis")))
    assert isinstance(dangling, NoEligibleCandidate)
    assert dangling.message == "settings selects redis for adapter/cache, and it cannot serve (nobody registers it)."


@pytest.mark.parametrize("layer", ["replica", "control"])
def test_an_order_whose_provider_is_gone_is_unavailable_and_may_be_retried(
    catalog_of: MakeCatalog, candidate: Make, layer: str
) -> None:
    found = error(catalog_of(candidate("memory"), **{layer: Choices({CACHE: "redis"})}))
    assert isinstance(found, OrderUnavailable)
    assert found.retryable
    assert found.hint == "Registered: memory. Unswap, or publish the provider."


def test_an_order_whose_provider_is_there_but_ineligible_is_no_eligible_candidate(
    catalog_of: MakeCatalog, candidate: Make
) -> None:
    found = error(catalog_of(candidate("redis", constraints=AWAY), control=Choices({CACHE: "redis"})))
    assert isinstance(found, NoEligibleCandidate)


def test_an_explanation_orders_the_losers_and_numbers_registrations_within_the_component(
    catalog_of: MakeCatalog, candidate: Make
) -> None:
    other = Candidate("adapter", "queue", "nats", "m:f")
    catalog = catalog_of(
        other, candidate("a"), other, candidate("b"), candidate("windows", constraints=AWAY), candidate("c"), serial=4
    )
    told = explanation_of(catalog, weigh(catalog, Question(CACHE)))
    assert told.reasons == ("priority 0", "stack level 0", "registered 4th")
    assert [(entry.candidate.provider, entry.reasons[-1]) for entry in told.shadowed] == [
        ("b", "registered 2nd"), ("a", "registered 1st"),
    ]  # fmt: skip
    assert [(entry.candidate.provider, entry.reasons) for entry in told.ineligible] == [
        ("windows", ("platform win32 wanted, linux, x86_64 found",))
    ]
    assert told.catalog_serial == 4


class Given(dict[Any, Any]):
    """A part of a catalog that can be watched."""


def test_an_explanation_that_nobody_read_yet_keeps_its_story_but_not_its_catalog(
    catalog_of: MakeCatalog, candidate: Make
) -> None:
    given = Given()
    gone = weakref.ref(given)
    catalog = catalog_of(candidate("a"), candidate("b", constraints=AWAY), given=given, serial=4, **selecting("a"))
    told = explanation_of(catalog, weigh(catalog, Question(CACHE, "acme")))
    expected = str(explanation_of(catalog, weigh(catalog, Question(CACHE, "acme"))))
    del catalog, given
    gc.collect()
    assert gone() is None
    assert str(told) == expected


def test_an_explanation_is_of_the_moment_when_it_was_asked(candidate: Make) -> None:
    resolver = Resolver()
    resolver.register(candidate("a"))
    before = resolver.explain("adapter", "cache")
    resolver.register(candidate("b"))
    after = resolver.explain("adapter", "cache")
    assert after.catalog_serial > before.catalog_serial
    assert (before.why, before.shadowed) == (
        "a selected: it is the only eligible candidate (no explicit selection)", (),
    )  # fmt: skip


def test_a_candidate_is_numbered_by_its_registration_not_by_its_rank(catalog_of: MakeCatalog, candidate: Make) -> None:
    catalog = catalog_of(candidate("first"), candidate("low", priority=-5), candidate("high", priority=9))
    told = explanation_of(catalog, weigh(catalog, Question(CACHE)))
    assert told.shadowed[0].reasons == ("priority 0", "stack level 0", "registered 1st")


def test_registrations_are_numbered_through_the_sources(catalog_of: MakeCatalog, candidate: Make) -> None:
    catalog = catalog_of(
        candidate("code"),
        settings=Contribution((candidate("settings"),)),
        manifest=Contribution((candidate("manifest"),)),
    )
    told = explanation_of(catalog, weigh(catalog, Question(CACHE)))
    assert told.selected is not None
    assert told.selected.provider == "manifest"
    assert [told.reasons[-1], *(entry.reasons[-1] for entry in told.shadowed)] == [
        "registered 3rd", "registered 2nd", "registered 1st",
    ]  # fmt: skip


def test_an_explanation_without_a_winner_lists_all_that_was_eligible(catalog_of: MakeCatalog, candidate: Make) -> None:
    catalog = catalog_of(candidate("memory"), candidate("disk"), **selecting("redis"))
    told = explanation_of(catalog, weigh(catalog, Question(CACHE)))
    assert told.selected is None
    assert told.reasons == ()
    assert [entry.candidate.provider for entry in told.shadowed] == ["disk", "memory"]
    assert told.decided_by == "explicit selection"
    assert told.layers == ("replica –", "control –", "settings redis", "manifest –")
