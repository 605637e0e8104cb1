"""Let a run be seen: its events as log lines, and spans and metrics where somebody collects them.

Undone when the run ends. A process whose logging somebody has set up already keeps it, as after `logging.basicConfig`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from pointsman.observability.logging import configure_logging, log_event
from pointsman.observability.tracing import start_exporting

if TYPE_CHECKING:
    from pointsman.observability.metrics import Readings
    from pointsman.web.assembly import Assembly


@asynccontextmanager
async def observed(assembly: Assembly, environ: Mapping[str, str]) -> AsyncGenerator[None]:
    """Show what happens in a run for the time of the block.

    Args:
        environ: The process's environment variables; ``OTEL_EXPORTER_OTLP_ENDPOINT`` names a collector.

    Raises:
        MissingExtraError: A collector is named, and the packages that talk to it are not installed.
    """
    runtime = assembly.runtime
    settings = runtime.settings
    with ExitStack() as undoing:
        if not logging.getLogger().handlers:
            undo = configure_logging(settings.logging, environment=settings.environment, scrubber=runtime.scrubber)
            undoing.callback(undo)
        undoing.callback(runtime.events.subscribe(log_event))
        if settings.logging.access:
            undoing.callback(telling(assembly))
        exporting = start_exporting(settings.tracing, service=settings.service, environ=environ)
        if exporting is None:
            yield
            return
        from pointsman.observability.metrics import install_metrics
        from pointsman.observability.sampling import instrumented

        undoing.callback(install_metrics(runtime.events, readings(assembly)))
        assembly.stack = instrumented(
            assembly.stack, settings.tracing.sample_ratio, samples_blindly=exporting.samples_blindly
        )
        try:
            yield
        finally:
            await exporting.aclose()


def telling(assembly: Assembly) -> Callable[[], None]:
    """Have a line written for each request; returns what writes those that wait."""
    from pointsman.observability.accessline import AccessLines
    from pointsman.web.middleware.telling import Telling

    runtime = assembly.runtime
    settings = runtime.settings
    lines = AccessLines(settings.logging, environment=settings.environment, scrub=runtime.scrubber.scrub)
    assembly.stack = Telling(assembly.stack, lines.tell)
    return lines.flush


def readings(assembly: Assembly) -> Readings:
    """Return what is measured of a run."""
    from pointsman.observability.metrics import Readings

    keeper = assembly.runtime.lifecycle.keeper

    def staleness_s() -> float:
        return assembly.fleet.convergence.age_s() if assembly.fleet is not None else 0.0

    return Readings(
        staleness_s=staleness_s,
        leases=lambda: sum(instance.leases for instance in keeper.instances),
        instances=lambda: len(keeper.instances),
    )
