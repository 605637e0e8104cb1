from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from pointsman.errors import (
    ArtifactsDisabled,
    ComponentForbidden,
    DestinationForbidden,
    FactoryForbidden,
    Malformed,
    ManifestError,
    SecretForbidden,
)
from pointsman.manifests.admission import Gate, admit, provider_values
from pointsman.manifests.canonical import encode
from pointsman.manifests.packed import Packed
from pointsman.manifests.schema import CandidateEntry, PolicyEntry, Split, TenantEntry
from pointsman.manifests.settings import TrustSettings
from pointsman.manifests.sheet import read_in_chunks
from tests.forge import Forge

FORGE = Forge()
HONEST = FORGE.manifest(
    candidates=(
        CandidateEntry(
            domain="adapter",
            key="cache",
            provider="own",
            factory="pointsman.adapters.cache.memory:memory_cache",
            settings_model="pointsman.adapters.cache.memory:MemoryCacheSettings",
            dag={"nodes": [{"id": "a", "task": "extract", "depends_on": []}]},
            documentation_url="https://docs.example.com",
        ),
    ),
    selections={"adapter/cache": Split(incumbent="redis", to=(("own", 500),))},
    tenants={"acme": TenantEntry(selections={"adapter/cache": "own"}, labels={"plan": "trial"})},
    provider_settings={"adapter/cache/own": {"max_entries": 10, "key_prefix": "${tenant}:"}},
    components={"adapter/cache": PolicyEntry(on_stale="deny")},
    tasks=({"key": "nightly", "payload": {"to": "ops@example.com", "at": "10:30"}},),
)


def test_an_honest_manifest_is_admitted_by_default() -> None:
    admit(HONEST, Gate())
    admit(HONEST, TrustSettings().gate())


def test_settings_are_looked_at_for_everyone_and_for_tenants() -> None:
    manifest = FORGE.manifest(
        provider_settings={"a/b/c": {"x": 1}}, tenants={"acme": TenantEntry(provider_settings={"a/b/d": {"y": 2}})}
    )
    assert [(where, name) for where, name, _ in provider_values(manifest)] == [
        ("provider_settings.a/b/c", "a/b/c"),
        ("tenants.acme.provider_settings.a/b/d", "a/b/d"),
    ]


def test_a_refusal_names_the_place_and_not_the_credentials() -> None:
    values = {"pool": [{"url": "redis://user:hunter2@evil.example"}]}
    with pytest.raises(DestinationForbidden, match=r"provider_settings\.adapter/cache/own\.pool\.0\.url") as refused:
        admit(FORGE.manifest(provider_settings={"adapter/cache/own": values}), Gate())
    assert "hunter2" not in str(refused.value)
    assert "trust.destinations" in refused.value.hint
    spoilt = {"url": "redis://user:hunter2@evil example"}
    with pytest.raises(DestinationForbidden) as refused:
        admit(FORGE.manifest(provider_settings={"adapter/cache/own": spoilt}), Gate())
    assert "hunter2" not in str(refused.value)


def test_an_unknown_blank_is_malformed() -> None:
    with pytest.raises(Malformed):
        admit(FORGE.manifest(provider_settings={"adapter/cache/own": {"key_prefix": "${tenants}"}}), Gate())


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({}, None),
        ({"description": "costs $5"}, None),
        ({"description": "${ENV :HOME}"}, SecretForbidden),
        ({"metadata": {"${secret:a}": 1}}, SecretForbidden),
        ({"factory": "acme.cache:Own"}, FactoryForbidden),
        ({"settings_model": "acme.cache:Own"}, FactoryForbidden),
        ({"dag": {"task": "acme.cache:Own"}}, FactoryForbidden),
        ({"key": "secrets"}, ComponentForbidden),
        ({"key": "identity", "license": "MIT"}, ComponentForbidden),
        ({"uri": "https://a.example/b.whl"}, ArtifactsDisabled),
    ],
)  # fmt: skip
def test_packed_candidates_pass_the_same_gate(fields: dict[str, Any], refusal: type[ManifestError] | None) -> None:
    said = {"domain": "adapter", "key": "cache", "factory": "pointsman.adapters.cache.memory:memory_cache"}
    others = [CandidateEntry(**said, provider=f"p{number}") for number in range(9)]
    one = CandidateEntry(**{**said, "provider": "own", **fields})
    manifest = read_in_chunks(encode(FORGE.manifest(candidates=(*others[:5], one, *others[5:]))), 400)
    assert manifest is not None
    assert isinstance(manifest.candidates, Packed)
    with pytest.raises(refusal, match=r"own|adapter/|env") if refusal else nullcontext():
        admit(manifest, Gate())
