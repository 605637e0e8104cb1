"""Attacks on the choice itself: explain against resolve, the wrong vendor, a catalog that grows, a split that leaks."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.declarations import Candidate, Component, Constraints
from pointsman.errors import (
    NoEligibleCandidate,
    OrderUnavailable,
    PointsmanError,
    ResolutionError,
    UnknownComponent,
    UnknownProvider,
)
from pointsman.resolution.catalog import Candidates, Catalog, Outage, registrations_of
from pointsman.resolution.contribution import Contribution, Layered, Policy, Source
from pointsman.resolution.decision import Question
from pointsman.resolution.eligibility import Environment
from pointsman.resolution.explanation import Explanation, Resolution
from pointsman.resolution.precedence import Registration, register_as
from pointsman.resolution.resolver import Resolver, explain_in, resolve_in
from pointsman.resolution.selection import BUCKETS, Choices, Selection, Split, bucket_of, draw

CACHE, QUEUE = Component[Any]("adapter", "cache"), Component[Any]("adapter", "queue")
HERE = Environment("3.12.1", lambda: frozenset({"linux"}), {}.get)
TENANTS = (None, "acme", "globex", "stranger")
PROVIDERS = ("a", "b", "c")


# --- worlds -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """A catalog, and the same facts as plain lists for the oracle."""

    catalog: Catalog
    registered: tuple[Registration, ...]
    selections: tuple[tuple[str, str | None, Component[Any], Selection], ...]


few = st.integers(-1, 2)
candidates = st.builds(
    Candidate,
    domain=st.just("adapter"),
    key=st.sampled_from(["cache", "cache", "queue"]),
    provider=st.sampled_from(PROVIDERS),
    factory=st.sampled_from(["m:one", "m:two"]),
    priority=st.none() | few,
    stack_level=few,
    lifetime=st.sampled_from(["shared", "tenant"]),
    capabilities=st.sets(st.sampled_from(["x", "y"])),
    constraints=st.builds(
        Constraints,
        platforms=st.sampled_from([(), (), (), ("win32",)]),
        tenants=st.sampled_from([(), (), (), ("acme",)]),
        not_tenants=st.sampled_from([(), (), (), ("acme",), ("stranger",)]),
    ),
)
splits = st.builds(
    lambda names, weight, salt: Split(names[0], ((names[1], weight),), salt),
    st.permutations([*PROVIDERS, "gone"]),
    st.sampled_from([0, 1, 3_000, 9_000, BUCKETS]),
    st.sampled_from(["", "s"]),
)
selections = st.sampled_from([*PROVIDERS, *PROVIDERS, "gone"]) | splits
layers = st.tuples(
    st.sampled_from(["replica", "control", "settings", "manifest"]),
    st.sampled_from([None, None, "acme", "globex"]),
    st.sampled_from([CACHE, CACHE, QUEUE]),
)
policies = st.builds(
    Policy,
    on_unhealthy=st.sampled_from(["next", "next", "fail"]),
    fallbacks=st.lists(st.sampled_from([*PROVIDERS, "gone"]), max_size=3, unique=True).map(tuple),
)
URL = {("adapter", "cache", "a"): {"url": "a"}}


@st.composite
def worlds(draw_from: st.DrawFn) -> World:
    rules = draw_from(st.dictionaries(layers, selections, max_size=5))
    code, plugins, from_settings, from_manifest = (draw_from(st.lists(candidates, max_size=3)) for _ in range(4))
    parts = {
        source: Contribution(
            tuple(brought),
            choices_of(source, rules),
            Layered({}, {"acme": URL} if source == "settings" else {}),
            {tenant: {} for tenant in draw_from(st.sets(st.sampled_from(["acme", "globex"])))},
            draw_from(st.dictionaries(st.just(CACHE), policies, max_size=1)),
        )
        for source, brought in (("settings", from_settings), ("manifest", from_manifest))
    }
    inferred = st.none() | few
    registered = [
        register_as(candidate, source, number, draw_from(inferred))
        for source, brought in ((Source.CODE, code), (Source.PLUGIN, plugins))
        for number, candidate in enumerate(brought)
    ]
    for source in (Source.SETTINGS, Source.MANIFEST):
        registered += registrations_of(parts[source], source)
    every = sorted({entry.candidate for entry in registered}, key=repr)
    down = draw_from(st.sets(st.sampled_from(every), max_size=3)) if every else set()
    outages = {
        Outage(candidate, text, tenant)
        for candidate in down
        for text in ("{}", "{'url': 'a'}")
        for tenant in ([None] if candidate.lifetime == "shared" else draw_from(st.just(TENANTS)))
    }
    catalog = Catalog(
        draw_from(st.integers(1, 9)), Candidates([registered], HERE), parts["settings"], parts["manifest"],
        choices_of("control", rules), choices_of("replica", rules), outages=frozenset(outages),
    )  # fmt: skip
    return World(catalog, tuple(registered), tuple((*place, selection) for place, selection in rules.items()))


Rules = Mapping[tuple[str, str | None, Component[Any]], Selection]


def choices_of(source: str, rules: Rules) -> Choices:
    everyone: dict[Component[Any], Selection] = {}
    tenants: dict[str, dict[Component[Any], Selection]] = {}
    for (said_by, tenant, component), selection in rules.items():
        if said_by == source:
            (everyone if tenant is None else tenants.setdefault(tenant, {}))[component] = selection
    return Choices(everyone, tenants)


questions = st.builds(
    Question,
    component=st.sampled_from([CACHE, CACHE, CACHE, QUEUE, Component("task", "mail")]),
    tenant=st.sampled_from(TENANTS),
    provider=st.sampled_from([None, None, None, *PROVIDERS, "gone"]),
    requires=st.sampled_from([frozenset(), frozenset(), frozenset("x"), frozenset("xy")]),
    subject=st.sampled_from([None, None, "u1", ""]),
)


def words(question: Question) -> dict[str, Any]:
    return {
        "tenant": question.tenant,
        "provider": question.provider,
        "requires": question.requires,
        "subject": question.subject,
    }


# --- 62 -----------------------------------------------------------------------------------------------------------


def manifest_of(*providers: str, serial: int = 0) -> Contribution:
    """Return a manifest made anew, as each refresh decodes one: equal, and never the same object."""
    made = tuple(
        Candidate("adapter", "cache", provider, f"caches:{provider}", priority=place, metadata={"serial": serial})
        for place, provider in enumerate(providers)
    )
    return Contribution(made, Choices({CACHE: providers[0]}), labels={"acme": {}})


def applied(resolver: Resolver, manifest: Contribution) -> None:
    """Take a manifest over, as a runtime does."""
    old = resolver.catalog
    groups = (
        resolver.registrations,
        registrations_of(old.settings, Source.SETTINGS),
        registrations_of(manifest, Source.MANIFEST),
    )
    made = Candidates(groups, resolver.environment)
    resolver.show(replace(old, serial=resolver.next_serial(), manifest=manifest, candidates=made))


def facts(catalog: Catalog) -> Any:
    """Return all that can decide, but the serial."""
    ranked = {
        component: [
            (entry.rank, entry.candidate, catalog.candidates.barrier(entry))
            for entry in catalog.candidates.of(component)
        ]
        for component in catalog.candidates
    }
    rules = {source: list(catalog.choices(source)) for source in ("replica", "control", "settings", "manifest")}
    return ranked, rules, catalog.tenants(), catalog.settings, catalog.manifest


def test_a62_ten_thousand_refreshes_of_one_manifest_leave_the_catalog_of_the_first() -> None:
    resolver = Resolver(environment=HERE, stack_order="")
    resolver.register(Candidate("adapter", "cache", "own", "caches:own"))
    applied(resolver, manifest_of("redis", "memory"))
    first = facts(resolver.catalog)
    told = resolver.explain("adapter", "cache", "acme")
    for _ in range(10_000):
        applied(resolver, manifest_of("redis", "memory"))
    assert facts(resolver.catalog) == first
    assert replace(resolver.explain("adapter", "cache", "acme"), catalog_serial=told.catalog_serial) == told
    assert len(resolver.catalog.candidates.of(CACHE)) == 3
    assert len(resolver.registrations) == 1


def test_a62_an_equal_candidate_registered_ten_thousand_times_keeps_its_place() -> None:
    resolver = Resolver(environment=HERE, stack_order="")
    for _ in range(10_000):
        resolver.register(Candidate("adapter", "cache", "redis", "caches:redis", metadata={"a": 1}))
        resolver.register_from_pkg("acme", "/adapters", [Candidate("adapter", "cache", "memory", "caches:memory")])
        resolver.register_plugin("acme", [Candidate("adapter", "cache", "disk", "caches:disk")])
    ranking = [(entry.candidate.provider, entry.sequence) for entry in resolver.catalog.candidates.of(CACHE)]
    assert ranking == [("memory", 2), ("disk", 3), ("redis", 1)]


def test_a62_what_a_manifest_no_longer_names_leaves_no_trace() -> None:
    resolver = Resolver(environment=HERE, stack_order="")
    resolver.register(Candidate("adapter", "cache", "own", "caches:own"))
    before = facts(resolver.catalog)
    assert resolver.resolve("adapter", "cache").provider == "own"
    applied(resolver, manifest_of("redis", "memory"))
    assert resolver.resolve("adapter", "cache").provider == "redis"
    applied(resolver, manifest_of("memory"))
    assert resolver.resolve("adapter", "cache").provider == "memory"
    assert "redis" not in str(resolver.explain("adapter", "cache", "acme"))
    with pytest.raises(UnknownProvider):
        resolver.resolve("adapter", "cache", provider="redis")
    applied(resolver, Contribution())
    assert facts(resolver.catalog) == before
    assert resolver.resolve("adapter", "cache").provider == "own"
    assert not resolver.catalog.knows("acme")


# --- 63 -----------------------------------------------------------------------------------------------------------


def agree(resolved: Resolution | PointsmanError, explained: Explanation, question: Question, serial: int) -> None:
    assert (explained.component, explained.tenant, explained.catalog_serial) == (
        question.component, question.tenant, serial,
    )  # fmt: skip
    if isinstance(resolved, Resolution):
        assert explained.selected is resolved.candidate
        assert resolved == Resolution(
            question.component,
            resolved.candidate.provider,
            resolved.candidate,
            explained.decided_by,
            question.tenant,
            serial,
        )
        assert explained.why.startswith(f"{resolved.provider} selected")
    else:
        assert explained.selected is None
        assert explained.why == resolved.message
        if isinstance(resolved, NoEligibleCandidate):
            assert resolved.explanation == explained


@settings(deadline=None, max_examples=300)
@given(world=worlds(), asked=st.lists(questions, min_size=1, max_size=12))
def test_a63_explain_agrees_with_resolve_for_all_arguments_cold_and_warm(world: World, asked: list[Question]) -> None:
    resolver = Resolver(environment=HERE, stack_order="")
    resolver.show(world.catalog)
    for question in [*asked, *reversed(asked)]:
        arguments = words(question)
        explained = resolver.explain(*question.component, **arguments)
        try:
            resolved: Resolution | PointsmanError = resolver.resolve(*question.component, **arguments)
        except (ResolutionError, OrderUnavailable) as refused:
            resolved = refused
        agree(resolved, explained, question, world.catalog.serial)
        assert explain_in(world.catalog, question) == explained
        said = {name: value for name, value in arguments.items() if value}  # the short form says the same
        if question.subject != "" and isinstance(resolved, Resolution):
            assert resolver.resolve(*question.component, **said) == resolved


def oracle(world: World, question: Question) -> str | type[PointsmanError]:
    """Say who serves, by the words of the design and nothing else."""
    everyone = [entry for entry in world.registered if entry.candidate.component == question.component]
    if not everyone:
        return UnknownComponent
    names = {entry.candidate.provider for entry in everyone}
    if question.provider is not None and question.provider not in names:
        return UnknownProvider
    eligible = [entry for entry in everyone if allowed(entry.candidate, question)]
    ranked = sorted(
        eligible,
        key=lambda entry: (
            -entry.priority, -entry.candidate.stack_level, -list(Source).index(entry.source), -entry.sequence,
        ),
    )  # fmt: skip
    selected, source = chosen(world, question) if question.provider is None else (None, "")
    if selected is not None:
        ranked = [entry for entry in ranked if entry.candidate.provider == selected]
    if not ranked:
        return OrderUnavailable if source in {"replica", "control"} and selected not in names else NoEligibleCandidate
    if selected is not None:
        policy = world.catalog.policy(question.component)
        for name in policy.fallbacks:
            ranked += [
                entry for entry in sorted(eligible, key=lambda entry: entry.rank, reverse=True)
                if entry.candidate.provider == name and entry not in ranked
            ]  # fmt: skip
    healthy = [entry for entry in ranked if not down(world, entry.candidate, question.tenant)]
    walks = world.catalog.policy(question.component).on_unhealthy == "next"
    return (healthy if healthy and walks else ranked)[0].candidate.provider


def allowed(candidate: Candidate, question: Question) -> bool:
    limits = candidate.constraints
    return (
        question.provider in {None, candidate.provider}
        and question.requires <= set(candidate.capabilities)
        and not limits.platforms
        and (not limits.tenants or question.tenant in limits.tenants)
        and question.tenant not in limits.not_tenants
    )


def chosen(world: World, question: Question) -> tuple[str | None, str]:
    order = [
        ("replica", question.tenant), ("replica", None), ("control", question.tenant), ("control", None),
        ("settings", question.tenant), ("manifest", question.tenant), ("settings", None), ("manifest", None),
    ]  # fmt: skip
    for source, tenant in order:
        for said_by, for_tenant, component, selection in world.selections:
            if (said_by, for_tenant, component) == (source, tenant, question.component):
                subject = question.tenant if question.subject is None else question.subject
                drawn = selection if isinstance(selection, str) else draw(selection, component, subject)
                return drawn, source
    return None, ""


def down(world: World, candidate: Candidate, tenant: str | None) -> bool:
    with_url = tenant == "acme" and (candidate.key, candidate.provider) == ("cache", "a")
    owner = tenant if candidate.lifetime == "tenant" else None
    return Outage(candidate, "{'url': 'a'}" if with_url else "{}", owner) in world.catalog.outages


@settings(deadline=None, max_examples=400)
@given(world=worlds(), question=questions)
def test_a63_the_winner_is_the_one_that_the_rules_name(world: World, question: Question) -> None:
    try:
        found: str | type[PointsmanError] = resolve_in(world.catalog, question).provider
    except (ResolutionError, OrderUnavailable) as refused:
        found = type(refused)
    assert found == oracle(world, question)


@settings(deadline=None, max_examples=150)
@given(world=worlds(), question=questions)
def test_a63_every_candidate_is_told_once_and_an_ineligible_one_never_wins(world: World, question: Question) -> None:
    explained = explain_in(world.catalog, question)
    told = [
        *([explained.selected] if explained.selected else []),
        *(entry.candidate for entry in explained.shadowed),
        *(entry.candidate for entry in explained.ineligible),
    ]
    registered = [entry.candidate for entry in world.catalog.candidates.of(question.component)]
    assert sorted(map(repr, told)) == sorted(map(repr, registered))
    assert all(allowed(candidate, question) for candidate in told[: len(told) - len(explained.ineligible)])
    assert not any(allowed(entry.candidate, question) for entry in explained.ineligible)
    assert all(reason for entry in explained.ineligible for reason in entry.reasons)


@settings(deadline=None, max_examples=100)
@given(world=worlds(), asked=st.lists(questions, max_size=8), seed=st.randoms(use_true_random=False))
def test_a63_an_answer_depends_on_the_inputs_alone_not_on_what_was_asked_before(
    world: World, asked: list[Question], seed: random.Random
) -> None:
    groups: Iterable[Iterable[Registration]] = [
        [entry] for entry in seed.sample(world.registered, len(world.registered))
    ]
    twin = replace(world.catalog, candidates=Candidates(groups, HERE))  # the same, met in another order
    assert [str(explain_in(twin, question)) for question in asked] == [
        str(explain_in(world.catalog, question)) for question in reversed(asked)
    ][::-1]


# --- 66 -----------------------------------------------------------------------------------------------------------


def served_by(provider: str, weight: int, salt: str) -> set[str]:
    """Return the tenants that a settings split with this weight gives to a provider, asked through the resolver."""
    resolver = Resolver(environment=HERE, stack_order="")
    for name in ("redis", "memory"):
        resolver.register(Candidate("adapter", "cache", name, f"caches:{name}"))
    split = Split("redis", (("memory", weight),), salt)
    tenants = {f"tenant-{number}": {} for number in range(300)}
    resolver.show(replace(resolver.catalog, settings=Contribution(choices=Choices({CACHE: split}), labels=tenants)))
    return {tenant for tenant in tenants if resolver.resolve("adapter", "cache", tenant).provider == provider}


@pytest.mark.parametrize("salt", ["", "spring", "a|b"])
def test_a66_the_tenants_of_a_split_are_nested_on_the_way_up_and_the_same_on_the_way_down(salt: str) -> None:
    weights = [0, 1, 100, 500, 2_500, 5_000, 9_999, BUCKETS]
    up = [served_by("memory", weight, salt) for weight in weights]
    for smaller, larger in pairwise(up):
        assert smaller <= larger
    assert (up[0], len(up[-1])) == (set(), 300)
    assert 0 < len(up[3]) < len(up[5]) < 300
    assert [served_by("memory", weight, salt) for weight in reversed(weights)] == up[::-1]


def test_a66_only_those_whose_bucket_lies_between_two_weights_move() -> None:
    lower, higher = 1_000, 4_000
    moved = served_by("memory", higher, "s") - served_by("memory", lower, "s")
    assert moved == {
        tenant for tenant in (f"tenant-{number}" for number in range(300))
        if lower <= bucket_of("s", CACHE, tenant) < higher
    }  # fmt: skip


# --- 80 -----------------------------------------------------------------------------------------------------------


def two_vendors(policy: Policy, **first: Any) -> tuple[Catalog, Candidate]:
    """Settings select redis for acme; memory is selected below, ranks higher, and is well."""
    redis = Candidate("adapter", "cache", "redis", "caches:redis", **first)
    memory = Candidate("adapter", "cache", "memory", "caches:memory", priority=99)
    registered = [register_as(candidate, Source.CODE, number) for number, candidate in enumerate((redis, memory))]
    chosen_by_settings = Contribution(choices=Choices({}, {"acme": {CACHE: "redis"}}), policies={CACHE: policy})
    below = Contribution(choices=Choices({CACHE: "memory"}))
    return Catalog(1, Candidates([registered], HERE), chosen_by_settings, below), redis


@pytest.mark.parametrize("policy", [Policy(), Policy(on_unhealthy="next"), Policy(fallbacks=("memory",))])
def test_a80_a_selected_provider_that_is_down_without_fallbacks_stays_the_answer(policy: Policy) -> None:
    catalog, redis = two_vendors(policy)
    catalog = replace(catalog, outages=frozenset({Outage(redis, "{}", None)}))
    assert resolve_in(catalog, Question(CACHE, "acme")).candidate is redis  # its own error is the 503
    assert resolve_in(catalog, Question(CACHE, "globex")).provider == "memory"


def test_a80_a_selected_provider_that_is_ineligible_is_an_error_never_the_next_layer() -> None:
    for barred in (
        {"constraints": Constraints(not_tenants=["acme"])},
        {"constraints": Constraints(platforms=["win32"])},
        {"constraints": Constraints(packages=["no-such-package"])},
    ):
        catalog, _ = two_vendors(Policy(on_unhealthy="next", fallbacks=("memory",)), **barred)
        with pytest.raises(NoEligibleCandidate):
            resolve_in(catalog, Question(CACHE, "acme"))
        assert explain_in(catalog, Question(CACHE, "acme")).selected is None


def test_a80_a_selected_provider_that_lacks_what_is_required_is_an_error() -> None:
    catalog, _ = two_vendors(Policy())
    with pytest.raises(NoEligibleCandidate, match="lacks scan"):
        resolve_in(catalog, Question(CACHE, "acme", requires=frozenset({"scan"})))


@pytest.mark.parametrize("source", ["replica", "control"])
def test_a80_an_order_for_a_provider_that_is_gone_is_an_error_never_the_next_layer(source: str) -> None:
    catalog, _ = two_vendors(Policy(on_unhealthy="next", fallbacks=("memory",)))
    catalog = replace(catalog, **{source: Choices({CACHE: "gone"})})
    with pytest.raises(OrderUnavailable):
        resolve_in(catalog, Question(CACHE, "acme"))
