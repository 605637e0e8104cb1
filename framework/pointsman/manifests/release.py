"""What one release may follow, and which of its manifests may run. Pure rules over verified releases.

Going back is a new release that names an approved manifest again; nothing else ever goes back. An epoch that rises
starts the count anew, so that a version fast-forwarded by a stolen key stands in nobody's way after the rotation.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from pointsman.errors import Equivocation, Expired, Rollback
from pointsman.manifests.schema import Manifest, Release, tag_of
from pointsman.manifests.verification import Freshness, Verified

if TYPE_CHECKING:
    from pointsman.manifests.schema import Approved, Control

V = TypeVar("V", Manifest, Release)


class Step(StrEnum):
    """How a release stands to the one before it."""

    NEWER = "newer"
    UNCHANGED = "unchanged"


def accept(previous: Verified[Release] | None, proposed: Verified[Release]) -> Step:
    """Judge a release against the highest that was seen.

    Raises:
        Rollback: Its epoch, version or floor is lower.
        Equivocation: It is the same version with another payload: an alarm. Another envelope of one payload is none.
        Expired: It is a newer one, and past its expiry already.
    """
    step = _follow(previous, proposed)
    if step is Step.NEWER and proposed.freshness is Freshness.AGED:
        raise Expired(f"Release {proposed.document.version} expired at {proposed.document.expires}.")
    return step


def take(previous: Verified[Manifest] | None, proposed: Verified[Manifest]) -> Step:
    """Judge a manifest that a release names against the one in force; the release may well go back.

    Raises:
        Equivocation: It is the same version of the same epoch with another payload: an alarm.
    """
    return Step.UNCHANGED if previous is not None and _is_same(previous, proposed) else Step.NEWER


def _follow(previous: Verified[Release] | None, proposed: Verified[Release]) -> Step:
    if previous is None:
        return Step.NEWER
    old, new = previous.document, proposed.document
    if new.epoch > old.epoch:
        return Step.NEWER
    if (new.epoch, new.version) < (old.epoch, old.version):
        raise Rollback(
            f"Expected release {old.version} of epoch {old.epoch} or a later one, "
            f"found release {new.version} of epoch {new.epoch}."
        )
    if _is_same(previous, proposed):
        return Step.UNCHANGED
    if new.floor < old.floor:
        raise Rollback(f"Expected a floor of {old.floor} or higher, found {new.floor}.")
    return Step.NEWER


def _is_same(previous: Verified[V], proposed: Verified[V]) -> bool:
    """Tell whether two documents are one; envelopes may differ, since base64 has free bits and keys sign anew."""
    old, new = previous.document, proposed.document
    if (old.epoch, old.version) != (new.epoch, new.version):
        return False
    if previous.payload_digest == proposed.payload_digest:
        return True
    raise Equivocation(
        f"{tag_of(type(new)).capitalize()} {new.version} was signed with two contents: "
        f"{previous.payload_digest} and {proposed.payload_digest}.",
        hint="Somebody else holds the key, or a publisher counts wrongly. Publish the next version.",
    )


def approved_entry(release: Release, digest: str) -> Approved | None:
    """Return what a release says of a manifest that it approves and its floor allows; None where it does not."""
    for entry in runnable(release):
        if entry.digest == digest:
            return entry
    return None


def runnable(release: Release) -> tuple[Approved, ...]:
    """Return what a release lets run: the current one first, then the newest first, none below the floor."""
    allowed = [entry for entry in release.approved if entry.version >= release.floor]
    return tuple(sorted(allowed, key=lambda entry: (entry.digest != release.current, -entry.version)))


def effective(release: Release, control: Control, revision: str) -> tuple[Approved, ...]:
    """Return what a replica of one revision tries, in order: current, good, approved; then it has the image's own.

    What the fleet marked bad for this revision is left out. Good ones count only while they are approved.
    Source: FLEET, Manifests.
    """
    good = {one.digest: place for place, one in enumerate(control.good)}
    bad = {one.digest for one in control.bad if one.revision == revision}

    def rank(entry: Approved) -> tuple[bool, int]:
        return entry.digest != release.current, good.get(entry.digest, len(good))

    return tuple(sorted((entry for entry in runnable(release) if entry.digest not in bad), key=rank))
