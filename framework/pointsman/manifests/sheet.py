"""Read a large manifest in chunks, so that no call holds the interpreter for long and nothing is spread over memory.

The short way only: it reads the canonical form of what is well, and says ``None`` of anything else, which is then for
`canonical` to judge. It never takes what `canonical` would refuse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, cast

import msgspec
from msgspec.structs import force_setattr

from pointsman.manifests.schema import NAME, CandidateEntry, Level, Manifest, TenantEntry, TenantId, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CHUNK: Final = 2_000
"""Candidates that are decoded at once: some milliseconds."""
LARGE_BYTES: Final = 256 * 1024
"""What is shorter is read at once."""


class PlainEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, gc=False):
    """A `CandidateEntry` that says who it is and how it ranks, and no more: a third of its size.

    Names are texts here; whoever decodes checks them, each once. What it cannot say, it leaves out.
    """

    domain: str
    key: str
    provider: str
    factory: str
    priority: Level | None = None
    stack_level: Level | None = None
    lifetime: Literal["shared", "tenant", "request"] | None = None
    capabilities: tuple[str, ...] = ()
    description: Text | None = None
    version: Text | None = None
    owner: Text | None = None

    settings_model: ClassVar[None] = None
    metadata: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    requires: ClassVar[tuple[str, ...]] = ()
    conflicts_with: ClassVar[tuple[str, ...]] = ()
    python_version: ClassVar[None] = None
    os_platform: ClassVar[None] = None
    tenants: ClassVar[tuple[str, ...]] = ()
    not_tenants: ClassVar[tuple[str, ...]] = ()
    requires_secrets: ClassVar[bool] = False
    side_effect_free: ClassVar[bool] = False
    timeout_seconds: ClassVar[None] = None
    retry_policy: ClassVar[None] = None
    license: ClassVar[None] = None
    documentation_url: ClassVar[None] = None
    event_topics: ClassVar[None] = None
    event_max_concurrency: ClassVar[None] = None
    event_filters: ClassVar[None] = None
    event_priority: ClassVar[None] = None
    event_fanout_policy: ClassVar[None] = None
    dag: ClassVar[None] = None
    uri: ClassVar[None] = None
    sha256: ClassVar[None] = None


class Sheet(Manifest, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A manifest whose candidates and tenants were not read yet."""

    candidates: tuple[msgspec.Raw, ...] = ()  # type: ignore[assignment]  # narrower on the wire, wider here
    tenants: dict[TenantId, msgspec.Raw] = msgspec.field(default_factory=dict)  # type: ignore[assignment]  # as above


_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_SHEETS: Final = msgspec.json.Decoder(Sheet)
_PLAIN: Final = msgspec.json.Decoder(list[PlainEntry])
_ENTRIES: Final = msgspec.json.Decoder(list[CandidateEntry])
_TENANTS: Final = msgspec.json.Decoder(list[TenantEntry])
_SHARED: Final = ("domain", "key", "capabilities")
"""What many entries say alike, and hold as one object."""
_NAME: Final = re.compile(NAME)


def read_in_chunks(data: bytes, has_long_number: Callable[[bytes], bool], size: int = CHUNK) -> Manifest | None:
    """Return the manifest of canonical bytes; ``None``: they must be read, or refused, the long way.

    Args:
        data: Nested no deeper than is allowed.
        has_long_number: Tells whether bytes hold a number that readers may disagree about.
        size: Candidates in a chunk.
    """
    try:
        sheet = _SHEETS.decode(data)
        if _ENCODER.encode(sheet) != data:
            return None
        raws = sheet.candidates
        rest = msgspec.structs.replace(sheet, candidates=(), tenants={})
        if has_long_number(_ENCODER.encode(rest)):
            return None
        entries: list[CandidateEntry] = []
        pool: dict[Any, Any] = {}
        for text in _texts(raws, size):
            chunk = _chunk(text, has_long_number, pool)
            if chunk is None:
                return None
            entries += chunk
        tenants = _tenants(sheet.tenants, has_long_number, size)
        if tenants is None:
            return None
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None
    said = {name: getattr(rest, name) for name in Manifest.__struct_fields__}
    return Manifest(**{**said, "candidates": tuple(entries), "tenants": tenants})


def _texts(raws: Sequence[msgspec.Raw], size: int) -> Iterator[bytes]:
    for start in range(0, len(raws), size):
        yield b"[%b]" % b",".join(raws[start : start + size])


def _chunk(text: bytes, has_long_number: Callable[[bytes], bool], pool: dict[Any, Any]) -> list[CandidateEntry] | None:
    """Return the entries of a chunk, all plain or all whole."""
    try:
        plain = _PLAIN.decode(text)
    except msgspec.ValidationError:
        found = _ENTRIES.decode(text)
        return None if has_long_number(text) or _ENCODER.encode(found) != text else found
    if not _well_named(plain) or _ENCODER.encode(plain) != text:
        return None
    for entry in plain:
        for name in _SHARED:  # nobody else holds the entry yet
            value = getattr(entry, name)
            force_setattr(entry, name, pool.setdefault(value, value))
    return cast("list[CandidateEntry]", plain)


def _tenants(
    raws: Mapping[str, msgspec.Raw], has_long_number: Callable[[bytes], bool], size: int
) -> dict[str, TenantEntry] | None:
    """Return the entries of tenants; those who say the same share one, which is read once."""
    said = {tenant: bytes(raw) for tenant, raw in raws.items()}
    distinct = list(dict.fromkeys(said.values()))
    known: dict[bytes, TenantEntry] = {}
    for start in range(0, len(distinct), size):
        some = distinct[start : start + size]
        text = b"[%b]" % b",".join(some)
        found = _TENANTS.decode(text)
        if has_long_number(text) or _ENCODER.encode(found) != text:
            return None
        known.update(zip(some, found, strict=True))
    return {tenant: known[text] for tenant, text in said.items()}


def _well_named(entries: Sequence[PlainEntry]) -> bool:
    """Tell whether every name of plain entries is what `CandidateEntry` demands; each is looked at once."""
    names = {entry.domain for entry in entries} | {entry.key for entry in entries}
    names |= {entry.provider for entry in entries}
    names.update(*{entry.capabilities for entry in entries})
    return all(map(_NAME.match, names)) and all(3 <= len(text) <= 512 for text in {entry.factory for entry in entries})
