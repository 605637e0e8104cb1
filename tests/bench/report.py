"""What came out, as a table, as JSON, as a plot, and as the section of the README."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.harness import Result

BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"
_VERDICT = {True: "yes", False: "**no**", None: "–"}


def figure(result: Result) -> str:
    """Return the figure that is judged, as a reader reads it."""
    if result.measured is None:
        return "not measured"
    return f"{result.measured:.0f} ms" if result.row.unit == "ms" else f"{result.measured:.2f}"


def seconds(value: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def absolute(result: Result) -> str:
    """Return medians of everybody, and the ratios of those who are not judged."""
    if result.figures is None:
        return result.reason
    others = result.others()
    parts = []
    for who in result.figures.samples:
        value = result.figures.median(who)
        said = seconds(value) if result.figures.unit == "s" else f"{value:.3g} {result.figures.unit}"
        ratio = f" ({others[who]:.2f})" if who in others and who != result.figures.fastest else ""
        parts.append(f"{who} {said}{ratio}")
    return ", ".join(parts) + (f"; {result.reason}" if result.reason else "")


def table(results: Sequence[Result]) -> str:
    """Return the table in Markdown."""
    lines = [
        "| what | floor or peer | to reach | measured | reached | medians, for information |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        row = result.row
        cells = (row.what, row.against, row.to_reach, figure(result), _VERDICT[result.reached], absolute(result))
        lines.append("| " + " | ".join(cell.replace("|", "·") for cell in cells) + " |")
    return "\n".join(lines)


def here() -> str:
    """Say on what, and when."""
    return f"Python {platform.python_version()}, {platform.machine()} {platform.system()}, {datetime.now(UTC):%Y-%m-%d}"


def write_json(results: Sequence[Result], path: Path) -> None:
    """Write every sample."""
    rows = [
        {
            "place": result.row.place,
            "what": result.row.what,
            "against": result.row.against,
            "to_reach": result.row.to_reach,
            "measured": result.measured,
            "reached": result.reached,
            "note": result.reason,
            "ours": result.figures and result.figures.ours,
            "base": result.figures and list(result.figures.base),
            "unit": result.figures and result.figures.unit,
            "samples": result.figures and result.figures.samples,
        }
        for result in results
    ]
    path.write_text(json.dumps({"here": here(), "rows": rows}, indent=1, ensure_ascii=False), encoding="utf-8")


def plot(results: Sequence[Result], path: Path) -> None:
    """Draw each figure as a part of its limit: what stays left of the line is reached."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    shown = [result for result in reversed(results) if result.measured and not result.row.said]
    parts = [_part(result) for result in shown]
    colours = ["tab:green" if result.reached else "tab:red" for result in shown]
    drawing, axes = plt.subplots(figsize=(11, 0.4 * len(shown) + 1.2))
    axes.barh([result.row.what[:80] for result in shown], parts, color=colours)
    axes.axvline(1.0, color="black")
    axes.set_xlabel("part of what is allowed (1 = the limit)")
    axes.set_title(here(), fontsize=9)
    drawing.tight_layout()
    drawing.savefig(path)
    plt.close(drawing)


def _part(result: Result) -> float:
    assert result.measured
    return result.measured / result.row.limit if result.row.better == "lower" else result.row.limit / result.measured


def rewrite(readme: Path, results: Sequence[Result]) -> None:
    """Put the table between the markers of a README.

    Raises:
        ValueError: It has no markers.
    """
    before, found, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{readme} has no {BEGIN} … {END}.")
    text = f"{before}{BEGIN}\n{here()}, `uv run --group bench python -m tests.bench`:\n\n{table(results)}\n{END}{after}"
    readme.write_text(text, encoding="utf-8")
