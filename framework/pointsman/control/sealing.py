"""Sign the control document, and put it beside the release into the bytes of a head.

The one place that holds the control key. What leaves here was read back by the same rules by which every replica will
read it, so no write can lock the fleet out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from pointsman.control.reading import FleetHead
from pointsman.errors import ControlFull, ReadOnlyReplica, TooLarge
from pointsman.manifests.canonical import encode
from pointsman.manifests.envelope import sign_document
from pointsman.manifests.verification import encode_head, verify_head

if TYPE_CHECKING:
    from datetime import datetime

    from pointsman.control.commands import Command
    from pointsman.manifests.keys import SigningKey
    from pointsman.manifests.schema import Control
    from pointsman.manifests.trust import Trust
    from pointsman.manifests.verification import VerifiedHead
    from pointsman.stores.store import Written

RESERVE_BYTES: Final = 4 * 1024
"""Room that only pauses and drains of everyone, clears and internal writes may use."""
_AROUND_BYTES: Final = 512
"""Type, key id, signature, braces, and the digits by which a document grows when it is signed."""


class Sealed(msgspec.Struct, frozen=True):
    """A head that is ready to be written."""

    data: bytes
    head: VerifiedHead
    envelope: bytes
    trust: Trust

    def stored(self, written: Written) -> FleetHead:
        """Return the head as it lies in the store now."""
        place = written.generation, written.stamp
        return FleetHead(self.head.release, self.head.control, self.envelope, self.trust, *place)


class Seal(msgspec.Struct, frozen=True):
    """Signs heads; without a key only where unsigned documents are read."""

    key: SigningKey | None = None

    def may_sign(self, trust: Trust) -> bool:
        """Tell whether what this signs would be believed."""
        if trust.root is None or self.key is None:
            return trust.unsigned
        role = trust.root.roles["control"]
        return role.threshold == 1 and any(key.keyid == self.key.keyid for key in role.keys)

    def check(self, trust: Trust) -> None:
        """Refuse to begin what could not be signed.

        Raises:
            ReadOnlyReplica: There is no key, or its signature alone would not do.
        """
        if not self.may_sign(trust):
            raise ReadOnlyReplica(
                "Expected a control key whose signature alone the trust root accepts, found none on this replica.",
                hint="Set control.key to a key of the root's role `control`, whose threshold must be 1.",
            )

    def seal(self, release: bytes, control: Control, trust: Trust, now: datetime) -> Sealed:
        """Return the head of a release's envelope, verbatim, and a control document, signed.

        Raises:
            ReadOnlyReplica: See `check`.
            ControlFull: The head would be over its cap.
            ManifestError: Replicas would refuse it.
        """
        self.check(trust)
        keys = [] if self.key is None or trust.root is None else [self.key]  # what nobody can judge is not signed
        envelope = sign_document(control, keys) if keys else encode(control)
        data = encode_head(release, envelope)
        try:
            return Sealed(data, verify_head(data, trust, now), release, trust)
        except TooLarge as error:
            raise _full(trust.limits.max_head_bytes, len(data)) from error


def fitted(control: Control, envelope: bytes, command: Command, trust: Trust) -> Control:
    """Return the document after a command if the head has room for it.

    A clear, and a pause or drain of everyone, may use the reserve, and makes room by forgetting old tombstones.

    Raises:
        ControlFull: There is no room.
    """
    from pointsman.control.head import forget

    privileged = command.clear or (command.slot == "gate" and command.tenants is None)
    room = trust.limits.max_head_bytes - (0 if privileged else RESERVE_BYTES)
    while (size := _size(control, envelope)) > room:
        fewer = forget(control) if privileged else None
        if fewer is None:
            raise _full(room, size)
        control = fewer
    return control


def _size(control: Control, envelope: bytes) -> int:
    """Return how many bytes the head will have at most: base64 and one signature around the document."""
    return len(envelope) + len(encode(control)) * 4 // 3 + _AROUND_BYTES


def _full(room: int, size: int) -> ControlFull:
    return ControlFull(
        f"Expected a head of at most {room} bytes, found {size}.",
        hint="Clear orders that are not needed any more; one order for many tenants takes less room than many.",
    )
