"""What control asks of the replica that it steers, and of whoever starts it.

Protocols and values only. The data plane works without control; control never reaches into it but through these.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import msgspec

from pointsman.control.clocks import Clock, StoreClock
from pointsman.control.pacing import Limits
from pointsman.errors import BadSignature, Equivocation, Forbidden, PointsmanError, Replayed, Rollback, UntrustedRoot
from pointsman.manifests.schema import Control, Manifest
from pointsman.manifests.verification import Verified

if TYPE_CHECKING:
    from random import Random

    from pointsman.declarations import Component
    from pointsman.resolution.selection import Selection
    from pointsman.runtime.inputs import ManifestInput, Orders
    from pointsman.stores.store import Store

ALARMS: Final = (Equivocation, Replayed, Rollback, BadSignature, UntrustedRoot, Forbidden)
"""What somebody should look at now: none of them happens while everybody is honest."""
Admission: TypeAlias = "Callable[[Verified[Manifest]], ManifestInput]"
"""Passes a manifest through the gate; raises `ManifestError` for what it may not do."""


class DataPlane(Protocol):
    """One replica's runtime."""

    def take_control(self, control: Control) -> Awaitable[None]:
        """Put the orders of the fleet in force.

        When the call returns, pauses and drains bind every request that starts; what it returns is awaited until the
        uses are warm and bound too. A later call overtakes an earlier one.
        """
        ...

    def take_overrides(self, orders: Orders) -> Awaitable[None]:
        """Put this replica's own orders in force, instead of those before; as `take_control`."""
        ...

    async def take_manifest(self, manifest: ManifestInput, *, by_fallback: bool = False) -> None:
        """Validate, warm and bind a manifest.

        Args:
            manifest: Verified, and let in by the gate.
            by_fallback: A better one could not be taken; orders without their provider answer 503 then.

        Raises:
            ManifestError: It is refused, and nothing changed.
        """
        ...

    async def preflight(self, manifest: ManifestInput, orders: Orders) -> None:
        """Prove that a manifest could be taken beside these orders, and bind nothing.

        Raises:
            ManifestError: A required use does not resolve, an order has no provider, or an identity that is live now
                or prewarmed does not warm.
        """
        ...

    async def prove(
        self, component: Component[Any], selection: Selection, tenants: tuple[str, ...] | None, *, force: bool = False
    ) -> None:
        """Make, and ask for its health, what an order would bind here; nothing is bound.

        Raises:
            ResolutionError: It may not serve, or nobody registers it.
            LifecycleError: It cannot be made, or is not well.
        """
        ...

    def check_order(self, component: Component[Any], providers: tuple[str, ...], tenants: tuple[str, ...]) -> None:
        """Judge what an order names against the catalog in force; no tenants are everyone.

        Raises:
            ResolutionError: The component or a provider is unknown, or no candidate of it is eligible for one of the
                tenants.
        """
        ...


class Report(Protocol):
    """Where events go: a log line, a metric."""

    def __call__(self, event: str, /, *, alarm: bool = False, **fields: Any) -> None:
        """Record one event; an alarm is for people to look at now. Never raises."""
        ...


def is_alarm(error: Exception) -> bool:
    """Tell whether an error is for people to look at now; what is none of ours is a fault of the program."""
    return isinstance(error, ALARMS) or not isinstance(error, PointsmanError)


def told(error: Exception) -> str:
    """Return an error in one text for a log line."""
    return error.render() if isinstance(error, PointsmanError) else f"{type(error).__name__}: {error}"


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What control stands on: the outside world, so that tests can play it.

    Attributes:
        heads: Where ``head`` and ``ops/`` lie.
        releases: Where ``release``, ``manifests/`` and ``roots/`` lie; may be the same store.
        time: The store's clock, as its replies tell it.
    """

    heads: Store
    releases: Store
    clock: Clock
    time: StoreClock
    random: Random
    limits: Limits
    report: Report
