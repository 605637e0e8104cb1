"""Rows of the table of speed: what is measured against what, how, and what came out.

A row gives samples of ours and of its floor or peer, taken in interleaved rounds of one run; its figure is the ratio of
their medians. It never compares with a number from another run or machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Samples = dict[str, list[float]]
"""Who → one figure a round."""


class NotMeasuredError(Exception):
    """The row cannot be measured here and now; says why."""


class FailedError(NotMeasuredError):
    """What should have been measured did not work: nothing is missing, something is broken."""


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        rounds: Interleaved rounds; an odd number has a median that was measured.
        scale: Part of the full work of each row; the smoke version takes next to nothing.
    """

    rounds: int = 7
    scale: float = 1.0

    def of(self, full: int, least: int = 1) -> int:
        """Return the scaled amount of work."""
        return max(least, int(full * self.scale))


@dataclass(frozen=True)
class Figures:
    """What a row measured.

    Attributes:
        samples: Who → one figure a round.
        ours: Whose samples are judged.
        base: By whose they are; several names: the fastest of them in this run.
        unit: Of the samples.
        note: What a reader must know about this run.
    """

    samples: Samples
    ours: str
    base: tuple[str, ...]
    unit: str
    note: str = ""

    def median(self, who: str) -> float:
        """Return the median of one's samples."""
        return statistics.median(self.samples[who])

    @property
    def fastest(self) -> str:
        """Who of the base was the fastest."""
        return min(self.base, key=self.median)

    def ratio(self, who: str | None = None) -> float:
        """Return the ratio of medians, ours to the base's; of somebody else's where one is named."""
        return self.median(who or self.ours) / self.median(self.fastest)

    @property
    def floor_ratio(self) -> float:
        """The ratio of the minima: what noise moves least."""
        return min(self.samples[self.ours]) / min(self.samples[self.fastest])


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        place: Where it stands in the table.
        what: What is measured.
        against: The floor or peer.
        limit: The ratio to reach.
        better: ``lower``: at most the limit; ``higher``: rates, at least the limit (samples are seconds all the same,
            and the ratio is turned over).
        measure: Takes the samples; raises `NotMeasuredError` where it cannot.
        slow: Starts processes, so it is no part of the guard.
        unit: ``ms``: the limit is milliseconds of ours, not a ratio.
        said: What the table says instead of a limit; the row is then for information, and judged by a test.
    """

    place: float
    what: str
    against: str
    limit: float
    measure: Callable[[Size], Figures]
    better: Literal["lower", "higher"] = "lower"
    slow: bool = False
    unit: Literal["×", "ms"] = "×"
    said: str = ""

    @property
    def to_reach(self) -> str:
        """The limit as the table writes it."""
        return self.said or f"{'≤' if self.better == 'lower' else '≥'} {self.limit:g} {self.unit}"


@dataclass(frozen=True)
class Result:
    """What became of a row; ``broken``: it should have been measured, and something did not work."""

    row: Row
    figures: Figures | None
    reason: str = ""
    took_s: float = 0.0
    broken: bool = False

    @property
    def measured(self) -> float | None:
        """The figure that is judged."""
        if self.figures is None:
            return None
        if self.row.unit == "ms":
            return self.figures.median(self.figures.ours) * 1e3
        ratio = self.figures.ratio()
        return 1 / ratio if self.row.better == "higher" else ratio

    @property
    def reached(self) -> bool | None:
        """Whether the figure is within the limit; None: not measured."""
        if self.measured is None or self.row.said:
            return None
        return self.measured <= self.row.limit if self.row.better == "lower" else self.measured >= self.row.limit

    def others(self) -> Mapping[str, float]:
        """Return the ratios of everybody else, by the same base."""
        if self.figures is None:
            return {}
        ratios = {who: self.figures.ratio(who) for who in self.figures.samples if who != self.figures.ours}
        return {who: 1 / ratio if self.row.better == "higher" else ratio for who, ratio in ratios.items()}


@dataclass
class Interleaved:
    """Takes samples in rounds: everybody once a round, after one that does not count."""

    size: Size
    samples: Samples = field(default_factory=dict)

    def run(self, subjects: Mapping[str, Callable[[], float]]) -> Samples:
        """Let each subject measure itself; it returns seconds."""
        for number in range(self.size.rounds + 1):
            for who, subject in subjects.items():
                taken = subject()
                if number:
                    self.samples.setdefault(who, []).append(taken)
        return self.samples


def measured(row: Row, size: Size) -> Result:
    """Measure one row; what is missing for it becomes its reason."""
    started = time.perf_counter()
    try:
        figures = row.measure(size)
    except NotMeasuredError as missing:
        broken = isinstance(missing, FailedError)
        return Result(row, None, str(missing), time.perf_counter() - started, broken)
    except ModuleNotFoundError as missing:
        return Result(row, None, f"{missing.name} is not installed", time.perf_counter() - started)
    return Result(row, figures, figures.note, time.perf_counter() - started)
