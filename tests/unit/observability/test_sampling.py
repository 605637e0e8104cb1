"""Only requests that are sampled enter OpenTelemetry, and only they grow a trace."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.asgi import asgi_getter
from opentelemetry.propagate import inject
from opentelemetry.propagators.textmap import default_getter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import SamplingResult
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from pointsman import Candidate, Pointsman
from pointsman.errors import ProviderUnavailable
from pointsman.observability.context import CURRENT, UNTRACED, RequestContext, current_trace, parse_traceparent
from pointsman.observability.exporting import Let
from pointsman.observability.sampling import instrumented, is_sampled
from pointsman.observability.tracing import rename, span
from pointsman.testing import serving
from tests.programs import python

Message = MutableMapping[str, Any]
Block = Callable[[Message], Awaitable[None]]
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SAMPLED, UNSAMPLED = (f"00-{TRACE_ID}-b7ad6b7169203331-{flags}".encode() for flags in ("01", "00"))


def never() -> float:
    raise AssertionError("nothing is drawn where a header decides")


def scope_of(path: str = "/notes", traceparent: bytes | None = None) -> Message:
    headers = [(b"host", b"test"), *([] if traceparent is None else [(b"traceparent", traceparent)])]
    return {
        "type": "http", "method": "GET", "path": path, "headers": headers, "query_string": b"", "scheme": "http",
        "server": ("test", 80), "http_version": "1.1",
    }  # fmt: skip


async def receive() -> Message:
    return {"type": "http.request"}


async def connect() -> Message:
    return {"type": "websocket.connect"}


async def send(message: Message) -> None:
    pass


def answering(block: Block, status: int = 200) -> Any:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await block(scope)
        await send({"type": "http.response.start", "status": int(scope.get("status", status)), "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


async def nothing(_scope: Message) -> None:
    """Do nothing."""


async def call_out(_scope: Message) -> None:
    with trace.get_tracer("httpx").start_as_current_span("GET elsewhere", kind=SpanKind.CLIENT):
        pass


async def serve_inside(_scope: Message) -> None:
    with trace.get_tracer("other").start_as_current_span("GET", kind=SpanKind.SERVER):
        pass


def names(spans: InMemorySpanExporter) -> list[str]:
    return [recorded.name for recorded in spans.get_finished_spans()]


async def test_a_request_that_is_not_sampled_never_enters_opentelemetry(spans: InMemorySpanExporter) -> None:
    wrapped: list[bool] = []

    async def app(scope: Message, receive: Any, its_send: Any) -> None:
        wrapped.append(its_send is not send)
        assert not trace.get_current_span().is_recording()

    await instrumented(app, 1.0, draw=never)(scope_of(traceparent=UNSAMPLED), receive, send)
    await instrumented(app, 0.1, draw=lambda: 0.1)(scope_of(), receive, send)
    assert wrapped == [False, False]
    assert names(spans) == []


async def test_a_request_that_its_caller_sampled_is_a_span_of_that_trace(spans: InMemorySpanExporter) -> None:
    await instrumented(answering(nothing), 0.0, draw=never)(scope_of(traceparent=SAMPLED), receive, send)
    (recorded,) = spans.get_finished_spans()
    assert f"{recorded.context.trace_id:032x}" == TRACE_ID
    assert recorded.kind is SpanKind.SERVER


@pytest.mark.parametrize("samples_blindly", [False, True])
async def test_a_span_tells_what_was_asked_by_whom_and_how_it_was_answered_and_no_query(
    spans: InMemorySpanExporter, *, samples_blindly: bool
) -> None:
    scope = scope_of("/notes/7")
    scope |= {"query_string": b"token=hunter2", "client": ("192.0.2.1", 4711)}
    scope["headers"] += [(b"user-agent", b"curl/8"), (b"authorization", b"Bearer hunter2")]

    async def route(_scope: Message) -> None:
        rename("GET /notes/{note_id}")

    await instrumented(answering(route), samples_blindly=samples_blindly)(scope, receive, send)
    (recorded,) = spans.get_finished_spans()
    assert recorded.instrumentation_scope is not None
    assert recorded.instrumentation_scope.name == "opentelemetry.instrumentation.asgi"
    assert recorded.name == "GET /notes/{note_id}"
    told = dict(recorded.attributes or {})
    assert (told["http.request.method"], told["http.route"]) == ("GET", "/notes/{note_id}")
    assert (told["url.path"], told["http.response.status_code"]) == ("/notes/7", 200)
    assert (told["client.address"], told["user_agent.original"]) == ("192.0.2.1", "curl/8")
    assert "hunter2" not in recorded.to_json()
    assert recorded.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/things/7", "GET /things/{thing_id}"),
        ("/shop/things/7", "GET /shop/things/{thing_id}"),
        ("/nowhere", "GET"),
    ],
)
async def test_the_span_of_an_application_behind_us_is_named_by_its_route(
    spans: InMemorySpanExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, name: str
) -> None:
    async def thing(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.path_params["thing_id"])

    things = Route("/things/{thing_id}", thing)
    monkeypatch.chdir(tmp_path)
    app = Pointsman(inner=Starlette(routes=[things, Mount("/shop", routes=[things])]))
    async with serving(app):
        await instrumented(app)({**scope_of(path), "root_path": "", "raw_path": path.encode()}, receive, send)
    (recorded,) = [one for one in spans.get_finished_spans() if one.kind is SpanKind.SERVER]
    assert recorded.name == name
    assert (recorded.attributes or {}).get("http.route", "") == name.removeprefix("GET").strip()


@pytest.mark.parametrize("path", ["/notes/{note_id}", "/notes/{note_id:int}"])
async def test_a_span_that_somebody_else_has_opened_is_named_though_no_trace_begins_here(
    spans: InMemorySpanExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    app = Pointsman()

    @app.get(path)
    async def note(note_id: int) -> int:
        return note_id

    async with serving(app):
        with span("outer"):
            await instrumented(app, 0.0)({**scope_of("/notes/7"), "raw_path": b"/notes/7"}, receive, send)
    assert names(spans) == [f"GET {path}"]


async def test_the_span_of_a_websocket_behind_us_is_named_by_its_route(spans: InMemorySpanExporter) -> None:
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    scope = {**scope_of("/live/7"), "type": "websocket"}
    del scope["method"]
    await instrumented(Starlette(routes=[WebSocketRoute("/live/{room}", talk)]))(scope, connect, send)
    (recorded,) = spans.get_finished_spans()
    assert recorded.name == "websocket /live/{room}"


@pytest.mark.parametrize(("status", "expected"), [(404, StatusCode.UNSET), (503, StatusCode.ERROR)])
async def test_the_span_of_an_answer_that_is_our_fault_is_one_of_an_error(
    spans: InMemorySpanExporter, status: int, expected: StatusCode
) -> None:
    await instrumented(answering(nothing, status))(scope_of(), receive, send)
    (recorded,) = spans.get_finished_spans()
    assert recorded.status.status_code is expected


async def test_what_is_raised_passes_and_is_told_by_its_code(spans: InMemorySpanExporter) -> None:
    async def fail(_scope: Message) -> None:
        raise ProviderUnavailable("hunter2")

    with pytest.raises(ProviderUnavailable):
        await instrumented(answering(fail))(scope_of(), receive, send)
    (recorded,) = spans.get_finished_spans()
    assert (recorded.status.status_code, recorded.status.description) == (StatusCode.ERROR, "provider-unavailable")
    assert "hunter2" not in recorded.to_json()
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_a_websocket_is_a_span_too(spans: InMemorySpanExporter) -> None:
    scope = {**scope_of("/live"), "type": "websocket"}
    del scope["method"]

    async def talk(scope: Message, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    await instrumented(talk)(scope, receive, send)
    (recorded,) = spans.get_finished_spans()
    assert recorded.name == "websocket"


async def test_baggage_of_a_recorded_request_is_handed_on(spans: InMemorySpanExporter) -> None:
    sent: dict[str, str] = {}

    async def hand_on(_scope: Message) -> None:
        inject(sent)

    scope = scope_of(traceparent=SAMPLED)
    scope["headers"].append((b"baggage", b"plan=gold"))
    await instrumented(answering(hand_on))(scope, receive, send)
    assert sent["baggage"] == "plan=gold"
    assert sent["traceparent"].split("-")[1] == TRACE_ID


@pytest.mark.parametrize("samples_blindly", [False, True])
async def test_only_a_sampler_that_looks_at_attributes_is_shown_any(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, *, samples_blindly: bool
) -> None:
    shown: list[Any] = []
    decide = Let.should_sample

    def should_sample(self: Let, *of: Any, attributes: Any, **more: Any) -> SamplingResult:
        shown.append(attributes)
        return decide(self, *of, attributes=attributes, **more)

    monkeypatch.setattr(Let, "should_sample", should_sample)
    await instrumented(answering(nothing), samples_blindly=samples_blindly)(scope_of(), receive, send)
    (seen,) = shown
    assert bool(seen) is not samples_blindly


async def test_headers_that_nobody_looks_for_are_not_gone_through(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The middleware decodes every header that it is shown, some nine times."""
    looked_at: list[set[str]] = []
    get = asgi_getter.get
    monkeypatch.setattr(
        asgi_getter, "get", lambda of, key: (looked_at.append({*asgi_getter.keys(of)}), get(of, key))[1]
    )
    seen: list[Message] = []

    async def look(scope: Message) -> None:
        seen.append(scope)

    scope = scope_of(traceparent=SAMPLED)
    scope["headers"] += [(b"accept", b"*/*"), (b"x-tenant-id", b"acme"), (b"tracestate", b"vendor=1")]
    await instrumented(answering(look), 1.0)(scope, receive, send)
    assert looked_at
    assert set().union(*looked_at) == {"host", "traceparent", "tracestate"}
    assert seen == [scope]


async def test_the_header_of_another_propagator_is_found_whatever_its_case(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loud(TraceContextTextMapPropagator):
        fields: ClassVar[set[str]] = {"X-Trace"}

        def extract(self, carrier: Any, context: Any = None, getter: Any = default_getter) -> Context:
            headers = {"traceparent": getter.get(carrier, "x-trace")}
            return super().extract(headers, context)

    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", Loud())
    scope = scope_of()
    scope["headers"].append((b"x-trace", SAMPLED))
    await instrumented(answering(nothing), 1.0)(scope, receive, send)
    (recorded,) = spans.get_finished_spans()
    assert f"{recorded.context.trace_id:032x}" == TRACE_ID


NAMES = """
import asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pointsman.observability.sampling import instrumented

spans, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)

async def app(scope, receive, send):
    pass

scope = {"type": "http", "method": "GET", "path": "/a", "headers": [], "query_string": b""}
asyncio.run(instrumented(app, 1.0)(scope, None, None))
print(*sorted(spans.get_finished_spans()[0].attributes))
"""


def test_somebody_who_wants_the_old_names_of_attributes_says_so() -> None:
    assert "http.method" in python(NAMES, OTEL_SEMCONV_STABILITY_OPT_IN="default").stdout.split()
    assert "http.request.method" in python(NAMES).stdout.split()


async def test_a_header_that_somebody_wants_recorded_is(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "x-plan")
    scope = scope_of()
    scope["headers"].append((b"x-plan", b"gold"))
    await instrumented(answering(nothing), 1.0)(scope, receive, send)
    (recorded,) = spans.get_finished_spans()
    assert (recorded.attributes or {})["http.request.header.x_plan"] == ("gold",)


async def test_a_trace_that_begins_here_is_drawn_once(spans: InMemorySpanExporter) -> None:
    drawn = iter([0.05, 0.5, 0.099, 0.1])
    app = instrumented(answering(nothing), 0.1, draw=lambda: next(drawn))
    for path in ("/a", "/b", "/c", "/d"):
        await app(scope_of(path), receive, send)
    assert [recorded.attributes["url.path"] for recorded in spans.get_finished_spans() if recorded.attributes] == [
        "/a", "/c"
    ]  # fmt: skip
    assert list(drawn) == []


@given(ratio=st.floats(0, 1), drawn=st.floats(0, 1, exclude_max=True), flags=st.sampled_from(["00", "01", "xx", ""]))
def test_the_header_decides_where_it_is_valid_and_the_draw_where_not(ratio: float, drawn: float, flags: str) -> None:
    header = f"00-{TRACE_ID}-b7ad6b7169203331-{flags}" if flags else ""
    expected = {"00": False, "01": True}.get(flags, drawn < ratio)
    assert is_sampled(parse_traceparent(header), ratio, lambda: drawn) is expected


@pytest.mark.parametrize("path", ["/health/ready", "/below/health/live"])
async def test_probes_are_never_sampled(spans: InMemorySpanExporter, path: str) -> None:
    await instrumented(answering(nothing), 1.0, draw=never)(scope_of(path, SAMPLED), receive, send)
    assert names(spans) == []


@pytest.mark.parametrize("block", [call_out, serve_inside])
async def test_a_request_that_is_not_recorded_grows_no_trace_of_its_own(
    spans: InMemorySpanExporter, block: Block
) -> None:
    await instrumented(answering(block), 0.0)(scope_of(), receive, send)
    assert names(spans) == []


@pytest.mark.parametrize("block", [call_out, serve_inside])
async def test_what_a_recorded_request_does_is_recorded(spans: InMemorySpanExporter, block: Block) -> None:
    await instrumented(answering(block), 1.0)(scope_of(), receive, send)
    inside, request = spans.get_finished_spans()
    assert inside.parent is not None
    assert inside.parent.span_id == request.context.span_id


async def test_after_a_recorded_request_nothing_begins_a_trace(spans: InMemorySpanExporter) -> None:
    await instrumented(answering(nothing), 1.0)(scope_of(), receive, send)
    spans.clear()
    await call_out({})
    assert names(spans) == []


async def test_concurrent_requests_have_each_their_span_and_what_it_tells(spans: InMemorySpanExporter) -> None:
    both = asyncio.Barrier(2)

    async def meet(_scope: Message) -> None:
        await both.wait()

    app = instrumented(answering(meet), 1.0)
    asked = [{**scope_of(path), "status": status} for path, status in (("/a", 200), ("/b", 404))]
    await asyncio.gather(*(app(scope, receive, send) for scope in asked))
    told = [dict(recorded.attributes or {}) for recorded in spans.get_finished_spans()]
    assert sorted((str(one["url.path"]), one["http.response.status_code"]) for one in told) == [
        ("/a", 200),
        ("/b", 404),
    ]
    assert len({recorded.context.trace_id for recorded in spans.get_finished_spans()}) == 2


async def test_a_request_that_is_not_sampled_keeps_its_trace_in_log_lines(spans: InMemorySpanExporter) -> None:
    seen: list[str] = []

    async def look(scope: Message) -> None:
        token = CURRENT.set(RequestContext(headers=scope["headers"]))
        found = current_trace()
        seen.append(found.trace_id if found else "")
        CURRENT.reset(token)

    await instrumented(answering(look), 1.0)(scope_of(traceparent=UNSAMPLED), receive, send)
    assert seen == [TRACE_ID]


@pytest.mark.parametrize(
    ("traceparent", "ratio", "untraced"),
    [(None, 0.0, True), (b"nonsense", 0.0, True), (UNSAMPLED, 0.0, False), (SAMPLED, 0.0, False), (None, 1.0, False)],
)
async def test_only_a_request_without_any_trace_is_marked_as_such(
    spans: InMemorySpanExporter, traceparent: bytes | None, ratio: float, untraced: bool
) -> None:
    seen: list[bool] = []

    async def look(scope: Message) -> None:
        seen.append(UNTRACED in scope)
        assert (current_trace(RequestContext(headers=scope["headers"])) is None) is untraced

    await instrumented(answering(look), ratio)(scope_of(traceparent=traceparent), receive, send)
    assert seen == [untraced]


async def test_a_trace_that_is_not_recorded_is_handed_on_as_it_came(spans: InMemorySpanExporter) -> None:
    sent: dict[str, str] = {}

    async def hand_on(_scope: Message) -> None:
        with trace.get_tracer("httpx").start_as_current_span("GET elsewhere", kind=SpanKind.CLIENT):
            inject(sent)

    scope = scope_of(traceparent=UNSAMPLED)
    scope["headers"].append((b"tracestate", b"vendor=1"))
    await instrumented(answering(hand_on), 1.0, draw=never)(scope, receive, send)
    assert sent["traceparent"].split("-")[1::2] == [TRACE_ID, "00"]
    assert sent["tracestate"] == "vendor=1"
    assert names(spans) == []
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_a_swap_is_recorded_though_nobody_asked_for_it_over_http(
    spans: InMemorySpanExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [Candidate("service", "word", name, lambda: "word", priority=rank) for rank, name in enumerate("ab")]
    app = Pointsman(include=words)
    async with serving(app):
        await app.runtime.swap("service", "word", "a", reason="test", reach="replica")
    (recorded,) = spans.get_finished_spans()
    assert recorded.name == "lifecycle.swap"
    assert recorded.attributes == {"pointsman.component": "service/word", "pointsman.provider": "a"}
