"""Rows: a manifest from its bytes to a catalog that answers, beside the least that such bytes can cost.

The floor hashes the envelope, verifies one signature over the whole PAE and parses the payload with orjson; it neither
decodes base64, nor checks a schema, nor makes an index. Garbage is collected between rounds, never within one.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

from pointsman.manifests.admission import Gate, admit
from pointsman.manifests.contents import contribution_of
from pointsman.manifests.envelope import decode_envelope, pae
from pointsman.manifests.factories import parse_factory_pattern
from pointsman.manifests.limits import Limits
from pointsman.manifests.schema import CandidateEntry
from pointsman.manifests.verification import verify_manifest
from pointsman.resolution.eligibility import this_environment
from pointsman.runtime.inputs import Inputs, ManifestInput
from pointsman.runtime.requirements import check_manifest_selections
from pointsman.runtime.snapshot import Snapshot, snapshot_of
from tests.bench.harness import Figures, NotMeasuredError, Row, Samples, Size
from tests.forge import NOW, Forge

MAX_BYTES = 1 << 30
TICK_S = 0.001
FORGE = Forge(limits=replace(Limits(), max_manifest_bytes=MAX_BYTES))
TRUST = FORGE.trust  # established at the start, once
GATE = Gate(factories=(parse_factory_pattern("bench.**:*"),))
ENVIRONMENT = this_environment()


def entry(number: int) -> CandidateEntry:
    """Return one of many candidates, four to a component."""
    return CandidateEntry(
        domain="service",
        key=f"component-{number // 4}",
        provider=("redis", "memory", "disk", "remote")[number % 4],
        factory=f"bench.parts.part{number % 40}:Part",
        priority=number % 100,
        capabilities=("ttl", "atomic"),
        description=f"The part of team {number}, kept by its owners",
        version="1.4.2",
        owner=f"team-{number % 500}",
    )


def signed(candidates: int) -> bytes:
    """Return the envelope of a manifest of so many candidates."""
    return FORGE.sealed(FORGE.manifest(candidates=tuple(map(entry, range(candidates)))))


def let_in(data: bytes) -> ManifestInput:
    """Verify, decode and admit; in a service a thread does it."""
    verified = verify_manifest(data, TRUST, NOW)
    admit(verified.document, GATE)
    contribution = contribution_of(verified.document, {})
    return ManifestInput(contribution, verified.document.version, verified.envelope_digest, verified.document.expires)


def swapped_in(manifest: ManifestInput) -> Snapshot:
    """Make the next snapshot, and judge its selections; in a service the loop does it."""
    serials = count(1)
    snapshot = snapshot_of(
        Inputs(manifest=manifest), NOW, None, environment=ENVIRONMENT, next_serial=partial(next, serials)
    )
    check_manifest_selections(snapshot.catalog)
    return snapshot


def floor_of(data: bytes) -> Callable[[], object]:
    """Return what does the least that such bytes can cost."""
    try:
        import orjson
    except ModuleNotFoundError as error:
        raise NotMeasuredError("orjson is not installed") from error
    from nacl.signing import VerifyKey

    opened = decode_envelope(data, MAX_BYTES)
    message, signature = pae(opened.payload_type, opened.payload), opened.signatures[0].signature
    public = FORGE.holders["manifest"][0].public.raw

    def once() -> object:
        hashlib.sha256(data).digest()
        VerifyKey(public).verify(message, signature)
        return orjson.loads(opened.payload)

    return once


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the collector off, and collect what was there before."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def taken(candidates: int, size: Size) -> Figures:
    """Measure the floor and ours in turn."""
    data = signed(size.of(candidates, 10))
    subjects = {"floor": floor_of(data), "pointsman": lambda: swapped_in(let_in(data))}
    samples: Samples = {who: [] for who in subjects}
    for _ in range(size.rounds):
        for who, once in subjects.items():
            with no_collection():
                began = time.perf_counter()
                kept = once()
                samples[who].append(time.perf_counter() - began)
                del kept
    return Figures(samples, "pointsman", ("floor",), "s", "collector off in both")


def held(candidates: int, size: Size) -> Figures:
    """Measure the longest that the loop could not turn while a manifest was taken, as control takes it."""
    data = signed(size.of(candidates, 10))
    longest = [asyncio.run(_longest_turn(data)) for _ in range(size.rounds)]
    idle = [asyncio.run(_longest_turn(None)) for _ in range(size.rounds)]
    return Figures({"pointsman": longest, "idle": idle}, "pointsman", ("idle",), "s", "the longest turn of a round")


async def _longest_turn(data: bytes | None) -> float:
    loop = asyncio.get_running_loop()
    longest, last = 0.0, loop.time()

    def tick() -> None:
        nonlocal longest, last, timer
        now = loop.time()
        longest, last = max(longest, now - last - TICK_S), now
        timer = loop.call_later(TICK_S, tick)

    timer = loop.call_later(TICK_S, tick)
    if data is None:
        await asyncio.sleep(0.1)
    else:
        kept: Any = swapped_in(await asyncio.to_thread(let_in, data))
        await asyncio.sleep(0.02)
        del kept
    timer.cancel()
    return max(longest, 1e-6)


ROWS = tuple(
    Row(
        place,
        f"manifest of {candidates} candidates: verify, decode, admit, index, swap in",
        "sha256 + Ed25519 over the whole PAE + orjson.loads",
        1.5,
        partial(taken, candidates),
    )
    for place, candidates in ((13, 10_000), (13.1, 100_000))
) + tuple(
    Row(
        place,
        f"the longest turn of the loop while {candidates} candidates are taken",
        "an idle loop",
        20,
        partial(held, candidates),
        unit="ms",
    )
    for place, candidates in ((13.2, 10_000), (13.3, 100_000))
)
