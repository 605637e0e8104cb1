"""Read JSON so that no two readers can disagree about it, and write the one form that is read at once.

The canonical form is compact, has its fields in the order of the schema and its maps sorted, and leaves defaults out;
publishing writes it. Other spellings of the same document are taken too, after a second, strict reading. Bytes that
nobody has verified come through here (envelopes), so nothing may crash on them, and nothing may cost more than their
length.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast

import msgspec

from pointsman.errors import Malformed, UnsupportedVersion
from pointsman.manifests.scanning import check_depth, has_long_number
from pointsman.manifests.schema import MAX_INT, SPEC_VERSION, Document, Envelope, Manifest, tag_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

S = TypeVar("S", bound=msgspec.Struct)
D = TypeVar("D", bound=Document)

LARGE_BYTES: Final = 32 * 1024
"""A manifest that is shorter is read at once."""
_ENCODER = msgspec.json.Encoder(order="deterministic")


class _Preamble(msgspec.Struct):
    """The two fields that a reader of any version understands."""

    type: Literal["root", "manifest", "release", "control"]
    spec_version: int = 0


def encode(value: msgspec.Struct | Mapping[str, msgspec.Raw]) -> bytes:
    """Return the canonical bytes of a document, an envelope, a head, or what stands under names as it was read."""
    return _ENCODER.encode(value)


def encode_all(values: Sequence[msgspec.Struct]) -> bytes:
    """Return the canonical bytes of several structs, as one array."""
    return _ENCODER.encode(values)


def decode_document(kind: type[D], data: bytes, *, packed: bool = False) -> D:
    """Return the document that verified bytes say.

    Args:
        packed: Whether the candidates of a large manifest may be `Packed`.

    Raises:
        UnsupportedVersion: ``spec_version`` is another than this build's; told apart even where the shape is new.
        Malformed: See `decode`.
    """
    try:
        document = (_read_packed(kind, data) if packed else None) or decode(kind, data)
    except Malformed:
        preamble = peek(data)
        if preamble is not None and preamble.type == tag_of(kind):
            _check_spec_version(preamble.spec_version)
        raise
    _check_spec_version(document.spec_version)
    return document


def decode(kind: type[S], data: bytes) -> S:
    """Return the struct that ``data`` says, if every JSON reader would say the same.

    Raises:
        Malformed: The bytes are not UTF-8 JSON of the declared shape, repeat a key, hold an integer beyond 2^53 - 1,
            NaN or infinity, or nest deeper than 64 levels.
    """
    what = kind.__name__.lower()
    check_depth(data, what)
    with _as_malformed(what):
        value = msgspec.json.decode(data, type=kind)
        canonical = _ENCODER.encode(value) == data
    if not canonical or (kind is not Envelope and has_long_number(data)):  # an envelope holds no number
        _read_strictly(data, kind)
    return value


def peek(data: bytes) -> _Preamble | None:
    """Return kind and ``spec_version`` of what may be a document; a hint for messages, nothing more."""
    try:
        check_depth(data, "document")
        with _as_malformed("document"):
            return msgspec.json.decode(data, type=_Preamble)
    except Malformed:
        return None


def _read_packed(kind: type[D], data: bytes) -> D | None:
    if kind is not Manifest or len(data) < LARGE_BYTES:
        return None
    from pointsman.manifests.sheet import read_in_chunks  # most starts meet a small one

    return cast("D | None", read_in_chunks(data))


def _check_spec_version(found: int) -> None:
    if found != SPEC_VERSION:
        raise UnsupportedVersion(
            f"Expected spec_version {SPEC_VERSION}, found {found}.",
            hint="Deploy a release of pointsman that knows it, or write the document for this one.",
        )


def _read_strictly(data: bytes, kind: type[msgspec.Struct]) -> None:
    """Refuse what msgspec lets pass: keys given twice, huge integers in free-form values, a missing ``type``.

    It has read the same bytes before, so neither NaN nor text that is no JSON comes this far.
    """
    what = kind.__name__.lower()

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise Malformed(f"{what}: expected each key once, found {name[:80]!r} again.")
            found[name] = value
        return found

    def bounded(digits: str) -> int:
        if len(digits) > 17 or abs(int(digits)) > MAX_INT:
            raise Malformed(f"{what}: expected integers within 2^53 - 1, found {digits:.40}.")
        return int(digits)

    with _as_malformed(what):
        tree = json.loads(data.decode(), object_pairs_hook=unique, parse_int=bounded)
    tag = kind.__struct_config__.tag
    if tag is not None and tree.get("type") != tag:
        raise Malformed(f"{what}: expected the field `type` to say {tag!r}, found none.")


@contextmanager
def _as_malformed(what: str) -> Iterator[None]:
    """Translate everything by which a JSON reader says that it cannot; msgspec leaks several of these."""
    try:
        yield
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise Malformed(f"{what}: {str(error)[:500] or type(error).__name__}.") from error
