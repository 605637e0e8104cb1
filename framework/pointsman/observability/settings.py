"""The sections ``logging`` and ``tracing`` of the settings.

Values only: nothing here configures anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pointsman.rules import FORBID, Bounds
from pointsman.values import frozen


@frozen(kw_only=True)
class LoggingSettings:
    """What is written to the log, and how.

    Attributes:
        level: The lowest severity that is written.
        format: ``json`` is Cloud Logging's; ``auto`` writes for people where it is development on a terminal.
        access: Whether we write a line for each request, with tenant and trace; Cloud Run writes one of its own.
        managed: Whether the process's logging is ours to configure; ``false`` leaves it as it is.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = FORBID

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    format: Literal["auto", "json", "console"] = "auto"
    access: bool = False
    managed: bool = True


@frozen(kw_only=True)
class TracingSettings:
    """Where spans and metrics go. They go nowhere, and cost nothing, unless an endpoint is known.

    Attributes:
        endpoint: Base URL of an OTLP collector over HTTP; empty: ``OTEL_EXPORTER_OTLP_ENDPOINT``, else none.
        sample_ratio: The part of traces that begin here that is recorded; a trace that arrives is followed as it says.
        metrics: Whether metrics are exported too.
        metrics_interval_s: How often they are.
        export_timeout_s: The longest wait for the collector at one export.
        flush_timeout_s: The longest that the shutdown waits for what is not exported yet.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = FORBID

    endpoint: str = ""
    sample_ratio: Annotated[float, Bounds(ge=0, le=1)] = 1.0
    metrics: bool = True
    metrics_interval_s: Annotated[float, Bounds(ge=1, le=3600)] = 60.0
    export_timeout_s: Annotated[float, Bounds(gt=0, le=60)] = 5.0
    flush_timeout_s: Annotated[float, Bounds(gt=0, le=10)] = 2.0
