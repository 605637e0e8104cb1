from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import Malformed
from pointsman.manifests.packed import PlainEntry, Shelf, packed
from pointsman.manifests.schema import CandidateEntry


def plain(number: int = 0, **fields: Any) -> PlainEntry:
    said = {"domain": "adapter", "key": f"cache-{number // 2}", "provider": f"p{number}", "factory": f"acme:F{number}"}
    return PlainEntry(**{**said, **fields})


def whole(number: int = 0, **fields: Any) -> CandidateEntry:
    return CandidateEntry(**{name: getattr(plain(number), name) for name in PlainEntry.__struct_fields__}, **fields)


@given(st.permutations(range(9)), st.integers(1, 9))
def test_a_component_gives_its_entries_in_order_however_they_came(numbers: list[int], size: int) -> None:
    shelf = Shelf()
    for start in range(0, len(numbers), size):
        shelf.put_plain([plain(number, capabilities=("ttl",)) for number in numbers[start : start + size]])
    found = shelf.close()
    assert len(found) == len(list(found)) == 9
    for key in range(5):
        entries = [entry.provider for entry in found.entries.of("adapter", f"cache-{key}")]
        assert entries == [f"p{number}" for number in numbers if number // 2 == key]
    assert sorted(found.factories()) == sorted(f"acme:F{number}" for number in numbers)
    assert all(entry.capabilities == ("ttl",) for entry in found)


def test_plain_and_whole_entries_of_a_component_stand_in_order() -> None:
    shelf = Shelf()
    shelf.put_plain([plain(1)])
    shelf.put_whole([whole(0, metadata={"a": 1})])
    shelf.put_plain([plain(2, key="cache-0")])
    found = shelf.close()
    assert [entry.provider for entry in found.entries.of("adapter", "cache-0")] == ["p1", "p0", "p2"]
    assert [entry.provider for entry in found.whole] == ["p0"]
    assert found[1].metadata == {"a": 1}
    assert list(found.entries.of("adapter", "nothing")) == []
    assert list(found.entries.naming({"acme:F2"})) == [("adapter", "cache-0")]


@pytest.mark.parametrize("others", [[[0, 0]], [[0, 1], [0]], [[0, 1], [2, 1]], [[0, 2, 0]]])
def test_an_entry_twice_is_refused_and_named(others: list[list[int]]) -> None:
    shelf = Shelf()
    *before, last = [[plain(number) for number in numbers] for numbers in others]
    for entries in before:
        shelf.put_plain(entries)
    with pytest.raises(Malformed, match=r"adapter/cache-0/p[01] once"):
        shelf.put_plain(last)
    with pytest.raises(Malformed, match="adapter/cache-0/p0 once"):
        packed([whole(), whole()])


def test_all_names_that_are_said_are_told() -> None:
    entries = [plain(), plain(2, capabilities=("ttl", "atomic"))]
    assert Shelf().put_plain(entries) == {"adapter", "cache-0", "cache-1", "p0", "p2", "ttl", "atomic"}
