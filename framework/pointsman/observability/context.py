"""What the request under way is, for the log lines that it writes.

Set once a request, read only when a line is written: nothing is parsed or formatted before. Never decides anything:
the tenant here is a label, and access to components does not look at it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Any, Final

import msgspec

from pointsman.patterns import late_pattern

_TRACEPARENT: Final = late_pattern(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.ASCII)
_SAMPLED: Final = 0x01


class Trace(msgspec.Struct, frozen=True):
    """Where a line belongs: 32 and 16 hexadecimal digits, and whether the trace is recorded."""

    trace_id: str
    span_id: str
    sampled: bool


class RequestContext(msgspec.Struct, gc=False):
    """One request's labels; written by the request alone, as it learns them.

    Attributes:
        catalog: ``<manifest version>.<cseq>``.
        headers: As ASGI gives them; looked into when a line needs the trace.
    """

    tenant: str = ""
    catalog: str = ""
    headers: Sequence[tuple[bytes, bytes]] = ()

    @property
    def traceparent(self) -> str:
        """The header as it came."""
        return traceparent_in(self.headers)


CURRENT: Final[ContextVar[RequestContext | None]] = ContextVar("pointsman_request", default=None)
"""The request under way; whoever sets it resets it when the request has ended."""

UNTRACED: Final = "pointsman.untraced"
"""In the scope of a request that nobody records and that came without a trace: nobody need look for one again."""


def traceparent_in(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the first ``traceparent`` of a request's headers as it came; empty where there is none."""
    for name, value in headers:
        if name == b"traceparent":
            return value.decode("latin-1")
    return ""


def current_span() -> Any:
    """Return OpenTelemetry's span under way; ``None`` where the process has not loaded it. Never loads it."""
    if (loaded := sys.modules.get("opentelemetry.trace")) is None:
        return None
    find = getattr(loaded, "get_current_span", None)  # there is none while the module is being loaded
    return find() if find is not None else None


def parse_traceparent(text: str) -> Trace | None:
    """Return what a ``traceparent`` header says, or ``None`` where it is not valid. Never raises.

    Source: W3C Trace Context 1, 3.2.2.
    """
    found = _TRACEPARENT.fullmatch(text)
    if found is None:
        return None
    version, trace_id, span_id, flags = found.groups()
    malformed = version == "ff" or (version == "00" and len(text) != len("00-") + 32 + 1 + 16 + 1 + 2)
    if malformed or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Trace(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def current_trace(request: RequestContext | None = None) -> Trace | None:
    """Return the current span where OpenTelemetry has one, else what the request's header says.

    Args:
        request: The one under way unless said.
    """
    span = current_span()
    if span is not None and (own := span.get_span_context()).is_valid:
        return Trace(f"{own.trace_id:032x}", f"{own.span_id:016x}", bool(own.trace_flags & _SAMPLED))
    request = CURRENT.get() if request is None else request
    header = request.traceparent if request is not None else ""
    return parse_traceparent(header) if header else None
