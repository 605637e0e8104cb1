"""Record the requests that are sampled, each as one span.

Whether a request is recorded is decided once, before OpenTelemetry sees it; all others are served as they are, in no
frame more. Loaded only where spans are exported. Our own instead of OpenTelemetry's middleware for ASGI, whose span
costs a bare application three times what it costs itself. Never records a query, a header but the user agent, nor the
message of an error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from random import random
from typing import Any, Final, TypeAlias

from opentelemetry import context, propagate, trace
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, Tracer, TraceState

from pointsman.errors import PointsmanError
from pointsman.observability.context import Trace, parse_traceparent
from pointsman.observability.tracing import NAME, RECORDED, Attribute

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

PROBES: Final = "/health/"
"""In paths that are never recorded."""
METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
"""What is recorded of a method that is none of these: ``_OTHER``, so that callers make up no values."""
FAILED: Final = 500
"""From this status on the span is one of an error."""


class _Carrier(Getter[Headers]):
    """Reads ASGI's headers for OpenTelemetry's propagators."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        name = key.lower().encode("latin-1")
        return [value.decode("latin-1") for given, value in carrier if given == name] or None

    def keys(self, carrier: Headers) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier]


_CARRIER: Final = _Carrier()


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

    Args:
        app: Serves the requests.
        sample_ratio: The part of the traces that begin here that is recorded, 0 to 1.
        draw: Returns a number from 0 to below 1.
    """
    tracer = trace.get_tracer(NAME)

    def gate(scope: Message, receive: Receive, send: Send) -> Awaitable[None]:
        if PROBES in scope["path"]:
            return app(scope, receive, send)
        found = incoming(scope)
        if is_sampled(found, sample_ratio, draw):
            return _recorded(tracer, app, scope, receive, send)
        return app(scope, receive, send) if found is None else _followed(app, found, scope, receive, send)

    return gate


async def _recorded(tracer: Tracer, app: ASGIApp, scope: Message, receive: Receive, send: Send) -> None:
    """Serve in a span of the trace that the headers name, or of a new one."""
    status: int | None = None

    def watched(message: Message) -> Awaitable[None]:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        return send(message)

    around = propagate.extract(scope["headers"], getter=_CARRIER)
    recording = RECORDED.set(True)
    name, attributes = told_of(scope)
    span = tracer.start_span(name, around, SpanKind.SERVER, attributes)
    token = context.attach(trace.set_span_in_context(span, around))
    try:
        await app(scope, receive, watched)
    except BaseException as error:
        code = error.code if isinstance(error, PointsmanError) else type(error).__qualname__
        span.set_attribute("error.type", code)
        if isinstance(error, Exception):
            span.set_status(StatusCode.ERROR, code)
        raise
    finally:
        if status is not None:
            span.set_attribute("http.response.status_code", status)
            if status >= FAILED:
                span.set_status(StatusCode.ERROR)
        context.detach(token)
        span.end()
        RECORDED.reset(recording)


def told_of(scope: Message) -> tuple[str, dict[str, Attribute]]:
    """Return the first name of a request's span, and what is known of it before it is served.

    Source: OpenTelemetry, semantic conventions for HTTP spans (stable). Of what they only recommend there is who asks:
    each attribute costs every recorded request, here and at the exporter.
    """
    name, attributes = "WEBSOCKET", {"url.path": scope["path"], "url.scheme": scope.get("scheme", "http")}
    if (method := scope.get("method")) is not None:
        name, attributes["http.request.method"] = (method, method) if method in METHODS else ("HTTP", "_OTHER")
    if client := scope.get("client"):
        attributes["client.address"] = client[0]
    if agent := _CARRIER.get(scope["headers"], "user-agent"):
        attributes["user_agent.original"] = agent[0]
    return name, attributes


async def _followed(app: ASGIApp, found: Trace, scope: Message, receive: Receive, send: Send) -> None:
    """Serve in a trace that is not recorded, so that outgoing calls hand its header on."""
    states = _CARRIER.get(scope["headers"], "tracestate")
    state = TraceState.from_header(states) if states else None
    parent = SpanContext(int(found.trace_id, 16), int(found.span_id, 16), is_remote=True, trace_state=state)
    token = context.attach(trace.set_span_in_context(NonRecordingSpan(parent)))
    try:
        await app(scope, receive, send)
    finally:
        context.detach(token)
