"""A fleet for a cold start: root, keys, a signed manifest and a head, published to a store as a publisher does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pointsman.control.founding import adopt_head
from pointsman.control.publishing import Publisher
from pointsman.control.reading import Reader
from pointsman.control.roots import Roots
from pointsman.control.sealing import Seal
from pointsman.manifests.root import load_root
from pointsman.manifests.schema import Audience, Manifest, TenantEntry
from pointsman.manifests.trust import establish_trust
from pointsman.stores.store import open_store
from tests.fleet.ground import ground_on
from tests.forge import Forge

AUDIENCE = Audience("bench", "test")


def found(folder: Path, url: str) -> str:
    """Publish to a store; returns what ``app.yml`` must say to follow it."""
    return asyncio.run(_found(folder, url))


async def _found(folder: Path, url: str) -> str:
    now = datetime.now(UTC).replace(microsecond=0)
    forge = Forge(audience=AUDIENCE)
    root = forge.sealed(forge.root(issued_at=now - timedelta(hours=2), expires=now + timedelta(days=300)))
    path = folder / "root.json"
    path.write_bytes(root)
    manifest = Manifest(
        spec_version=1,
        epoch=1,
        version=1,
        issued_at=now - timedelta(hours=1),
        expires=now + timedelta(days=30),
        audience=AUDIENCE,
        tenants={"acme": TenantEntry(selections={"service/a": "one"})},
    )
    envelope = forge.sealed(manifest)
    release = forge.release(
        envelope,
        version=1,
        floor=1,
        issued_at=now - timedelta(minutes=30),
        expires=now + timedelta(days=20),
        approved=(forge.approved(envelope, 1),),
        min_control_seq=0,
    )
    store = open_store(url)
    trust = establish_trust(load_root(root), AUDIENCE, {})
    publisher = Publisher(store, trust, lambda: datetime.now(UTC))
    await publisher.publish(forge.sealed(release), manifests=[envelope])
    ground = ground_on(store)
    await adopt_head(ground, Reader(ground, Roots(trust, store)), Seal(forge.holders["control"][0]))
    await store.aclose()
    return f"service: bench\nenvironment: test\ncontrol: {{store: '{url}'}}\ntrust: {{root: '{path}'}}\n"
