"""Lines as they were written, and spans as they were recorded."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pointsman.observability.context import CURRENT, RequestContext
from pointsman.observability.exporting import sampler
from pointsman.observability.logging import configure_logging
from pointsman.observability.scrubbing import Scrubber
from pointsman.observability.settings import LoggingSettings

Lines = Callable[[], list[dict[str, Any]]]
EXPORTER = InMemorySpanExporter()


class Terminal(io.StringIO):
    """A stream that people read."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def scrubber() -> Scrubber:
    return Scrubber()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def terminal() -> io.StringIO:
    return Terminal()


@pytest.fixture
def lines(stream: io.StringIO, scrubber: Scrubber) -> Iterator[Lines]:
    """Configure logging, and read what was written as JSON."""
    undo = configure_logging(LoggingSettings(), stream, scrubber=scrubber)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    undo()


@pytest.fixture
def request_context() -> Iterator[RequestContext]:
    context = RequestContext(
        tenant="acme",
        catalog="12.40",
        headers=[(b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")],
    )
    token = CURRENT.set(context)
    yield context
    CURRENT.reset(token)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Record every span; OpenTelemetry takes one provider for the life of a process."""
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        provider = TracerProvider(sampler=sampler(), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
        trace.set_tracer_provider(provider)
    EXPORTER.clear()
    yield EXPORTER
    EXPORTER.clear()


@pytest.fixture
def logger() -> logging.Logger:
    return logging.getLogger("handlers.notes")
