"""How code finds the components of its connection."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from pointsman.declarations import Component, Use
from pointsman.errors import ConfigurationError, TenantError
from pointsman.web.access import COMPONENTS, components, use
from tests.unit.web import asgi

CACHE = Component[str]("adapter", "cache")


def request(**scope: Any) -> Request:
    return Request(asgi.http(**scope))


def test_components_are_found_by_connection_and_by_scope() -> None:
    its = asgi.FakeComponents()
    connection = request(**{COMPONENTS: its})
    assert components(connection) is its
    assert components(connection.scope) is its


def test_a_refused_request_raises_its_refusal() -> None:
    with pytest.raises(TenantError, match="no tenant"):
        components(request(**{COMPONENTS: TenantError("There is no tenant x.")}))


def test_a_foreign_connection_is_told_to_come_through_us() -> None:
    with pytest.raises(ConfigurationError, match="did not come through") as caught:
        components(request())
    assert "Pointsman(inner=app)" in caught.value.hint


async def test_use_makes_a_dependency() -> None:
    its = asgi.FakeComponents({CACHE: "it"})
    dependency = use(CACHE, provider="redis", requires={"ttl"})
    assert await dependency(request(**{COMPONENTS: its})) == "it"
    assert await use("adapter", "cache")(request(**{COMPONENTS: its})) == "it"
    assert its.asked == [Use(CACHE, provider="redis", requires={"ttl"}), Use(CACHE)]


def test_use_refuses_names_that_are_no_components() -> None:
    with pytest.raises(ConfigurationError):
        use("adapter", "not a name")
