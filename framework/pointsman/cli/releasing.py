"""Publish releases: which manifest should run from now on, and which ones may.

Everything is judged here by the rules by which replicas judge it, before anything is written; what publishers write
is a proposal, and replicas adopt it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pointsman.cli.drafts import Life, approved_as, release_after
from pointsman.cli.files import read_keys, read_paper
from pointsman.cli.rooting import read_root
from pointsman.control.effective import FOLDER
from pointsman.control.publishing import Publisher
from pointsman.errors import ConfigurationError, Malformed, NotFound
from pointsman.manifests.canonical import encode
from pointsman.manifests.envelope import digest_of, sign_document
from pointsman.manifests.release import take
from pointsman.manifests.schema import Approved, Manifest
from pointsman.manifests.verification import verify_manifest
from pointsman.resolution.template import expand
from pointsman.stores.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from pointsman.manifests.keys import SigningKey
    from pointsman.manifests.schema import Release
    from pointsman.manifests.trust import Trust
    from pointsman.resolution.template import expand
from pointsman.stores.store import Store


@dataclass(frozen=True, slots=True)
class Press:
    """Where releases are published, and by what they are judged."""

    store: Store
    trust: Trust

    @property
    def publisher(self) -> Publisher:
        """Writes what replicas adopt."""
        return Publisher(self.store, self.trust, _now)


@asynccontextmanager
async def press(store: str, root: Path | None, reference: str) -> AsyncGenerator[Press]:
    """Open the store of releases, for the time of the block.

    Args:
        store: Its URL; unsaid: that of the application's settings.
        root: The trust root; unsaid: that of the application's settings.
        reference: The application.

    Raises:
        ConfigurationError: Nobody names a store, or the application is wrong.
    """
    from pointsman.cli.signing import trust_of

    trust = await trust_of(root, reference)
    opened = open_store(store or _store_of(reference))
    try:
        yield Press(opened, trust)
    finally:
        await opened.aclose()


async def publish(
    on: Press, manifest: Path, keys: Sequence[Path], life: Life, *, floor: int | None, roots: Sequence[Path]
) -> dict[str, Any]:
    """Publish a manifest as the one that should run; return what was published.

    Raises:
        ConfigurationError: A file cannot be read.
        ManifestError: Replicas would refuse it.
        StoreError: The store refused, or did not answer.
    """
    paper = read_paper(manifest)
    document = paper.document
    if not isinstance(document, Manifest):
        raise Malformed(f"{manifest}: expected a manifest, found another document.")
    chain = dict(map(_root, roots))
    previous = await on.publisher.current()
    current = Approved(digest=digest_of(paper.data), length=len(paper.data), version=document.version)
    if previous is not None:
        await _refuse_second_content(on, paper.data, previous.document, current)
    versions = [on.trust.root.version if on.trust.root else 1, *chain]
    release = release_after(
        previous.document if previous else None, current, on.trust, life, floor=floor, root=max(versions)
    )
    return await _publish(on, release, read_keys(keys), manifests=[paper.data], roots=chain)


async def revert(on: Press, name: str, keys: Sequence[Path], life: Life) -> dict[str, Any]:
    """Publish a release under which a manifest that is approved already should run; return what was published.

    Raises:
        NotFound: There is no release, or it approves none of this name.
        ManifestError: Replicas would refuse it.
        StoreError: The store refused, or did not answer.
    """
    previous = await on.publisher.current()
    if previous is None:
        raise NotFound("Expected a release to revert, found none.", hint="Publish one: pointsman manifest publish")
    entry = approved_as(previous.document, name)
    release = release_after(previous.document, entry, on.trust, life, root=previous.document.root)
    return await _publish(on, release, read_keys(keys))


async def _publish(
    on: Press,
    release: Release,
    keys: Sequence[SigningKey],
    *,
    manifests: Sequence[bytes] = (),
    roots: Mapping[int, bytes] | None = None,
) -> dict[str, Any]:
    if not keys and not on.trust.unsigned:
        raise ConfigurationError("Expected a key that signs the release, found none.", hint="Say it: --key release.key")
    data = sign_document(release, keys) if keys else encode(release)
    done = await on.publisher.publish(data, manifests=manifests, roots=roots)
    published = done.release.document
    current = next(entry for entry in published.approved if entry.digest == published.current)
    return {
        "store": on.store.url,
        "release": published.version,
        "epoch": published.epoch,
        "expires": published.expires.isoformat(),
        "floor": published.floor,
        "root": published.root,
        "current": {"version": current.version, "digest": current.digest},
        "approved": [entry.version for entry in published.approved],
        "changed": done.changed,
    }


async def _refuse_second_content(on: Press, data: bytes, previous: Release, current: Approved) -> None:
    """Refuse to say two things under one version; another envelope of one payload is no second thing.

    Raises:
        Equivocation: The version was published with other content.
    """
    for entry in previous.approved:
        if entry.version == current.version and entry.digest != current.digest:
            read = await on.store.read(f"{FOLDER}{entry.digest}", max_bytes=on.trust.limits.max_manifest_bytes)
            now = _now()
            take(verify_manifest(read.body or b"", on.trust, now), verify_manifest(data, on.trust, now))


def _root(path: Path) -> tuple[int, bytes]:
    document, data = read_root(path)
    return document.version, data


def _store_of(reference: str) -> str:
    from pointsman.cli.applications import runtime_of
    from pointsman.control.settings import ControlSettings

    runtime = runtime_of(reference)
    settings = runtime.settings.section(ControlSettings)
    url = expand(settings.releases or settings.store, env=runtime.environ, where="control.releases")
    if not url:
        raise ConfigurationError(
            "Expected a store for releases, found none in the settings.", hint="Say it: --store gs://bucket/prefix"
        )
    return url


def _now() -> datetime:
    return datetime.now(UTC)
