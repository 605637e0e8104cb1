"""What the table of speed reached stays reached, within a slack that noise does not use up.

Judged by the ratio of the minima of interleaved rounds in one run, never by a time. Rows whose peers are not installed
are left out; the HTTP rows and the cold starts are measured by `python -m tests.bench` only.
"""

from __future__ import annotations

import sys
from typing import Final

import pytest

from tests.bench.harness import NotMeasuredError, Row, Size
from tests.bench.table import rows

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
