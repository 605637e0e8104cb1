from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from pointsman import Candidate, Pointsman
from pointsman.testing import serving
from pointsman.web.observing import readings, telling


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pointsman:
    monkeypatch.chdir(tmp_path)
    app = Pointsman(include=[Candidate("service", "word", "plain", lambda: "word")])

    @app.get("/")
    async def index() -> str:
        return "here"

    return app


async def test_what_happens_to_instances_is_logged(app: Pointsman, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="pointsman")
    async with serving(app), app.runtime.components() as its:
        assert await its.get("service", "word") == "word"
        measured = readings(app.assembly)
        assert (measured.leases(), measured.instances(), measured.staleness_s()) == (1, 1, 0.0)
    assert "instance-made service/word=plain" in caplog.messages


async def test_logging_that_somebody_set_up_is_left_alone(app: Pointsman) -> None:
    before = list(logging.getLogger().handlers)
    assert before
    async with serving(app):
        assert logging.getLogger().handlers == before


async def test_a_process_without_logging_gets_lines_on_standard_error_until_the_run_ends(
    app: Pointsman, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    async with serving(app), app.runtime.components() as its:
        await its.get("service", "word")
    assert '"instance-made service/word=plain"' in capsys.readouterr().err
    assert logging.getLogger().handlers == []


async def test_the_end_of_a_run_writes_the_lines_that_wait(app: Pointsman, capsys: pytest.CaptureFixture[str]) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Any) -> None:
        """Take the answer."""

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    async with serving(app):
        write_what_waits = telling(app.assembly)
        await app.assembly.stack(scope, receive, send)
        assert "GET / 200" not in capsys.readouterr().err
        write_what_waits()
        assert "GET / 200" in capsys.readouterr().err
