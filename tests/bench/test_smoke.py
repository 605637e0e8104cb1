"""Every row runs at a tiny size, so that the benchmark never rots; nothing is timed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.bench import report, serving
from tests.bench.harness import Result, Row, Size, measured
from tests.bench.table import rows

TINY = Size(rounds=1, scale=0.001)
TOLD_BY_OTHERS = (7.1, 11, 12, 19.1)
"""Places of rows that repeat another one's way, at some seconds each."""


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.place:g}")
def test_a_row_gives_figures(row: Row) -> None:
    if row.place in TOLD_BY_OTHERS:
        pytest.skip("its parts run in the row before it")
    result = measured(row, TINY)
    assert not result.broken, result.reason
    if result.figures is None:
        pytest.skip(result.reason)
    assert result.measured is not None
    assert math.isfinite(result.measured)
    assert result.measured > 0


def test_instructions_are_read_from_what_counts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = tmp_path / "counter"
    counter.write_text('#!/bin/sh\necho "==7== I   refs:      1,234,567"\nexec "$@"\n')
    counter.chmod(0o755)
    monkeypatch.setattr(serving, "VALGRIND", (str(counter),))
    assert serving._counted("starlette", serving.HELLO, 2) == 1_234_567
    monkeypatch.setattr(serving, "_counted", lambda who, _request, requests: requests * {"a": 2_000, "b": 1_000}[who])
    assert serving.counted(Size(), ("a", "b"), b"") == "; instructions a request: a 2 k (1.00), b 1 k (2.00)"
    assert serving.counted(TINY, ("a", "b"), b"") == ""
    monkeypatch.setattr(serving, "VALGRIND", ("no-such-counter",))
    assert serving.counted(Size(), ("a", "b"), b"") == ""


def test_the_table_the_json_and_the_readme_tell_what_was_measured(tmp_path: Path) -> None:
    results = [measured(rows()[0], TINY), Result(rows()[1], None, "for a reason")]
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.rewrite(readme, results)
    text = readme.read_text()
    assert "old" not in text
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "for a reason" in text
    report.write_json(results, tmp_path / "results.json")
    assert '"samples"' in (tmp_path / "results.json").read_text()
