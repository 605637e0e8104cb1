"""Documents of every kind, signed by keys that are the same in every run: what honest and other publishers write."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from pointsman.manifests.envelope import digest_of, sign_document
from pointsman.manifests.keys import SigningKey
from pointsman.manifests.limits import Limits
from pointsman.manifests.root import TrustRoot, load_root
from pointsman.manifests.schema import (
    AdoptedRelease,
    Approved,
    Audience,
    Control,
    Document,
    Manifest,
    Release,
    Role,
    Root,
    tag_of,
)
from pointsman.manifests.trust import Trust, establish_trust
from pointsman.manifests.verification import Verified, encode_head, verify_manifest, verify_release

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
AUDIENCE = Audience("notebook", "production")
ROLES = ("root", "manifest", "release", "control")


def key(name: str) -> SigningKey:
    """Return the key pair of this name."""
    return SigningKey(hashlib.sha256(name.encode()).digest())


def keys_of(*pairs: SigningKey) -> dict[str, str]:
    """Return a root's ``keys``."""
    return {pair.keyid: str(pair.public) for pair in pairs}


@dataclass(frozen=True)
class Forge:
    """Makes and signs documents; every method takes changes to what an honest publisher would write."""

    holders: dict[str, tuple[SigningKey, ...]] = field(
        default_factory=lambda: {name: (key(name), key(f"{name} two")) for name in ROLES}
    )
    thresholds: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ROLES, 1))
    audience: Audience = AUDIENCE
    limits: Limits = Limits()  # noqa: RUF009 - frozen

    def root(self, **changes: Any) -> Root:
        honest = Root(
            spec_version=1,
            epoch=1,
            version=1,
            issued_at=NOW - 30 * DAY,
            expires=NOW + 300 * DAY,
            audience=self.audience,
            keys=keys_of(*(one for pairs in self.holders.values() for one in pairs)),
            roles={
                name: Role(keyids=tuple(one.keyid for one in self.holders[name]), threshold=self.thresholds[name])
                for name in ROLES
            },
        )
        return replace(honest, **changes)

    def manifest(self, **changes: Any) -> Manifest:
        honest = Manifest(
            spec_version=1, epoch=1, version=5, issued_at=NOW - DAY, expires=NOW + 30 * DAY, audience=self.audience
        )
        return replace(honest, **changes)

    def release(self, *manifests: bytes, **changes: Any) -> Release:
        """``manifests`` are the envelopes that it approves, current first, versions counted down from 5."""
        envelopes = manifests or (self.sealed(self.manifest()),)
        approved = tuple(self.approved(data, 5 - index) for index, data in enumerate(envelopes))
        honest = Release(
            spec_version=1,
            epoch=1,
            version=7,
            issued_at=NOW - DAY,
            expires=NOW + 30 * DAY,
            audience=self.audience,
            floor=3,
            current=approved[0].digest,
            approved=approved,
            root=1,
            min_control_seq=1,
        )
        return replace(honest, **changes)

    def approved(self, data: bytes, version: int = 5) -> Approved:
        return Approved(digest=digest_of(data), length=len(data), version=version)

    def control(self, release: Verified[Release], /, **changes: Any) -> Control:
        honest = Control(
            spec_version=1,
            epoch=1,
            audience=self.audience,
            seq=10,
            cseq=4,
            signed_at=NOW - DAY,
            expires=NOW + 6 * DAY,
            release=AdoptedRelease(
                version=release.document.version, digest=release.payload_digest, adopted_at=NOW - DAY
            ),
        )
        return replace(honest, **changes)

    def sealed(self, document: Document, *signers: SigningKey) -> bytes:
        """Return the envelope, signed by as many of the role's keys as its threshold asks unless told otherwise."""
        role = tag_of(type(document))
        return sign_document(document, signers or self.holders[role][: self.thresholds[role]])

    def head(self, release: Release | None = None, **changes: Any) -> bytes:
        """Return a head whose control document was signed for the release in it."""
        data = self.sealed(release or self.release())
        control = self.control(self.believed_release(release or self.release()), **changes)
        return encode_head(data, self.sealed(control))

    @property
    def trust_root(self) -> TrustRoot:
        return load_root(self.sealed(self.root()), self.limits)

    @property
    def trust(self) -> Trust:
        return establish_trust(self.trust_root, self.audience, {}, self.limits)

    def believed_release(self, release: Release | None = None, at: datetime = NOW) -> Verified[Release]:
        return verify_release(self.sealed(release or self.release()), self.trust, at)

    def believed(self, manifest: Manifest | None = None) -> Verified[Manifest]:
        return verify_manifest(self.sealed(manifest or self.manifest()), self.trust, NOW)
