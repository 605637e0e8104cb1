"""A hold on one epoch, and on each instance that was taken under it.

Belongs to one request, task or script. `close` is synchronous, so that a ``finally`` returns everything even when the
client went away; after it nothing is handed out any more.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from pointsman.errors import ComponentsClosed
from pointsman.lifecycle.bundle import ENDED, NO_BUNDLES, Bundle, Shelf
from pointsman.lifecycle.epoch import Epoch, OfRequest
from pointsman.lifecycle.instance import State

if TYPE_CHECKING:
    from pointsman.lifecycle.factories import Given
    from pointsman.lifecycle.identity import Identity, Plan
    from pointsman.lifecycle.instance import Instance
    from pointsman.lifecycle.manager import LifecycleManager
    from pointsman.resolution.decision import Question


class Lease:
    """Pins the current epoch from its making until `close`.

    Args:
        manager: Whose epoch and instances are held.
        given: What the factories of ``request`` components may ask for, ``connection`` and ``components``, each made
            when the first of them asks.
    """

    __slots__ = ("_bundles", "_given", "_manager", "_shelf", "_single", "epoch")

    def __init__(self, manager: LifecycleManager, given: Given | None = None) -> None:
        self._manager = manager
        self.epoch: Epoch = manager.epochs.pin()
        self._given: Any = given
        self._shelf: Shelf = NO_BUNDLES
        self._bundles: tuple[Bundle, ...] = ()
        self._single: _Single | None = None

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._shelf is ENDED

    # --- at once: what was bundled before ---

    def at_once(self, asking: Hashable) -> Bundle | None:
        """Return the bundle for this question, held until `close`; ``None``: it must be taken one by one."""
        try:
            bundle = self._shelf[asking]
        except KeyError:
            return None
        if bundle.over:
            return None
        held = self._bundles
        if not held:
            bundle.leases += 1
            self._bundles = (bundle,)
        elif bundle not in held:
            bundle.leases += 1
            self._bundles = (*held, bundle)
        return bundle

    # --- one by one ---

    async def take(self, question: Question) -> object:
        """Return the live object that answers a question, held until `close`.

        Raises:
            ComponentsClosed: The lease has ended.
            ResolutionError: Nothing may serve.
            LifecycleError: It cannot be made now.
            TenantError: It needs a tenant, and nobody said which.
        """
        return (await self.hold(question)).hand_out(question.tenant)

    async def hold(self, question: Question) -> Instance:
        """Return the instance that answers a question, held until `close`; errors as `take`."""
        instance = self.ready(question)
        if instance is None:
            instance = await self._made(question)
            if self.closed:
                instance.release()
                raise self.ended(question)
            self._keep(instance)
        return instance

    def ready(self, question: Question) -> Instance | None:
        """Return the instance that answers a question if it is live, held from now on; ``None`` if it must be made.

        Raises:
            ComponentsClosed: The lease has ended.
        """
        if self.closed:
            raise self.ended(question)
        plan = self.epoch.plans.get(question)
        if plan is None:
            return None
        instance = self.epoch.bindings.get(plan.identity)
        if instance is None or instance.state is not State.READY:
            return None
        held = self._singly.held
        if id(instance) not in held:
            instance.lease()
            held[id(instance)] = instance
        return instance

    @property
    def held(self) -> tuple[Instance, ...]:
        """The instances that were taken, in order, each once."""
        bundled = [instance for bundle in self._bundles for instance in bundle.instances]
        singly = self._single.held.values() if self._single is not None else ()
        return tuple(dict.fromkeys((*bundled, *singly)))

    @property
    def given(self) -> Given:
        """What the factories of ``request`` components may ask for."""
        return self._given or {}

    def close(self) -> None:
        """Give everything back; closing again does nothing."""
        if self._shelf is ENDED:
            return
        self._shelf = ENDED
        self._given = None  # it leads back to the connection, whose scope holds these components
        for bundle in self._bundles:
            bundle.leases -= 1
            if bundle.told:
                bundle.released()
        if self._single is not None:
            self._single.release()
        epoch = self.epoch
        epoch.pins = pins = epoch.pins - 1  # as Epochs.unpin does
        if not pins:
            self._manager.epochs.let_go()

    @staticmethod
    def ended(question: Question) -> ComponentsClosed:
        """Return the error of a use after the end."""
        return ComponentsClosed(
            f"{question.component} was asked for after the request had ended. What outlives a request takes its own "
            "leases: `async with components.renew() as own:`."
        )

    @property
    def scope(self) -> OfRequest:
        """Where instances that are made for this lease are put."""
        single = self._singly
        if single.own is None:
            single.own = OfRequest(self.epoch, self._manager.retire_in_time)
        return single.own

    @property
    def _singly(self) -> _Single:
        if self._single is None:
            self._single = _Single()
        return self._single

    async def _made(self, question: Question) -> Instance:
        """Make it, or wait for the one who makes it, in the epoch of this lease.

        One exception: where its instance was closed under an epoch that outlived ``drain_timeout_s``, the current
        binding serves.
        """
        plan = await self._manager.plan(self.epoch, question)
        if self.closed:  # while a factory was loaded: nothing may be put into an epoch that is let go
            raise self.ended(question)
        if self.epoch.drained(plan.identity):
            return await self._instead_of(plan)
        return await self._manager.keeper.obtain(plan, self.scope, given=self.given)

    async def _instead_of(self, plan: Plan) -> Instance:
        """Return what served when this was first asked for after its own instance was closed, under a fresh lease."""
        handed_over = self._singly.handed_over
        instance = handed_over.get(plan.identity)
        if instance is not None and instance.usable:
            instance.lease()
            return instance
        self._manager.reporter.tell("handed-over", plan)
        with closing(Lease(self._manager, self.given)) as current:
            await current.take(plan.question)
            (instance,) = current.held
            instance.lease()
        handed_over[plan.identity] = instance
        return instance

    def _keep(self, instance: Instance) -> None:
        held = self._singly.held
        if id(instance) in held:
            instance.release()  # two tasks of one request waited for the same one
        else:
            held[id(instance)] = instance


class _Single:
    """What a lease took one by one; most take nothing so."""

    __slots__ = ("handed_over", "held", "own")

    def __init__(self) -> None:
        self.held: dict[int, Instance] = {}
        self.handed_over: dict[Identity, Instance] = {}
        self.own: OfRequest | None = None

    def release(self) -> None:
        for instance in self.held.values():
            instance.release()
        if self.own is not None:
            for instance in self.own.made.values():
                instance.retire()


def stopping() -> ComponentsClosed:
    """Return the error of new work in a process that ends."""
    return ComponentsClosed("The process is stopping: no new work is taken.")
