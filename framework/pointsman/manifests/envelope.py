"""DSSE envelopes: what is signed, who signed it, and how they are read before anything in them is believed.

Source: DSSE 1.0.2, envelope and protocol; PAE ``"DSSEv1" SP len(type) SP type SP len(body) SP body``, lengths in
bytes. The payload is never parsed here, and never decoded twice: what was verified is what is handed on.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Final

import msgspec

from pointsman.errors import BadSignature, Malformed, TooLarge, Unsigned
from pointsman.manifests import schema
from pointsman.manifests.canonical import decode, encode, peek
from pointsman.manifests.pieces import joined
from pointsman.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pointsman.manifests.keys import PublicKey, SigningKey

MAX_SIGNATURES: Final = 16
MAX_ATTEMPTS: Final = 32

_OPENING = b'{"payload":"'
_PIECE = 96 * 1024
"""Bytes of plain base64 that are decoded in one call; a multiple of four."""
_AT_ONCE = 8 * 1024 * 1024
"""Bytes of base64 that are decoded in one call, which holds the interpreter; a multiple of four."""
_URL_SAFE = late_pattern(r"[A-Za-z0-9_-]*={0,2}", re.ASCII)
_PRINTABLE = re.compile(r"[!-~]+", re.ASCII)


class Signed(msgspec.Struct, frozen=True):
    """One signature as found: raw bytes, and the key id that it claims (empty: none)."""

    signature: bytes
    keyid: str = ""


class Opened(msgspec.Struct, frozen=True):
    """An envelope that was read and not yet believed; ``digest`` is of its bytes as stored."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signed, ...]
    digest: str


def digest_of(data: bytes) -> str:
    """Return the hex SHA-256 by which documents and envelopes are named."""
    return hashlib.sha256(data).hexdigest()


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed.

    Source: DSSE 1.0.2, protocol, PAE.
    """
    return _heading(payload_type, payload) + payload


def _heading(payload_type: str, payload: bytes) -> bytes:
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d " % (len(kind), kind, len(payload))


def sign(payload_type: str, payload: bytes, keys: Sequence[SigningKey]) -> bytes:
    """Return the canonical envelope of a payload, signed by each key in turn.

    Raises:
        Malformed: There are no keys, or more than 16.
    """
    return _sealed(payload_type, payload, [_signature(payload_type, payload, key) for key in keys])


def sign_document(document: schema.Document, keys: Sequence[SigningKey]) -> bytes:
    """Return the envelope in which a document is published: canonical payload, its kind's type."""
    return sign(schema.payload_type(type(document)), encode(document), keys)


def countersign(data: bytes, keys: Sequence[SigningKey], *, max_bytes: int) -> bytes:
    """Return the envelope with further signatures over the same payload; a key that is named already signs anew.

    Raises:
        ManifestError: ``data`` is no envelope, see `decode_envelope`.
    """
    opened = decode_envelope(data, max_bytes)
    fresh = [_signature(opened.payload_type, opened.payload, key) for key in keys]
    named = {signed.keyid for signed in fresh}
    kept = [signed for signed in opened.signatures if signed.keyid not in named]
    return _sealed(opened.payload_type, opened.payload, [*kept, *fresh])


def decode_envelope(data: bytes, max_bytes: int, digest: str | None = None) -> Opened:
    """Read an envelope of at most ``max_bytes``; nothing about it is verified.

    Args:
        digest: Of ``data``, where it was taken before.

    Raises:
        TooLarge: It is longer.
        Unsigned: It carries no signature, or is one of our documents without an envelope.
        Malformed: It is no DSSE envelope of at most 16 signatures, or something in it is not base64.
    """
    if len(data) > max_bytes:
        raise TooLarge(f"Expected an envelope of at most {max_bytes} bytes, found {len(data)}.")
    envelope = _plain(data) or _envelope(data)
    if not envelope.signatures:
        raise Unsigned("Expected signatures in the envelope, found none.", hint="Sign it: pointsman manifest sign")
    if len(envelope.signatures) > MAX_SIGNATURES:
        raise Malformed(f"Expected at most {MAX_SIGNATURES} signatures, found {len(envelope.signatures)}.")
    if not _PRINTABLE.fullmatch(envelope.payload_type):
        raise Malformed(f"Expected an ASCII payload type, found {envelope.payload_type[:80]!a}.")
    signatures = tuple(Signed(_unbase64(one.sig, "a signature"), one.keyid) for one in envelope.signatures)
    payload = envelope.payload if isinstance(envelope.payload, bytes) else _unbase64(envelope.payload, "the payload")
    return Opened(envelope.payload_type, payload, signatures, digest or digest_of(data))


def _plain(data: bytes) -> schema.PlainEnvelope | None:
    """Return the envelope of canonical bytes, as publishing writes them; ``None``: they must be read the long way."""
    end = data.find(b'"', len(_OPENING))
    if end < 0 or not data.startswith(_OPENING):
        return None
    bare = _OPENING + data[end:]
    try:
        envelope = msgspec.json.decode(bare, type=schema.PlainEnvelope)
        payload = _pieced(data, len(_OPENING), end)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if payload is None or encode(envelope) != bare:
        return None
    return msgspec.structs.replace(envelope, payload=payload)


def _pieced(data: bytes, start: int, end: int) -> bytes | None:
    """Return what the base64 between two places says; ``None``: it ends before its end.

    Raises:
        msgspec.ValidationError: It is no padded base64 of the standard alphabet.
    """
    decode_some, view = msgspec.json.Decoder(bytes).decode, memoryview(data)
    cuts = (view[at : min(at + _PIECE, end)] for at in range(start, end, _PIECE))
    pieces = [decode_some(b"".join((b'"', cut, b'"'))) for cut in cuts]
    if any(len(piece) != _PIECE // 4 * 3 for piece in pieces[:-1]):
        return None
    return joined(pieces)


def _envelope(data: bytes) -> schema.Envelope:
    try:
        return decode(schema.Envelope, data)
    except Malformed as error:
        if peek(data) is None:
            raise
        raise Unsigned(
            "Expected a signed envelope, found a document without one.",
            hint="Sign it: pointsman manifest sign",
        ) from error


def verify_signatures(opened: Opened, keys: Sequence[PublicKey], threshold: int) -> tuple[str, ...]:
    """Return the ids of the distinct keys that signed, as soon as they reach the threshold.

    A claimed key id only says which key to try first: signatures with a true claim are tried before all others, then
    every remaining pair is, until the threshold is met or 32 attempts are spent. A key counts once.

    Raises:
        BadSignature: Fewer distinct keys signed these bytes.
    """
    heading = _heading(opened.payload_type, opened.payload)
    met: dict[str, None] = {}
    used: set[int] = set()
    attempts = 0
    for index, key in _pairs(opened.signatures, keys):
        if index in used or key.keyid in met:
            continue
        if attempts == MAX_ATTEMPTS:
            break
        attempts += 1
        if key.verifies(opened.payload, opened.signatures[index].signature, heading):
            met[key.keyid] = None
            used.add(index)
            if len(met) >= threshold:
                return tuple(met)
    raise BadSignature(
        f"Expected signatures over these {opened.payload_type} bytes by {threshold} of {len(keys)} keys, "
        f"found {len(met)} in {attempts} attempts.",
        hint="Compare the key ids of the envelope with the trust root: pointsman manifest show, pointsman keys show",
    )


def _pairs(signatures: Sequence[Signed], keys: Sequence[PublicKey]) -> Iterator[tuple[int, PublicKey]]:
    """Yield what to try, the claimed pairs first."""
    claimed = {key.keyid: key for key in keys}
    for index, signed in enumerate(signatures):
        if signed.keyid in claimed:
            yield index, claimed[signed.keyid]
    for index, signed in enumerate(signatures):
        for key in keys:
            if key.keyid != signed.keyid:
                yield index, key


def _signature(payload_type: str, payload: bytes, key: SigningKey) -> Signed:
    return Signed(key.sign(pae(payload_type, payload)), key.keyid)


def _sealed(payload_type: str, payload: bytes, signatures: Sequence[Signed]) -> bytes:
    if not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise Malformed(f"Expected 1 to {MAX_SIGNATURES} signatures in an envelope, found {len(signatures)}.")
    return encode(
        schema.Envelope(
            payload=base64.b64encode(payload).decode(),
            payload_type=payload_type,
            signatures=tuple(
                schema.Signature(base64.b64encode(signed.signature).decode(), signed.keyid) for signed in signatures
            ),
        )
    )


def _unbase64(text: str, what: str) -> bytes:
    """Decode either alphabet, padded or not; the free bits of the last digit may be anything, as in every decoder."""
    bare = text.rstrip("=")
    padding = len(text) - len(bare)
    if padding > 2 or len(bare) % 4 == 1 or (padding and len(text) % 4) or "=" in bare:
        raise _no_base64(what)
    full = bare + "=" * (-len(bare) % 4)
    try:
        return b"".join(
            base64.b64decode(full[start : start + _AT_ONCE], validate=True) for start in range(0, len(full), _AT_ONCE)
        )
    except ValueError:  # of the other alphabet, or of none
        if not _URL_SAFE.fullmatch(text):
            raise _no_base64(what) from None
    return base64.b64decode(full, b"-_", validate=True)


def _no_base64(what: str) -> Malformed:
    return Malformed(f"Expected {what} in base64, found other characters or a wrong length.")
