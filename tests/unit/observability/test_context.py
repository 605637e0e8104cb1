"""A line knows the request and the trace to which it belongs."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pointsman.observability.context import RequestContext, Trace, current_trace, parse_traceparent
from pointsman.observability.tracing import span

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"00-{TRACE_ID}-{SPAN_ID}-01", Trace(TRACE_ID, SPAN_ID, sampled=True)),
        (f"00-{TRACE_ID}-{SPAN_ID}-00", Trace(TRACE_ID, SPAN_ID, sampled=False)),
        (f"00-{TRACE_ID}-{SPAN_ID}-03", Trace(TRACE_ID, SPAN_ID, sampled=True)),
        (f"cc-{TRACE_ID}-{SPAN_ID}-01-what-comes-later", Trace(TRACE_ID, SPAN_ID, sampled=True)),
        (f"00-{TRACE_ID}-{SPAN_ID}-01-more", None),
        (f"ff-{TRACE_ID}-{SPAN_ID}-01", None),
        (f"00-{'0' * 32}-{SPAN_ID}-01", None),
        (f"00-{TRACE_ID}-{'0' * 16}-01", None),
        (f"00-{TRACE_ID.upper()}-{SPAN_ID}-01", None),
        (f"00-{TRACE_ID}-{SPAN_ID}-01\n", None),
        ("", None),
        ("00-٣af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None),
    ],
)
def test_a_traceparent_is_read_as_the_standard_says(text: str, expected: Trace | None) -> None:
    assert parse_traceparent(text) == expected


def test_the_trace_is_that_of_the_header_without_a_span(request_context: RequestContext) -> None:
    assert current_trace() == Trace(TRACE_ID, SPAN_ID, sampled=True)


def test_a_span_under_way_is_nearer_than_the_header(
    request_context: RequestContext, spans: InMemorySpanExporter
) -> None:
    with span("lifecycle.swap"):
        trace = current_trace()
    (recorded,) = spans.get_finished_spans()
    assert recorded.context is not None
    assert trace == Trace(f"{recorded.context.trace_id:032x}", f"{recorded.context.span_id:016x}", sampled=True)


def test_outside_of_a_request_there_is_no_trace() -> None:
    assert current_trace() is None
