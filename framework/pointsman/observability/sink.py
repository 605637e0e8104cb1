"""Take finished lines, and write those of one turn of the event loop at once.

Whoever writes a line pays for putting it on a list. Bounded: what is more than so many lines in one turn, or what the
stream refuses, is dropped and counted, and the count is a line itself. Never formats a line, and never raises.
"""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Callable
from typing import Final, TextIO

MAX_LINES: Final = 4096


class Sink:
    """Lines on their way to a stream; used from one event loop.

    Args:
        write: Writes and flushes; an ``OSError`` of its is counted as lines dropped.
        dropped: Makes the line that says how many lines were dropped.
        max_lines: How many lines wait at most.
    """

    def __init__(
        self, write: Callable[[bytes], None], dropped: Callable[[int], bytes], *, max_lines: int = MAX_LINES
    ) -> None:
        self._write = write
        self._dropped_line = dropped
        self._max_lines = max_lines
        self._lines: list[bytes] = []
        self._dropped = 0

    def put(self, line: bytes) -> None:
        """Have a line written in the next turn of the loop, after those before it.

        Args:
            line: Whole, its line break too.
        """
        lines = self._lines
        if not lines:
            get_running_loop().call_soon(self.flush)
        elif len(lines) >= self._max_lines:
            self._dropped += 1
            return
        lines.append(line)

    def flush(self) -> None:
        """Write what waits; with nothing waiting does nothing."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        dropped, self._dropped = self._dropped, 0
        if dropped:
            lines.append(self._dropped_line(dropped))
        try:
            self._write(b"".join(lines))
        except OSError:
            self._dropped = dropped + len(lines) - bool(dropped)


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
