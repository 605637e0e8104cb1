from __future__ import annotations

from typing import Any

import pytest

from pointsman.declarations import Candidate, Component, Constraints
from pointsman.errors import ConfigurationError, Malformed
from pointsman.manifests.contents import candidate_of, contribution_of
from pointsman.manifests.schema import CandidateEntry, Capability, PolicyEntry, Split, TenantEntry
from pointsman.resolution.contribution import Layered, Policy
from pointsman.resolution.reference import GatedReference
from pointsman.resolution.selection import Split as Weighed
from tests.forge import Forge

FORGE = Forge()
CACHE = Component[Any]("adapter", "cache")


def factory() -> object:
    return object()


def entry(**fields: Any) -> CandidateEntry:
    return CandidateEntry(
        **{"domain": "adapter", "key": "cache", "provider": "own", "factory": "acme.cache:Own", **fields}
    )


MARK = Candidate(
    "adapter", "cache", "marked", factory, priority=3, stack_level=2, lifetime="tenant", capabilities=("ttl",),
    constraints=Constraints(python=">=3.11", packages=("pytest",), not_tenants=("initech",)),
    settings_model="acme.cache:Settings", description="marked", version="1", owner="us",
    metadata={"facade": "tenant", "a": 1},
)  # fmt: skip


def test_an_entry_alone_has_the_defaults_of_a_candidate() -> None:
    candidate = candidate_of(entry())
    assert candidate == Candidate("adapter", "cache", "own", "acme.cache:Own")
    assert isinstance(candidate.factory, GatedReference)


def test_what_an_entry_leaves_out_the_mark_says() -> None:
    candidate = candidate_of(entry(priority=20), MARK)
    assert (candidate.provider, candidate.factory, candidate.priority) == ("own", factory, 20)
    assert (candidate.stack_level, candidate.lifetime, candidate.capabilities) == (2, "tenant", ("ttl",))
    assert (candidate.constraints, candidate.settings_model) == (MARK.constraints, MARK.settings_model)
    assert (candidate.description, candidate.version, candidate.owner) == ("marked", "1", "us")
    assert candidate.metadata == MARK.metadata


def test_what_an_entry_says_counts_zero_and_the_empty_text_too() -> None:
    said = entry(
        priority=0, stack_level=0, lifetime="shared", capabilities=("counters",), settings_model="acme.cache:Other",
        description="", version="2", owner="them", requires=("msgspec>=0.18",), python_version=">=3.12",
    )  # fmt: skip
    candidate = candidate_of(said, MARK)
    assert (candidate.priority, candidate.stack_level, candidate.lifetime) == (0, 0, "shared")
    assert (candidate.capabilities, candidate.description, candidate.version) == (("counters",), "", "2")
    assert isinstance(candidate.settings_model, GatedReference)
    assert candidate.constraints == Constraints(python=">=3.12", packages=("msgspec>=0.18",), not_tenants=("initech",))


def test_an_entry_cannot_unsay_what_the_image_says_of_its_own_factory() -> None:
    assert candidate_of(entry(metadata={"facade": "none", "b": 2}), MARK).metadata == {
        "facade": "tenant",
        "a": 1,
        "b": 2,
    }


def test_every_constraint_has_its_place() -> None:
    said = entry(
        requires=("redis>=5",), conflicts_with=("hiredis<2",), python_version=">=3.11,<4",
        os_platform=("Windows", "linux"), tenants=("acme",), not_tenants=("globex",),
    )  # fmt: skip
    assert candidate_of(said).constraints == Constraints(
        python=">=3.11,<4", packages=("redis>=5",), conflicts=("hiredis<2",), platforms=("win32", "linux"),
        tenants=("acme",), not_tenants=("globex",),
    )  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [{"python_version": "3.x"}, {"requires": ("redis >> 5",)}, {"conflicts_with": ("",)}, {"requires": ("redis @ https://x",)},
     {"requires": ("redis; python_version > '3'",)}],
)  # fmt: skip
def test_a_requirement_that_cannot_be_read_is_refused_now(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        candidate_of(entry(**fields))
    with pytest.raises(Malformed):
        contribution_of(FORGE.manifest(candidates=(entry(**fields),)), {})


def test_how_the_work_is_done_is_kept_under_its_names() -> None:
    said = entry(
        domain="event", metadata={"note": "x"}, timeout_seconds=3.5, retry_policy={"attempts": 3},
        side_effect_free=True, requires_secrets=True, license="MIT", documentation_url="https://docs.example",
        event_topics=("orders",), event_max_concurrency=4, event_filters=({"path": "a", "equals": 1},),
        event_priority=0, event_fanout_policy="exclusive", dag={"nodes": [{"id": "a", "task": "acme.tasks:extract"}]},
        capabilities=("plain", Capability(name="rich", description="does much")),
    )  # fmt: skip
    candidate = candidate_of(said)
    assert candidate.capabilities == ("plain", "rich")
    assert candidate.metadata == {
        "note": "x", "timeout_seconds": 3.5, "retry_policy": {"attempts": 3}, "side_effect_free": True,
        "requires_secrets": True, "license": "MIT", "documentation_url": "https://docs.example",
        "event_topics": ("orders",), "event_max_concurrency": 4, "event_filters": ({"path": "a", "equals": 1},),
        "event_priority": 0, "event_fanout_policy": "exclusive",
        "dag": {"nodes": [{"id": "a", "task": "acme.tasks:extract"}]},
        "capabilities": {"rich": {"name": "rich", "description": "does much"}},
    }  # fmt: skip
    assert isinstance(candidate.metadata["dag"]["nodes"][0]["task"], GatedReference)


def test_a_manifest_contributes_all_that_it_says() -> None:
    manifest = FORGE.manifest(
        candidates=(entry(), entry(provider="other", factory="acme.cache:Marked")),
        selections={"adapter/cache": Split(incumbent="own", to=(("other", 500),), salt="s")},
        provider_settings={"adapter/cache/own": {"size": 1}},
        tenants={
            "acme": TenantEntry(
                selections={"adapter/cache": "own"}, provider_settings={"adapter/cache/own": {"size": 2}}
            ),
            "globex": TenantEntry(labels={"plan": "trial"}),
        },
        components={"adapter/cache": PolicyEntry(on_unhealthy="next", fallbacks=("other",), prewarm=("acme",))},
    )
    found = contribution_of(manifest, {"acme.cache:Marked": MARK})
    assert [str(one) for one in found.candidates] == ["adapter/cache=own", "adapter/cache=other"]
    assert found.candidates[1].factory is factory
    assert found.choices.everyone == {CACHE: Weighed("own", (("other", 500),), "s")}
    assert found.choices.tenants == {"acme": {CACHE: "own"}}
    assert found.provider_settings == Layered(
        {("adapter", "cache", "own"): {"size": 1}}, {"acme": {("adapter", "cache", "own"): {"size": 2}}}
    )
    assert found.labels == {"acme": {}, "globex": {"plan": "trial"}}
    assert found.policies == {CACHE: Policy(on_unhealthy="next", fallbacks=("other",), prewarm=("acme",))}


def test_a_policy_entry_has_the_defaults_of_a_policy() -> None:
    manifest = FORGE.manifest(components={"adapter/cache": PolicyEntry()})
    assert contribution_of(manifest, {}).policies == {CACHE: Policy()}


def test_the_same_manifest_contributes_the_same() -> None:
    manifest = FORGE.manifest(candidates=(entry(),))
    assert contribution_of(manifest, {}) == contribution_of(manifest, {})


def test_one_candidate_twice_is_malformed() -> None:
    with pytest.raises(Malformed, match="adapter/cache/own once"):
        contribution_of(FORGE.manifest(candidates=(entry(), entry(priority=1))), {})


@pytest.mark.parametrize("to", [(("a", 9_000), ("b", 2_000)), (("own", 1),), (("a", 1), ("a", 1))])
def test_a_split_that_cannot_be_drawn_is_malformed(to: tuple[tuple[str, int], ...]) -> None:
    with pytest.raises(Malformed, match=r"selections\.adapter/cache"):
        contribution_of(FORGE.manifest(selections={"adapter/cache": Split(incumbent="own", to=to)}), {})
