"""The trust roots of this replica: the image's, and those that releases want.

Each root is signed by the one before it, so whoever writes the store can withhold one and no more. A document is
judged by the root that its release wants, but never by one older than the head in force was judged by: a key that was
rotated away stays away.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pointsman.control.objects import read_whole
from pointsman.errors import NotFound, UntrustedRoot
from pointsman.manifests.root import check_min_root, missing_roots, rotate

if TYPE_CHECKING:
    from datetime import datetime

    from pointsman.manifests.root import TrustRoot
    from pointsman.manifests.trust import Trust
    from pointsman.stores.store import Store

PREFIX: Final = "roots/"


class Roots:
    """The verified chain; concurrent tasks may share one.

    Args:
        trust: What the image believes.
        store: Where ``roots/<n>`` lie.
        min_root: The oldest root on which anything may be judged.
    """

    def __init__(self, trust: Trust, store: Store, *, min_root: int = 0) -> None:
        self._trust = trust
        self._store = store
        self._min_root = min_root
        self._chain: dict[int, TrustRoot] = {} if trust.root is None else {trust.root.version: trust.root}
        self._in_force = 0

    @property
    def image(self) -> Trust:
        """What the image believes; also the limits that hold whatever root does."""
        return self._trust

    def put_in_force(self, trust: Trust) -> None:
        """Remember that a head was taken under this root: none older judges anything from now on."""
        if trust.root is not None:
            self._in_force = max(self._in_force, trust.root.version)

    async def trust_for(self, wanted: int, now: datetime) -> Trust:
        """Return what judges a document whose release wants a root, fetching what is missing of the chain.

        Raises:
            UntrustedRoot: A root on the way is not to be had, or is not signed by its predecessor and itself.
            ManifestError: A root on the way is refused otherwise, see `rotate`.
            StoreError: The store did not give one.
        """
        if self._trust.root is None:
            return self._trust
        version = max(wanted, self._trust.root.version, self._in_force, self._min_root)
        newest = self._chain[max(self._chain)]
        for missing in missing_roots(newest, version):
            newest = rotate(newest, await self._fetch(missing), now, self._trust.limits)
            self._chain[newest.version] = newest
        found = self._chain.get(version, newest)
        check_min_root(found, version)
        return replace(self._trust, root=found)

    async def _fetch(self, version: int) -> bytes:
        try:
            return await read_whole(self._store, f"{PREFIX}{version}", max_bytes=self._trust.limits.max_root_bytes)
        except NotFound as error:
            raise UntrustedRoot(
                f"Expected root {version} as {PREFIX}{version}, found none.",
                hint="Publish the roots before the release that wants them: pointsman manifest publish",
            ) from error
