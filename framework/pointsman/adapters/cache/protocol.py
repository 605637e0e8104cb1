"""What every provider of ``adapter/cache`` promises.

Values are bytes; what they mean is the caller's affair. A cache may forget at any time, so nothing may be kept only
here.
"""

from collections.abc import Sequence
from typing import Protocol

from pointsman.declarations import Component


class Cache(Protocol):
    """Bytes by key, for a while. Concurrent tasks may share it; equal keys of two tenants never meet.

    Every method raises `ProviderUnavailable` or `ProviderTimeout` where the provider stands on a server.
    """

    async def get(self, key: str) -> bytes | None:
        """Return the value, or ``None`` when it is absent or expired."""
        ...

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return those of the keys that are present, in the order asked."""
        ...

    async def set(self, key: str, value: bytes, *, ttl_s: float | None = None) -> None:
        """Keep a value in place of the old one and of its time to live.

        It expires after ``ttl_s`` seconds; ``None``: never; zero or less: it is gone at once.
        """
        ...

    async def delete(self, key: str) -> None:
        """Forget a key; an absent one is no error."""
        ...

    async def incr(self, key: str, by: int = 1) -> int:
        """Add to a decimal integer, in one step for all callers, and return the sum.

        An absent key counts as 0 and does not expire; a present one keeps its time to live. The sum is stored as
        ASCII digits, which `get` returns.

        Raises:
            ProviderError: The value is no decimal integer, or the sum leaves 64 bits; nothing changed.
        """
        ...

    async def clear(self) -> None:
        """Forget every key of this tenant, and no other's."""
        ...


CACHE = Component[Cache]("adapter", "cache")
