"""Count what happened and measure what is: swaps, refusals, failures, staleness, leases, instances.

Two tables: events that are counted, and readings that are measured whenever somebody collects. OpenTelemetry's
interface is loaded by `install_metrics` alone, which only a process with an exporter calls. Never counts by tenant:
their number is not bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Event
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Observation

    from pointsman.observability import events as happened


class Counted(msgspec.Struct, frozen=True):
    """What an event adds one to, told apart by which of its fields."""

    counter: str
    by: tuple[str, ...] = ()
    outcome: str = ""


COUNTED: Final[Mapping[str, Counted]] = {
    "swapped": Counted("pointsman.swaps", ("component", "provider"), "done"),
    "swap-failed": Counted("pointsman.swaps", ("component", "provider"), "failed"),
    "activation-failed": Counted("pointsman.activation.failures", ("component", "provider")),
    "manifest.taken": Counted("pointsman.manifests.taken"),
    "manifest.refused": Counted("pointsman.refusals", ("error",)),
    "control.refresh-failed": Counted("pointsman.refresh.failures"),
}
"""Event to counter."""


class Readings(msgspec.Struct, frozen=True):
    """What is measured; each is called on the exporter's thread, must be quick, and changes nothing.

    Attributes:
        staleness_s: Seconds since the head was last known to be the newest.
        leases: Holds on instances now.
        instances: Live instances now.
    """

    staleness_s: Callable[[], float]
    leases: Callable[[], int]
    instances: Callable[[], int]


def install_metrics(events: happened.Events, readings: Readings) -> Callable[[], None]:
    """Count and measure from now on; returns the undo."""
    from opentelemetry import metrics

    meter = metrics.get_meter("pointsman")
    counters = {name: meter.create_counter(name) for name in dict.fromkeys(row.counter for row in COUNTED.values())}

    def count(event: happened.Event) -> None:
        if (row := COUNTED.get(event.name)) is not None:
            counters[row.counter].add(1, dict(_attributes(row, event)))

    undone = Event()
    for name, unit, read in (
        ("pointsman.staleness", "s", readings.staleness_s),
        ("pointsman.leases", "1", readings.leases),
        ("pointsman.instances", "1", readings.instances),
    ):
        meter.create_observable_gauge(name, [_observing(read, undone)], unit=unit)
    unsubscribe = events.subscribe(count)

    def undo() -> None:
        unsubscribe()
        undone.set()

    return undo


def _attributes(row: Counted, event: happened.Event) -> Iterator[tuple[str, str]]:
    for name in row.by:
        if (value := event.fields.get(name)) is not None:
            yield f"pointsman.{name}", str(value)
    if row.outcome:
        yield "pointsman.outcome", row.outcome


def _observing(read: Callable[[], float], undone: Event) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """Return a callback that measures until it is undone: OpenTelemetry takes none back."""
    from opentelemetry.metrics import Observation

    return lambda _options: [] if undone.is_set() else [Observation(read())]
