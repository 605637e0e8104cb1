"""One live object and the counts that keep it alive.

An instance is closed only when it is retired, nothing stands on it, and nobody holds a lease. All of it stays on the
loop's thread; every method here is synchronous, so that no await comes between reading a count and changing it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pointsman.lifecycle.bundle import Bundle
    from pointsman.lifecycle.identity import Identity, Plan


class State(StrEnum):
    """Where an instance is in its life."""

    ACTIVATING = "activating"
    READY = "ready"
    ENDING = "draining"
    CLOSED = "closed"
    FAILED = "failed"


class Instance:
    """The live object that a candidate's factory made, or is making.

    Args:
        plan: What it takes to make it.
        clock: Monotonic seconds.
        needs: What it stands on, in the order of the plan's needs, each already supporting it.

    Attributes:
        value: The object; only while the state is ready or ending.
        settings: What its factory was given, validated; ``None`` where it takes none.
        error: Why it could not be made.
        bundles: What hands it out together with others, by the number of its epoch.
        dependents: Instances that stand on this one.
        retired: Whether no newer epoch binds it: it closes as soon as nobody needs it.
        ending: Set for good once nobody needs it any more; whoever looks for an instance then finds none.
    """

    __slots__ = (
        "_holds", "_used_at", "bundles", "clock", "dependents", "ending", "error", "needs", "plan", "retired",
        "settings", "settled", "started_at", "state", "took_s", "value",
    )  # fmt: skip

    def __init__(self, plan: Plan, clock: Callable[[], float], needs: Sequence[Instance | None] = ()) -> None:
        self.plan = plan
        self.needs = tuple(needs)
        self.state = State.ACTIVATING
        self.value: object = None
        self.settings: object = None
        self.error: Exception | None = None
        self.bundles: dict[int, list[Bundle]] = {}
        self.dependents = 0
        self.retired = False
        self._holds = 0
        self.clock = clock
        self.started_at = self._used_at = clock()
        self.took_s = 0.0
        self.settled = asyncio.Event()
        self.ending = asyncio.Event()

    @property
    def identity(self) -> Identity:
        """What makes it itself."""
        return self.plan.identity

    @property
    def leases(self) -> int:
        """How many requests, tasks and scripts hold it, one by one or in bundles."""
        return self._holds + sum(bundle.leases for bundle in self._bundled())

    @property
    def used_at(self) -> float:
        """When it was last held."""
        return max((self._used_at, *(bundle.used_at for bundle in self._bundled())))

    @property
    def usable(self) -> bool:
        """Whether it serves, or is about to."""
        return not self.ending.is_set() and self.state in {State.READY, State.ACTIVATING}

    @property
    def idle(self) -> bool:
        """Whether nobody holds it and nothing stands on it."""
        return self.leases <= 0 and self.dependents == 0

    def closure(self) -> Iterator[Instance]:
        """Yield it and all that it stands on."""
        yield self
        for need in self.needs:
            if need is not None:
                yield from need.closure()

    def became_ready(self, value: object) -> None:
        """Hand the object over to those who wait."""
        self.value = value
        self.state = State.READY
        self.took_s = self.clock() - self.started_at
        self.settled.set()
        self.end_if_unneeded()

    def became_failed(self, error: Exception) -> None:
        """Tell those who wait why there is no object."""
        self.error = error
        self.state = State.FAILED
        self._withdraw()
        self.settled.set()

    def became_closed(self) -> None:
        """Let go of the object: its factory has been left."""
        self.state = State.CLOSED
        self.value = None
        self._withdraw()

    def lease(self) -> None:
        """Hold it: it is not closed before `release`."""
        self._holds += 1

    def release(self) -> None:
        """Give a hold back."""
        self._holds -= 1
        self._used_at = self.clock()
        self.end_if_unneeded()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it for the time of a block."""
        self.lease()
        try:
            yield
        finally:
            self.release()

    def support(self) -> None:
        """Let another instance stand on it: it is not closed before `unsupport`."""
        self.dependents += 1

    def unsupport(self) -> None:
        """The other instance has ended."""
        self.dependents -= 1
        self._used_at = self.clock()
        self.end_if_unneeded()

    def retire(self) -> None:
        """Let it close as soon as nobody needs it; it is never bound again."""
        self.retired = True
        self._withdraw()
        self.end_if_unneeded()

    def break_leases(self) -> None:
        """Let it close although somebody holds it: the process ends."""
        self.retire()
        self.bundles.clear()
        self._holds = 0
        self.end_if_unneeded()

    def hand_out(self, tenant: str | None) -> object:
        """Return what a holder uses: the object, or the tenant's view of it."""
        if self.plan.facade:
            return cast("_TenantScoped", self.value).for_tenant(tenant)
        return self.value

    def _withdraw(self) -> None:
        """Let nobody be given it in a bundle any more."""
        for bundle in self._bundled():
            bundle.withdraw()

    def _bundled(self) -> Iterator[Bundle]:
        for bundles in self.bundles.values():
            yield from bundles

    def end_if_unneeded(self) -> None:
        """Begin to end, where nobody binds it, holds it, or stands on it any more."""
        if self.retired and self.idle:
            if self.state is State.READY:
                self.state = State.ENDING
            self.ending.set()


class _TenantScoped:
    """The shape of `pointsman.adapters.facade.TenantScoped`, a layer beside this one."""

    def for_tenant(self, tenant_id: str | None) -> object: ...
