"""A fleet in a folder, unsigned as in development: what tests of operators' commands stand on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random

from pointsman.control.clocks import StoreClock, SystemClock
from pointsman.control.founding import adopt_head
from pointsman.control.pacing import Limits
from pointsman.control.ports import Ground
from pointsman.control.publishing import Publisher
from pointsman.control.reading import Reader
from pointsman.control.roots import Roots
from pointsman.control.sealing import Seal
from pointsman.manifests.canonical import encode
from pointsman.manifests.schema import Approved, Audience, Manifest, Release
from pointsman.manifests.trust import establish_trust
from pointsman.stores.store import open_store


async def founded(folder: Path) -> str:
    """Publish an empty manifest and found a head; return the store's URL."""
    url = f"file://{folder / 'fleet'}"
    now, audience = datetime.now(UTC).replace(microsecond=0), Audience("words", "development")
    times = {"issued_at": now - timedelta(hours=1), "expires": now + timedelta(days=30)}
    manifest = encode(Manifest(spec_version=1, epoch=1, version=1, audience=audience, **times))
    approved = Approved(digest=sha256(manifest).hexdigest(), length=len(manifest), version=1)
    release = Release(
        spec_version=1, epoch=1, version=1, audience=audience, floor=0, current=approved.digest,
        approved=(approved,), root=1, min_control_seq=0, **times,
    )  # fmt: skip
    store, clock = open_store(url), SystemClock()
    trust = establish_trust(None, audience, {})
    await Publisher(store, trust, lambda: datetime.now(UTC)).publish(encode(release), manifests=[manifest])
    ground = Ground(
        heads=store, releases=store, clock=clock, time=StoreClock(clock), random=Random(1),
        limits=Limits(10.0, 60.0, 60.0), report=lambda _event, **_fields: None,
    )  # fmt: skip
    await adopt_head(ground, Reader(ground, Roots(trust, store)), Seal())
    await store.aclose()
    return url
