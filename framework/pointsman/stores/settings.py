"""How long a store is waited for, and how much is taken from it.

Values only: nothing here opens, reads or decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pointsman.rules import FORBID, Bounds
from pointsman.values import frozen


@frozen(kw_only=True)
class StoreSettings:
    """The limits of every store; each one is a setting, none is infinite."""

    __pydantic_config__: ClassVar[Mapping[str, str]] = FORBID

    connect_timeout_s: Annotated[float, Bounds(gt=0, le=60)] = 2.0
    """The longest wait for a connection."""
    timeout_s: Annotated[float, Bounds(gt=0, le=300)] = 5.0
    """The longest silence of the store, the longest wait for a lock, and the whole time of a write."""
    deadline_s: Annotated[float, Bounds(gt=0, le=600)] = 10.0
    """The whole time of a read or a list, however steadily bytes trickle in."""
    max_entries: Annotated[int, Bounds(gt=0, le=1_000_000)] = 10_000
    """The most objects that one list may give; more is an error, never a shortened list."""
    max_threads: Annotated[int, Bounds(gt=0, le=256)] = 8
    """The most threads that one store may occupy; a sync-only client runs in them."""
