"""A small world for resolution: one machine that never changes, and catalogs made in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pointsman.declarations import Candidate
from pointsman.resolution.catalog import Candidates, Catalog, registrations_of
from pointsman.resolution.contribution import Contribution, Source
from pointsman.resolution.eligibility import Environment
from pointsman.resolution.precedence import register_as


@pytest.fixture(scope="session")
def environment() -> Environment:
    return Environment("3.12.1", lambda: frozenset({"linux", "x86_64"}), {"redis": "5.1.0", "odd": "not a version"}.get)


@pytest.fixture(scope="session")
def catalog_of(environment: Environment) -> Callable[..., Catalog]:
    """Make a catalog of candidates that code registered in this order, and whatever else a `Catalog` takes."""

    def make(*candidates: Candidate, serial: int = 1, **inputs: Any) -> Catalog:
        groups = [
            tuple(register_as(candidate, Source.CODE, number) for number, candidate in enumerate(candidates, 1)),
            registrations_of(inputs.get("settings", Contribution()), Source.SETTINGS),
            registrations_of(inputs.get("manifest", Contribution()), Source.MANIFEST),
        ]
        return Catalog(serial, Candidates(groups, environment), **inputs)

    return make


@pytest.fixture(scope="session")
def candidate() -> Callable[..., Candidate]:
    """Make a candidate for ``adapter/cache`` by its provider's name."""

    def make(provider: str, **options: Any) -> Candidate:
        return Candidate("adapter", "cache", provider, f"caches:{provider}", **options)

    return make
