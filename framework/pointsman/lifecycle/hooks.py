"""What users do around a swap: ``pre_swap`` may refuse it, ``post_swap`` hears of it.

A hook never changes what is bound. One that raises before the switch leaves the old bound; one that raises after it
leaves the new bound, and is reported.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from pointsman.lifecycle.factories import call

if TYPE_CHECKING:
    from pointsman.declarations import Component

Moment: TypeAlias = Literal["pre_swap", "post_swap"]


class Swapping(msgspec.Struct, frozen=True):
    """One swap as its hooks see it.

    Attributes:
        tenant: For whom, or ``None`` for everyone.
        old: The instance that served, where one was live.
        new: The instance that will serve, or serves.
    """

    component: Component[Any]
    tenant: str | None
    provider: str
    old: object
    new: object


Hook: TypeAlias = Callable[[Swapping], Awaitable[None] | None]


class Hooks:
    """Hooks in the order in which they were added."""

    def __init__(self) -> None:
        self._hooks: list[tuple[Moment, Hook]] = []

    def add(self, moment: Moment, hook: Hook) -> Callable[[], None]:
        """Call a hook at each swap; returns the undo."""
        entry = (moment, hook)
        self._hooks.append(entry)
        return lambda: self._hooks.remove(entry) if entry in self._hooks else None

    async def run(self, moment: Moment, swapping: Swapping, timeout_s: float) -> None:
        """Call the hooks of a moment, one after the other.

        Args:
            timeout_s: For each hook, seconds.

        Raises:
            Exception: Whatever the first failing hook raised; `TimeoutError` where it hung.
        """
        for when, hook in tuple(self._hooks):
            if when == moment:
                async with asyncio.timeout(timeout_s):
                    await _call(hook, swapping)


async def _call(hook: Hook, swapping: Swapping) -> None:
    if inspect.iscoroutinefunction(hook):
        await hook(swapping)
    else:
        await call(lambda: hook(swapping))
