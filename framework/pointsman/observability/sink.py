"""Take what lines are made of, and write those that come close together at once.

Whoever has something to tell pays for putting it on a list: rendered in a row, lines take a third of what each would
take amid a request's own code. One after a pause is written in the next turn of the event loop; of those that follow
each other, those of `PACE_S` are one write. Bounded: what is more than so many waiting lines, or what the stream
refuses, is dropped and counted, and the count is a line itself. Never raises for a stream.
"""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Callable
from typing import Final, Generic, TextIO, TypeVar

T = TypeVar("T")

MAX_LINES: Final = 4096
PACE_S: Final = 0.005
"""The shortest time between two writes: less than an answer needs to its caller, since after that a container may have
no CPU to write with until the next request."""


class Sink(Generic[T]):
    """Lines on their way to a stream; used from one event loop.

    Args:
        write: Writes and flushes; an ``OSError`` of its is counted as lines dropped.
        render: Makes a line of what was put, whole, its line break too.
        dropped: Makes the line that says how many lines were dropped.
        max_lines: How many lines wait at most.
        pace_s: The shortest time between two writes, seconds.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        render: Callable[[T], bytes],
        dropped: Callable[[int], bytes],
        *,
        max_lines: int = MAX_LINES,
        pace_s: float = PACE_S,
    ) -> None:
        self._write = write
        self._render = render
        self._dropped_line = dropped
        self._max_lines = max_lines
        self._waiting: list[T] = []
        self._dropped = 0
        self._pace_s = pace_s
        self._next_at = 0.0

    def put(self, told: T) -> None:
        """Have a line written soon, after those before it."""
        waiting = self._waiting
        if not waiting:
            self._schedule()
        elif len(waiting) >= self._max_lines:
            self._dropped += 1
            return
        waiting.append(told)

    def _schedule(self) -> None:
        """Have what waits written in the next turn, or as long after the last write as the pace wants."""
        loop = get_running_loop()
        now = loop.time()
        if now >= self._next_at:
            self._next_at = now + self._pace_s
            loop.call_soon(self.flush)
        else:
            loop.call_at(self._next_at, self.flush)
            self._next_at += self._pace_s

    def flush(self) -> None:
        """Write what waits; with nothing waiting does nothing."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        dropped, self._dropped = self._dropped, 0
        lines = [self._render(told) for told in waiting]
        if dropped:
            lines.append(self._dropped_line(dropped))
        try:
            self._write(b"".join(lines))
        except OSError:
            self._dropped = dropped + len(waiting)


def writing_to(stream: TextIO) -> Callable[[bytes], None]:
    """Return what writes bytes to a stream of text, below its encoder where it has one, and flushes it."""
    raw = getattr(stream, "buffer", None)

    def write(lines: bytes) -> None:
        if raw is None:
            stream.write(lines.decode())
        else:
            raw.write(lines)
        stream.flush()

    return write
