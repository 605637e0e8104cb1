"""Spans cost nothing where nobody loaded OpenTelemetry, and tell codes, never messages."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from pointsman.errors import MissingExtraError, ProviderUnavailable
from pointsman.observability.sampling import instrumented
from pointsman.observability.settings import TracingSettings
from pointsman.observability.tracing import (
    exporter_configured,
    recording,
    rename,
    span,
    start_exporting,
)
from tests.programs import python

Message = MutableMapping[str, Any]


def test_a_span_records_name_attributes_and_what_its_block_adds(spans: InMemorySpanExporter) -> None:
    with span("lifecycle.swap", component="adapter/cache", forced=False) as opened:
        opened.set_attribute("pointsman.provider", "redis")
        assert recording()
    (recorded,) = spans.get_finished_spans()
    assert recorded.name == "lifecycle.swap"
    assert recorded.attributes == {
        "pointsman.component": "adapter/cache", "pointsman.forced": False, "pointsman.provider": "redis"
    }  # fmt: skip
    assert recorded.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    ("error", "code"), [(ProviderUnavailable("hunter2"), "provider-unavailable"), (KeyError("hunter2"), "KeyError")]
)
def test_a_failed_span_tells_the_code_and_not_the_message(
    spans: InMemorySpanExporter, error: Exception, code: str
) -> None:
    with pytest.raises(type(error)), span("manifest.refresh"):
        raise error
    (recorded,) = spans.get_finished_spans()
    assert recorded.attributes == {"error.type": code}
    assert (recorded.status.status_code, recorded.status.description) == (StatusCode.ERROR, code)
    assert "hunter2" not in recorded.to_json()


def test_the_span_under_way_is_renamed(spans: InMemorySpanExporter) -> None:
    with span("GET"):
        rename("GET /notes/{note_id}")
    assert [recorded.name for recorded in spans.get_finished_spans()] == ["GET /notes/{note_id}"]


def test_outside_of_a_span_nothing_is_recorded(spans: InMemorySpanExporter) -> None:
    assert not recording()


def test_without_opentelemetry_in_the_process_nothing_happens_and_nothing_is_loaded() -> None:
    code = """
import sys
from pointsman.observability import context, events, metrics, scrubbing, tracing
with tracing.span("lifecycle.swap", component="adapter/cache") as opened:
    opened.set_attribute("a", 1)
    print(tracing.recording(), context.current_trace())
tracing.rename("x")
print([name for name in ("opentelemetry", "structlog", "pydantic", "anyio") if name in sys.modules])
"""
    assert python(code).stdout.strip() == "False None\n[]"


@pytest.mark.parametrize(
    ("endpoint", "environ", "configured"),
    [
        ("", {}, False),
        ("http://collector:4318", {}, True),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ("", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ("http://collector:4318", {"OTEL_SDK_DISABLED": "True"}, False),
    ],
)
def test_an_exporter_is_configured_by_settings_or_by_opentelemetrys_own_variables(
    endpoint: str, environ: dict[str, str], configured: bool
) -> None:
    assert exporter_configured(TracingSettings(endpoint=endpoint), environ) is configured


def test_without_a_collector_nothing_is_installed() -> None:
    assert start_exporting(TracingSettings(), service="notebook", environ={}) is None


def test_a_collector_without_its_packages_names_the_extra() -> None:
    code = """
import sys
sys.modules["opentelemetry.exporter"] = None
from pointsman.observability.settings import TracingSettings
from pointsman.observability.tracing import start_exporting
try:
    start_exporting(TracingSettings(endpoint="http://127.0.0.1:1"), service="x", environ={})
except ImportError as error:
    print(type(error).__name__, error.extra, error.hint)
"""
    assert python(code).stdout.strip() == "MissingExtraError otlp pip install 'pointsman[otlp]'"
    assert issubclass(MissingExtraError, ImportError)


async def test_a_request_is_one_span_named_by_method_and_route(spans: InMemorySpanExporter) -> None:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        rename("GET /notes/{note_id}")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        pass

    def scope(path: str) -> Message:
        return {
            "type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "scheme": "http",
            "server": ("test", 80), "http_version": "1.1",
        }  # fmt: skip

    wrapped = instrumented(app)
    await wrapped(scope("/notes/7"), receive, send)
    await wrapped(scope("/health/ready"), receive, send)
    assert [recorded.name for recorded in spans.get_finished_spans()] == ["GET /notes/{note_id}"]
