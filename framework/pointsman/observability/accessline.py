"""One line for each request, in the fields that Cloud Logging reads; for people on a terminal in development.

Past `logging`, and rendered by the sink when the request is over: every request pays for it. Never shows a query, which
may hold what a caller wants to keep, nor a secret.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TextIO

import msgspec
from msgspec import UNSET, UnsetType

from pointsman.observability.logging import DEVELOPMENT, UNSIGNED, is_for_people, number_of
from pointsman.observability.sink import Sink, writing_to

if TYPE_CHECKING:
    from pointsman.observability.context import RequestContext, Trace
    from pointsman.observability.settings import LoggingSettings

LOGGER: Final = "pointsman.access"
SERVER_ERROR: Final = 500
"""From this status on a line is a warning; what went wrong has a line of its own."""


class Answered(msgspec.Struct, gc=False):
    """One request, after its end.

    Attributes:
        path: Without the query.
        ended_at: Unix time, seconds.
        taken_s: From the first byte that we saw to the end.
    """

    method: str
    path: str
    status: int
    ended_at: float
    taken_s: float
    request: RequestContext
    trace: Trace | None


class _HttpRequest(msgspec.Struct, gc=False, rename="camel"):
    request_method: str
    request_url: str
    status: int
    latency: str


class _Labels(msgspec.Struct, gc=False):
    tenant: str | UnsetType
    catalog: str | UnsetType


class _Line(msgspec.Struct, gc=False):
    """Source: Cloud Logging, structured logging, special JSON fields."""

    severity: str
    message: str
    time: datetime
    logger: str
    http_request: _HttpRequest | UnsetType = msgspec.field(name="httpRequest", default=UNSET)
    labels: _Labels | UnsetType = msgspec.field(name="logging.googleapis.com/labels", default=UNSET)
    trace: str | UnsetType = msgspec.field(name="logging.googleapis.com/trace", default=UNSET)
    span_id: str | UnsetType = msgspec.field(name="logging.googleapis.com/spanId", default=UNSET)
    trace_sampled: bool | UnsetType = msgspec.field(name="logging.googleapis.com/trace_sampled", default=UNSET)
    unsigned_manifests: str | UnsetType = UNSET


_ENCODE: Final = msgspec.json.Encoder().encode


class AccessLines:
    """Writes the lines of a run; `flush` at its end.

    Args:
        settings: Level and format.
        stream: Standard error unless said.
        environment: ``development`` says in every line that unsigned manifests are accepted.
        scrub: Takes secrets out of a path.
    """

    def __init__(
        self,
        settings: LoggingSettings,
        stream: TextIO | None = None,
        *,
        environment: str = "",
        scrub: Callable[[str], str] = str,
    ) -> None:
        stream = sys.stderr if stream is None else stream
        self._scrub = scrub
        self._unsigned: str | UnsetType = UNSIGNED if environment == DEVELOPMENT else UNSET
        self._render = _for_people if is_for_people(settings, stream, environment) else _for_cloud_logging
        self._least_status = least_status(settings.level)
        self._sink = Sink(writing_to(stream), self._rendered, self._dropped)
        self.flush = self._sink.flush

    def tell(self, answered: Answered) -> None:
        """Have the line of a request written soon."""
        if answered.status >= self._least_status:
            self._sink.put(answered)

    def _rendered(self, answered: Answered) -> bytes:
        path = answered.path
        if not path.isascii():
            path = path.encode(errors="replace").decode()  # no server should hand on half a surrogate pair
        return self._render(_line(answered, self._scrub(path), self._unsigned))

    def _dropped(self, count: int) -> bytes:
        line = _Line("WARNING", f"{count} access lines were dropped", datetime.now(UTC), LOGGER)
        return self._render(line)


def least_status(level: str) -> int:
    """Return the status from which on a request has a line at this level."""
    number = number_of(level)
    if number <= number_of("INFO"):
        return 0
    return SERVER_ERROR if number <= number_of("WARNING") else sys.maxsize


def _line(answered: Answered, path: str, unsigned: str | UnsetType) -> _Line:
    method, status, request, trace = answered.method, answered.status, answered.request, answered.trace
    line = _Line(
        "INFO" if status < SERVER_ERROR else "WARNING",
        f"{method} {path} {status}",
        datetime.fromtimestamp(answered.ended_at, UTC),
        LOGGER,
        _HttpRequest(method, path, status, f"{answered.taken_s:.6f}s"),
        unsigned_manifests=unsigned,
    )
    if request.tenant or request.catalog:
        line.labels = _Labels(request.tenant or UNSET, request.catalog or UNSET)
    if trace is not None:
        line.trace, line.span_id, line.trace_sampled = trace.trace_id, trace.span_id, trace.sampled
    return line


def _for_cloud_logging(line: _Line) -> bytes:
    return _ENCODE(line) + b"\n"


def _for_people(line: _Line) -> bytes:
    when = line.time.astimezone().strftime("%H:%M:%S.%f")[:-3]
    told = [when, f"[{line.severity.lower()}]", ascii(line.message)[1:-1]]
    if line.http_request is not UNSET:
        told.append(line.http_request.latency)
    if line.labels is not UNSET and line.labels.tenant is not UNSET:
        told.append(f"tenant={line.labels.tenant}")
    return (" ".join(told) + "\n").encode()
