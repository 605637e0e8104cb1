from __future__ import annotations

import pytest

from pointsman.adapters.registration import AdapterMetadata, register_adapter_metadata
from pointsman.errors import ConfigurationError
from pointsman.resolution.resolver import Resolver


def register(resolver: Resolver, *adapters: AdapterMetadata, path: str = "/x/thing.py") -> None:
    register_adapter_metadata(resolver, package_name="myapp", package_path=path, adapters=adapters)


def test_everything_that_an_adapter_says_its_candidate_says() -> None:
    resolver = Resolver(stack_order="")
    register(
        resolver,
        AdapterMetadata(
            "cache", "redis", "m:f",
            stack_level=10, priority=3, version="1.2", description="d", capabilities={"ttl"}, owner="us",
            requires_secrets=True, settings_model="m:S", extras={"region": "eu"},
        ),
    )  # fmt: skip
    candidate = resolver.resolve("adapter", "cache").candidate
    assert (candidate.provider, candidate.factory, candidate.settings_model) == ("redis", "m:f", "m:S")
    assert (candidate.stack_level, candidate.priority, candidate.version, candidate.owner) == (10, 3, "1.2", "us")
    assert (candidate.description, candidate.capabilities) == ("d", ("ttl",))
    assert candidate.metadata == {"region": "eu", "requires_secrets": True}


def test_the_place_of_a_package_ranks_what_states_no_priority() -> None:
    resolver = Resolver(stack_order="")
    register(resolver, AdapterMetadata("cache", "plain", "m:f"))
    register(resolver, AdapterMetadata("cache", "placed", "m:f"), path="/x/adapters/thing.py")
    register(resolver, AdapterMetadata("cache", "stated", "m:f", priority=1))
    assert resolver.resolve("adapter", "cache").provider == "placed"


def test_one_wrong_name_registers_none() -> None:
    resolver = Resolver(stack_order="")
    with pytest.raises(ConfigurationError, match="provider"):
        register(resolver, AdapterMetadata("cache", "good", "m:f"), AdapterMetadata("cache", "not good", "m:f"))
    assert resolver.registrations == ()
