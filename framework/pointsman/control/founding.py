"""Create the first head of a fleet, or put one that was restored from a backup back in force.

What `pointsman head adopt` does, with the control key and nothing else. It never overwrites a head that is in force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from pointsman.control.head import adopt, first, restored
from pointsman.control.reading import HEAD
from pointsman.control.writing import Intent
from pointsman.errors import Conflict, NotFound, PreconditionFailed, Replayed
from pointsman.manifests.verification import check_stamp

if TYPE_CHECKING:
    from datetime import datetime

    from pointsman.control.ports import Ground
    from pointsman.control.reading import FleetHead, FoundRelease, Reader
    from pointsman.control.sealing import Seal


async def adopt_head(ground: Ground, reader: Reader, seal: Seal, *, min_seq: int = 0) -> FleetHead:
    """Put a head beside the published release, where there is none in force, and return it.

    A head that is there and was put back later than it was signed is taken as a restored backup: its orders stay, and
    its numbers leap beyond what running replicas may have seen. Where the head is gone but replicas that hold it run,
    ``min_seq`` must be above what they hold (their status shows it).

    Raises:
        Conflict: A head is in force; there is nothing to adopt.
        ReadOnlyReplica: The key is none of the root's control keys.
        StoreError: There is no release, or the store refused.
        ManifestError: The release, or the head that is there, is refused.
    """
    found = await reader.release()
    if found is None:
        raise NotFound("Expected a release, found none.", hint="Publish one: pointsman manifest publish")
    try:
        standing = await reader.head(restoring=True)
    except NotFound:
        return await _found(ground, found, seal, min_seq)
    if standing is None:
        raise NotFound("Expected the body of the head, found none.")
    return await _restore(ground, standing, found, seal, min_seq)


async def _found(ground: Ground, found: FoundRelease, seal: Seal, min_seq: int) -> FleetHead:
    now, release = ground.time.now(), found.release
    control = first(release.document, release.payload_digest, release.document.audience, now)
    sealed = seal.seal(found.envelope, replace(control, seq=max(control.seq, min_seq)), found.trust, now)
    try:
        return sealed.stored(await ground.heads.create(HEAD, sealed.data))
    except PreconditionFailed as error:
        raise _in_force() from error


async def _restore(ground: Ground, standing: FleetHead, found: FoundRelease, seal: Seal, min_seq: int) -> FleetHead:
    try:
        check_stamp(standing.control.document.signed_at, standing.stamp, standing.trust)
    except Replayed:
        now = ground.time.now()
    else:
        raise _in_force()
    intent = _beside_the_newest(standing, found, now)
    floor = max(min_seq, found.release.document.min_control_seq)
    sealed = seal.seal(intent.envelope, restored(intent.control, floor, now), intent.trust, now)
    return sealed.stored(await ground.heads.write(HEAD, sealed.data, expect=standing.generation))


def _beside_the_newest(standing: FleetHead, found: FoundRelease, now: datetime) -> Intent:
    """Put the restored orders beside the published release if that is newer: running replicas never take an older."""
    control, release = standing.control.document, found.release.document
    if (release.epoch, release.version) <= (standing.release.document.epoch, standing.release.document.version):
        return Intent.beside(standing, control)
    return Intent(adopt(control, release, found.release.payload_digest, now), found.envelope, found.trust)


def _in_force() -> Conflict:
    return Conflict("Expected no head, or one restored from a backup; found one that is in force.")
