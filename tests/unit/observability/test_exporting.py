"""Spans and metrics reach a collector, and a dead one holds nobody up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pointsman.observability.exporting import Exporting, start
from pointsman.observability.settings import TracingSettings

RUN = """
import json, os, sys, time
import anyio
from pointsman.observability.events import Events
from pointsman.observability.metrics import Readings, install_metrics
from pointsman.observability.settings import TracingSettings
from pointsman.observability.tracing import span, start_exporting

async def main() -> None:
    settings = TracingSettings(**json.loads(sys.argv[1]))
    exporting = start_exporting(settings, service="notebook", environ=os.environ)
    assert exporting.samples_blindly
    events = Events()
    install_metrics(events, Readings(lambda: 1.5, lambda: 2, lambda: 3))
    with span("lifecycle.swap"):
        events.tell("swapped", component="adapter/cache", provider="redis")
    began = time.monotonic()
    await exporting.aclose()
    await exporting.aclose()
    print(time.monotonic() - began < 4)

anyio.run(main)
"""


class Collector(ThreadingHTTPServer):
    """A collector that keeps what it gets, or never answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: dict[str, bytes] = {}
        self.silent = False
        self.ended = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.bodies[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.silent:
            self.server.ended.wait()
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.ended.set()
    server.shutdown()
    thread.join()
    server.server_close()


def run(settings: dict[str, object], **environ: str) -> str:
    command = [sys.executable, "-c", RUN, json.dumps(settings)]
    done = subprocess.run(
        command, env={"PYTHONPATH": "framework", **environ}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_spans_and_metrics_reach_the_collector_before_the_end(collector: Collector) -> None:
    assert run({"endpoint": collector.url}) == "True"
    assert b"lifecycle.swap" in collector.bodies["/v1/traces"]
    assert b"notebook" in collector.bodies["/v1/traces"]
    for name in (b"pointsman.swaps", b"pointsman.staleness", b"pointsman.leases", b"pointsman.instances"):
        assert name in collector.bodies["/v1/metrics"]


def test_opentelemetrys_own_variables_are_enough_and_metrics_may_stay_off(collector: Collector) -> None:
    run({"metrics": False}, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_SERVICE_NAME="other")
    assert set(collector.bodies) == {"/v1/traces"}
    assert b"other" in collector.bodies["/v1/traces"]
    assert b"notebook" not in collector.bodies["/v1/traces"]


def test_a_collector_that_never_answers_does_not_hold_up_the_shutdown(collector: Collector) -> None:
    collector.silent = True
    assert run({"endpoint": collector.url, "flush_timeout_s": 0.2, "export_timeout_s": 30}) == "True"
    assert "/v1/traces" in collector.bodies


async def test_what_somebody_else_installed_is_left_in_place(spans: InMemorySpanExporter) -> None:
    exporting = start(TracingSettings(endpoint="http://127.0.0.1:1"), service="x", environ={})
    assert not exporting.samples_blindly
    await exporting.aclose()
    assert spans.get_finished_spans() == ()


class Stuck:
    """A provider whose collector never answers."""

    def __init__(self) -> None:
        self.began = Event()
        self.answered = Event()

    def shutdown(self) -> None:
        self.began.set()
        self.answered.wait()


async def test_all_providers_are_shut_down_at_once_and_none_is_waited_for_longer_than_said() -> None:
    stuck, other = Stuck(), Stuck()
    await Exporting((stuck, other), 0.01).aclose()  # type: ignore[arg-type]
    assert stuck.began.wait(5)
    assert other.began.wait(5)
    stuck.answered.set()
    other.answered.set()
