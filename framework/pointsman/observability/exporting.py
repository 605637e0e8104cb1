"""Send spans and metrics to an OTLP collector over HTTP, and never wait for it longer than was said.

The one module that loads OpenTelemetry's SDK; `tracing.start_exporting` loads it, and only where an exporter is
configured. A provider that somebody else installed in the process is left in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING

from anyio import to_thread
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, SamplingResult

from pointsman.observability.tracing import RECORDED

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, SpanKind, TraceState
    from opentelemetry.util.types import Attributes

    from pointsman.observability.settings import TracingSettings


class Exporting:
    """The providers of this process; `aclose` ends them, and a process starts them once.

    Args:
        providers: Traces first.
        flush_timeout_s: The longest that `aclose` waits, seconds.

    Attributes:
        samples_blindly: Whether what decides which spans are recorded looks at no attribute of theirs.
    """

    def __init__(self, providers: tuple[TracerProvider | MeterProvider, ...], flush_timeout_s: float) -> None:
        self.samples_blindly = bool(providers)
        self._providers = providers
        self._flush_timeout_s = flush_timeout_s

    async def aclose(self) -> None:
        """Send what was not sent yet; what a dead collector does not take in time is lost. Again does nothing.

        The threads that still wait for the collector are daemons: they do not keep the process.
        """
        providers, self._providers = self._providers, ()
        threads = [Thread(target=provider.shutdown, daemon=True) for provider in providers]
        for thread in threads:
            thread.start()
        deadline = monotonic() + self._flush_timeout_s
        for thread in threads:
            await to_thread.run_sync(thread.join, max(0.0, deadline - monotonic()))


class Let(Sampler):
    """Lets a trace begin where `tracing` has said so, and draws nothing itself.

    Without it a request that is not recorded would grow traces out of its outgoing calls, and out of an inner
    application that is instrumented too.
    """

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide about a span without a parent."""
        chosen = ALWAYS_ON if RECORDED.get() else ALWAYS_OFF
        return chosen.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """Return its name."""
        return "Let"


def sampler() -> Sampler:
    """Return what decides which spans are recorded: those of a parent that is, and roots that were let in."""
    return ParentBased(Let())


def start(settings: TracingSettings, *, service: str, environ: Mapping[str, str]) -> Exporting:
    """Install the providers of traces and, if wanted, of metrics, for the whole process."""
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return Exporting((), settings.flush_timeout_s)
    said = {} if environ.get("OTEL_SERVICE_NAME") or not service else {"service.name": service}
    resource = Resource.create(said)
    providers: tuple[TracerProvider | MeterProvider, ...] = (tracers := _tracers(settings, resource),)
    trace.set_tracer_provider(tracers)
    if settings.metrics:
        meters = _meters(settings, resource)
        metrics.set_meter_provider(meters)
        providers = (tracers, meters)
    return Exporting(providers, settings.flush_timeout_s)


def _tracers(settings: TracingSettings, resource: Resource) -> TracerProvider:
    tracers = TracerProvider(sampler=sampler(), resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=_endpoint(settings, "traces"), timeout=settings.export_timeout_s)
    tracers.add_span_processor(BatchSpanProcessor(exporter))
    return tracers


def _meters(settings: TracingSettings, resource: Resource) -> MeterProvider:
    exporter = OTLPMetricExporter(endpoint=_endpoint(settings, "metrics"), timeout=settings.export_timeout_s)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=settings.metrics_interval_s * 1000)
    return MeterProvider([reader], resource=resource, shutdown_on_exit=False)


def _endpoint(settings: TracingSettings, signal: str) -> str | None:
    """Return the URL of one signal; where settings say none, the exporter reads the environment itself."""
    return f"{settings.endpoint.rstrip('/')}/v1/{signal}" if settings.endpoint else None
