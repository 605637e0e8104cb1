"""One catalog in force, from its binding until the last request that began under it has ended.

Safety comes from pins: a request pins the epoch of its start, and unpins it when its response, its stream and its
background tasks have ended. Epochs without pins are let go strictly oldest first, and only then do the instances that
left with them close; so an instance that leaves at epoch n, and is bound in none after it, outlives every request of
an epoch up to n. Everything here is synchronous and stays on the loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pointsman.declarations import Component
    from pointsman.lifecycle.bundle import Bundle, Shelf
    from pointsman.lifecycle.identity import Identity, Plan
    from pointsman.lifecycle.instance import Instance
    from pointsman.resolution.catalog import Catalog
    from pointsman.resolution.decision import Question

MAX_BUNDLES: Final = 50_000
"""How many bundles an epoch keeps."""


class Epoch:
    """A catalog, the plans made from it, and the instances that it binds.

    Attributes:
        number: Grows by one with each binding.
        plans: Answers taken to the end, by question.
        bindings: Instances by identity; each serves this epoch and, unless it leaves, the next.
        shelves: Bundles of these instances, by tenant; none stands on what is guarded.
        guarded: Components that are asked for one by one, since not everyone is given them at any time.
        pins: Requests under way; the current epoch holds one of its own.
        leaving: Instances that no newer epoch binds.
    """

    __slots__ = ("_bundled", "bindings", "catalog", "guarded", "leaving", "next", "number", "pins", "plans", "shelves")

    def __init__(
        self,
        number: int,
        catalog: Catalog,
        plans: dict[Question, Plan] | None = None,
        bindings: dict[Identity, Instance] | None = None,
    ) -> None:
        self.number = number
        self.catalog = catalog
        self.plans = plans if plans is not None else {}
        self.bindings = bindings if bindings is not None else {}
        self.pins = 1
        self.leaving: list[Instance] = []
        self.next: Epoch | None = None
        self.shelves: dict[str | None, Shelf] = {}
        self.guarded: frozenset[Component[Any]] = frozenset()
        self._bundled = 0

    def guard(self, components: frozenset[Component[Any]]) -> None:
        """Bundle nothing that stands on these components from now on, and forget what was bundled before."""
        self.clear_shelves()
        self.guarded = components

    def shelve(self, tenant: str | None, asking: Hashable, bundle: Bundle) -> None:
        """Keep a bundle for whoever asks this for this tenant; past `MAX_BUNDLES` all are made anew."""
        if self._bundled >= MAX_BUNDLES:
            self.clear_shelves()
        self._bundled += 1
        self.shelves.setdefault(tenant, {})[asking] = bundle
        for instance in bundle.instances:
            instance.bundles.setdefault(self.number, []).append(bundle)

    def hold(self, tenant: str | None, asking: Hashable) -> Bundle | None:
        """Pin the epoch and hold what is bundled for this question, until `Epochs.release`.

        Returns:
            ``None`` where nothing is bundled: it must be taken one by one, and nothing is held here.
        """
        shelf = self.shelves.get(tenant)
        bundle = shelf.get(asking) if shelf is not None else None
        if bundle is None or bundle.over:
            return None
        self.pins += 1
        bundle.leases += 1
        return bundle

    def clear_shelves(self) -> None:
        """Forget every bundle, also where somebody still has its shelf; what is held counts until it is released."""
        for shelf in self.shelves.values():
            shelf.clear()
        self.shelves.clear()
        self._bundled = 0
        for instance in self.bindings.values():
            if held := [bundle for bundle in instance.bundles.pop(self.number, ()) if bundle.leases]:
                instance.bundles[self.number] = held

    def find(self, identity: Identity) -> Instance | None:
        """Return a usable instance of this identity, bound here or in a newer epoch."""
        epoch: Epoch | None = self
        while epoch is not None:
            if (instance := epoch.bindings.get(identity)) is not None and instance.usable:
                return instance
            epoch = epoch.next
        return None

    def put(self, instance: Instance) -> None:
        """Bind a new instance here; in an epoch that is no longer current it leaves with the epoch."""
        self.bindings[instance.identity] = instance
        if self.next is not None:
            self.leaving.append(instance)

    def adopt(self, plans: Mapping[Question, Plan], wanted: Iterable[Plan], made: Mapping[Identity, Instance]) -> None:
        """Take in what was warmed for this very catalog; what a request made meanwhile stays."""
        self.plans.update(plans)
        for part in (part for plan in wanted for part in plan.closure()):
            if part.identity in made and self.find(part.identity) is None:
                self.bindings[part.identity] = made[part.identity]

    def drained(self, identity: Identity) -> bool:
        """Whether an instance of this identity served here, and its time was over before the epoch was let go."""
        instance = self.bindings.get(identity)
        return self.next is not None and instance is not None and not instance.usable

    def succeed(self, successor: Epoch) -> tuple[Instance, ...]:
        """Make the successor the newer one; what it does not bind leaves with this one.

        Returns:
            The instances that leave.
        """
        kept = successor.bindings
        gone = tuple(instance for identity, instance in self.bindings.items() if kept.get(identity) is not instance)
        self.leaving.extend(gone)
        self.next = successor
        return gone


class Epochs:
    """The chain of epochs from the oldest that is pinned to the current one."""

    __slots__ = ("current", "oldest")

    def __init__(self, first: Epoch) -> None:
        self.current = self.oldest = first

    def pin(self) -> Epoch:
        """Hold the current epoch; read and count with no await between."""
        epoch = self.current
        epoch.pins += 1
        return epoch

    def unpin(self, epoch: Epoch) -> None:
        """Give a hold back, and let go of what nobody holds any more."""
        epoch.pins -= 1
        if epoch.pins == 0:
            self.let_go()

    def release(self, epoch: Epoch, bundle: Bundle) -> None:
        """Give back what `Epoch.hold` held."""
        bundle.leases -= 1
        if bundle.told:
            bundle.released()
        self.unpin(epoch)

    def bind(self, epoch: Epoch) -> tuple[Instance, ...]:
        """Make an epoch the current one.

        Returns:
            The instances that leave with the one before.
        """
        old = self.current
        gone = old.succeed(epoch)
        self.current = epoch
        self.unpin(old)
        return gone

    def chain(self) -> Iterator[Epoch]:
        """Yield every epoch that is not let go, oldest first."""
        epoch: Epoch | None = self.oldest
        while epoch is not None:
            yield epoch
            epoch = epoch.next

    def forget(self, instance: Instance) -> None:
        """Bind an instance nowhere any more, so that whoever asks next has another made, under any epoch."""
        for epoch in self.chain():
            if epoch.bindings.get(instance.identity) is instance:
                del epoch.bindings[instance.identity]

    def let_go(self) -> None:
        """Let go of the oldest epochs that nobody holds, and only then let what left with them end."""
        while self.oldest.pins == 0 and self.oldest.next is not None:
            epoch, self.oldest = self.oldest, self.oldest.next
            epoch.clear_shelves()
            for instance in epoch.leaving:
                instance.retire()


class Fresh:
    """Instances that are warmed beside the current epoch, before anything binds them.

    What the current epoch already has, or a proof has made lately, is stood on, not made again.

    Attributes:
        made: What was made here.
        proven: What proofs have made and nobody has bound yet; shared by all warmings.
    """

    __slots__ = ("epochs", "made", "proven")

    def __init__(self, epochs: Epochs, proven: dict[Identity, Instance]) -> None:
        self.epochs = epochs
        self.proven = proven
        self.made: dict[Identity, Instance] = {}

    def find(self, identity: Identity) -> Instance | None:
        """Return a usable instance of this identity: warmed, proved, or bound now."""
        for made in (self.made, self.proven, self.epochs.current.bindings):
            if (instance := made.get(identity)) is not None and instance.usable and not instance.retired:
                return instance
        return None

    def put(self, instance: Instance) -> None:
        """Take in a new instance."""
        self.made[instance.identity] = instance

    def discard(self) -> tuple[Instance, ...]:
        """Close what was warmed for nothing: whatever the current epoch does not bind.

        Returns:
            What is closed.
        """
        bound = self.epochs.current.bindings
        unwanted = tuple(instance for identity, instance in self.made.items() if bound.get(identity) is not instance)
        for instance in unwanted:
            instance.retire()
        self.made.clear()
        return unwanted


class OfRequest:
    """Instances that live as long as one request, beside those of its epoch.

    Args:
        epoch: The one that the request pins.
        left: Told of each instance that is made for an epoch which is no longer current.
    """

    __slots__ = ("_left", "epoch", "made")

    def __init__(self, epoch: Epoch, left: Callable[[Instance], None]) -> None:
        self.epoch = epoch
        self._left = left
        self.made: dict[Identity, Instance] = {}

    def find(self, identity: Identity) -> Instance | None:
        """Return a usable instance of this identity, of this request or of its epoch."""
        if (instance := self.made.get(identity)) is not None and instance.usable:
            return instance
        return self.epoch.find(identity)

    def put(self, instance: Instance) -> None:
        """Take in a new instance: the request's own, or one that others share."""
        if instance.plan.lifetime == "request":
            self.made[instance.identity] = instance
            return
        self.epoch.put(instance)
        if self.epoch.next is not None:
            self._left(instance)
