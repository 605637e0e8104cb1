"""The loop is free while a manifest is judged, and nothing is decoded where nothing changed."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from pointsman.control import reading
from pointsman.control.effective import LARGE_BYTES, Choice, Manifests
from pointsman.control.publishing import Publisher
from pointsman.control.reading import FoundRelease, Reader
from pointsman.control.roots import Roots
from pointsman.manifests.contents import contribution_of
from pointsman.manifests.schema import CandidateEntry, Manifest
from pointsman.manifests.verification import Verified
from pointsman.runtime.inputs import ManifestInput
from pointsman.stores.memory import MemoryStore
from tests.fleet.ground import ground_on
from tests.forge import NOW, Forge

FORGE = Forge()


def now() -> datetime:
    return NOW


def entry(number: int) -> CandidateEntry:
    return CandidateEntry(domain="adapter", key=f"cache-{number}", provider="own", factory="acme.cache:Own")


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore(clock=now)
    envelope = FORGE.sealed(FORGE.manifest(candidates=tuple(map(entry, range(1_000)))))
    assert len(envelope) > LARGE_BYTES
    publisher = Publisher(store, FORGE.trust, now)
    await publisher.publish(FORGE.sealed(FORGE.release(envelope)), manifests=[envelope])
    return store


async def test_the_loop_turns_while_a_large_manifest_is_judged(store: MemoryStore) -> None:
    began, turned = threading.Event(), threading.Event()

    def admission(verified: Verified[Manifest]) -> ManifestInput:
        began.set()
        assert turned.wait(10), "the loop stood still until the manifest was judged"
        manifest = verified.document
        return ManifestInput(
            contribution_of(manifest, {}), manifest.version, verified.envelope_digest, manifest.expires
        )

    ground = ground_on(store, now=NOW)
    place = await Reader(ground, Roots(FORGE.trust, store)).release()
    assert isinstance(place, FoundRelease)
    chosen = place.release.document.approved[0]
    taken: list[ManifestInput] = []

    async def load() -> None:
        taken.append(await Manifests(ground, admission).load(Choice(chosen.digest, chosen), place))

    async with anyio.create_task_group() as group:
        group.start_soon(load)
        while not began.is_set():
            await checkpoint()
        turned.set()
    assert len(taken[0].contribution.candidates) == 1_000


async def test_a_refresh_with_nothing_new_decodes_nothing(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = ground_on(store, now=NOW)
    reader = Reader(ground, Roots(FORGE.trust, store))
    await store.create(reading.HEAD, FORGE.head(signed_at=NOW))
    decoded: list[str] = []
    for name in ("decode_head", "verify_head", "verify_release", "wanted_root"):
        step = getattr(reading, name)

        def spy(*given: Any, _step: Any = step, _name: str = name, **named: Any) -> Any:
            decoded.append(_name)
            return _step(*given, **named)

        monkeypatch.setattr(reading, name, spy)
    head = await reader.head()
    assert head is not None
    assert decoded == ["decode_head", "wanted_root", "verify_head"]
    decoded.clear()
    assert await reader.head(head.generation) is None
    assert not decoded
