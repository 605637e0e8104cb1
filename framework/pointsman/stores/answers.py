"""What a store's HTTP answer means: its status as one of our errors, its headers as times.

Pure: headers and numbers in, values out. Headers come from outside, so what cannot be read counts as absent.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from pointsman.errors import Forbidden, NotFound, PreconditionFailed, StoreError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_RETRY_AFTER_S = 60.0
_MAX_SECONDS = 10 * 365 * 24 * 3600

_AGAIN = frozenset({408, 425, 429})


def refusal(status: int, what: str, *, reason: str = "", headers: Mapping[str, str] | None = None) -> StoreError:
    """Return the error that a status other than success stands for.

    Args:
        status: The HTTP status.
        what: What was done, as a gerund: ``reading head``.
        reason: What the store says about it; shown as a quotation, cut to 300 characters.
        headers: The answer's headers, for ``Retry-After``.
    """
    said = f" The store says {reason.strip()[:300]!r}." if reason.strip() else ""
    what = what.capitalize()
    if status == 404:
        return NotFound(f"{what}: there is no such object, or no such bucket.{said}")
    if status in {401, 403}:
        return Forbidden(
            f"{what}: the store refuses us, status {status}.{said}",
            hint="Give the service account the right to do this, on this bucket and prefix.",
        )
    if status == 412:
        return PreconditionFailed(
            f"{what}: the object is of another generation.{said}", hint="Read it again, and decide again."
        )
    if status in _AGAIN or status >= 500:
        after = seconds(headers.get("Retry-After")) if headers is not None else None
        after_s = None if after is None else min(float(after), _MAX_RETRY_AFTER_S)
        return Unavailable(f"{what}: the store cannot now, status {status}.{said}", sent=True, retry_after_s=after_s)
    return StoreError(f"{what}: expected success, found status {status}.{said}")


def http_date(text: str | None) -> datetime | None:
    """Return the time that an HTTP date tells, aware UTC; None for what is none."""
    if text is None:
        return None
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def seconds(text: str | None) -> int | None:
    """Return a header's whole number of seconds, at most ten years; None for what is none."""
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    return min(int(text[:12]), _MAX_SECONDS)


def store_now(headers: Mapping[str, str], fallback: datetime) -> datetime:
    """Return the store's clock at the reply: its ``Date``, and the ``Age`` that a cache on the way has added."""
    date = http_date(headers.get("Date"))
    if date is None:
        return fallback
    try:
        return date + timedelta(seconds=seconds(headers.get("Age")) or 0)
    except OverflowError:
        return date
