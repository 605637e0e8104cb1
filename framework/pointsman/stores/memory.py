"""``memory://name``: a store in this process, for tests; deterministic, with a wire that a test can play on.

Nothing is kept anywhere: each `MemoryStore` starts empty, and `MemoryStore.connect` gives further clients of the same
objects. An operation is applied in one step at the moment when its wire lands it, so every interleaving of clients can
be played (`pointsman.stores.gate`). The name only labels.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import msgspec
from anyio.lowlevel import checkpoint

from pointsman.errors import NotFound, PreconditionFailed, TooLarge, Unavailable
from pointsman.stores.settings import StoreSettings
from pointsman.stores.store import Entry, Read, Written, check_name, check_prefix, local_clock, url_without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

T = TypeVar("T")
Kind = Literal["read", "write", "create", "list"]

_PACE = timedelta(seconds=1)


class Operation(msgspec.Struct, frozen=True):
    """What a client asks of a memory store.

    Attributes:
        kind: Which of the four.
        name: The object's name, or the prefix of a list.
        body: What a write or create carries.
        generation: ``unless`` of a read, ``expect`` of a write.
    """

    kind: Kind
    name: str
    body: bytes | None = None
    generation: str | None = None


class Wire(Protocol):
    """What lies between a client and the objects."""

    async def carry(self, operation: Operation, land: Callable[[], T]) -> T:
        """Take an operation to the store and its answer back.

        Args:
            operation: What was asked.
            land: Applies it at the store, there and then, and returns or raises the answer. A wire may call it now,
                later, twice, or never.
        """
        ...


class DirectWire:
    """A wire on which nothing goes wrong."""

    async def carry(self, operation: Operation, land: Callable[[], T]) -> T:
        """Give other tasks a turn, then land the operation."""
        await checkpoint()
        return land()


class _Kept(msgspec.Struct, frozen=True):
    body: bytes
    generation: str
    stamp: datetime


class _Objects:
    """The objects of a store; every method is one step at one moment."""

    def __init__(self, clock: Callable[[], datetime], max_entries: int, *, paced: bool) -> None:
        self.paced = paced
        self._clock = clock
        self._max_entries = max_entries
        self._kept: dict[str, _Kept] = {}
        self._count = 0

    def read(self, name: str, max_bytes: int, unless: str | None) -> Read:
        kept = self._kept.get(name)
        if kept is None:
            raise NotFound(f"Reading {name}: there is no such object.")
        if kept.generation == unless:
            return Read(None, kept.generation, kept.stamp, self._clock())
        if len(kept.body) > max_bytes:
            raise TooLarge(f"Expected at most {max_bytes} bytes in {name}, found {len(kept.body)}.")
        return Read(kept.body, kept.generation, kept.stamp, self._clock())

    def put(self, name: str, body: bytes, expect: str | None) -> Written:
        kept = self._kept.get(name)
        found = kept.generation if kept else None
        if found != expect:
            raise PreconditionFailed(
                f"Expected {name} to be of generation {expect}, found {found}.", hint="Read it again, and decide again."
            )
        now = self._clock()
        if self.paced and kept is not None and now - kept.stamp < _PACE:
            raise Unavailable(f"Writing {name}: more than one write a second.", sent=True, retry_after_s=1.0)
        self._count += 1
        self._kept[name] = _Kept(body, str(self._count), now)
        return Written(str(self._count), now, now)

    def list(self, prefix: str) -> Sequence[Entry]:
        names = sorted(name for name in self._kept if name.startswith(prefix))
        if len(names) > self._max_entries:
            raise TooLarge(f"Expected at most {self._max_entries} objects under {prefix!r}, found {len(names)}.")
        kept = ((name, self._kept[name]) for name in names)
        return [Entry(name, each.generation, each.stamp, len(each.body)) for name, each in kept]


class MemoryStore:
    """A client of objects in memory.

    Args:
        url: ``memory://name``.
        settings: The limits; only ``max_entries`` means anything here.
        clock: The store's clock, which all its clients share.
        wire: What this client's operations travel on; by default nothing goes wrong there.
        paced: Behave like a bucket that bears one write a second and object: what comes sooner is `Unavailable`.
    """

    writable = True

    def __init__(
        self,
        url: str = "memory://test",
        settings: StoreSettings | None = None,
        *,
        clock: Callable[[], datetime] = local_clock,
        wire: Wire | None = None,
        paced: bool = False,
    ) -> None:
        url_without_secrets(url, "memory://name")
        self.url = url
        self.paced = paced
        self._objects = _Objects(clock, (settings or StoreSettings()).max_entries, paced=paced)
        self._wire: Wire = wire or DirectWire()

    def connect(self, wire: Wire | None = None) -> MemoryStore:
        """Return another client of the same objects, with a wire of its own: another replica's view."""
        client = MemoryStore(self.url, wire=wire, paced=self.paced)
        client._objects = self._objects
        return client

    async def read(self, name: str, *, max_bytes: int, unless: str | None = None) -> Read:
        """See `Store.read`; an unchanged object still tells its stamp."""
        operation = Operation("read", check_name(name), generation=unless)
        return await self._wire.carry(operation, lambda: self._objects.read(name, max_bytes, unless))

    async def write(self, name: str, body: bytes, *, expect: str) -> Written:
        """See `Store.write`."""
        operation = Operation("write", check_name(name), body, expect)
        return await self._wire.carry(operation, lambda: self._objects.put(name, body, expect))

    async def create(self, name: str, body: bytes) -> Written:
        """See `Store.create`."""
        operation = Operation("create", check_name(name), body)
        return await self._wire.carry(operation, lambda: self._objects.put(name, body, None))

    async def list(self, prefix: str) -> Sequence[Entry]:
        """See `Store.list`."""
        operation = Operation("list", check_prefix(prefix))
        return await self._wire.carry(operation, lambda: self._objects.list(prefix))

    async def aclose(self) -> None:
        """Do nothing: the objects go with the last client."""
