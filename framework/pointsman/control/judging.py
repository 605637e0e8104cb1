"""Whether a command may be given: does what it names exist, may it serve, does it stand on this replica.

A swap is judged against the manifest of the head that it will be written into, which this replica must serve: else a
swap to a provider and a manifest without it could both be written. A pause needs no more than the component, so that no
manifest that is refused here keeps an operator from pausing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointsman.control.head import in_slot, providers
from pointsman.errors import ManifestPending, NoEligibleCandidate, OrderUnavailable

if TYPE_CHECKING:
    from pointsman.control.commands import Command
    from pointsman.control.effective import Effective
    from pointsman.control.ports import DataPlane
    from pointsman.control.reading import FleetHead


class Judge:
    """Asks the replica about commands; concurrent tasks may share one."""

    def __init__(self, effective: Effective, plane: DataPlane) -> None:
        self._effective = effective
        self._plane = plane

    async def prove(self, command: Command, head: FleetHead) -> None:
        """Validate a command, then make what it names and ask how it is; before anything is written.

        Raises:
            LifecycleError: The target does not stand here.
            PointsmanError: See `validate`.
        """
        if command.value is not None:
            await self.catch_up(head)
        self.validate(command, head)
        await self._prove(command)

    async def catch_up(self, head: FleetHead) -> None:
        """Let this replica take the manifest of a head, if it can."""
        if not self._effective.stands(head):
            await self._effective.converge(head)

    def validate(self, command: Command, head: FleetHead) -> None:
        """Judge what a command names, beside the manifest of this head.

        Raises:
            ResolutionError: The component or a provider is unknown, or not eligible.
            ManifestPending: This replica does not serve that manifest.
        """
        if command.value is not None and not self._effective.stands(head):
            raise ManifestPending(
                "Expected this replica to serve the manifest that the head names, found another or none.",
                hint="Try again, or on another replica; `pointsman remote-status` says what was refused here.",
            )
        if not _stands_there(command, head):
            self._check(command)

    async def prove_here(self, command: Command) -> None:
        """Validate and prove a command for this replica alone.

        Raises:
            LifecycleError: The target does not stand here.
            ResolutionError: The component or a provider is unknown, or not eligible.
        """
        self._check(command)
        await self._prove(command)

    def _check(self, command: Command) -> None:
        tenants = command.tenants or ()
        try:
            self._plane.check_order(command.component, providers(command.value), tenants)
        except (NoEligibleCandidate, OrderUnavailable):
            if command.value is not None:  # a gate needs a component that is known, and no more
                raise

    async def _prove(self, command: Command) -> None:
        if command.value is not None:
            await self._plane.prove(command.component, command.value, command.tenants, force=command.force)


def _stands_there(command: Command, head: FleetHead) -> bool:
    """Tell whether a clear finds something: that may go, though nobody knows the component any more."""
    orders, component = head.control.document.orders, str(command.component)
    return command.clear and any(in_slot(orders, component, name, command.slot) for name in command.names)
