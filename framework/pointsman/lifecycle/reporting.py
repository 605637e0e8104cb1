"""Tell what happened to instances: on the board of statuses, on disk, and to whoever listens.

Told of, never asked; nothing here decides anything, and a status that cannot be written harms nobody.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman.lifecycle.status import Board, write_board

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pointsman.lifecycle.identity import Identity, Plan
    from pointsman.lifecycle.instance import Instance
    from pointsman.lifecycle.keeper import Failure
    from pointsman.lifecycle.surroundings import Surroundings
    from pointsman.lifecycle.swap import Swap


class Reporter:
    """Keeps the board, and tells the listener.

    Args:
        surroundings: Clocks, the scrubber and the listener.
        path: Where the board is written, if anywhere.
    """

    def __init__(self, surroundings: Surroundings, path: Path | None) -> None:
        self.board = Board()
        self._surroundings = surroundings
        self._path = path
        self._writing = asyncio.Lock()

    def made(self, instance: Instance) -> None:
        """An instance is ready."""
        self.board.began(instance.identity, self._surroundings.now())
        self.tell("instance-made", instance.plan, took_s=instance.took_s)

    def failed(self, plan: Plan, failure: Failure) -> None:
        """An activation failed."""
        self.board.note(plan.identity, state="failed", last_error=failure.error.message)
        self.tell("activation-failed", plan, error=failure.error.message, count=failure.count)

    def closed(self, instance: Instance, error: BaseException | None) -> None:
        """An instance is closed; leaving its factory may have raised."""
        self.board.ended(instance.identity)
        message = self._surroundings.scrub(in_words(error)) if error else None
        self.tell("instance-closed", instance.plan, error=message)

    def swapped(self, swap: Swap, identities: Iterable[Identity], took_s: float) -> None:
        """The switch is made."""
        for identity in identities:
            self.board.note(identity, last_swap_at=self._surroundings.now(), last_swap_s=took_s)
        self._surroundings.tell("swapped", component=str(swap.component), provider=swap.provider, took_s=took_s)

    def went_wrong(self, event: str, swap: Swap, identities: Iterable[Identity], error: BaseException) -> str:
        """A swap, or a hook around it, failed; the status of what serves says so.

        Returns:
            What was told, without secrets.
        """
        message = self._surroundings.scrub(in_words(error))
        for identity in identities:
            self.board.note(identity, last_error=f"swap to {swap.provider}: {message}")
        self._surroundings.tell(event, component=str(swap.component), provider=swap.provider, error=message)
        return message

    def tell(self, event: str, plan: Plan, **fields: object) -> None:
        """Tell the listener what happened to the instance of a plan."""
        self._surroundings.tell(
            event, component=str(plan.component), provider=plan.resolution.provider,
            tenant=plan.identity.tenant, **fields,
        )  # fmt: skip

    async def write(self) -> None:
        """Write the board, where a path was given; one at a time, so that the newest is what stays."""
        if self._path is None:
            return
        from anyio import to_thread

        async with self._writing:
            try:
                await to_thread.run_sync(write_board, self._path, self.board.as_dict())
            except OSError as error:
                self._surroundings.tell("status-failed", error=in_words(error))


def in_words(error: BaseException) -> str:
    """Return a foreign error in one line; of a group what it holds, since its own words say nothing."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(in_words(one) for one in error.exceptions)
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
