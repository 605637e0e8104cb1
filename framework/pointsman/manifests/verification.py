"""Bytes in, verdict out: one function a kind of document, each a list of the steps that it takes.

The bytes are verified first, and the same bytes are parsed after. Every refusal is an exception of its own class; what
is returned was signed, belongs to this epoch and audience, and is of an age that its ``freshness`` names. No function
here remembers anything: what was seen before is an argument (see `release`).
"""

from __future__ import annotations

from dataclasses import field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Generic

from pointsman.errors import (
    BadLifetime,
    DigestMismatch,
    Expired,
    Malformed,
    NotYetValid,
    Replayed,
    Rollback,
    TooLarge,
    Unsigned,
    UntrustedRoot,
    WrongAudience,
    WrongEpoch,
    WrongType,
)
from pointsman.manifests.canonical import D, decode, decode_document
from pointsman.manifests.envelope import decode_envelope, digest_of, verify_signatures
from pointsman.manifests.schema import Approved, Control, Head, Manifest, Release, payload_type, tag_of
from pointsman.values import frozen

if TYPE_CHECKING:
    from pointsman.manifests.schema import Document
    from pointsman.manifests.trust import Trust


class Freshness(StrEnum):
    """How a document that is taken stands to its expiry."""

    FRESH = "fresh"
    DEGRADED = "degraded"
    """A manifest past its expiry, in the grace that a valid release gives it: raise an alarm."""
    AGED = "aged"
    """A release or a control document past its expiry: served, marked, and signed anew or stale."""


@frozen
class Verified(Generic[D]):
    """A document that was believed.

    Attributes:
        payload: What was signed.
        envelope_digest: What storage and ``approved`` name a manifest by.
        length: Of the envelope, bytes.
        signers: Ids of the keys that were counted; empty for an unsigned document in development.
    """

    document: D
    payload: bytes = field(repr=False)
    envelope_digest: str
    length: int
    signers: tuple[str, ...]
    freshness: Freshness = Freshness.FRESH

    @property
    def payload_digest(self) -> str:
        """What equivocation compares, and what control binds a release by; taken when it is asked for."""
        return digest_of(self.payload)


@frozen
class VerifiedHead:
    """The two documents of a head, each beside the other that it was signed for."""

    release: Verified[Release]
    control: Verified[Control]


def verify_manifest(
    data: bytes,
    trust: Trust,
    wall: datetime,
    *,
    entry: Approved | None = None,
    release: Verified[Release] | None = None,
) -> Verified[Manifest]:
    """Return the manifest that these bytes are, if it may run.

    Args:
        data: The envelope.
        trust: What this replica believes.
        wall: The clock, aware.
        entry: As what the release approved it; None for the image's own.
        release: The release in force, for its floor and, while it is fresh, its grace.

    Raises:
        ManifestError: One class a rule: ``TooLarge DigestMismatch Unsigned Malformed WrongType BadSignature
            UnsupportedVersion WrongEpoch WrongAudience NotYetValid BadLifetime Expired Rollback``.
    """
    digest = _check_entry(data, entry)
    now = trust.now(wall)
    verified = _verify(Manifest, data, trust, trust.limits.max_manifest_bytes, digest)
    manifest = verified.document
    _check_belonging(manifest, trust)
    _check_issued(manifest.issued_at, manifest.expires, now, trust)
    _check_place(manifest, entry, release)
    named = entry is not None and release is not None and release.freshness is Freshness.FRESH
    return replace(verified, freshness=_manifest_freshness(manifest, now, named=named))


def verify_release(data: bytes, trust: Trust, wall: datetime) -> Verified[Release]:
    """Return the release that these bytes are; past its expiry it is ``aged``, which `release.accept` judges.

    Raises:
        ManifestError: As for `verify_manifest`; ``Malformed`` also where the release contradicts itself,
            ``UntrustedRoot`` where it wants a later root than the one that judges it: see `wanted_root`.
    """
    now = trust.now(wall)
    verified = _verify(Release, data, trust, trust.limits.max_head_bytes)
    release = verified.document
    _check_belonging(release, trust)
    _check_issued(release.issued_at, release.expires, now, trust)
    _check_release(release)
    if trust.root is not None and release.root > trust.root.version:
        raise UntrustedRoot(f"The release wants root {release.root} in force, found root {trust.root.version}.")
    return replace(verified, freshness=_aged(release.expires, now))


def verify_control(data: bytes, trust: Trust, wall: datetime, release: Verified[Release]) -> Verified[Control]:
    """Return the control document that these bytes are, if it was signed for this release.

    Past its expiry it is ``aged``: whether it is an old one put back is for `check_stamp` to say.

    Raises:
        DigestMismatch: It was signed beside another release.
        Rollback: Its ``seq`` is below what the release demands.
        ManifestError: Otherwise as for `verify_manifest`.
    """
    now = trust.now(wall)
    verified = _verify(Control, data, trust, trust.limits.max_head_bytes)
    control = verified.document
    _check_belonging(control, trust)
    _check_issued(control.signed_at, control.expires, now, trust)
    _check_beside(control, release)
    return replace(verified, freshness=_aged(control.expires, now))


def verify_head(data: bytes, trust: Trust, wall: datetime) -> VerifiedHead:
    """Return both documents of a head. Its write time is judged apart, by `check_stamp`.

    Raises:
        ManifestError: Either of them is refused, or they do not belong together.
    """
    head = decode_head(data, trust)
    release = verify_release(bytes(head.release), trust, wall)
    return VerifiedHead(release, verify_control(bytes(head.control), trust, wall, release))


def decode_head(data: bytes, trust: Trust) -> Head:
    """Return the two envelopes of a head as they were written, byte for byte; nothing is verified.

    Raises:
        TooLarge: It is over its cap.
        Malformed: It is not ``{"release": …, "control": …}``.
    """
    if len(data) > trust.limits.max_head_bytes:
        raise TooLarge(f"Expected a head of at most {trust.limits.max_head_bytes} bytes, found {len(data)}.")
    return decode(Head, data)


def encode_head(release: bytes, control: bytes) -> bytes:
    """Return the head that carries these two envelopes verbatim."""
    return b'{"release":%b,"control":%b}' % (release.strip(), control.strip())


def wanted_root(data: bytes, trust: Trust) -> int:
    """Return the version of the root that a release, unverified, wants: a hint that tells what to fetch.

    A root proves itself, so a false hint costs a fetch and no more.

    Raises:
        ManifestError: These bytes are no release.
    """
    try:
        opened = decode_envelope(data, trust.limits.max_head_bytes)
    except Unsigned:
        if not trust.unsigned:
            raise
        return decode_document(Release, data).root
    return decode_document(Release, opened.payload).root


def check_stamp(signed_at: datetime, stamp: datetime, trust: Trust) -> None:
    """Refuse a head that the store wrote later than the head says it was signed.

    Args:
        signed_at: The control document's.
        stamp: When the store wrote this generation.
        trust: For the tolerance.

    Raises:
        Replayed: An old one was put back.
    """
    if stamp > signed_at + timedelta(seconds=trust.limits.stamp_tolerance_s):
        raise Replayed(
            f"The head was signed at {signed_at} and written at {stamp}: an old one was put back.",
            hint="After a restored backup: pointsman head adopt",
        )


def life_spent(issued_at: datetime, expires: datetime, now: datetime) -> float:
    """Return which part of its life a document has behind it; warn at 0.8, sign control anew at 0.5."""
    return (now - issued_at) / (expires - issued_at)


def _verify(kind: type[D], data: bytes, trust: Trust, max_bytes: int, digest: str | None = None) -> Verified[D]:
    """Envelope, type, signatures, and only then the payload."""
    try:
        opened = decode_envelope(data, max_bytes, digest)
    except Unsigned:
        if not trust.unsigned:
            raise
        return Verified(decode_document(kind, data, packed=True), data, digest or digest_of(data), len(data), ())
    expected = payload_type(kind)
    if opened.payload_type != expected:
        raise WrongType(f"Expected {expected}, found {opened.payload_type[:80]}.")
    role = trust.require_root().roles[tag_of(kind)]
    signers = verify_signatures(opened, role.keys, role.threshold)
    document = decode_document(kind, opened.payload, packed=True)
    return Verified(document, opened.payload, opened.digest, len(data), signers)


def _check_entry(data: bytes, entry: Approved | None) -> str | None:
    """Return the digest of the bytes, if it had to be taken."""
    if entry is None:
        return None
    if len(data) != entry.length:
        raise DigestMismatch(f"Expected a manifest of {entry.length} bytes, found {len(data)}.")
    if (found := digest_of(data)) != entry.digest:
        raise DigestMismatch(f"Expected the manifest sha256/{entry.digest}, found sha256/{found}.")
    return found


def _check_belonging(document: Document, trust: Trust) -> None:
    """The document is of this epoch, and for this service and environment."""
    if trust.root is not None and document.epoch != trust.root.epoch:
        raise WrongEpoch(f"Expected epoch {trust.root.epoch}, the root's, found {document.epoch}.")
    if document.audience != trust.audience:
        raise WrongAudience(f"Expected a document for {trust.audience}, found one for {document.audience}.")


def _check_issued(issued_at: datetime, expires: datetime, now: datetime, trust: Trust) -> None:
    if issued_at > now + trust.limits.skew:
        raise NotYetValid(
            f"Issued at {issued_at}, more than {trust.limits.clock_skew_s} s after {now}, which it is now."
        )
    lifetime = expires - issued_at
    if not timedelta(0) < lifetime <= timedelta(seconds=trust.limits.max_lifetime_s):
        raise BadLifetime(
            f"Expected a life of at most {trust.limits.max_lifetime_s} s, found {issued_at} to {expires}.",
            hint="Write expires no later than that after issued_at, and publish anew before it.",
        )


def _check_place(manifest: Manifest, entry: Approved | None, release: Verified[Release] | None) -> None:
    """The manifest is not below the floor, and is the version that the release said it was."""
    if release is not None and manifest.version < release.document.floor:
        raise Rollback(f"Expected a manifest of version {release.document.floor} or later, found {manifest.version}.")
    if entry is not None and manifest.version != entry.version:
        raise DigestMismatch(
            f"The release approves these bytes as version {entry.version}, they say {manifest.version}."
        )


def _check_release(release: Release) -> None:
    approved = {entry.digest: entry for entry in release.approved}
    if len(approved) != len(release.approved):
        raise Malformed("release: expected each approved digest once.")
    current = approved.get(release.current)
    if current is None:
        raise Malformed(f"release: expected current to be approved, found {release.current}.")
    if current.version < release.floor:
        raise Malformed(f"release: expected current at or above the floor {release.floor}, found {current.version}.")


def _check_beside(control: Control, release: Verified[Release]) -> None:
    """The control document was signed for the release beside it, and is not older than that release allows."""
    adopted = control.release
    if (adopted.digest, adopted.version) != (release.payload_digest, release.document.version):
        raise DigestMismatch(
            f"The control document was signed beside release {adopted.version} ({adopted.digest[:12]}), "
            f"found release {release.document.version} ({release.payload_digest[:12]})."
        )
    if control.seq < release.document.min_control_seq:
        raise Rollback(
            f"Expected a control document of seq {release.document.min_control_seq} or later, found {control.seq}."
        )


def _manifest_freshness(manifest: Manifest, now: datetime, *, named: bool) -> Freshness:
    """Past expiry the same time again while a valid release names it, then nothing."""
    if now < manifest.expires:
        return Freshness.FRESH
    if named and now - manifest.expires < manifest.expires - manifest.issued_at:
        return Freshness.DEGRADED
    raise Expired(
        f"Manifest {manifest.version} expired at {manifest.expires}, and it is {now}.",
        hint="Sign and publish it anew: pointsman manifest publish",
    )


def _aged(expires: datetime, now: datetime) -> Freshness:
    return Freshness.FRESH if now < expires else Freshness.AGED
