"""What is known of each component's life: state, provider, last error, times; and the same on disk for others to read.

Written from what the manager tells; nothing decides by it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pointsman.values import frozen

if TYPE_CHECKING:
    from pointsman.lifecycle.identity import Identity

LifeState: TypeAlias = Literal["unknown", "activating", "ready", "failed", "draining"]


@frozen
class Status:
    """The life of one identity.

    Attributes:
        last_error: Why the last activation, check or swap failed; ``None`` after a success.
        last_health: What it last said of itself, where it was asked.
        last_swap_s: How long the last swap took, seconds.
    """

    state: LifeState = "unknown"
    current_provider: str | None = None
    last_error: str | None = None
    last_activated_at: datetime | None = None
    last_health: bool | None = None
    last_swap_at: datetime | None = None
    last_swap_s: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the status as JSON carries it."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }


_UNKNOWN = Status()


class Board:
    """The status of every identity that lives or last failed here."""

    def __init__(self) -> None:
        self._entries: dict[Identity, Status] = {}
        self._lives: Counter[Identity] = Counter()

    def get(self, identity: Identity) -> Status:
        """Return what is known; never raises."""
        return self._entries.get(identity, _UNKNOWN)

    def note(self, identity: Identity, **changes: Any) -> None:
        """Change some fields of a status."""
        self._entries[identity] = replace(self.get(identity), current_provider=identity.recipe.provider, **changes)

    def forget(self, identity: Identity) -> None:
        """Drop the status of what does not live: nobody asks for it, or its failure is long ago."""
        if identity not in self._lives:
            self._entries.pop(identity, None)

    def began(self, identity: Identity, at: datetime) -> None:
        """An instance is ready."""
        self._lives[identity] += 1
        self.note(identity, state="ready", last_error=None, last_activated_at=at)

    def ended(self, identity: Identity) -> None:
        """An instance is closed; the last of an identity takes its status along, so that swaps leave nothing."""
        self._lives[identity] -= 1
        if self._lives[identity] <= 0:
            del self._lives[identity]
            self._entries.pop(identity, None)

    def as_dict(self) -> Mapping[str, Any]:
        """Return ``{"adapter/cache=redis": {…}, "service/notes=sql for acme": {…}}``, sorted.

        Identities that differ in what no name tells, such as settings, are numbered: ``adapter/cache=redis #2``.
        """
        named: dict[str, Any] = {}
        for identity, status in sorted(self._entries.items(), key=lambda entry: str(entry[0])):
            name, number = str(identity), 1
            while (label := name if number == 1 else f"{name} #{number}") in named:
                number += 1
            named[label] = status.as_dict()
        return named


def write_board(path: Path, content: Mapping[str, Any]) -> None:
    """Write a board beside its place and move it there, so that a reader never sees half of it. Blocks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    beside.replace(path)
