"""Read the head, and judge whether it may follow the one that is held.

Judging is pure. A read gives a head that was signed, belongs together and was written when it says; whether it is
newer than what this replica holds is `judge`'s to say, by (epoch, seq) alone.
"""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from pointsman.errors import Equivocation, Rollback
from pointsman.manifests.release import accept
from pointsman.manifests.verification import (
    Freshness,
    Verified,
    check_stamp,
    decode_head,
    verify_head,
    verify_release,
    wanted_root,
)

if TYPE_CHECKING:
    from datetime import datetime

    from pointsman.control.ports import Ground
    from pointsman.control.roots import Roots
    from pointsman.manifests.schema import Control, Release
    from pointsman.manifests.trust import Trust

HEAD: Final = "head"
RELEASE: Final = "release"
Position: TypeAlias = tuple[int, int]
"""Epoch and seq: heads are ordered by it."""


class FleetHead(msgspec.Struct, frozen=True):
    """A head that was believed, and where it was found.

    Attributes:
        envelope: The release's, byte for byte, for the next head.
        trust: What judged it.
        generation: The store's.
        stamp: When the store wrote it.
    """

    release: Verified[Release]
    control: Verified[Control]
    envelope: bytes
    trust: Trust
    generation: str
    stamp: datetime

    @property
    def position(self) -> Position:
        """Epoch and seq."""
        return self.control.document.epoch, self.control.document.seq


class FoundRelease(msgspec.Struct, frozen=True):
    """A release that was believed, from the publisher's own object."""

    release: Verified[Release]
    envelope: bytes
    trust: Trust
    generation: str


class Verdict(StrEnum):
    """What to do with a head that was read."""

    TAKE = "take"
    SAME = "same"
    OLDER = "older"
    """Dropped: its read left before we held the newer one."""


def judge(held: FleetHead, found: FleetHead, at_departure: Position | None) -> Verdict:
    """Say what to do with a head; ``at_departure`` is the position that was held when its read left.

    Raises:
        Rollback: The store shows an older one than before; or a newer head carries an older release.
        Equivocation: Two control documents, or two releases, have one number and different contents.
    """
    if at_departure is not None and found.position < at_departure:
        raise Rollback(
            f"Expected head {held.position[1]} of epoch {held.position[0]} or a later one, found {found.position[1]} "
            f"of epoch {found.position[0]}: the store shows an older one than before.",
            hint="Somebody put an old head back. After a restored backup: pointsman head adopt",
        )
    if found.position < held.position:
        return Verdict.OLDER
    if found.position == held.position:
        if found.control.payload_digest == held.control.payload_digest:
            return Verdict.SAME
        raise Equivocation(
            f"Control document {found.position[1]} was signed with two contents: "
            f"{held.control.payload_digest} and {found.control.payload_digest}.",
            hint="Somebody else holds a control key. Rotate it.",
        )
    # Its expiry is no matter here: an adopted release goes on until a newer one is adopted.
    accept(held.release, dataclasses.replace(found.release, freshness=Freshness.FRESH))
    return Verdict.TAKE


class Reader:
    """Reads the two mutable objects; concurrent tasks may share one."""

    def __init__(self, ground: Ground, roots: Roots) -> None:
        self._ground = ground
        self._roots = roots

    async def head(self, unless: str | None = None, *, restoring: bool = False) -> FleetHead | None:
        """Return the head; ``None``: it is still of the generation ``unless``.

        Where nothing can be written there is none: a release alone stands for it, with no orders beside it.

        Args:
            unless: A generation that is held already.
            restoring: Take it though it was put back: the operator says so.

        Raises:
            StoreError: The store did not give it. `NotFound`: nobody created it yet.
            Replayed: It is an old one that was put back.
            ManifestError: It is refused, by another rule.
        """
        if not self._ground.heads.writable:
            found = await self.release(unless)
            return None if found is None else _alone(found, self._ground.time.now())
        read = await self._ground.heads.read(HEAD, max_bytes=self._max_bytes, unless=unless)
        self._ground.time.observe(read.now)
        if read.body is None:
            return None
        now = self._ground.time.now()
        envelope = bytes(decode_head(read.body, self._roots.image).release)
        trust = await self._roots.trust_for(wanted_root(envelope, self._roots.image), now)
        verified = verify_head(read.body, trust, now)
        stamp = read.stamp or read.now
        if not restoring:
            check_stamp(verified.control.document.signed_at, stamp, trust)
        return FleetHead(verified.release, verified.control, envelope, trust, read.generation, stamp)

    async def release(self, unless: str | None = None) -> FoundRelease | None:
        """Return the publisher's release; ``None``: it is still of the generation ``unless``.

        Raises:
            StoreError: The store did not give it. `NotFound`: nobody published one yet.
            ManifestError: It is refused.
        """
        read = await self._ground.releases.read(RELEASE, max_bytes=self._max_bytes, unless=unless)
        if not self._ground.heads.writable:
            self._ground.time.observe(read.now)
        if read.body is None:
            return None
        now = self._ground.time.now()
        trust = await self._roots.trust_for(wanted_root(read.body, self._roots.image), now)
        return FoundRelease(verify_release(read.body, trust, now), read.body, trust, read.generation)

    @property
    def _max_bytes(self) -> int:
        return self._roots.image.limits.max_head_bytes


def _alone(found: FoundRelease, now: datetime) -> FleetHead:
    """Return the head that a release makes by itself: it moves with the release's version, and ends with it."""
    from pointsman.control.head import first

    release = found.release
    control = replace(
        first(release.document, release.payload_digest, release.document.audience, now),
        seq=release.document.version,
        signed_at=release.document.issued_at,
        expires=release.document.expires,
    )
    verified = Verified(control, release.payload, release.envelope_digest, release.length, ())
    return FleetHead(release, verified, found.envelope, found.trust, found.generation, now)
