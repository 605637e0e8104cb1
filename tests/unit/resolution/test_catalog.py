from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.declarations import Candidate, Component, Constraints
from pointsman.errors import ConfigurationError
from pointsman.resolution.catalog import LAYERS, Candidates, Catalog, registrations_of
from pointsman.resolution.contribution import Contribution, Layered, Policy, Source
from pointsman.resolution.eligibility import Environment
from pointsman.resolution.precedence import register_as
from pointsman.resolution.selection import Choices, Selection, Split

Make = Callable[..., Candidate]
MakeCatalog = Callable[..., Catalog]
CACHE = Component[Any]("adapter", "cache")
QUEUE = Component[Any]("adapter", "queue")
REDIS = ("adapter", "cache", "redis")


def said(*layers: tuple[str, bool], tenant: str = "acme") -> dict[str, Any]:
    """Return inputs of a catalog in which each of these layers selects a provider of its own name."""
    names = {(source, for_tenant): f"{source}-{'tenant' if for_tenant else 'all'}" for source, for_tenant in layers}

    def choices(source: str) -> Choices:
        everyone: dict[Component[Any], Selection] = {}
        tenants: dict[str, Mapping[Component[Any], Selection]] = {}
        if (source, False) in names:
            everyone[CACHE] = names[source, False]
        if (source, True) in names:
            tenants[tenant] = {CACHE: names[source, True]}
        return Choices(everyone, tenants)

    return {
        "replica": choices("replica"),
        "control": choices("control"),
        "settings": Contribution(choices=choices("settings")),
        "manifest": Contribution(choices=choices("manifest")),
    }


def test_the_layers_are_those_of_the_design_highest_first() -> None:
    assert LAYERS == (
        ("replica", True), ("replica", False), ("control", True), ("control", False),
        ("settings", True), ("manifest", True), ("settings", False), ("manifest", False),
    )  # fmt: skip


@pytest.mark.parametrize(("higher", "lower"), list(combinations(LAYERS, 2)))
def test_of_any_two_layers_the_higher_decides(
    catalog_of: MakeCatalog, higher: tuple[str, bool], lower: tuple[str, bool]
) -> None:
    catalog = catalog_of(**said(higher, lower))
    source, for_tenant = higher
    printed = f"{source}(acme)" if for_tenant else source
    assert catalog.selection(CACHE, "acme") == (printed, f"{source}-{'tenant' if for_tenant else 'all'}")


def test_a_layer_for_one_tenant_is_none_of_anybody_elses(catalog_of: MakeCatalog) -> None:
    catalog = catalog_of(**said(*LAYERS))
    assert catalog.selection(CACHE, "globex") == ("replica", "replica-all")
    assert catalog.selection(CACHE, None) == ("replica", "replica-all")
    assert catalog.selection(QUEUE, "acme") is None
    for_tenants_only = catalog_of(**said(*(layer for layer in LAYERS if layer[1])))
    assert for_tenants_only.selection(CACHE, None) is None
    assert for_tenants_only.selection(CACHE, "globex") is None


def test_all_layers_that_concern_the_tenant_are_listed_highest_first(catalog_of: MakeCatalog) -> None:
    catalog = catalog_of(**said(("control", False), ("manifest", True)))
    assert list(catalog.layers(CACHE, "acme")) == [
        ("replica(acme)", None), ("replica", None), ("control(acme)", None), ("control", "control-all"),
        ("settings(acme)", None), ("manifest(acme)", "manifest-tenant"), ("settings", None), ("manifest", None),
    ]  # fmt: skip
    assert list(catalog.layers(CACHE, None)) == [
        ("replica", None), ("control", "control-all"), ("settings", None), ("manifest", None),
    ]  # fmt: skip


def test_provider_settings_are_merged_by_layers_and_per_top_level_key(catalog_of: MakeCatalog, candidate: Make) -> None:
    manifest = Layered(
        {REDIS: {"a": "m", "b": "m", "c": "m", "d": "m", "deep": {"x": 1}}}, {"acme": {REDIS: {"c": "mt", "d": "mt"}}}
    )
    settings = Layered({REDIS: {"b": "s", "c": "s", "d": "s", "deep": {"y": 2}}}, {"acme": {REDIS: {"d": "st"}}})
    catalog = catalog_of(
        manifest=Contribution(provider_settings=manifest), settings=Contribution(provider_settings=settings)
    )
    redis = candidate("redis")
    shared = {"a": "m", "b": "s", "c": "s", "d": "s", "deep": {"y": 2}}
    assert catalog.provider_settings(redis, None) == shared
    assert catalog.provider_settings(redis, "globex") == shared
    assert catalog.provider_settings(redis, "acme") == {**shared, "c": "mt", "d": "st"}
    assert catalog.provider_settings(candidate("memory"), "acme") == {}
    given = catalog_of(settings=Contribution(provider_settings=settings), given={REDIS: {"d": "given"}})
    assert given.provider_settings(redis, "acme")["d"] == "given"


LAYER = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["x", "y"]), max_size=4)


@given(layers=st.tuples(LAYER, LAYER, LAYER, LAYER, LAYER), tenant=st.sampled_from([None, "acme", "globex"]))
def test_a_setting_is_foreign_where_the_highest_layer_that_says_it_is_the_manifest(
    catalog_of: MakeCatalog, candidate: Make, layers: tuple[dict[str, str], ...], tenant: str | None
) -> None:
    everyone, image, its, image_for_it, given_here = layers
    catalog = catalog_of(
        manifest=Contribution(provider_settings=Layered({REDIS: everyone}, {"acme": {REDIS: its}})),
        settings=Contribution(provider_settings=Layered({REDIS: image}, {"acme": {REDIS: image_for_it}})),
        given={REDIS: given_here},
    )
    said = [("manifest", everyone), ("image", image)]
    said += [("manifest", its), ("image", image_for_it)] if tenant == "acme" else []
    highest = {key: who for who, layer in (*said, ("test", given_here)) for key in layer}
    redis = candidate("redis")
    merged = catalog.provider_settings(redis, tenant)
    assert merged.keys() == highest.keys()
    expected = {key: value for key, value in merged.items() if highest[key] == "manifest"}
    assert catalog.foreign_settings(redis, tenant) == expected


def test_merging_changes_no_layer(catalog_of: MakeCatalog, candidate: Make) -> None:
    layer = {"a": 1}
    catalog = catalog_of(settings=Contribution(provider_settings=Layered({REDIS: layer})), given={REDIS: {"b": 2}})
    merged = catalog.provider_settings(candidate("redis"), None)
    assert merged == {"a": 1, "b": 2}
    assert layer == {"a": 1}
    assert merged is not catalog.provider_settings(candidate("redis"), None)


def test_tenants_and_their_labels_come_from_settings_before_the_manifest(catalog_of: MakeCatalog) -> None:
    catalog = catalog_of(
        settings=Contribution(labels={"acme": {"plan": "gold"}, "initech": {}}),
        manifest=Contribution(labels={"acme": {"plan": "trial", "region": "eu"}, "globex": {"plan": "trial"}}),
    )
    assert catalog.tenants() == ("acme", "globex", "initech")
    assert [catalog.knows(name) for name in ("acme", "globex", "initech", "umbrella")] == [True, True, True, False]
    assert catalog.labels("acme") == {"plan": "gold", "region": "eu"}
    assert catalog.labels("globex") == {"plan": "trial"}
    assert catalog.labels("initech") == {}
    assert catalog.labels("umbrella") == {}
    assert catalog.declares_tenants
    assert not catalog_of().declares_tenants
    assert catalog_of(manifest=Contribution(labels={"acme": {}})).declares_tenants


def test_settings_say_a_policy_before_the_manifest_does(catalog_of: MakeCatalog) -> None:
    catalog = catalog_of(
        settings=Contribution(policies={CACHE: Policy(on_unhealthy="next")}),
        manifest=Contribution(policies={CACHE: Policy(isolated=True), QUEUE: Policy(isolated=True)}),
    )
    assert catalog.policy(CACHE) == Policy(on_unhealthy="next")
    assert catalog.policy(QUEUE) == Policy(isolated=True)
    assert catalog.policy(Component("task", "mail")) == Policy()


def test_every_selection_of_a_provider_that_nobody_registers_dangles(catalog_of: MakeCatalog, candidate: Make) -> None:
    catalog = catalog_of(
        candidate("redis"),
        replica=Choices({CACHE: "gone"}),
        control=Choices({}, {"acme": {CACHE: "redis", QUEUE: "nats"}}),
        settings=Contribution(choices=Choices({CACHE: Split("redis", (("memory", 5), ("redis2", 0)))})),
        manifest=Contribution(choices=Choices({}, {"globex": {CACHE: Split("old", (("redis", 5),))}})),
    )
    assert [str(each) for each in catalog.dangling()] == [
        "replica selects adapter/cache=gone, which nobody registers",
        "control(acme) selects adapter/queue=nats, which nobody registers",
        "settings selects adapter/cache=memory, which nobody registers",
        "settings selects adapter/cache=redis2, which nobody registers",
        "manifest(globex) selects adapter/cache=old, which nobody registers",
    ]


def test_an_ineligible_provider_is_registered_and_so_does_not_dangle(catalog_of: MakeCatalog, candidate: Make) -> None:
    barred = candidate("redis", constraints=Constraints(platforms=["win32"]))
    assert catalog_of(barred, replica=Choices({CACHE: "redis"})).dangling() == ()


def test_a_component_that_a_test_replaced_cannot_dangle(catalog_of: MakeCatalog, candidate: Make) -> None:
    fake = register_as(candidate("fake"), Source.CODE, 1)
    assert catalog_of(replica=Choices({CACHE: "gone"}), replaced={CACHE: fake}).dangling() == ()


def test_candidates_of_any_source_are_ranked_together_and_listed_by_component(environment: Environment) -> None:
    code = tuple(
        register_as(Candidate(domain, key, provider, "m:f"), Source.CODE, number)
        for number, (domain, key, provider) in enumerate(
            [("service", "rates", "bank"), ("adapter", "queue", "nats"), ("adapter", "cache", "redis")]
        )
    )
    manifest = registrations_of(Contribution((Candidate("adapter", "cache", "memory", "m:f"),)), Source.MANIFEST)
    candidates = Candidates([code, manifest], environment)
    assert [str(component) for component in candidates] == ["adapter/cache", "adapter/queue", "service/rates"]
    assert [entry.candidate.provider for entry in candidates.of(CACHE)] == ["memory", "redis"]
    assert candidates.of(Component("adapter", "cashe")) == ()
    assert candidates.of(Component("adaptor", "cache")) == ()


def test_barriers_belong_to_the_registration_that_they_bar(environment: Environment, candidate: Make) -> None:
    barred = register_as(candidate("redis", constraints=Constraints(platforms=["win32"])), Source.CODE, 1)
    free = register_as(candidate("redis"), Source.CODE, 2)
    candidates = Candidates([[barred, free]], environment)
    assert candidates.barrier(barred) == "platform win32 wanted, linux, x86_64 found"
    assert candidates.barrier(free) is None
    assert Candidates([[free]], environment).barrier(free) is None


def test_a_constraint_that_cannot_be_read_refuses_the_whole_catalog(catalog_of: MakeCatalog, candidate: Make) -> None:
    with pytest.raises(ConfigurationError, match="adapter/cache=redis"):
        catalog_of(manifest=Contribution((candidate("redis", constraints=Constraints(python="new")),)))


def test_a_source_that_says_a_candidate_twice_registers_it_once_in_its_first_place(candidate: Make) -> None:
    listed = (candidate("a"), candidate("b"), candidate("a"), candidate("a", priority=1))
    registered = registrations_of(Contribution(listed), Source.SETTINGS)
    assert [(entry.candidate.provider, entry.priority) for entry in registered] == [("a", 0), ("b", 0), ("a", 1)]
    assert [entry.sequence for entry in registered] == sorted({entry.sequence for entry in registered})
    assert {entry.source for entry in registered} == {Source.SETTINGS}


def test_sources_are_ordered_code_plugins_settings_manifest() -> None:
    assert list(Source) == ["code", "plugin", "settings", "manifest"]
