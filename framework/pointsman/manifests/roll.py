"""The tenants of a large manifest: those who say the same share one entry, and the ids lie packed in pages.

A dictionary of 100 000 ids takes as much memory as all that they say. Here an id that nobody asks for is a few bytes
of a page, found by bisection; the place of one that was asked for is remembered, as long as there are not too many.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar, overload

import msgspec

from pointsman.errors import Malformed
from pointsman.manifests.schema import TenantEntry
from pointsman.resolution.listing import Shared

V = TypeVar("V")
PAGE: Final = 16
"""Ids in a page; reading one takes about a microsecond."""
MAX_REMEMBERED: Final = 10_000

_pack: Final = msgspec.msgpack.Encoder().encode
_entry: Final = msgspec.json.Decoder(TenantEntry).decode
_numbers: Final = msgspec.msgpack.Decoder(dict[str, int]).decode


class Roll:
    """Numbers by tenant id: equal numbers, equal entries.

    Args:
        pages: Packed dictionaries of ids to numbers, sorted, no one empty. Numbers count from 0 by first appearance.
    """

    __slots__ = ("_heads", "_pages", "_remembered", "counts", "first")

    def __init__(self, pages: Sequence[bytes]) -> None:
        self._pages = pages
        self._remembered: dict[str, int] = {}
        self._heads = [next(iter(_numbers(page))) for page in pages]
        self.first: list[str] = []
        """Who is the first that has a number."""
        self.counts: list[int] = []
        """How many have a number."""
        for tenant, number in self:
            if number == len(self.first):
                self.first.append(tenant)
                self.counts.append(0)
            self.counts[number] += 1

    def number(self, tenant: str) -> int | None:
        """Return the number of a tenant, if it is one of them."""
        known = self._remembered.get(tenant)
        if known is None:
            place = bisect_right(self._heads, tenant)
            known = _numbers(self._pages[place - 1]).get(tenant) if place else None
            if known is not None:
                if len(self._remembered) >= MAX_REMEMBERED:
                    self._remembered.clear()
                self._remembered[tenant] = known
        return known

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Yield every tenant and its number, sorted."""
        for page in self._pages:
            yield from _numbers(page).items()


class OnRoll(Shared[V]):
    """What the tenants of a roll have, by their numbers; ``None``: nothing."""

    __slots__ = ("_values", "roll")

    def __init__(self, roll: Roll, values: Sequence[V | None]) -> None:
        self.roll = roll
        self._values = values

    def distinct(self) -> Iterator[tuple[str, V]]:
        """Yield each value once, with the first tenant that has it."""
        for tenant, value in zip(self.roll.first, self._values, strict=True):
            if value is not None:
                yield tenant, value

    def __getitem__(self, tenant: str) -> V:
        number = self.roll.number(tenant)
        value = None if number is None else self._values[number]
        if value is None:
            raise KeyError(tenant)
        return value

    def __iter__(self) -> Iterator[str]:
        return (tenant for tenant, number in self.roll if self._values[number] is not None)

    def __len__(self) -> int:
        pairs = zip(self.roll.counts, self._values, strict=True)
        return sum(count for count, value in pairs if value is not None)

    def __bool__(self) -> bool:
        return any(value is not None for value in self._values)


class Said(Sequence[TenantEntry]):
    """Entries of tenants as they were written; each is read when it is asked for."""

    __slots__ = ("_texts",)

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._texts = texts

    @overload
    def __getitem__(self, index: int) -> TenantEntry: ...
    @overload
    def __getitem__(self, index: slice) -> list[TenantEntry]: ...
    def __getitem__(self, index: int | slice) -> TenantEntry | list[TenantEntry]:
        """Read an entry, or several."""
        return _entry(self._texts[index]) if isinstance(index, int) else list(map(_entry, self._texts[index]))

    def __iter__(self) -> Iterator[TenantEntry]:
        return map(_entry, self._texts)

    def __len__(self) -> int:
        return len(self._texts)


class Register:
    """Where a reader puts tenants, chunk by chunk."""

    __slots__ = ("_last", "_numbers", "_pages")

    def __init__(self) -> None:
        self._last = ""
        self._numbers: dict[bytes, int] = {}
        self._pages: list[bytes] = []

    @property
    def texts(self) -> tuple[bytes, ...]:
        """What tenants say, each text once, by its number."""
        return tuple(self._numbers)

    def put(self, texts: Mapping[str, bytes | msgspec.Raw]) -> None:
        """Enrol tenants, each with what it says.

        Args:
            texts: Sorted.

        Raises:
            Malformed: One is there that stands before one of an earlier chunk, or is the same.
        """
        ids = list(texts)
        if ids[0] <= self._last:
            raise Malformed(f"tenants: expected each once and in order, found {ids[0][:80]!r}.")
        self._last = ids[-1]
        numbers = self._numbers
        for start in range(0, len(ids), PAGE):
            page = {
                tenant: numbers.setdefault(bytes(texts[tenant]), len(numbers)) for tenant in ids[start : start + PAGE]
            }
            self._pages.append(bytes(memoryview(_pack(page))))  # else it keeps the room in which it was made

    def close(self) -> Roll:
        """Return the roll of all who were put there."""
        return Roll(self._pages)


def by_tenant(tenants: Mapping[str, TenantEntry], made: Callable[[str, TenantEntry], V | None]) -> Mapping[str, V]:
    """Return what is made of each tenant's entry; ``None``: the tenant has nothing.

    Args:
        tenants: Of a manifest.
        made: Told the tenant, for messages; once for all who share an entry.
    """
    if isinstance(tenants, OnRoll):
        return OnRoll(tenants.roll, [made(tenant, entry) for tenant, entry in tenants.distinct()])
    found = ((tenant, made(tenant, entry)) for tenant, entry in tenants.items())
    return {tenant: value for tenant, value in found if value is not None}
