"""Ask live instances how they are, and tell whose policy may walk on who is not well.

Asked by an operator's probe, and beside a request to which a provider said that it cannot be reached. Such a word alone
condemns nobody: it may be about another component, so the instance's own check decides. Never keeps a request waiting.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING

from pointsman.errors import HealthCheckFailed
from pointsman.lifecycle.health import answer, checks_of
from pointsman.lifecycle.instance import State
from pointsman.lifecycle.keeper import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pointsman.lifecycle.identity import Identity, Plan
    from pointsman.lifecycle.instance import Instance
    from pointsman.lifecycle.limits import Limits
    from pointsman.lifecycle.status import Board


class Breaker:
    """Looks at the health of instances, each by one look at a time.

    Args:
        limits: How long a check may take, and how long one who is not well is left alone.
        clock: Monotonic seconds.
        board: Where what was found is noted.
        unwell: Told who is not well.
    """

    def __init__(
        self, limits: Limits, clock: Callable[[], float], board: Board, unwell: Callable[[Plan, Failure], None]
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._board = board
        self._unwell = unwell
        self._looks: dict[Identity, asyncio.Task[bool | None]] = {}

    async def look(self, instance: Instance) -> bool | None:
        """Return what a live instance says of its health; ``None`` where it declares no check."""
        plan = instance.plan
        with instance.held():
            healthy = await answer(instance.value, plan.resolution.candidate, self._limits.health_timeout_s)
        self._board.note(instance.identity, last_health=healthy)
        if healthy is False:
            error = HealthCheckFailed(f"{plan} is live, and says that it is not healthy.")
            self._unwell(plan, Failure(1, error, self._clock() + self._limits.backoff_min_s))
        return healthy

    def suspect(self, instances: Iterable[Instance]) -> None:
        """Look at instances beside whoever asks; those that declare no check are passed."""
        for instance in instances:
            if instance.state is not State.READY or instance.identity in self._looks:
                continue
            if checks_of(instance.value, instance.plan.resolution.candidate):
                self._begin(instance)

    async def aclose(self) -> None:
        """Give up every look that is under way."""
        looks = list(self._looks.values())
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)

    def _begin(self, instance: Instance) -> None:
        identity = instance.identity
        look = asyncio.get_running_loop().create_task(
            self.look(instance), name=f"look {instance.plan}", context=Context()
        )
        self._looks[identity] = look
        look.add_done_callback(lambda _: self._looks.pop(identity, None))
