"""One JSON line for each record, in the fields that Cloud Logging reads; for people on a terminal in development.

Every record of the process takes this way: ours, those of `logging` (uvicorn's too) and those of structlog; the lines
of requests alone do not (`accessline`). Lines go to standard error, so that the shell's answers keep standard output to
themselves. Secrets are taken out last.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TextIO

from pointsman.errors import PointsmanError
from pointsman.observability.context import CURRENT, current_trace
from pointsman.observability.structured import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

    from pointsman.observability.events import Event
    from pointsman.observability.scrubbing import Scrubber
    from pointsman.observability.settings import LoggingSettings

LABELS: Final = ("tenant", "component", "provider", "catalog")
"""Fields that become labels of a line, so that lines can be found by them."""
UVICORN_ACCESS: Final = "uvicorn.access"
"""Never heard: `accessline` writes a line for each request where one is wanted."""
UVICORN: Final = ("uvicorn", "uvicorn.error", UVICORN_ACCESS)
CHATTY: Final = ("httpx",)
"""Loggers that write a line for each request that we send."""
DEVELOPMENT: Final = "development"
UNSIGNED: Final = "accepted: environment is development"

_logger = logging.getLogger("pointsman")


def configure_logging(
    settings: LoggingSettings,
    stream: TextIO | None = None,
    *,
    environment: str = "",
    scrubber: Scrubber | None = None,
) -> Callable[[], None]:
    """Lead every record of the process to one stream; returns the undo.

    Args:
        settings: With ``managed`` off nothing is changed.
        stream: Standard error unless said.
        environment: ``development`` says in every line that unsigned manifests are accepted.
        scrubber: Knows the secrets that no line may show.
    """
    if not settings.managed:
        return lambda: None
    stream = sys.stderr if stream is None else stream
    undo = _remembered()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(settings, stream, environment, scrubber))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level)
    for name in UVICORN:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], name != UVICORN_ACCESS  # which uvicorn then does not even ask
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    return undo


def is_for_people(settings: LoggingSettings, stream: TextIO, environment: str) -> bool:
    """Tell whether lines are written for people, not for Cloud Logging."""
    return settings.format == "console" or (
        settings.format == "auto" and environment == DEVELOPMENT and stream.isatty()
    )


def number_of(level: str) -> int:
    """Return what `logging` compares levels by."""
    return logging.getLevelNamesMapping()[level]


def log_event(event: Event) -> None:
    """Write an event; a listener for `Events`."""
    _logger.log(event.level, "%s", event, extra={"fields": {"event_name": event.name, **event.fields}})


def _remembered() -> Callable[[], None]:
    """Return what puts the process's logging back as it is now."""
    loggers = [logging.getLogger(name) for name in ("", *UVICORN, *CHATTY)]
    before = [(logger, list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    configured, config = structlog.is_configured(), structlog.get_config()

    def undo() -> None:
        for logger, handlers, level, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
        if configured:
            structlog.configure(**config)
        else:
            structlog.reset_defaults()

    return undo


def _formatter(
    settings: LoggingSettings, stream: TextIO, environment: str, scrubber: Scrubber | None
) -> logging.Formatter:
    for_people = is_for_people(settings, stream, environment)
    always = {"unsigned_manifests": UNSIGNED} if environment == DEVELOPMENT else {}
    chain: list[Processor] = [
        _fields,
        partial(_always, always),
        _code,
        structlog.processors.format_exc_info,
        _for_people if for_people else _for_cloud_logging,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        *(() if scrubber is None else (partial(_scrubbed, scrubber),)),
        _renderer_for_people(stream) if for_people else structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    return structlog.stdlib.ProcessorFormatter(
        processors=chain, foreign_pre_chain=[structlog.stdlib.ExtraAdder()], use_get_message=True
    )


def _renderer_for_people(stream: TextIO) -> Processor:
    """Return structlog's console; tracebacks are text by then, so that Rich, where installed, shows no local values."""
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
    )


# --- one rule each ---


def _fields(_logger: Any, _method: str, line: EventDict) -> EventDict:
    """Lay an event's own fields, and what is known of the request, beside those of the call."""
    line.pop("color_message", None)  # uvicorn's message with escape codes in it
    fields = line.pop("fields", None)
    request = CURRENT.get()
    known = {"tenant": request.tenant, "catalog": request.catalog} if request is not None else {}
    own = fields if isinstance(fields, Mapping) else {}
    return {**{name: value for name, value in {**known, **own}.items() if value not in (None, "")}, **line}


def _always(fields: Mapping[str, str], _logger: Any, _method: str, line: EventDict) -> EventDict:
    line.update(fields)
    return line


def _code(_logger: Any, _method: str, line: EventDict) -> EventDict:
    """Say the stable code of an error of ours."""
    info = line.get("exc_info")
    error = info[1] if isinstance(info, tuple) else sys.exc_info()[1] if info is True else info
    if isinstance(error, PointsmanError):
        line.setdefault("code", error.code)
    return line


def _for_cloud_logging(_logger: Any, _method: str, line: EventDict) -> EventDict:
    """Put what Cloud Logging reads under its own names.

    Source: Cloud Logging, structured logging, special JSON fields.
    """
    record: logging.LogRecord = line["_record"]
    made: MutableMapping[str, Any] = {
        "severity": record.levelname,
        "message": line.pop("event"),
        "time": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
        "logger": record.name,
    }
    if labels := {name: str(line.pop(name)) for name in LABELS if name in line}:
        made["logging.googleapis.com/labels"] = labels
    if trace := current_trace():
        made["logging.googleapis.com/trace"] = trace.trace_id
        made["logging.googleapis.com/spanId"] = trace.span_id
        made["logging.googleapis.com/trace_sampled"] = trace.sampled
    return {**made, **{f"{name}_" if name in made else name: value for name, value in line.items()}}


def _for_people(_logger: Any, _method: str, line: EventDict) -> EventDict:
    record: logging.LogRecord = line["_record"]
    when = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
    return {"timestamp": when, "level": record.levelname.lower(), "logger": record.name, **line}


def _scrubbed(scrubber: Scrubber, _logger: Any, _method: str, line: EventDict) -> EventDict:
    return {name: scrubber.scrub_value(value) for name, value in line.items()}
