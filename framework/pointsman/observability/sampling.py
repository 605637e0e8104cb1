"""Record the requests that are sampled, each as one span.

Whether a request is recorded is decided once, before OpenTelemetry's middleware sees it: that costs a bare application
most of its requests a second also where nothing is recorded. All others are served as they are, in no frame more.
Loaded only where spans are exported. Never records a query, nor the message of an error: they tell what a caller sent.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from random import random
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from opentelemetry import context, trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.propagate import get_global_textmap
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceState

from pointsman.observability.context import UNTRACED, Trace, parse_traceparent, traceparent_in
from pointsman.observability.tracing import RECORDED, Attribute, mark_failed, rename

if TYPE_CHECKING:
    from opentelemetry.context import Context

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

PROBES: Final = "/health/"
"""In paths that are never recorded."""
WHOLE: Final = "pointsman.scope"
"""Under this name the scope that the application sees is carried past the middleware."""
FAILURE: Final = "pointsman.failure"
_ANSWERS: Final = frozenset({"http.response.start", "websocket.accept"})
CONVENTIONS: Final = "OTEL_SEMCONV_STABILITY_OPT_IN", "http"
"""Which names attributes have. Source: OpenTelemetry, semantic conventions of HTTP, stable since 1.23.0; the
instrumentation alone would go on with those before."""


def is_sampled(trace: Trace | None, sample_ratio: float, draw: Callable[[], float]) -> bool:
    """Tell whether a request is recorded: as its ``traceparent`` says, else by a draw.

    Args:
        trace: What it says.
        sample_ratio: The part of the traces that begin here, 0 to 1.
        draw: Returns a number from 0 to below 1.
    """
    return draw() < sample_ratio if trace is None else trace.sampled


def instrumented(
    app: ASGIApp, sample_ratio: float = 1.0, *, draw: Callable[[], float] = random, samples_blindly: bool = False
) -> ASGIApp:
    """Return the application with a span around each request that is sampled, named by its method until `rename`.

    Args:
        app: Serves the requests.
        sample_ratio: The part of the traces that begin here that is recorded, 0 to 1.
        draw: Returns a number from 0 to below 1.
        samples_blindly: Whether the process's sampler looks at no attribute; its spans then start without any.
    """
    recorded = _traced(app, samples_blindly=samples_blindly)

    def gate(scope: Message, receive: Receive, send: Send) -> Awaitable[None]:
        if PROBES in scope["path"]:
            return app(scope, receive, send)
        header = traceparent_in(scope["headers"])
        found = parse_traceparent(header) if header else None
        if is_sampled(found, sample_ratio, draw):
            return recorded(scope, receive, send)
        if found is not None:
            return _followed(app, found, scope, receive, send)
        scope[UNTRACED] = True
        return app(scope, receive, send)

    return gate


class _Bare:
    """Starts spans without attributes: the middleware sets each of them once more on one that is recorded."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def start_span(self, name: str, context: Context | None = None, **more: Any) -> trace.Span:
        """Start a span as the tracer does."""
        return self._tracer.start_span(name, context, **{**more, "attributes": None})


def _traced(app: ASGIApp, *, samples_blindly: bool) -> ASGIApp:
    """Return the application in OpenTelemetry's middleware, which is told neither queries nor errors.

    It measures nothing: it keeps the length of an answer where concurrent requests share it, and would see the sampled
    ones only. No span for each message.
    """

    async def told_apart(scope: Message, receive: Receive, send: Send) -> None:
        def named(message: Message) -> Awaitable[None]:
            if message["type"] in _ANSWERS:
                _name_by_route(scope)
            return send(message)

        try:
            await app(scope[WHOLE], receive, named)
        except Exception as error:  # noqa: BLE001 - raised again outside of the span, which would tell its message
            scope[FAILURE] = error
            mark_failed(trace.get_current_span(), error)

    os.environ.setdefault(*CONVENTIONS)
    traced = OpenTelemetryMiddleware(
        told_apart, default_span_details=_method, exclude_spans=["receive", "send"], meter_provider=NoOpMeterProvider()
    )
    if samples_blindly:
        traced.tracer = _Bare(traced.tracer)
    read = _read_by(traced)

    async def recorded(scope: Message, receive: Receive, send: Send) -> None:
        headers = [pair for pair in scope["headers"] if read is None or pair[0] in read]
        shown = {**scope, "headers": headers, "query_string": b"", WHOLE: scope}
        token = RECORDED.set(True)
        try:
            await traced(shown, receive, send)
        finally:
            RECORDED.reset(token)
        if (error := shown.get(FAILURE)) is not None:
            raise error

    return recorded


def _read_by(traced: OpenTelemetryMiddleware) -> Collection[bytes] | None:
    """Return the headers that the middleware looks for, through all that there are each time; None: any."""
    if traced.http_capture_headers_server_request:
        return None
    return {b"host", b"user-agent", b"content-length", *(name.lower().encode() for name in get_global_textmap().fields)}


def _name_by_route(scope: Message) -> None:
    """Name the span of a request that an application behind us serves, by the route that it has found.

    Source: Starlette's and FastAPI's routers put it into the scope; what they mount grows the root path.
    """
    whole = scope[WHOLE]
    path = getattr(whole.get("route"), "path", None)
    if isinstance(path, str) and getattr(trace.get_current_span(), "name", "") == _method(scope)[0]:
        mounted = whole.get("root_path", "").removeprefix(scope.get("root_path", ""))
        rename(f"{_method(scope)[0]} {mounted}{path}")


def _method(scope: Message) -> tuple[str, dict[str, Attribute]]:
    return str(scope.get("method", scope["type"])), {}


async def _followed(app: ASGIApp, found: Trace, scope: Message, receive: Receive, send: Send) -> None:
    """Serve in a trace that is not recorded, so that outgoing calls hand its header on."""
    states = [value.decode("latin-1") for name, value in scope["headers"] if name == b"tracestate"]
    state = TraceState.from_header(states) if states else None
    parent = SpanContext(int(found.trace_id, 16), int(found.span_id, 16), is_remote=True, trace_state=state)
    token = context.attach(trace.set_span_in_context(NonRecordingSpan(parent)))
    try:
        await app(scope, receive, send)
    finally:
        context.detach(token)
