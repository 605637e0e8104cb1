"""Spans around what is worth a span: a first resolution, a swap, a refresh.

OpenTelemetry's interface only, and only where the process has loaded it: nothing here imports it first, so that a
service without an exporter pays one look-up. Never records the message of an error: it might tell what a caller sent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from pointsman.errors import MissingExtraError, PointsmanError
from pointsman.observability.context import current_span

if TYPE_CHECKING:
    from opentelemetry import trace

    from pointsman.observability.exporting import Exporting
    from pointsman.observability.settings import TracingSettings

Attribute: TypeAlias = str | bool | int | float

NAME: Final = "pointsman"
ENDPOINT_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
RECORDED: Final[ContextVar[bool]] = ContextVar("pointsman_recorded", default=False)
"""Whether a trace may begin in the work under way: in a request that was let in, and for a span of ours."""


class Span(Protocol):
    """What a span lets its block add."""

    def set_attribute(self, key: str, value: Attribute) -> object:
        """Add or replace one attribute."""


class _NoSpan:
    """The span of a process without OpenTelemetry."""

    __slots__ = ()

    def set_attribute(self, key: str, value: Attribute) -> None:
        """Forget the attribute."""


_NO_SPAN: Final = _NoSpan()


@contextmanager
def span(name: str, /, **attributes: Attribute) -> Iterator[Span]:
    """Open a span for the block; an error that leaves it marks the span with its code.

    Args:
        name: ``lifecycle.swap``; few different ones.
        attributes: Recorded as ``pointsman.<name>``.
    """
    if "opentelemetry.trace" not in sys.modules:
        yield _NO_SPAN
        return
    from opentelemetry import trace

    own = {f"{NAME}.{key}": value for key, value in attributes.items()}
    tracer = trace.get_tracer(NAME)
    token = RECORDED.set(True)
    try:
        opening = tracer.start_as_current_span(
            name, attributes=own, record_exception=False, set_status_on_exception=False
        )
        with opening as opened:
            try:
                yield opened
            except BaseException as error:
                mark_failed(opened, error)
                raise
    finally:
        RECORDED.reset(token)


def mark_failed(span: trace.Span, error: BaseException) -> None:
    """Tell an error by its code, never by its message; what only ends the work, a cancellation, is no failure."""
    from opentelemetry.trace import StatusCode

    code = error.code if isinstance(error, PointsmanError) else type(error).__qualname__
    span.set_attribute("error.type", code)
    if isinstance(error, Exception):
        span.set_status(StatusCode.ERROR, code)


def recording() -> bool:
    """Tell whether the work under way is recorded, so that a span is worth its cost."""
    current = current_span()
    return current is not None and current.is_recording()


def rename(name: str) -> None:
    """Name the span under way, once the route is known: ``GET /notes/{note_id}``."""
    if (current := current_span()) is not None and current.is_recording():
        current.update_name(name)
        current.set_attribute("http.route", name.partition(" ")[2])


def exporter_configured(settings: TracingSettings, environ: Mapping[str, str]) -> bool:
    """Tell whether spans and metrics go anywhere."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return bool(settings.endpoint) or any(environ.get(name) for name in ENDPOINT_VARIABLES)


def start_exporting(settings: TracingSettings, *, service: str, environ: Mapping[str, str]) -> Exporting | None:
    """Install what sends spans and metrics, where a collector is known; close what it returns at the shutdown.

    Raises:
        MissingExtraError: A collector is known, and the packages that talk to it are not installed.
    """
    if not exporter_configured(settings, environ):
        return None
    try:
        from pointsman.observability import exporting
    except ModuleNotFoundError as error:
        raise MissingExtraError("otlp", "tracing", error.name or "") from error
    return exporting.start(settings, service=service, environ=environ)
