"""Spans around what is worth a span: a first resolution, a swap, a refresh.

OpenTelemetry's interface only, and only where the process has loaded it: nothing here imports it first, so that a
service without an exporter pays one look-up. Whether a request is recorded is decided once, before OpenTelemetry sees
it. Never records the message of an error: it might tell what a caller sent.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from random import random
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from pointsman.errors import MissingExtraError, PointsmanError
from pointsman.observability.context import Trace, parse_traceparent

if TYPE_CHECKING:
    from pointsman.observability.exporting import Exporting
    from pointsman.observability.settings import TracingSettings

Attribute: TypeAlias = str | bool | int | float
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

NAME: Final = "pointsman"
ENDPOINT_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROBES: Final = "/health/"
"""In paths that are never recorded."""
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
                code = error.code if isinstance(error, PointsmanError) else type(error).__qualname__
                opened.set_attribute("error.type", code)
                if isinstance(error, Exception):
                    opened.set_status(trace.StatusCode.ERROR, code)
                raise
    finally:
        RECORDED.reset(token)


def recording() -> bool:
    """Tell whether the work under way is recorded, so that a span is worth its cost."""
    if "opentelemetry.trace" not in sys.modules:
        return False
    from opentelemetry import trace

    return trace.get_current_span().is_recording()


def rename(name: str) -> None:
    """Name the span under way, once the route is known: ``GET /notes/{note_id}``."""
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry import trace

        trace.get_current_span().update_name(name)


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


def incoming(scope: Message) -> Trace | None:
    """Return what a request's ``traceparent`` says, or ``None`` where there is no valid one."""
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return parse_traceparent(value.decode("latin-1"))
    return None


def is_sampled(trace: Trace | None, sample_ratio: float, draw: Callable[[], float]) -> bool:
    """Tell whether a request is recorded: as its ``traceparent`` says, else by a draw.

    Args:
        trace: What it says.
        sample_ratio: The part of the traces that begin here, 0 to 1.
        draw: Returns a number from 0 to below 1.
    """
    return draw() < sample_ratio if trace is None else trace.sampled


def instrumented(app: ASGIApp, sample_ratio: float = 1.0, *, draw: Callable[[], float] = random) -> ASGIApp:
    """Return the application with a span around each request that is sampled, named by its method until `rename`.

    No span for each message. All others are served as they are: OpenTelemetry's middleware costs a bare application
    most of its requests a second also where nothing is recorded. It measures nothing: it keeps the length of an answer
    where concurrent requests share it, and would see the sampled ones only.

    Args:
        app: Serves the requests.
        sample_ratio: The part of the traces that begin here that is recorded, 0 to 1.
        draw: Returns a number from 0 to below 1.
    """
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.metrics import NoOpMeterProvider

    traced: ASGIApp = OpenTelemetryMiddleware(
        app, default_span_details=_method, exclude_spans=["receive", "send"], meter_provider=NoOpMeterProvider()
    )

    async def recorded(scope: Message, receive: Receive, send: Send) -> None:
        token = RECORDED.set(True)
        try:
            await traced(scope, receive, send)
        finally:
            RECORDED.reset(token)

    def gate(scope: Message, receive: Receive, send: Send) -> Awaitable[None]:
        if PROBES in scope["path"]:
            return app(scope, receive, send)
        trace = incoming(scope)
        if is_sampled(trace, sample_ratio, draw):
            return recorded(scope, receive, send)
        return app(scope, receive, send) if trace is None else _followed(app, trace, scope, receive, send)

    return gate


async def _followed(app: ASGIApp, trace: Trace, scope: Message, receive: Receive, send: Send) -> None:
    """Serve in a trace that is not recorded, so that outgoing calls hand its header on."""
    from opentelemetry import context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceState, set_span_in_context

    states = [value.decode("latin-1") for name, value in scope["headers"] if name == b"tracestate"]
    state = TraceState.from_header(states) if states else None
    parent = SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), is_remote=True, trace_state=state)
    token = context.attach(set_span_in_context(NonRecordingSpan(parent)))
    try:
        await app(scope, receive, send)
    finally:
        context.detach(token)


def _method(scope: Message) -> tuple[str, dict[str, Attribute]]:
    return str(scope.get("method", scope["type"])), {}
