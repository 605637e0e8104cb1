"""Measure the table of speed: ``uv run --python 3.13 --group bench python -m tests.bench``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.bench import report
from tests.bench.harness import Size, measured
from tests.bench.table import rows


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("only", nargs="*", help="words of the rows to measure, or modules of tests/bench; unsaid: all")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds of each row (7)")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the work in a round (1.0)")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="folder of results.json and speed.png")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    given = parser.parse_args()
    if sys.version_info < (3, 13):
        print("The table is judged on Python 3.13 where it is there: uv run --python 3.13 …", file=sys.stderr)
    results = []
    for row in rows(*given.only):
        print(f"{row.what} …", file=sys.stderr, flush=True)
        result = measured(row, Size(given.rounds, given.scale))
        print(f"   {report.figure(result)} ({row.to_reach}); {report.absolute(result)}", file=sys.stderr, flush=True)
        results.append(result)
    print(report.table(results))
    given.out.mkdir(parents=True, exist_ok=True)
    report.write_json(results, given.out / "results.json")
    try:
        report.plot(results, given.out / "speed.png")
    except ModuleNotFoundError as missing:
        print(f"No plot: {missing.name} is not installed.", file=sys.stderr)
    if given.readme:
        report.rewrite(Path("README.md"), results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
