"""Read a large manifest in chunks, so that no call holds the interpreter for long and no more is at hand than one.

The short way only: it reads the canonical form of what is well, and says ``None`` of anything else, which is then for
`canonical` to judge. It never takes what `canonical` would refuse. Where a chunk begins and ends is a guess that needs
not be right: what is taken is only what, put together from all that was understood, is the text again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from pointsman.errors import Malformed
from pointsman.manifests.canonical import encode, encode_all
from pointsman.manifests.packed import OPENS, Shelf, Written
from pointsman.manifests.roll import OnRoll, Register, Said
from pointsman.manifests.scanning import check_depth, has_long_number
from pointsman.manifests.schema import CandidateEntry, Manifest, TenantEntry, TenantId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

CHUNK_BYTES: Final = 256 * 1024
"""About as much text is decoded at once: a millisecond or two."""
CHUNK: Final = 2_000
"""Entries of tenants that are decoded at once."""
GUESSES: Final = 8
"""So many places where a chunk may end are tried."""
_AFTER: Final[Mapping[str, Any]] = {
    "provider_settings": {}, "components": {}, "workflows": (), "events": (), "tasks": ()
}  # fmt: skip
"""All that may follow the tenants, left out."""
_RESTS: Final = msgspec.json.Decoder(Manifest)
_PLAIN: Final = msgspec.json.Decoder(list[Written])
_ENTRIES: Final = msgspec.json.Decoder(list[CandidateEntry])
_IDS: Final = msgspec.json.Decoder(dict[TenantId, msgspec.Raw])
_TENANTS: Final = msgspec.json.Decoder(list[TenantEntry])
_OF_NAMES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"


class Part(NamedTuple):
    """A part of a manifest that may be large, and how its text looks where it may be cut.

    Attributes:
        opening: What stands before it.
        brackets: What stands around a chunk of it.
        between: What ends an entry before another one, probably.
        last: What ends the last entry, probably.
    """

    opening: bytes
    brackets: tuple[bytes, bytes]
    between: re.Pattern[bytes]
    last: re.Pattern[bytes]


CANDIDATES: Final = Part(
    b',"candidates":[',
    (b"[", b"]"),
    re.compile(rb'\}(?=,\{"domain":"[^"\\]*","key":"[^"\\]*","provider":")'),
    re.compile(rb'\}(?=\](?:\}\Z|,"(?:selections|tenants|provider_settings|components|workflows|events|tasks)":))'),
)
TENANTS: Final = Part(
    b',"tenants":{',
    (b"{", b"}"),
    re.compile(rb'(?<=[{}])\}(?=,")'),
    re.compile(rb'(?<=[{}])\}(?=\}(?:\}\Z|,"(?:provider_settings|components|workflows|events|tasks)":))'),
)


def read_in_chunks(data: bytes, size: int = CHUNK_BYTES) -> Manifest | None:
    """Return the manifest of canonical bytes; ``None``: they must be read, or refused, the long way.

    Args:
        data: What is verified.
        size: Bytes in a chunk, about.
    """
    shelf, register = Shelf(), Register()
    try:
        rest, before_candidates = _cut_out(data, CANDIDATES, size, lambda text: _put(text, shelf))
        rest, before_tenants = _cut_out(rest, TENANTS, size, lambda text: _enrol(text, register))
        check_depth(rest, "manifest")
        manifest = _RESTS.decode(rest)
        if manifest.candidates or manifest.tenants or encode(manifest) != rest or has_long_number(rest):
            return None
        upper = replace(manifest, **_AFTER)
        for before, above in ((before_candidates, replace(upper, selections={})), (before_tenants, upper)):
            if before is not None and before != encode(above)[:-1]:
                return None
        _check_entries(register.texts)
    except (msgspec.MsgspecError, Malformed, ValueError, OverflowError, RecursionError):
        return None
    return replace(
        manifest,
        candidates=() if before_candidates is None else shelf.close(),
        tenants={} if before_tenants is None else OnRoll(register.close(), Said(register.texts)),
    )


def _cut_out(text: bytes, part: Part, size: int, put: Callable[[bytes], bool]) -> tuple[bytes, bytes | None]:
    """Read a part chunk by chunk, and return the text without it, and what stands before it, if it is there.

    Raises:
        Malformed: It must be read the long way.
    """
    began = text.find(part.opening)
    if began < 0:
        return text, None
    at, is_last = began + len(part.opening), False
    view, (opens, closes) = memoryview(text), part.brackets
    while not is_last:
        for end, is_last in _ends(text, at, size, part):  # noqa: B007 - told after the loop
            if put(b"".join((opens, view[at:end], closes))):
                break
        else:
            raise Malformed("expected whole entries.")
        at = end + 1
    return text[:began] + text[at:], text[:began]


def _ends(text: bytes, at: int, size: int, part: Part) -> Iterator[tuple[int, bool]]:
    """Yield where a chunk that begins at a place may end, and whether it is the last then."""
    for found in islice(part.between.finditer(text, at + size, at + 2 * size), GUESSES):
        yield found.end(), False
    ends = [found.end() for found in part.last.finditer(text, at, at + 3 * size)]
    for end in dict.fromkeys((*ends[:GUESSES], *ends[-GUESSES:])):
        yield end, True


def _put(text: bytes, shelf: Shelf) -> bool:
    """Put the entries of a chunk on the shelf, all plain or all whole; false: it ends somewhere else, or is not well.

    Raises:
        Malformed: It must be read the long way.
    """
    try:
        plain = _PLAIN.decode(text)
    except msgspec.ValidationError:
        try:
            check_depth(text, "candidates")
            whole = _ENTRIES.decode(text)
        except (Malformed, msgspec.DecodeError):
            return False
        well = not has_long_number(text) and encode_all(whole) == text
        shelf.put_whole(whole)
    except msgspec.DecodeError:
        return False
    else:
        well = _well_named(shelf.put_plain(plain)) and encode_all(plain) == text
    if not well:
        raise Malformed("candidates: expected the canonical form.")
    if OPENS in text:
        shelf.suspect(text)
    return True


def _well_named(names: AbstractSet[str]) -> bool:
    """Tell whether all of them are what `CandidateEntry` demands of a name."""
    lengths = set(map(len, names))
    return 0 not in lengths and max(lengths) <= 128 and not "".join(names).encode().translate(None, _OF_NAMES)


def _enrol(text: bytes, register: Register) -> bool:
    """Put the tenants of a chunk into the register; false: it ends somewhere else, or is not well.

    Raises:
        Malformed: It must be read the long way.
    """
    try:
        check_depth(text, "tenants")
        raws = _IDS.decode(text)
    except (Malformed, msgspec.DecodeError):
        return False
    if encode(raws) != text:
        raise Malformed("tenants: expected the canonical form.")
    register.put(raws)
    return True


def _check_entries(texts: Sequence[bytes]) -> None:
    """Refuse entries of tenants that must be read the long way.

    Raises:
        Malformed: There is one.
        msgspec.ValidationError: As well.
    """
    for start in range(0, len(texts), CHUNK):
        text = b"[%b]" % b",".join(texts[start : start + CHUNK])
        if has_long_number(text) or encode_all(_TENANTS.decode(text)) != text:
            raise Malformed("tenants: expected the canonical form.")
