"""Every limit by which documents are judged: named, with its default and its unit."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Final

from pointsman.values import frozen

DAY_S: Final = 86_400


@frozen
class Limits:
    """Caps and tolerances; all are positive.

    Attributes:
        max_manifest_bytes: A manifest in its envelope.
        max_head_bytes: The head; also a release or a control document alone.
        max_root_bytes: A root in its envelope.
        max_lifetime_s: From issue to expiry, for manifests, releases and control documents; also the longest grace.
        max_root_lifetime_s: From issue to expiry, for roots.
        clock_skew_s: How far in the future a document may have been issued.
        stamp_tolerance_s: How much later than it was signed a head may have been written.
    """

    max_manifest_bytes: int = 4 * 1024 * 1024
    max_head_bytes: int = 64 * 1024
    max_root_bytes: int = 64 * 1024
    max_lifetime_s: int = 90 * DAY_S
    max_root_lifetime_s: int = 3 * 366 * DAY_S
    clock_skew_s: int = 300
    stamp_tolerance_s: int = 60

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    @property
    def skew(self) -> timedelta:
        """``clock_skew_s`` as a duration."""
        return timedelta(seconds=self.clock_skew_s)


DEFAULT_LIMITS: Final = Limits()
