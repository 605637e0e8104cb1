"""The line of a request tells what Cloud Logging reads, and nothing that nobody should see."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.observability.accessline import AccessLines, Answered
from pointsman.observability.context import RequestContext, Trace
from pointsman.observability.scrubbing import Scrubber
from pointsman.observability.settings import LoggingSettings

NOBODY = RequestContext()
TRACE = Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True)
AT = datetime(2026, 11, 28, 12, 30, 0, 250_000, UTC).timestamp()
JSON = LoggingSettings(format="json", access=True)


async def told(*answered: Answered, settings: LoggingSettings = JSON, **more: Any) -> str:
    stream = io.StringIO()
    lines = AccessLines(settings, stream, **more)
    for one in answered:
        lines.tell(one)
    lines.flush()
    return stream.getvalue()


def answered(path: str = "/notes", status: int = 200) -> Answered:
    return Answered("GET", path, status, AT, 0.0012345, NOBODY, None)


async def test_a_line_says_all_that_is_known_of_a_request() -> None:
    text = await told(Answered("POST", "/notes", 201, AT, 0.0012345, RequestContext("acme", "12.40"), TRACE))
    line = json.loads(text)
    assert line == {
        "time": "2026-11-28T12:30:00.250000Z",
        "severity": "INFO",
        "message": "POST /notes 201",
        "logger": "pointsman.access",
        "httpRequest": {"requestMethod": "POST", "requestUrl": "/notes", "status": 201, "latency": "0.001234s"},
        "logging.googleapis.com/labels": {"tenant": "acme", "catalog": "12.40"},
        "logging.googleapis.com/trace": TRACE.trace_id,
        "logging.googleapis.com/spanId": TRACE.span_id,
        "logging.googleapis.com/trace_sampled": True,
    }


async def test_what_is_not_known_is_not_said() -> None:
    line = json.loads(await told(answered()))
    assert set(line) == {"severity", "message", "time", "logger", "httpRequest"}
    only = json.loads(await told(Answered("GET", "/", 403, AT, 0.0, RequestContext(catalog="0.0"), None)))
    assert only["logging.googleapis.com/labels"] == {"catalog": "0.0"}


@pytest.mark.parametrize(("status", "severity"), [(200, "INFO"), (404, "INFO"), (499, "INFO"), (500, "WARNING")])
async def test_an_error_of_the_server_is_a_warning(status: int, severity: str) -> None:
    assert json.loads(await told(answered(status=status)))["severity"] == severity


@pytest.mark.parametrize(
    ("level", "statuses"), [("DEBUG", [200, 503]), ("INFO", [200, 503]), ("WARNING", [503]), ("ERROR", [])]
)
async def test_the_level_is_that_of_all_lines(level: Any, statuses: list[int]) -> None:
    settings = LoggingSettings(format="json", access=True, level=level)
    text = await told(answered(status=200), answered(status=503), settings=settings)
    assert [json.loads(line)["httpRequest"]["status"] for line in text.splitlines()] == statuses


async def test_a_secret_in_a_path_is_not_shown() -> None:
    scrubber = Scrubber()
    scrubber.remember("hunter22")
    text = await told(answered("/reset/hunter22"), scrub=scrubber.scrub)
    assert "hunter22" not in text
    assert json.loads(text)["message"] == "GET /reset/[secret] 200"


async def test_development_says_in_every_line_that_unsigned_is_accepted() -> None:
    line = json.loads(await told(answered(), environment="development"))
    assert line["unsigned_manifests"] == "accepted: environment is development"


@given(path=st.text(st.characters(exclude_categories=[])))
@pytest.mark.parametrize("format_", ["json", "console"])
async def test_any_path_is_one_line(format_: Any, path: str) -> None:
    text = await told(answered(path), settings=LoggingSettings(format=format_, access=True))
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1 or format_ == "json"
    assert text.count("\n") == 1


async def test_people_read_a_plain_line() -> None:
    settings = LoggingSettings(format="console", access=True)
    text = await told(Answered("GET", "/a", 500, AT, 0.5, RequestContext("acme", "1.1"), TRACE), settings=settings)
    assert text.partition(" ")[2] == "[warning] GET /a 500 0.500000s tenant=acme\n"


async def test_lines_that_were_dropped_are_a_warning_of_their_own() -> None:
    text = await told(*(answered() for _ in range(4099)))
    *lines, last = text.splitlines()
    assert len(lines) == 4096
    assert json.loads(last)["message"] == "3 access lines were dropped"
    assert json.loads(last)["severity"] == "WARNING"
