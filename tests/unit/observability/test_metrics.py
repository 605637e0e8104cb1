"""Events are counted by their table, and readings are taken when somebody collects."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from pointsman.observability.events import Events
from pointsman.observability.metrics import COUNTED, Readings, install_metrics

READER = InMemoryMetricReader()


@pytest.fixture(scope="module", autouse=True)
def provider() -> None:
    """OpenTelemetry takes one provider for the life of a process."""
    metrics.set_meter_provider(MeterProvider([READER], shutdown_on_exit=False))


def collected() -> dict[str, dict[tuple[Any, ...], float]]:
    """Return every metric's points by their attributes' values."""
    found: dict[str, dict[tuple[Any, ...], float]] = {}
    data = READER.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            found[metric.name] = {
                tuple(point.attributes.values() if point.attributes else ()): point.value  # type: ignore[union-attr]
                for point in metric.data.data_points
            }
    return found


def test_what_happened_is_counted_and_what_is_is_measured_until_the_undo() -> None:
    events, leases = Events(), [2]
    undo = install_metrics(events, Readings(lambda: 1.5, lambda: leases[0], lambda: 3))
    for _ in range(2):
        events.tell("swapped", component="adapter/cache", provider="redis", tenant="acme", took_s=1.0)
    events.tell("swap-failed", component="adapter/cache", provider="redis", error="x")
    events.tell("manifest.refused", error="rollback", version=5)
    events.tell("control.refresh-failed", failures=3)
    events.tell("unheard-of")
    found = collected()
    assert found["pointsman.swaps"] == {
        ("adapter/cache", "redis", "done"): 2,
        ("adapter/cache", "redis", "failed"): 1,
    }
    assert found["pointsman.refusals"] == {("rollback",): 1}
    assert found["pointsman.refresh.failures"] == {(): 1}
    assert (found["pointsman.staleness"], found["pointsman.leases"], found["pointsman.instances"]) == (
        {(): 1.5}, {(): 2}, {(): 3},
    )  # fmt: skip

    leases[0] = 7
    assert collected()["pointsman.leases"] == {(): 7}
    undo()
    events.tell("swapped", component="adapter/cache", provider="redis")
    after = collected()
    assert "pointsman.leases" not in after
    assert after["pointsman.swaps"][("adapter/cache", "redis", "done")] == 2


def test_nothing_is_counted_by_tenant() -> None:
    assert all("tenant" not in row.by for row in COUNTED.values())
