"""Run a blocking operation in a thread, with a deadline, and stay honest about what it may have done.

A thread cannot be cancelled. So the caller and the thread share a ticket: the thread passes `Ticket.commit` right
before the step that others can see, and is turned away there once the caller has gone. Hence a write whose caller was
told that nothing was sent never lands later.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from pointsman.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Ticket:
    """What the thread of one operation knows about the caller who waits for it.

    Args:
        what: The operation as a gerund, for messages: ``reading head``.
        within_s: The time that it has, from now.
    """

    __slots__ = ("_deadline", "_gone", "_lock", "_sent", "what", "within_s")

    def __init__(self, what: str, within_s: float) -> None:
        self.what = what
        self.within_s = within_s
        self._deadline = time.monotonic() + within_s
        self._lock = Lock()
        self._sent = False
        self._gone = False

    @property
    def sent(self) -> bool:
        """Whether the step that others can see was begun."""
        return self._sent

    def remaining_s(self) -> float:
        """Return the time left, never below zero."""
        return max(0.0, self._deadline - time.monotonic())

    def check(self) -> None:
        """Stop here when nobody waits any more.

        Raises:
            Unavailable: The caller has gone, or the time is over.
        """
        if self._gone or time.monotonic() >= self._deadline:
            raise self.late()

    def commit(self) -> None:
        """Pass the point after which the outcome is no longer certain.

        Raises:
            Unavailable: The caller has gone, or the time is over; nothing was sent.
        """
        with self._lock:
            self.check()
            self._sent = True

    def abandon(self) -> None:
        """Tell the thread that nobody waits; from here on `sent` no longer changes."""
        with self._lock:
            self._gone = True

    def late(self) -> Unavailable:
        """Return the error of an operation that took too long."""
        return Unavailable(f"{self.what.capitalize()} was not done within {self.within_s:g} s.", sent=self._sent)


class Threads:
    """The threads of one store.

    Args:
        most: Of operations at a time; others wait, in the time that they have.
    """

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, "pointsman-store")

    async def run(self, work: Callable[[Ticket], T], ticket: Ticket) -> T:
        """Return what ``work`` returns, off the event loop and within the ticket's time.

        Raises:
            Unavailable: The time is over, also while waiting for a thread.
        """
        found = asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, work, ticket)
        try:
            done, _ = await asyncio.wait({found}, timeout=ticket.remaining_s())
        finally:
            ticket.abandon()
            found.cancel()
        if not done:
            raise ticket.late()
        return found.result()

    def close(self) -> None:
        """Let the threads end when their operations have."""
        self._pool.shutdown(wait=False)
