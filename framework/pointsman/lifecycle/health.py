"""Ask an instance whether it is well. Never raises: an answer that cannot be had is a no."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pointsman.lifecycle.factories import call

if TYPE_CHECKING:
    from pointsman.declarations import Candidate


def checks_of(instance: object, candidate: Candidate) -> tuple[Callable[[], Any], ...]:
    """Return the health checks that an instance and its candidate declare."""
    own = getattr(instance, "health", None)
    return tuple(check for check in (own, candidate.health) if callable(check))


async def check(instance: object, candidate: Candidate, timeout_s: float) -> bool:
    """Return whether every declared check says yes in time; an instance that declares none is well."""
    return await answer(instance, candidate, timeout_s) is not False


async def answer(instance: object, candidate: Candidate, timeout_s: float) -> bool | None:
    """Return what the declared checks say, or ``None`` where there are none.

    Args:
        timeout_s: For all checks together, seconds.
    """
    checks = checks_of(instance, candidate)
    if not checks:
        return None
    try:
        async with asyncio.timeout(timeout_s):
            for each in checks:
                if not await call(each):
                    return False
    except Exception:  # noqa: BLE001 - the boundary around the user's check; a check that raises says no
        return False
    return True
