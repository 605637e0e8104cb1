"""Rows: what 100 000 candidates of a manifest, and 100 000 tenants, take in memory beside plain Python objects.

Each side lives in a process of its own, and is measured by what the process's resident set has grown once garbage is
collected: allocators fragment, and only the kernel knows it.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.harness import FailedError, Figures, Interleaved, NotMeasuredError, Row, Size
from tests.bench.serving import ROOT, surroundings

if TYPE_CHECKING:
    from tests.forge import Forge

COMPONENTS = tuple(f"service/part{number}" for number in range(10))
PROVIDERS = tuple(f"p{number}" for number in range(9))


@dataclass(slots=True)
class Plain:
    """A candidate as one would write it without a thought."""

    domain: str
    key: str
    provider: str
    factory: str
    priority: int
    lifetime: str
    description: str
    capabilities: tuple[str, ...]


def said(number: int) -> dict[str, Any]:
    """Return what a manifest says about a candidate, every string made anew."""
    return {
        "domain": "".join(("serv", "ice")),
        "key": f"k{number // 10}",
        "provider": f"p{number}",
        "factory": f"bench.parts:F{number}",
        "priority": number % 7,
        "lifetime": "".join(("sha", "red")),
        "description": f"provider {number} of the bench",
        "capabilities": ("".join(("g", "et")), "".join(("s", "et"))),
    }


def plain_candidates(count: int) -> object:
    """Return slots dataclasses with fresh strings."""
    return [Plain(**said(number)) for number in range(count)]


def plain_tenants(count: int) -> object:
    """Return one dict for each tenant; what they name is shared."""
    return {f"tenant-{number}": overrides(number) for number in range(count)}


def overrides(number: int) -> dict[str, str]:
    """Return one of 7 290 distinct sets of three overrides."""
    return {COMPONENTS[(number + step) % 10]: PROVIDERS[number // 9**step % 9] for step in range(3)}


def sign_candidates(count: int, path: str) -> None:
    """Write a signed manifest of so many candidates."""
    from pointsman.manifests.schema import CandidateEntry

    entries = tuple(CandidateEntry(**said(number)) for number in range(count))
    Path(path).write_bytes(forge().sealed(forge().manifest(candidates=entries)))


def sign_tenants(count: int, path: str) -> None:
    """Write a signed manifest of so many tenants."""
    from pointsman.manifests.schema import TenantEntry

    entries = {f"tenant-{number}": TenantEntry(selections=overrides(number)) for number in range(count)}
    Path(path).write_bytes(forge().sealed(forge().manifest(tenants=entries)))


def forge() -> Forge:
    """Return a forge without a cap on manifests."""
    from pointsman.manifests.limits import Limits
    from tests.forge import Forge

    return Forge(limits=replace(Limits(), max_manifest_bytes=1 << 30))


def taken_in(path: Path) -> object:
    """Verify a manifest, and let it decide in a runtime, as control does."""
    from pointsman.manifests.contents import contribution_of
    from pointsman.manifests.verification import verify_manifest
    from pointsman.runtime.inputs import ManifestInput
    from pointsman.runtime.runtime import Runtime
    from pointsman.runtime.settings import Settings
    from tests.forge import NOW

    verified = verify_manifest(path.read_bytes(), forge().trust, NOW)
    document = verified.document
    manifest = ManifestInput(
        contribution_of(document, {}), document.version, verified.envelope_digest, document.expires
    )
    runtime = Runtime(Settings(), plugins=False)
    runtime.points.change(lambda inputs: replace(inputs, manifest=manifest))
    runtime.explain("service", "k7", tenant="tenant-7")
    return runtime


def resident() -> int:
    """Return the bytes that this process has in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _grown(what: str, count: int) -> Callable[[], float]:
    command = [sys.executable, "-m", "tests.bench.memory", what, str(count)]

    def once() -> float:
        if not Path("/proc/self/statm").exists():
            raise NotMeasuredError("only Linux tells a process's memory here")
        done = subprocess.run(command, env=surroundings(ROOT), cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FailedError(" ".join(done.stderr[-200:].split()))
        return float(json.loads(done.stdout)) / 2**20

    return once


def _pair(size: Size, ours: str, plain: str) -> Figures:
    count = size.of(100_000, 1_000)
    subjects = {"pointsman": _grown(ours, count), "plain objects": _grown(plain, count)}
    samples = Interleaved(Size(min(size.rounds, 3), size.scale)).run(
        subjects
    )  # memory does not depend on who else runs
    return Figures(samples, "pointsman", ("plain objects",), "MB", "three rounds, resident memory")


def main(what: str, count: int) -> None:
    """Make one side, and print how many bytes it keeps."""
    plain = {"plain candidates": plain_candidates, "plain tenants": plain_tenants}
    with tempfile.TemporaryDirectory() as folder:
        few, many = (Path(folder) / name for name in ("few", "many"))
        if what in plain:
            made: Callable[[], object] = partial(plain[what], count)
            plain[what](100)
        else:  # signed in a process of its own, whose memory is none of ours
            for amount, path in ((100, few), (count, many)):
                sign = f"from tests.bench import memory; memory.sign_{what}({amount}, {str(path)!r})"
                subprocess.run([sys.executable, "-c", sign], check=True)
            taken_in(few)  # what is loaded and cached at first is not counted
            made = partial(taken_in, many)
        gc.collect()
        before = resident()
        kept = made()
        gc.collect()
        print(json.dumps(resident() - before))
        del kept


ROWS = (
    Row(
        15,
        "memory of 100 000 candidates, indexed",
        "100 000 slots dataclasses with fresh strings",
        0.35,
        lambda size: _pair(size, "candidates", "plain candidates"),
        slow=True,
    ),
    Row(
        16,
        "memory of 100 000 tenants × 3 overrides, 7 290 distinct sets",
        "one dict each",
        0.3,
        lambda size: _pair(size, "tenants", "plain tenants"),
        slow=True,
    ),
)

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
