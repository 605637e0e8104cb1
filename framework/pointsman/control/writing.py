"""Write the head: one compare-and-swap at a time from this replica, never blindly, never replayed.

A write that was refused, or whose answer was lost, is built again from a fresh read; whether to write at all is decided
again with it. Nothing here knows what is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from pointsman.control import pacing
from pointsman.control.reading import HEAD, FleetHead
from pointsman.errors import OutcomeUnknown, PreconditionFailed, ReadOnlyReplica, Unavailable

if TYPE_CHECKING:
    from pointsman.control.convergence import Convergence
    from pointsman.control.ports import Ground
    from pointsman.control.sealing import Seal
    from pointsman.manifests.schema import Control
    from pointsman.manifests.trust import Trust

WRITE_TIMEOUT_S: Final = 5.0
TRIES: Final = 16
"""Compare-and-swaps for one command, or one internal write, before it gives up."""


class Intent(msgspec.Struct, frozen=True):
    """What is to be written beside which release; `Writer.put` numbers, dates and signs it."""

    control: Control
    envelope: bytes
    trust: Trust

    @classmethod
    def beside(cls, head: FleetHead, control: Control) -> Intent:
        """Return the intent to change only the control document of a head."""
        return cls(control, head.envelope, head.trust)


Decision: TypeAlias = Callable[[FleetHead], Awaitable[Intent | None]]
"""What an internal write makes of a fresh head; ``None``: it is moot."""


class Writer:
    """The one who writes heads from this replica.

    Args:
        ground: The outside world.
        convergence: Reads fresh heads, and puts in force what was written.
        seal: The control key.
    """

    def __init__(self, ground: Ground, convergence: Convergence, seal: Seal) -> None:
        self._ground = ground
        self._convergence = convergence
        self._seal = seal
        self._losses = 0
        self.lock = asyncio.Lock()

    def may_write(self, trust: Trust) -> bool:
        """Tell whether this replica can write heads that are judged so."""
        return self._ground.heads.writable and self._seal.may_sign(trust)

    def check(self, trust: Trust) -> None:
        """Refuse what this replica could not write.

        Raises:
            ReadOnlyReplica: It has no control key, or its store cannot be written.
        """
        if not self._ground.heads.writable:
            raise ReadOnlyReplica(
                f"Expected a store that can be written, found {self._ground.heads.url}.",
                hint='Say reach: "replica" to change this replica alone.',
            )
        self._seal.check(trust)

    async def ready(self) -> FleetHead:
        """Return the head as it is now, at a moment when it may be written. Whoever calls holds the lock.

        Raises:
            StoreError: The store did not give it.
            ManifestError: It is refused.
        """
        if self._losses and not self._ground.heads.paced:
            await self._ground.clock.sleep(pacing.retry_gap(self._losses, self._ground.random))
        head = await self._convergence.fresh()
        if self._ground.heads.paced:
            opens = pacing.write_not_before(head.stamp, self._losses, self._ground.random)
            wait_s = (opens - self._ground.time.now()).total_seconds()
            if wait_s > 0.0:
                await self._ground.clock.sleep(wait_s)
        return head

    async def put(self, base: FleetHead, intent: Intent) -> FleetHead:
        """Write the next head over exactly this one, and put it in force here. Whoever calls holds the lock.

        Raises:
            PreconditionFailed: Somebody else wrote; or an earlier write of ours arrived.
            Unavailable: No answer in time; where ``sent``, it may have been written, now or later.
            StoreError: The store refused; nothing was written.
            ControlError: It cannot be signed, or has no room; nothing was sent.
            ManifestError: Replicas would refuse it; nothing was sent.
        """
        from pointsman.control.head import advance

        now = self._ground.time.now()
        sealed = self._seal.seal(intent.envelope, advance(intent.control, now), intent.trust, now)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                written = await self._ground.heads.write(HEAD, sealed.data, expect=base.generation)
        except TimeoutError as error:
            raise Unavailable(f"The store did not answer a write within {WRITE_TIMEOUT_S:g} s.", sent=True) from error
        except PreconditionFailed:
            self._losses += 1
            raise
        self._losses = 0
        self._ground.time.observe(written.now)
        head = sealed.stored(written)
        self._convergence.wrote(head)
        return head

    async def decide(self, decision: Decision) -> FleetHead | None:
        """Carry out an internal write: decided from a fresh head at every try, never replayed.

        Returns:
            The head that was written; ``None``: the write was moot.

        Raises:
            OutcomeUnknown: Every try was refused, or its answer was lost.
            PointsmanError: What the decision raised, or see `ready` and `put`.
        """
        for _ in range(TRIES):
            async with self.lock:
                head = await self.ready()
                intent = await decision(head)
                if intent is None:
                    return None
                try:
                    return await self.put(head, intent)
                except PreconditionFailed:
                    continue
                except Unavailable as error:
                    if not error.sent:
                        raise
        raise OutcomeUnknown("Expected one of our writes of the head to be taken, found none that surely was.")
