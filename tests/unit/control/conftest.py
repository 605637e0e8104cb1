"""Commands and documents to play with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pointsman.control.commands import Command
from pointsman.control.head import first
from pointsman.declarations import Component
from pointsman.manifests.schema import Approved, Audience, Control, Release

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def swap() -> Callable[..., Command]:
    """Make a command; by default everyone's cache is swapped to memory."""

    def make(**given: Any) -> Command:
        fields: dict[str, Any] = {
            "kind": "use",
            "component": Component("adapter", "cache"),
            "reason": "the vendor is down",
            "who": "ada@example.org",
            "value": "memory",
        }
        fields.update(given)
        if fields.get("clear") or fields["kind"] in {"pause", "drain", "gate"}:
            fields["value"] = given.get("value")
        return Command(**fields)

    return make


@pytest.fixture
def release() -> Callable[..., Release]:
    def make(**given: Any) -> Release:
        fields: dict[str, Any] = {
            "spec_version": 1,
            "epoch": 1,
            "version": 1,
            "issued_at": NOW,
            "expires": NOW + timedelta(days=30),
            "audience": Audience("shop", "production"),
            "floor": 0,
            "current": "a" * 64,
            "approved": (Approved(digest="a" * 64, length=10, version=1),),
            "root": 1,
            "min_control_seq": 0,
        }
        return Release(**{**fields, **given})

    return make


@pytest.fixture
def control(release: Callable[..., Release]) -> Control:
    """The first document of a fleet."""
    return first(release(), "d" * 64, Audience("shop", "production"), NOW)
