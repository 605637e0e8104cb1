"""The audit of commands: ``ops/<id>/begin`` says who asked for what, ``ops/<id>/end`` what came of it.

Both are written once and never changed, so that every try of one operation takes one base and gives one answer. They
are not signed: they never decide what is served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Struct, to_builtins

from pointsman.control.objects import read_whole
from pointsman.errors import Malformed, NotFound, PreconditionFailed
from pointsman.manifests.canonical import decode, encode
from pointsman.manifests.schema import Count, Digest, Text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pointsman.stores.store import Entry, Store

MAX_RECORD_BYTES: Final = 256 * 1024
_PREFIX: Final = "ops/"


class Begin(Struct, frozen=True, kw_only=True):
    """A claim: the first try of an operation fixes these for all further ones.

    Attributes:
        body: By which another command under the same key is told apart.
        base: The command after which nothing that this one touches may have moved.
        insist: ``If-Match`` was ``*``: the base is no matter.
        command: The command's body.
    """

    body: Digest
    base: Count
    who: Text
    reason: Text
    command: dict[str, Any] = {}
    insist: bool = False


class End(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An outcome.

    Attributes:
        cseq: The command's number if it was applied, else that of the document that refused it.
        code: The error's code if it was refused.
    """

    outcome: Literal["applied", "refused"]
    cseq: Count
    code: Text = ""
    detail: Text = ""


class Record(msgspec.Struct, frozen=True):
    """One operation as the audit has it; times are the store's. ``end`` may be missing: its outcome is in the head."""

    operation: str
    begun_at: datetime
    begin: Begin
    ended_at: datetime | None = None
    end: End | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the record in JSON types."""
        return {
            "operation": self.operation,
            "begun_at": self.begun_at.isoformat(),
            **to_builtins(self.begin),
            "ended_at": None if self.ended_at is None else self.ended_at.isoformat(),
            "end": None if self.end is None else to_builtins(self.end),
        }


R = TypeVar("R", Begin, End)


class Journal:
    """Reads and writes the records of operations; concurrent tasks may share one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begun(self, operation: str) -> Begin | None:
        """Return the claim of an operation, if there is one.

        Raises:
            StoreError: See `Store.read`.
            Malformed: The record is none of ours.
        """
        return await self._read(Begin, operation)

    async def ended(self, operation: str) -> End | None:
        """Return the outcome of an operation, if it was written.

        Raises:
            StoreError: See `Store.read`.
            Malformed: The record is none of ours.
        """
        return await self._read(End, operation)

    async def claim(self, operation: str, begin: Begin) -> Begin:
        """Write the claim of an operation, and return the one that stands: this, or another try's.

        Raises:
            StoreError: See `Store.create`.
            Malformed: The record that stands is none of ours.
        """
        return await self._create(operation, begin)

    async def conclude(self, operation: str, end: End) -> End:
        """Write the outcome of an operation, and return the one that stands: this, or another try's.

        Raises:
            StoreError: See `Store.create`.
            Malformed: The record that stands is none of ours.
        """
        return await self._create(operation, end)

    async def record(self, operation: str) -> Record:
        """Return one operation.

        Raises:
            NotFound: No such operation was begun.
            StoreError: See `Store.list`.
            Malformed: A record is none of ours.
        """
        return await self._record(operation, await self._store.list(f"{_PREFIX}{operation}/"))

    async def recent(self, limit: int) -> tuple[Record, ...]:
        """Return the operations begun last, the newest first; what is none of ours is left out.

        Raises:
            StoreError: See `Store.list`.
        """
        entries: dict[str, list[Entry]] = {}
        begun: list[Entry] = []
        for entry in await self._store.list(_PREFIX):
            operation, _, kind = entry.name.removeprefix(_PREFIX).partition("/")
            entries.setdefault(operation, []).append(entry)
            if kind == _kind(Begin):
                begun.append(entry)
        begun.sort(key=lambda entry: (entry.stamp, entry.name), reverse=True)
        records: list[Record] = []
        for entry in begun:
            if len(records) == limit:
                break
            operation = entry.name.split("/")[1]
            try:
                records.append(await self._record(operation, entries[operation]))
            except (Malformed, NotFound):
                continue
        return tuple(records)

    async def _record(self, operation: str, entries: Sequence[Entry]) -> Record:
        stamps = {entry.name.rpartition("/")[2]: entry.stamp for entry in entries}
        begin = await self.begun(operation)
        if begin is None or _kind(Begin) not in stamps:
            raise NotFound(f"There is no operation {operation}.")
        end = await self.ended(operation) if _kind(End) in stamps else None
        return Record(operation, stamps[_kind(Begin)], begin, stamps.get(_kind(End)), end)

    async def _read(self, kind: type[R], operation: str) -> R | None:
        try:
            data = await read_whole(self._store, _name(kind, operation), max_bytes=MAX_RECORD_BYTES)
        except NotFound:
            return None
        return decode(kind, data)

    async def _create(self, operation: str, record: R) -> R:
        try:
            await self._store.create(_name(type(record), operation), encode(record))
        except PreconditionFailed:
            standing = await self._read(type(record), operation)
            if standing is None:
                raise
            return standing
        return record


def _kind(kind: type[Begin | End]) -> str:
    return kind.__name__.lower()


def _name(kind: type[Begin | End], operation: str) -> str:
    return f"{_PREFIX}{operation}/{_kind(kind)}"
