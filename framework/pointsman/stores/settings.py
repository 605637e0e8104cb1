"""How long a store is waited for, and how much is taken from it.

Values only: nothing here opens, reads or decides.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class StoreSettings(BaseModel):
    """The limits of every store; each one is a setting, none is infinite."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connect_timeout_s: float = Field(default=2.0, gt=0, le=60)
    """The longest wait for a connection."""
    timeout_s: float = Field(default=5.0, gt=0, le=300)
    """The longest silence of the store, the longest wait for a lock, and the whole time of a write."""
    deadline_s: float = Field(default=10.0, gt=0, le=600)
    """The whole time of a read or a list, however steadily bytes trickle in."""
    max_entries: int = Field(default=10_000, gt=0, le=1_000_000)
    """The most objects that one list may give; more is an error, never a shortened list."""
    max_threads: int = Field(default=8, gt=0, le=256)
    """The most threads that one store may occupy; a sync-only client runs in them."""
