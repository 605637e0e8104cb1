"""What happened to instances, manifests and the head, told to whoever listens.

Told synchronously and rarely: a swap, a refusal, a failed refresh, never a request. Telling never raises and never
waits, so it is safe between any two steps; nothing here decides anything, writes a line or counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec

Listener: TypeAlias = "Callable[[Event], None]"

_BAD_ENDS: Final = ("-failed", "-refused", ".refused", "-broken", "-overdue")
_logger = logging.getLogger(__name__)


class Event(msgspec.Struct, frozen=True):
    """One thing that happened.

    Attributes:
        name: ``swapped``, ``activation-failed``, ``manifest.refused``, …; stable, for metrics and filters.
        alarm: Whether somebody should look now.
        fields: ``component``, ``provider``, ``tenant``, ``error``, ``why`` (what a person reads where ``error`` is a
            code) and others; plain values, no secret among them.
    """

    name: str
    alarm: bool = False
    fields: Mapping[str, object] = {}

    @property
    def level(self) -> int:
        """How grave it is, in the numbers of `logging`."""
        if self.alarm:
            return logging.CRITICAL
        if self.fields.get("error") or self.name.endswith(_BAD_ENDS):
            return logging.WARNING
        return logging.INFO

    def __str__(self) -> str:
        component, provider, tenant = (self.fields.get(name) for name in ("component", "provider", "tenant"))
        what = f" {component}" if component else ""
        what += f"={provider}" if provider else ""
        what += f" for {tenant}" if tenant else ""
        why = self.fields.get("why") or self.fields.get("error")
        return f"{self.name}{what}" + (f": {why}" if why else "")


class Events:
    """Listeners, in the order in which they came. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell a listener every event from now on; returns the undo."""

        def undo() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

        self._listeners = (*self._listeners, listener)
        return undo

    def tell(self, name: str, /, *, alarm: bool = False, **fields: object) -> None:
        """Tell every listener what happened. Never raises: one that fails is logged, and the others hear of it."""
        event = Event(name, alarm, fields)
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                _logger.exception("A listener failed at the event %s.", name)
