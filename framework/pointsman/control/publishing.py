"""The publisher's side: roots, then manifests, then the release that names them; the last is what changes anything.

Publishers propose. They hold no control key, never write the head, and are judged here by the same rules by which
replicas will judge them, before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from pointsman.control.effective import FOLDER
from pointsman.control.objects import body_of, read_whole
from pointsman.control.reading import RELEASE
from pointsman.control.roots import PREFIX, Roots
from pointsman.errors import Equivocation, NotFound, PreconditionFailed
from pointsman.manifests.envelope import digest_of
from pointsman.manifests.release import Step, accept
from pointsman.manifests.verification import verify_manifest, verify_release, wanted_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pointsman.manifests.schema import Approved, Release
    from pointsman.manifests.trust import Trust
    from pointsman.manifests.verification import Verified
    from pointsman.stores.store import Store


class Published(msgspec.Struct, frozen=True):
    """What was published; ``changed`` is false where exactly this release was there already."""

    release: Verified[Release]
    changed: bool


class Publisher:
    """Writes what replicas adopt.

    Args:
        store: Of the releases.
        trust: What the image believes; the chain of roots starts there.
        clock: Aware time.
    """

    def __init__(self, store: Store, trust: Trust, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._trust = trust
        self._roots = Roots(trust, store)
        self._clock = clock

    async def publish(
        self, release: bytes, *, manifests: Iterable[bytes] = (), roots: Mapping[int, bytes] | None = None
    ) -> Published:
        """Publish a release with what it names; everything is verified, and in its place, before the release is.

        Args:
            release: In its envelope.
            manifests: In their envelopes; those that lie in the store already may be left out.
            roots: New roots by version.

        Raises:
            ManifestError: Replicas would refuse something of it.
            Equivocation: Another root lies under this number.
            PreconditionFailed: Somebody else published meanwhile.
            StoreError: The store refused, or did not answer; the release may have been written if that was last.
        """
        for version, data in sorted((roots or {}).items()):
            await self._put_root(version, data)
        now = self._clock()
        trust = await self._roots.trust_for(wanted_root(release, self._trust), now)
        verified = verify_release(release, trust, now)
        given = {digest_of(data): data for data in manifests}
        for entry in verified.document.approved:
            await self._put_manifest(entry, given.get(entry.digest), trust, verified)
        return await self._put_release(release, verified, trust)

    async def current(self) -> Verified[Release] | None:
        """Return the release that lies in the store; ``None``: there is none.

        Raises:
            ManifestError: It is refused.
            StoreError: The store did not give it.
        """
        found = await self._read_release()
        return None if found is None else found[1]

    async def _put_root(self, version: int, data: bytes) -> None:
        name = f"{PREFIX}{version}"
        if await self._create(name, data):
            return
        if await read_whole(self._store, name, max_bytes=self._trust.limits.max_root_bytes) != data:
            raise Equivocation(f"Expected to publish {name}, found another root there.")

    async def _put_manifest(
        self, entry: Approved, data: bytes | None, trust: Trust, release: Verified[Release]
    ) -> None:
        name = f"{FOLDER}{entry.digest}"
        if data is None:
            data = await read_whole(self._store, name, max_bytes=trust.limits.max_manifest_bytes)
        verify_manifest(data, trust, self._clock(), entry=entry, release=release)
        await self._create(name, data)

    async def _put_release(self, data: bytes, verified: Verified[Release], trust: Trust) -> Published:
        standing = await self._read_release()
        if standing is None:
            accept(None, verified)
            await self._store.create(RELEASE, data)
            return Published(verified, changed=True)
        generation, before = standing
        if accept(before, verified) is Step.UNCHANGED:
            return Published(before, changed=False)
        await self._store.write(RELEASE, data, expect=generation)
        return Published(verified, changed=True)

    async def _read_release(self) -> tuple[str, Verified[Release]] | None:
        try:
            read = await self._store.read(RELEASE, max_bytes=self._trust.limits.max_head_bytes)
        except NotFound:
            return None
        data, now = body_of(read, RELEASE), self._clock()
        trust = await self._roots.trust_for(wanted_root(data, self._trust), now)
        return read.generation, verify_release(data, trust, now)

    async def _create(self, name: str, data: bytes) -> bool:
        """Create an object, and tell whether it was not there before."""
        try:
            await self._store.create(name, data)
        except PreconditionFailed:
            return False
        return True
