"""What one handler is given for one tenant under one epoch, resolved once and held by one counter.

A bundle is a short cut to instances that an epoch binds and that all serve: taking it counts one lease for all of
them. It is given out only while none of its instances has begun to retire, and never crosses to another epoch, tenant
or subject; so it can answer nothing that the long way would not.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from pointsman.lifecycle.instance import State

if TYPE_CHECKING:
    from pointsman.lifecycle.epoch import Epoch
    from pointsman.lifecycle.instance import Instance

Shelf: TypeAlias = dict[Hashable, "Bundle"]
"""The bundles of one tenant under one epoch, by what they are asked with."""
NO_BUNDLES: Shelf = {}
"""The shelf of who may take none; nobody puts anything there."""
ENDED: Shelf = {}
"""The shelf of a lease that has ended."""


class Bundle:
    """Instances that are given together.

    Args:
        given: What is handed out, by name; never changed.
        instances: What it comes from, each ready and bound by the epoch.
        clock: Monotonic seconds, where an instance closes when it was idle for long; else ``None``.

    Attributes:
        leases: How many hold it now; counted by those who take it and give it back.
        over: Whether one of its instances has begun to retire: whoever asks next takes the long way.
        values: What is handed out, in the order of its names.
        told: Whether `released` must be called for each hold that is given back.
        used_at: When it was last let go, by ``clock``.
    """

    __slots__ = ("_clock", "given", "instances", "leases", "over", "told", "used_at", "values")

    def __init__(
        self,
        given: Mapping[str, object],
        instances: Sequence[Instance],
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.given = given
        self.values = tuple(given.values())
        self.instances = tuple(instances)
        self.leases = 0
        self.over = False
        self.used_at = 0.0
        self._clock = clock
        self.told = clock is not None

    def withdraw(self) -> None:
        """Give it to nobody any more: one of its instances begins to retire."""
        self.over = self.told = True

    def released(self) -> None:
        """A hold was given back; called where `told` asks for it."""
        if self._clock is not None:
            self.used_at = self._clock()
        if self.over and self.leases == 0:
            for instance in self.instances:
                instance.end_if_unneeded()


def bundled(given: Mapping[str, object], instances: Iterable[Instance], epoch: Epoch) -> Bundle | None:
    """Return a bundle of what was just taken one by one; ``None`` where somebody else could not be given the same."""
    distinct = tuple(dict.fromkeys(instances))
    if not all(_lasts(instance, epoch) for instance in distinct):
        return None
    timed = next((instance for instance in distinct if instance.identity.tenant is not None), None)
    return Bundle(given, distinct, timed.clock if timed is not None else None)


def _lasts(instance: Instance, epoch: Epoch) -> bool:
    """Whether the epoch binds it, it serves, and nothing of it is guarded.

    What lives within a request, is about to go, or is not given to everyone at any time is never bundled.
    """
    return (
        instance.state is State.READY
        and not instance.retired
        and epoch.bindings.get(instance.identity) is instance
        and (not epoch.guarded or not any(part.component in epoch.guarded for part in instance.plan.closure()))
    )
