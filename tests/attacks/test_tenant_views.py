"""Attack 79, its second half: the same cache key from two tenants."""

from __future__ import annotations

import pytest

from pointsman.adapters.cache.memory import MemoryCacheSettings, memory_cache

PAIRS = [("acme", "globex"), ("a:b", "a"), ("1:a", "a"), ("", None), ("-", None), ("a", "a:1:b")]


@pytest.mark.parametrize(("one", "other"), PAIRS)
async def test_a79_the_same_cache_key_of_two_tenants_is_two_values(one: str, other: str | None) -> None:
    shared = memory_cache(MemoryCacheSettings())
    mine, theirs = shared.for_tenant(one), shared.for_tenant(other)
    for key in ("k", "b:c", "1:b:k", ""):
        await mine.set(key, b"mine")
        assert await theirs.get(key) is None
        await theirs.set(key, b"theirs")
        assert await mine.get(key) == b"mine"
    await theirs.clear()
    assert await mine.get("k") == b"mine"
