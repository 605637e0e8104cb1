"""Documents before they are signed: what every kind says first, and a root from the keys of its holders."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from pointsman.manifests.schema import SPEC_VERSION, Audience, Role, Root

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pointsman.manifests.keys import PublicKey
    from pointsman.manifests.schema import RoleName


class Heading(msgspec.Struct, frozen=True):
    """What a root, a manifest and a release begin with; times are aware."""

    version: int
    epoch: int
    issued_at: datetime
    expires: datetime
    audience: Audience


def draft_root(
    heading: Heading, holders: Mapping[RoleName, Sequence[PublicKey]], thresholds: Mapping[RoleName, int]
) -> Root:
    """Return the root that lets these keys sign; whether it would do, `load_root` and `rotate` say.

    Args:
        heading: Version 1 for the image's first, one more for each that follows.
        holders: Role to its keys, all four roles.
        thresholds: How many of them must sign; 1 where it is left out.
    """
    return Root(
        spec_version=SPEC_VERSION,
        epoch=heading.epoch,
        version=heading.version,
        issued_at=heading.issued_at,
        expires=heading.expires,
        audience=heading.audience,
        keys={key.keyid: str(key) for keys in holders.values() for key in keys},
        roles={
            name: Role(keyids=tuple(key.keyid for key in keys), threshold=thresholds.get(name, 1))
            for name, keys in holders.items()
        },
    )
