"""The ground that control stands on, over one store and this machine's clocks."""

from __future__ import annotations

from datetime import datetime
from random import Random

from pointsman.control.clocks import StoreClock, SystemClock
from pointsman.control.pacing import Limits
from pointsman.control.ports import Ground
from pointsman.stores.store import Store


def ground_on(store: Store, *, now: datetime | None = None) -> Ground:
    """Head and releases in one store, whose time is ``now`` at least; nothing is reported."""
    clock = SystemClock()
    time = StoreClock(clock)
    if now is not None:
        time.observe(now)
    return Ground(
        heads=store, releases=store, clock=clock, time=time, random=Random(1),
        limits=Limits(10.0, 60.0, 60.0), report=lambda _event, **_fields: None,
    )  # fmt: skip
