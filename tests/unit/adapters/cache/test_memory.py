from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pointsman.adapters.cache.memory import MemoryCacheSettings, memory_cache


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_the_entry_that_was_not_used_for_longest_goes_first() -> None:
    cache = memory_cache(MemoryCacheSettings(max_entries=3))
    for key in "abc":
        await cache.set(key, b"1")
    await cache.get("a")
    await cache.incr("b")
    await cache.set("d", b"1")
    assert list(await cache.get_many("abcd")) == ["a", "b", "d"]


async def test_all_tenants_together_have_so_many_entries() -> None:
    cache = memory_cache(MemoryCacheSettings(max_entries=2))
    for tenant in ("acme", "globex", "initech"):
        await cache.for_tenant(tenant).set("k", b"1")
    assert [await cache.for_tenant(tenant).get("k") for tenant in ("acme", "globex", "initech")] == [None, b"1", b"1"]


async def test_what_a_caller_does_to_its_buffer_later_changes_nothing() -> None:
    cache = memory_cache(MemoryCacheSettings())
    buffer = bytearray(b"old")
    await cache.set("a", buffer)
    buffer[:] = b"new"
    assert await cache.get("a") == b"old"


@pytest.mark.parametrize("values", [{"max_entries": 0}, {"max_entries": 10_000_001}, {"size": 1}])
def test_settings_out_of_range_or_unknown_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        MemoryCacheSettings(**values)


DEEDS = st.one_of(
    st.tuples(st.just("set"), st.sampled_from("abc"), st.sampled_from([None, 1.0, 2.0])),
    st.tuples(st.just("delete"), st.sampled_from("abc"), st.none()),
    st.tuples(st.just("incr"), st.sampled_from("abc"), st.none()),
    st.tuples(st.just("clear"), st.just(""), st.none()),
    st.tuples(st.just("pass"), st.just(""), st.sampled_from([0.5, 1.0])),
)


@settings(max_examples=60)
@given(deeds=st.lists(st.tuples(st.sampled_from([None, "a", "a:b"]), DEEDS), max_size=40))
async def test_it_is_a_dictionary_a_tenant_whose_entries_end(
    deeds: list[tuple[str | None, tuple[str, str, float | None]]],
) -> None:
    clock = Clock()
    cache = memory_cache(MemoryCacheSettings(), clock)
    model: dict[tuple[str | None, str], tuple[int, float]] = {}
    for number, (tenant, (deed, key, seconds)) in enumerate(deeds):
        view = cache.for_tenant(tenant)
        match deed:
            case "set":
                await view.set(key, b"%d" % number, ttl_s=seconds)
                model[tenant, key] = number, clock.now + (seconds or float("inf"))
            case "delete":
                await view.delete(key)
                model.pop((tenant, key), None)
            case "incr":
                value, end = model.get((tenant, key), (0, float("inf")))
                assert await view.incr(key) == value + 1
                model[tenant, key] = value + 1, end
            case "clear":
                await view.clear()
                model = {at: entry for at, entry in model.items() if at[0] != tenant}
            case _:
                clock.now += seconds or 0
        model = {at: entry for at, entry in model.items() if entry[1] > clock.now}
        for tenant_id in (None, "a", "a:b"):
            expected = {at[1]: b"%d" % entry[0] for at, entry in model.items() if at[0] == tenant_id}
            assert await cache.for_tenant(tenant_id).get_many("abc") == expected
