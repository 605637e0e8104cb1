"""Watch a replica converge, and tell what it took and what it refused."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final

import anyio

if TYPE_CHECKING:
    from pointsman.control.fleet import Fleet

_MOVES: Final = ("age_s",)
"""What changes although nothing happened."""


def converged(fleet: Fleet) -> dict[str, Any]:
    """Return how the replica stands to its fleet, in JSON types."""
    return dict(fleet.status())


def well(facts: dict[str, Any]) -> bool:
    """Tell whether a head and a manifest were taken, and nothing was refused."""
    return bool(facts["head"] and facts["manifest"]) and not facts["refusals"] and not facts["last_error"]


async def changes(fleet: Fleet, interval_s: float) -> AsyncGenerator[dict[str, Any]]:
    """Yield how the replica stands, now and whenever that has changed, for ever."""
    told: dict[str, Any] | None = None
    while True:
        facts = converged(fleet)
        shown = {name: value for name, value in facts.items() if name not in _MOVES}
        if shown != told:
            told = shown
            yield facts
        await anyio.sleep(interval_s)
        await fleet.refresh()
