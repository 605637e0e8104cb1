"""Read a large manifest in chunks, so that no call holds the interpreter for long and no more is at hand than one.

The short way only: it reads the canonical form of what is well, and says ``None`` of anything else, which is then for
`canonical` to judge. It never takes what `canonical` would refuse. Where a chunk begins and ends is a guess that needs
not be right: what is taken is only what, put together from what was understood of all parts, is the text again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from pointsman.errors import Malformed
from pointsman.manifests.packed import OPENS, Packed, PlainEntry, Shelf
from pointsman.manifests.scanning import check_depth, has_long_number
from pointsman.manifests.schema import CandidateEntry, Manifest, TenantEntry, TenantId

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

CHUNK_BYTES: Final = 256 * 1024
"""About as much text of candidates is decoded at once: some milliseconds."""
CHUNK: Final = 2_000
"""Tenants that are decoded at once."""
LARGE_BYTES: Final = 32 * 1024
"""What is shorter is read at once."""
GUESSES: Final = 8
"""So many ends of the candidates are tried."""


class Sheet(Manifest, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A manifest whose tenants were not read yet."""

    tenants: dict[TenantId, msgspec.Raw] = msgspec.field(default_factory=dict)  # type: ignore[assignment]  # narrower on the wire, wider here


_NOTHING: Final[Mapping[str, Any]] = {
    "selections": {}, "provider_settings": {}, "components": {}, "workflows": (), "events": (), "tasks": ()
}  # fmt: skip
"""All that may follow the candidates and the tenants, left out."""
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_SHEETS: Final = msgspec.json.Decoder(Sheet)
_PLAIN: Final = msgspec.json.Decoder(list[PlainEntry])
_ENTRIES: Final = msgspec.json.Decoder(list[CandidateEntry])
_TENANTS: Final = msgspec.json.Decoder(list[TenantEntry])
_OF_NAMES: Final = re.compile(r"[A-Za-z0-9_.-]+")
_OPENING: Final = b',"candidates":['
_FIRST: Final = b'{"domain":"'
_NEXT: Final = re.compile(rb'\},(?=\{"domain":"[^"\\]*","key":"[^"\\]*","provider":")')
_LAST: Final = re.compile(
    rb'\}\](?:\}\Z|,"(?:selections|tenants|provider_settings|components|workflows|events|tasks)":)'
)


def read_in_chunks(data: bytes, size: int = CHUNK_BYTES) -> Manifest | None:
    """Return the manifest of canonical bytes; ``None``: they must be read, or refused, the long way.

    Args:
        data: What is verified.
        size: Bytes of candidates in a chunk, about.
    """
    shelf = Shelf()
    try:
        began = data.find(_OPENING + _FIRST)
        if began < 0:
            return _rest(data, None, shelf)
        end = _shelve(data, began + len(_OPENING), size, shelf)
        return _rest(data[:began] + data[end + 1 :], data[:began], shelf)
    except (msgspec.MsgspecError, Malformed, ValueError, OverflowError, RecursionError):
        return None


def _shelve(data: bytes, at: int, size: int, shelf: Shelf) -> int:
    """Put the entries that begin at a place on the shelf, and return where the last one ends.

    Raises:
        Malformed: They must be read the long way.
    """
    is_last = False
    while not is_last:
        end, is_last = _chunk(data, at, size, shelf)
        at = end + 1
    return end


def _chunk(data: bytes, at: int, size: int, shelf: Shelf) -> tuple[int, bool]:
    """Put the entries of the chunk that begins at a place on the shelf; return where it ends, and if it is the last."""
    for end, is_last in _ends(data, at, size):
        text = b"[%b]" % data[at:end]
        if _put(text, shelf):
            if OPENS in text:
                shelf.suspect(text)
            return end, is_last
    raise Malformed("candidates: expected whole entries.")


def _ends(data: bytes, at: int, size: int) -> Iterator[tuple[int, bool]]:
    """Yield where a chunk that begins at a place may end, and whether it is the last then."""
    following = _NEXT.search(data, at + size, at + 2 * size)
    if following is not None:
        yield following.start() + 1, False
    for found in islice(_LAST.finditer(data, at, at + 3 * size), GUESSES):
        yield found.start() + 1, True


def _put(text: bytes, shelf: Shelf) -> bool:
    """Put the entries of a chunk on the shelf, all plain or all whole; false: it ends somewhere else.

    Raises:
        Malformed: It must be read the long way.
        msgspec.ValidationError: As well.
    """
    try:
        plain = _PLAIN.decode(text)
    except msgspec.ValidationError:
        check_depth(text, "candidates")
        whole = _ENTRIES.decode(text)
        well = not has_long_number(text) and _ENCODER.encode(whole) == text
        shelf.put_whole(whole)
    except msgspec.DecodeError:
        return False
    else:
        well = _well_named(shelf.put_plain(plain)) and _ENCODER.encode(plain) == text
    if not well:
        raise Malformed("candidates: expected the canonical form.")
    return True


def _well_named(names: AbstractSet[str]) -> bool:
    """Tell whether all of them are what `CandidateEntry` demands of a name."""
    return min(map(len, names)) > 0 and max(map(len, names)) <= 128 and _OF_NAMES.fullmatch("".join(names)) is not None


def _rest(text: bytes, before: bytes | None, shelf: Shelf) -> Manifest | None:
    """Return the manifest; ``before`` is what stands before its candidates, if there are any."""
    check_depth(text, "manifest")
    sheet = _SHEETS.decode(text)
    bare = replace(sheet, tenants={})
    if sheet.candidates or _ENCODER.encode(sheet) != text or has_long_number(_ENCODER.encode(bare)):
        return None
    if before is not None and _ENCODER.encode(replace(bare, **_NOTHING))[:-1] != before:
        return None
    tenants = _tenants(sheet.tenants, CHUNK)
    if tenants is None:
        return None
    said = {name: getattr(bare, name) for name in Manifest.__struct_fields__}
    candidates: Packed | tuple[CandidateEntry, ...] = () if before is None else shelf.close()
    return Manifest(**{**said, "candidates": candidates, "tenants": tenants})


def _tenants(raws: Mapping[str, msgspec.Raw], size: int) -> dict[str, TenantEntry] | None:
    """Return the entries of tenants; those who say the same share one, which is read once."""
    said = {tenant: bytes(raw) for tenant, raw in raws.items()}
    distinct = list(dict.fromkeys(said.values()))
    known: dict[bytes, TenantEntry] = {}
    for start in range(0, len(distinct), size):
        some: Sequence[bytes] = distinct[start : start + size]
        text = b"[%b]" % b",".join(some)
        found = _TENANTS.decode(text)
        if has_long_number(text) or _ENCODER.encode(found) != text:
            return None
        known.update(zip(some, found, strict=True))
    return {tenant: known[text] for tenant, text in said.items()}
