"""A cache in the memory of this replica.

Bounded by a number of entries, the one least recently used goes first; what has expired goes when it is next asked
for, or in its turn. Never seen by another replica, gone with the process.
"""

import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Annotated, TypeAlias

from pydantic import BaseModel, Field

from pointsman.adapters.cache.protocol import Cache
from pointsman.errors import ProviderError

Key: TypeAlias = tuple[str | None, str]
"""Tenant and key: no encoding, so nothing to get wrong."""
_INTEGER = re.compile(rb"0|-?[1-9][0-9]*")
_INT64 = range(-(2**63), 2**63)


class MemoryCacheSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of ``cache/memory``.

    Attributes:
        max_entries: How many entries all tenants together may have.
    """

    max_entries: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000


class _Entries:
    """The table under all façades: values with their end, in order of use. Lives as long as the instance."""

    def __init__(self, max_entries: int, clock: Callable[[], float]) -> None:
        self._max_entries = max_entries
        self._clock = clock
        self._entries: OrderedDict[Key, tuple[bytes, float]] = OrderedDict()

    def find(self, key: Key) -> tuple[bytes, float] | None:
        """Return a live entry and note that it was used."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[1] <= self._clock():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: Key, value: bytes, expires_at: float) -> None:
        self._entries[key] = value, expires_at
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def expiry(self, ttl_s: float | None) -> float:
        return math.inf if ttl_s is None else self._clock() + ttl_s

    def forget(self, key: Key) -> None:
        self._entries.pop(key, None)

    def forget_tenant(self, tenant_id: str | None) -> None:
        for key in [key for key in self._entries if key[0] == tenant_id]:
            del self._entries[key]


class MemoryCache(Cache):
    """One tenant's view of the table; made by `memory_cache` and by `for_tenant`."""

    __slots__ = ("_entries", "_tenant_id")

    def __init__(self, entries: _Entries, tenant_id: str | None) -> None:
        self._entries = entries
        self._tenant_id = tenant_id

    def for_tenant(self, tenant_id: str | None) -> "MemoryCache":
        """Return the view of one tenant over the same table."""
        return MemoryCache(self._entries, tenant_id)

    async def get(self, key: str) -> bytes | None:
        """Return the value, or ``None`` when it is absent or expired."""
        entry = self._entries.find((self._tenant_id, key))
        return None if entry is None else entry[0]

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return those of the keys that are present, in the order asked."""
        found = ((key, self._entries.find((self._tenant_id, key))) for key in keys)
        return {key: entry[0] for key, entry in found if entry is not None}

    async def set(self, key: str, value: bytes, *, ttl_s: float | None = None) -> None:
        """Keep a value; it counts as just used."""
        if ttl_s is not None and ttl_s <= 0:
            self._entries.forget((self._tenant_id, key))
        else:
            self._entries.put((self._tenant_id, key), bytes(value), self._entries.expiry(ttl_s))

    async def delete(self, key: str) -> None:
        """Forget a key."""
        self._entries.forget((self._tenant_id, key))

    async def incr(self, key: str, by: int = 1) -> int:
        """Add to a decimal integer; there is no await within, so no other task comes between.

        Raises:
            ProviderError: The value is no decimal integer, or the sum leaves 64 bits.
        """
        value, expires_at = self._entries.find((self._tenant_id, key)) or (b"0", math.inf)
        if not _INTEGER.fullmatch(value) or (total := int(value) + by) not in _INT64:
            raise ProviderError(
                f"adapter/cache=memory: expected a 64-bit decimal integer at {key!r} before and after adding {by}, "
                f"found {len(value)} bytes that are none, or too much."
            )
        self._entries.put((self._tenant_id, key), b"%d" % total, expires_at)
        return total

    async def clear(self) -> None:
        """Forget every key of this tenant."""
        self._entries.forget_tenant(self._tenant_id)


def memory_cache(settings: MemoryCacheSettings, clock: Callable[[], float] = time.monotonic) -> MemoryCache:
    """Make the table, and the view of who asks without a tenant; ``clock`` gives seconds that only grow."""
    return MemoryCache(_Entries(settings.max_entries, clock), None)
