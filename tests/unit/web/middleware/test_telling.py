"""Every request is told of at its end, as it was answered, and probes are not."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pointsman import Pointsman
from pointsman.observability.accessline import Answered
from pointsman.observability.context import UNTRACED
from pointsman.testing import serving
from pointsman.web.middleware.telling import Telling

Message = MutableMapping[str, Any]
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-00"


async def receive() -> Message:
    return {"type": "http.request"}


async def send(message: Message) -> None:
    pass


def scope_of(**more: Any) -> Message:
    headers = [(b"traceparent", TRACEPARENT.encode())]
    return {"type": "http", "method": "GET", "path": "/a", "query_string": b"q=1", "headers": headers, **more}


async def told_of(app: Any, **more: Any) -> list[Answered]:
    told: list[Answered] = []
    await Telling(app, told.append)(scope_of(**more), receive, send)
    return told


async def answer(scope: Message, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 202, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_an_answer_is_told_with_its_status_and_the_trace_of_its_header() -> None:
    (told,) = await told_of(answer)
    assert (told.method, told.path, told.status, told.taken_s >= 0) == ("GET", "/a", 202, True)
    assert told.trace is not None
    assert told.trace.trace_id == TRACE_ID


async def test_no_trace_is_looked_for_where_there_is_known_to_be_none() -> None:
    (told,) = await told_of(answer, **{UNTRACED: True})
    assert told.trace is None


@pytest.mark.parametrize(
    "more", [{"path": "/health/live"}, {"path": "/x/health/ready", "root_path": "/x"}, {"type": "websocket"}]
)
async def test_probes_and_websockets_are_not_told_of(more: dict[str, Any]) -> None:
    assert await told_of(answer, **more) == []


async def test_what_is_raised_passes_and_is_told_as_the_server_will_answer_it() -> None:
    async def fail(scope: Message, receive: Any, send: Any) -> None:
        raise LookupError

    async def fail_late(scope: Message, receive: Any, send: Any) -> None:
        await answer(scope, receive, send)
        raise LookupError

    told: list[Answered] = []
    for app in (fail, fail_late):
        with pytest.raises(LookupError):
            await Telling(app, told.append)(scope_of(), receive, send)
    assert [one.status for one in told] == [500, 202]
    assert told[0].trace is not None


async def test_a_client_that_has_gone_is_told_of() -> None:
    async def leave(scope: Message, receive: Any, send: Any) -> None:
        """Answer nothing."""

    async def wait(scope: Message, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    assert [told.status for told in await told_of(leave)] == [499]
    told: list[Answered] = []
    task = asyncio.create_task(Telling(wait, told.append)(scope_of(), receive, send))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [one.status for one in told] == [499]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.yml").write_text("logging: {format: json, access: true}\n", encoding="utf-8")
    (tmp_path / "tenants.yml").write_text("acme: {}\n", encoding="utf-8")
    return tmp_path


def app_of(settings: Path, *, inner: bool) -> Pointsman:
    async def hello(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    if inner:
        return Pointsman(settings, inner=Starlette(routes=[Route("/hello", hello)]))
    app = Pointsman(settings)

    @app.get("/hello")
    async def own() -> str:
        return "hello"

    return app


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("logger") == "pointsman.access"]


@pytest.mark.parametrize("inner", [False, True])
async def test_a_run_tells_of_its_requests_with_tenant_and_trace_and_keeps_no_line_back(
    settings: Path, capsys: pytest.CaptureFixture[str], *, inner: bool
) -> None:
    app = app_of(settings, inner=inner)
    async with serving(app):
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")
        await client.get("/hello?secret=1", headers={"x-tenant-id": "acme", "traceparent": TRACEPARENT})
        await client.get("/hello", headers={"x-tenant-id": "nobody"})
        await client.get("/health/live")
        await client.get("/nowhere", headers={"x-tenant-id": "acme"})
        await client.aclose()
    first, refused, missing = lines_of(capsys)
    assert first["httpRequest"]["requestUrl"] == "/hello"
    assert first["httpRequest"]["status"] == 200
    assert first["logging.googleapis.com/labels"]["tenant"] == "acme"
    assert first["logging.googleapis.com/labels"]["catalog"]
    assert first["logging.googleapis.com/trace"] == TRACE_ID
    assert "tenant" not in refused.get("logging.googleapis.com/labels", {})
    assert refused["httpRequest"]["status"] in {400, 403, 404}
    assert missing["message"] == "GET /nowhere 404"


async def test_without_the_setting_no_request_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    app = Pointsman()
    async with serving(app):
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")
        await client.get("/hello")
        await client.aclose()
    assert lines_of(capsys) == []
