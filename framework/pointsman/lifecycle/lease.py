"""A hold on one epoch, and on each instance that was taken under it.

Belongs to one request, task or script. `close` is synchronous, so that a ``finally`` returns everything even when the
client went away; after it nothing is handed out any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from pointsman.errors import ComponentsClosed
from pointsman.lifecycle.epoch import Epoch, OfRequest
from pointsman.lifecycle.instance import State

if TYPE_CHECKING:
    from pointsman.lifecycle.identity import Identity, Plan
    from pointsman.lifecycle.instance import Instance
    from pointsman.lifecycle.manager import LifecycleManager
    from pointsman.resolution.decision import Question


class Lease:
    """Pins the current epoch from its making until `close`.

    Args:
        manager: Whose epoch and instances are held.
        given: What the factories of ``request`` components may ask for: ``connection`` and ``components``.
    """

    __slots__ = ("_handed_over", "_held", "_manager", "_own", "closed", "epoch", "given")

    def __init__(self, manager: LifecycleManager, given: Mapping[str, Any] | None = None) -> None:
        self._manager = manager
        self.epoch: Epoch = manager.epochs.pin()
        self.given = given or {}
        self.closed = False
        self._held: dict[int, Instance] = {}
        self._handed_over: dict[Identity, Instance] = {}
        self._own: OfRequest | None = None

    async def take(self, question: Question) -> object:
        """Return the live object that answers a question, held until `close`.

        Raises:
            ComponentsClosed: The lease has ended.
            ResolutionError: Nothing may serve.
            LifecycleError: It cannot be made now.
            TenantError: It needs a tenant, and nobody said which.
        """
        instance = self.ready(question)
        if instance is None:
            instance = await self._made(question)
            if self.closed:
                instance.release()
                raise self.ended(question)
            self._keep(instance)
        return instance.hand_out(question.tenant)

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
        if id(instance) not in self._held:
            instance.lease()
            self._held[id(instance)] = instance
        return instance

    @property
    def held(self) -> tuple[Instance, ...]:
        """The instances that were taken, in order."""
        return tuple(self._held.values())

    def close(self) -> None:
        """Give everything back; closing again does nothing."""
        if self.closed:
            return
        self.closed = True
        for instance in self._held.values():
            instance.release()
        if self._own is not None:
            for instance in self._own.made.values():
                instance.retire()
        self._manager.epochs.unpin(self.epoch)

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
        if self._own is None:
            self._own = OfRequest(self.epoch, self._manager.retire_in_time)
        return self._own

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
        instance = self._handed_over.get(plan.identity)
        if instance is not None and instance.usable:
            instance.lease()
            return instance
        self._manager.reporter.tell("handed-over", plan)
        with closing(Lease(self._manager, self.given)) as current:
            await current.take(plan.question)
            (instance,) = current.held
            instance.lease()
        self._handed_over[plan.identity] = instance
        return instance

    def _keep(self, instance: Instance) -> None:
        if id(instance) in self._held:
            instance.release()  # two tasks of one request waited for the same one
        else:
            self._held[id(instance)] = instance
