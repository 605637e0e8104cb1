"""Every record of the process becomes one line that Cloud Logging understands, without a secret in it."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from pointsman.errors import ProviderUnavailable
from pointsman.observability.context import RequestContext
from pointsman.observability.events import Events
from pointsman.observability.logging import configure_logging, log_event
from pointsman.observability.scrubbing import Scrubber
from pointsman.observability.settings import LoggingSettings

Lines = Callable[[], list[dict[str, Any]]]
LABELS = "logging.googleapis.com/labels"


def test_a_line_has_the_fields_of_cloud_logging(lines: Lines, logger: logging.Logger) -> None:
    logger.warning("note %s is long", 7, extra={"length": 4096})
    (line,) = lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", line.pop("time"))
    assert line == {"severity": "WARNING", "message": "note 7 is long", "logger": "handlers.notes", "length": 4096}


def test_the_request_gives_a_line_its_labels_and_its_trace(
    lines: Lines, logger: logging.Logger, request_context: RequestContext
) -> None:
    logger.info("created")
    request_context.tenant = ""
    logger.info("created")
    first, second = lines()
    assert first[LABELS] == {"tenant": "acme", "catalog": "12.40"}
    assert second[LABELS] == {"catalog": "12.40"}
    assert first["logging.googleapis.com/trace"] == "0af7651916cd43dd8448eb211c80319c"
    assert first["logging.googleapis.com/spanId"] == "b7ad6b7169203331"
    assert first["logging.googleapis.com/trace_sampled"] is True


def test_an_event_is_a_line_under_its_own_labels(lines: Lines, request_context: RequestContext) -> None:
    events = Events()
    events.subscribe(log_event)
    events.tell(
        "swap-failed", component="adapter/cache", provider="redis", tenant="globex", error="refused", took_s=1.5
    )
    events.tell("manifest.refused", alarm=True, message="too old", error="rollback", tenant=None)
    swap, manifest = lines()
    assert swap["message"] == "swap-failed adapter/cache=redis for globex: refused"
    assert (swap["severity"], swap["event_name"], swap["took_s"]) == ("WARNING", "swap-failed", 1.5)
    assert swap[LABELS] == {
        "tenant": "globex", "component": "adapter/cache", "provider": "redis", "catalog": "12.40"
    }  # fmt: skip
    assert (manifest["severity"], manifest["message"]) == ("CRITICAL", "manifest.refused: rollback")
    assert (manifest["message_"], manifest["error"]) == ("too old", "rollback")


def test_an_error_of_ours_brings_its_code_and_every_error_its_traceback(lines: Lines, logger: logging.Logger) -> None:
    try:
        raise ProviderUnavailable("redis is away")
    except ProviderUnavailable as error:
        logger.exception("no cache")
        logger.error("no cache", exc_info=error)
    logger.error("no traceback here")
    first, second, third = lines()
    for line in (first, second):
        assert (line["severity"], line["code"]) == ("ERROR", "provider-unavailable")
        assert "ProviderUnavailable: redis is away" in line["exception"]
    assert "exception" not in third


def test_a71_a_secret_is_in_no_part_of_a_line(lines: Lines, logger: logging.Logger, scrubber: Scrubber) -> None:
    scrubber.remember("hunter2")
    try:
        raise ValueError("bad password hunter2")
    except ValueError:
        logger.exception(
            "hunter2: %s", {"hunter2"}, extra={"url": "redis://:hunter2@cache", "deep": [{"a": "hunter2"}]}
        )
    (line,) = lines()
    assert line["url"] == "redis://:[secret]@cache"
    assert "[secret]" in line["exception"]
    assert "hunter2" not in str(line)


def test_structlog_takes_the_same_way(lines: Lines, request_context: RequestContext) -> None:
    structlog.get_logger("mine").bind(order=5).warning("paid", amount=10, tenant="globex")
    (line,) = lines()
    assert (line["severity"], line["message"], line["logger"]) == ("WARNING", "paid", "mine")
    assert (line["order"], line["amount"], line[LABELS]["tenant"]) == (5, 10, "globex")


def test_uvicorn_takes_the_same_way_and_its_access_lines_none(stream: io.StringIO) -> None:
    own = logging.StreamHandler(io.StringIO())
    uvicorn, access = logging.getLogger("uvicorn"), logging.getLogger("uvicorn.access")
    before = uvicorn.handlers, access.handlers, access.propagate
    uvicorn.handlers, access.handlers, access.propagate = [own], [own], False
    try:
        undo = configure_logging(LoggingSettings(), stream)
        logging.getLogger("uvicorn.error").info("Started server process [%d]", 7, extra={"color_message": "\x1b[36m"})
        access.info("GET / 200")
        undo()
        assert (uvicorn.handlers, access.handlers, access.propagate) == ([own], [own], False)
        undo = configure_logging(LoggingSettings(access=True), stream)
        access.info("GET / 200")
        assert not access.hasHandlers()
        undo()
    finally:
        uvicorn.handlers, access.handlers, access.propagate = before
    (started,) = stream.getvalue().splitlines()
    assert '"message": "Started server process [7]"' in started
    assert "color_message" not in started


def test_requests_that_we_send_write_no_line(lines: Lines) -> None:
    logging.getLogger("httpx").info("HTTP Request: GET https://example.com")
    assert lines() == []


def test_development_says_in_every_line_that_unsigned_is_accepted(stream: io.StringIO, logger: logging.Logger) -> None:
    undo = configure_logging(LoggingSettings(), stream, environment="development")
    logger.info("a")
    undo()
    assert '"unsigned_manifests": "accepted: environment is development"' in stream.getvalue()


def test_people_read_lines_in_development_on_a_terminal(
    terminal: io.StringIO, logger: logging.Logger, scrubber: Scrubber
) -> None:
    scrubber.remember("hunter2")
    undo = configure_logging(LoggingSettings(), terminal, environment="development", scrubber=scrubber)
    try:
        raise ValueError("hunter2")
    except ValueError:
        logger.exception("no cache", extra={"component": "adapter/cache"})
    undo()
    text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3} \[error +\] no cache +\[handlers\.notes\]", text)
    assert "component=adapter/cache" in text
    assert "unsigned_manifests=" in text
    assert "ValueError: [secret]" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("environment", "form", "for_people"),
    [("production", "auto", False), ("development", "json", False), ("production", "console", True)],
)
def test_the_form_is_json_unless_it_is_development_or_said(
    terminal: io.StringIO, logger: logging.Logger, environment: str, form: Any, for_people: bool
) -> None:
    undo = configure_logging(LoggingSettings(format=form), terminal, environment=environment)
    logger.info("a")
    undo()
    assert terminal.getvalue().startswith("{") is not for_people


def test_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str], logger: logging.Logger) -> None:
    undo = configure_logging(LoggingSettings(), sys.stderr)
    logger.info("a")
    undo()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert '"message": "a"' in captured.err


def test_lines_below_the_level_are_not_written(stream: io.StringIO, logger: logging.Logger) -> None:
    undo = configure_logging(LoggingSettings(level="ERROR"), stream)
    logger.warning("a")
    structlog.get_logger("mine").warning("a")
    undo()
    assert stream.getvalue() == ""


def test_configuring_twice_writes_once_and_the_undo_puts_everything_back(
    stream: io.StringIO, logger: logging.Logger
) -> None:
    root = logging.getLogger()
    handlers, level, configured = list(root.handlers), root.level, structlog.is_configured()
    first = configure_logging(LoggingSettings(), io.StringIO())
    second = configure_logging(LoggingSettings(), stream)
    logger.info("a")
    second()
    first()
    assert len(stream.getvalue().splitlines()) == 1
    assert (root.handlers, root.level, structlog.is_configured()) == (handlers, level, configured)


def test_logging_that_is_not_ours_is_left_alone(stream: io.StringIO) -> None:
    handlers = list(logging.getLogger().handlers)
    undo = configure_logging(LoggingSettings(managed=False), stream)
    assert logging.getLogger().handlers == handlers
    undo()
