from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from pointsman.manifests.destinations import parse_pattern
from pointsman.manifests.factories import is_granted
from pointsman.manifests.limits import DEFAULT_LIMITS, Limits
from pointsman.manifests.settings import TrustSettings


def test_by_default_a_manifest_names_what_is_shipped_and_what_was_registered() -> None:
    gate = TrustSettings().gate(["acme.rates:Bank", "acme.rates:Bank.method", "notes:_private"])
    assert is_granted("pointsman.adapters.cache.redis:redis_cache", gate.factories)
    assert is_granted("acme.rates:Bank", gate.factories)
    assert not is_granted("acme.rates:Other", gate.factories)
    assert gate.destinations == gate.private_destinations == ()


def test_factories_that_are_named_are_all_that_there_are() -> None:
    gate = TrustSettings(factories=("acme.**:*",)).gate(["other.rates:Bank"])
    assert is_granted("acme.rates:Bank", gate.factories)
    assert not is_granted("other.rates:Bank", gate.factories)
    assert not is_granted("pointsman.adapters.cache.redis:redis_cache", gate.factories)


def test_grants_are_read_once() -> None:
    gate = TrustSettings(
        secrets={"adapter/cache/redis": ("PASSWORD",)},
        secret_destinations={"adapter/cache/redis": ("redis://cache.example.com",)},
    ).gate()
    assert gate.secrets == {"adapter/cache/redis": frozenset({"PASSWORD"})}
    assert gate.secret_destinations == {"adapter/cache/redis": (parse_pattern("redis://cache.example.com"),)}


@pytest.mark.parametrize(
    "section",
    [
        {"unknown": 1},
        {"min_root": 0},
        {"factories": ["os.system"]},
        {"destinations": ["https://a b"]},
        {"private_destinations": ["**"]},
        {"secrets": {"redis": ["PASSWORD"]}},
        {"secrets": {"adapter/cache/redis": ["${secret:PASSWORD}"]}},
        {"secret_destinations": {"adapter/cache/redis": ["https://a b"]}},
        {"limits": {"unknown": 1}},
        {"limits": {"clock_skew_s": 0}},
        {"limits": {"max_head_bytes": "many"}},
    ],
)
def test_a_mistake_in_the_section_stops_the_start(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(TrustSettings).validate_python(section)


def test_each_limit_can_be_set_and_has_a_default() -> None:
    for one in fields(Limits):
        settings = TypeAdapter(TrustSettings).validate_python({"limits": {one.name: 7}})
        assert getattr(settings.limits, one.name) == 7
        assert getattr(DEFAULT_LIMITS, one.name) > 7
    assert DEFAULT_LIMITS.max_manifest_bytes == 4 * 1024 * 1024
    assert DEFAULT_LIMITS.max_lifetime_s == 90 * 86_400
