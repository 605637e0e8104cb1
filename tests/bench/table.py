"""All rows, from every module of this folder that has ``ROWS``, in the order of the table."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tests.bench.harness import Row


def rows(*words: str) -> list[Row]:
    """Return the rows; with words those only whose text, or whose module, has one of them."""
    found: list[Row] = []
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem.startswith(("_", "test_")) or path.stem in {"table", "harness"}:
            continue
        module = import_module(f"tests.bench.{path.stem}")
        found += [
            row
            for row in getattr(module, "ROWS", ())
            if not words or any(word.lower() in row.what.lower() or word == path.stem for word in words)
        ]
    return sorted(found, key=lambda row: row.place)
