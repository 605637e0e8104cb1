"""What every cache must do alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from pointsman.errors import ProviderError

if TYPE_CHECKING:
    from conftest import CacheUnderTest

    from pointsman.adapters.cache.protocol import Cache


@pytest.fixture
def cache(cache_under_test: CacheUnderTest) -> Cache:
    return cache_under_test.cache


async def test_what_is_set_is_got_byte_for_byte(cache: Cache) -> None:
    await cache.set("a", bytes(range(256)))
    await cache.set("empty", b"")
    assert await cache.get("a") == bytes(range(256))
    assert await cache.get("empty") == b""
    assert await cache.get("absent") is None


@pytest.mark.parametrize("key", ["", " ", "a b", "ü/☃", "a*b?[c]\\", "\r\n", "\ud800", "x" * 2000])
async def test_any_text_is_a_key(cache: Cache, key: str) -> None:
    await cache.set(key, b"1")
    assert await cache.get_many([key, "other"]) == {key: b"1"}


async def test_many_keys_are_asked_at_once_and_absent_ones_are_left_out(cache: Cache) -> None:
    await cache.set("b", b"2")
    await cache.set("a", b"1")
    assert list((await cache.get_many(["a", "x", "b", "a"])).items()) == [("a", b"1"), ("b", b"2")]
    assert await cache.get_many([]) == {}


async def test_a_value_expires_after_its_time_and_not_before(cache_under_test: CacheUnderTest) -> None:
    cache = cache_under_test.cache
    await cache.set("short", b"1", ttl_s=10)
    await cache.set("for ever", b"2")
    await cache_under_test.pass_seconds(9)
    assert await cache.get("short") == b"1"
    await cache_under_test.pass_seconds(1.1)
    assert await cache.get("short") is None
    assert await cache.get_many(["short", "for ever"]) == {"for ever": b"2"}


async def test_a_new_value_has_a_new_time(cache_under_test: CacheUnderTest) -> None:
    cache = cache_under_test.cache
    await cache.set("a", b"1", ttl_s=1)
    await cache.set("a", b"2")
    await cache_under_test.pass_seconds(100)
    assert await cache.get("a") == b"2"


@pytest.mark.parametrize("ttl_s", [0, -1.5])
async def test_a_time_that_has_passed_forgets_at_once(cache: Cache, ttl_s: float) -> None:
    await cache.set("a", b"1")
    await cache.set("a", b"2", ttl_s=ttl_s)
    assert await cache.get("a") is None


async def test_times_may_be_tiny_or_endless(cache: Cache) -> None:
    await cache.set("tiny", b"1", ttl_s=1e-9)
    await cache.set("endless", b"2", ttl_s=float("inf"))
    assert await cache.get("endless") == b"2"


async def test_deleting_forgets_and_may_be_repeated(cache: Cache) -> None:
    await cache.set("a", b"1")
    await cache.delete("a")
    await cache.delete("a")
    assert await cache.get("a") is None


async def test_counting_starts_at_nothing_and_is_stored_as_digits(cache: Cache) -> None:
    assert [await cache.incr("n"), await cache.incr("n", 41), await cache.incr("n", -50)] == [1, 42, -8]
    assert await cache.get("n") == b"-8"
    await cache.set("n", b"5")
    assert await cache.incr("n", 0) == 5


async def test_counting_keeps_the_time_to_live(cache_under_test: CacheUnderTest) -> None:
    cache = cache_under_test.cache
    await cache.set("n", b"1", ttl_s=10)
    assert await cache.incr("n") == 2
    await cache_under_test.pass_seconds(11)
    assert await cache.incr("n") == 1


@pytest.mark.parametrize("value", [b"", b"x", b"1.5", b" 1", b"+1", b"01", b"-0", b"\xff", b"9223372036854775808"])
async def test_what_is_no_integer_is_not_counted_and_stays(cache: Cache, value: bytes) -> None:
    await cache.set("n", value)
    with pytest.raises(ProviderError) as caught:
        await cache.incr("n")
    assert not caught.value.retryable
    assert await cache.get("n") == value


@pytest.mark.parametrize(("value", "by"), [(2**63 - 1, 1), (-(2**63), -1), (0, 2**64)])
async def test_counting_stays_within_64_bits(cache: Cache, value: int, by: int) -> None:
    await cache.set("n", str(value).encode())
    with pytest.raises(ProviderError):
        await cache.incr("n", by)
    assert await cache.get("n") == str(value).encode()


async def test_concurrent_counting_loses_nothing(cache: Cache) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(cache.incr, "n")
    assert await cache.get("n") == b"100"


async def test_clearing_forgets_everything_of_one_tenant_alone(cache_under_test: CacheUnderTest) -> None:
    shared = cache_under_test.cache
    acme, globex = shared.for_tenant("acme"), shared.for_tenant("globex")
    for number in range(1200):
        await acme.set(f"{number}", b"1")
    await globex.set("1", b"globex")
    await shared.set("1", b"nobody")
    await acme.clear()
    assert await acme.get_many([str(number) for number in range(1200)]) == {}
    assert await globex.get("1") == b"globex"
    assert await shared.get("1") == b"nobody"
    await shared.clear()
    assert await globex.get("1") == b"globex"


async def test_a_tenants_name_is_never_a_pattern_to_clear_by(cache_under_test: CacheUnderTest) -> None:
    tenants = [cache_under_test.cache.for_tenant(name) for name in ("*", "?", "[a-z]", "a", "\\", "\\*")]
    for tenant in tenants:
        await tenant.set("k", b"1")
    for cleared, tenant in enumerate(tenants, start=1):
        await tenant.clear()
        left = [await other.get("k") for other in tenants]
        assert left == [None] * cleared + [b"1"] * (len(tenants) - cleared)


async def test_views_of_one_tenant_are_one_space(cache_under_test: CacheUnderTest) -> None:
    acme = cache_under_test.cache.for_tenant("acme")
    await acme.set("k", b"1")
    assert await cache_under_test.cache.for_tenant("globex").for_tenant("acme").get("k") == b"1"
    assert await acme.for_tenant(None).get("k") is None
