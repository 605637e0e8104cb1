"""What the table of speed reached stays reached, within a slack that noise does not use up.

Judged by the ratio of the minima of interleaved rounds in one run, never by a time. Rows whose peers are not installed
are left out; the HTTP rows and the cold starts are measured by `python -m tests.bench` only.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from pointsman.manifests.contents import contribution_of
from pointsman.manifests.verification import verify_manifest
from tests.bench import memory
from tests.bench.harness import NotMeasuredError, Row, Size
from tests.bench.table import rows
from tests.forge import NOW

SLACK: Final = 1.75
SCALE: Final = 0.05
WHOLE: Final = frozenset({13})
"""Places of rows that are measured at full size: in a twentieth of it they are mostly what each round costs."""
NOT_REACHED: Final[dict[float, float]] = {4: 1.2}
"""Place → what it may not exceed until its figure is reached; then its entry goes."""


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "row", [row for row in rows() if not row.slow and row.unit == "×"], ids=lambda row: f"{row.place:g}"
)
def test_what_was_reached_stays_reached(row: Row) -> None:
    if sys.gettrace() is not None:
        pytest.skip("somebody traces each line, so that short functions seem slow")
    try:
        figures = row.measure(Size(rounds=7, scale=1 if row.place in WHOLE else SCALE))
    except (NotMeasuredError, ModuleNotFoundError) as missing:
        pytest.skip(str(missing))
    assert figures.floor_ratio <= NOT_REACHED.get(row.place, row.limit * SLACK), figures.samples


@pytest.mark.parametrize(
    ("sign", "plain", "count", "most"),
    [
        pytest.param(memory.sign_candidates, memory.plain_candidates, 10_000, 0.25, id="candidates"),
        pytest.param(memory.sign_tenants, memory.plain_tenants, 30_000, 0.45, id="tenants"),
    ],
)
def test_what_is_kept_of_a_manifest_stays_small(
    sign: Callable[[int, str], None], plain: Callable[[int], object], count: int, most: float, tmp_path: Path
) -> None:
    """Live objects only: how they lie in memory is for the table."""
    path = tmp_path / "manifest"
    sign(count, str(path))
    trust = memory.forge().trust
    ours = live(lambda: contribution_of(verify_manifest(path.read_bytes(), trust, NOW).document, {}))
    assert ours <= most * live(lambda: plain(count))


def live(made: Callable[[], object]) -> int:
    """Return the bytes of all objects that live on in what is made."""
    gc.collect()
    tracemalloc.start()
    try:
        _kept = made()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
