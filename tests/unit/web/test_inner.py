"""How another application is served behind ours."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pointsman.errors import ComponentPaused, InputError, PointsmanError, TenantError
from pointsman.web.access import COMPONENTS, components, use
from pointsman.web.inner import Inner
from tests.unit.web import asgi

PAUSED = ComponentPaused("adapter/cache is paused: hunter2", retry_after_s=7)


def given(cache: Any = PAUSED) -> dict[str, Any]:
    return {COMPONENTS: asgi.FakeComponents({("adapter", "cache"): cache})}


def told(exchange: asgi.Exchange) -> tuple[int, str]:
    start, body = exchange.sent
    assert (b"content-type", b"application/problem+json") in start["headers"]
    return start["status"], json.loads(body["body"])["code"]


async def ask_cache(scope: Any) -> Any:
    return await components(scope).get("adapter", "cache")


async def foreign(scope: Any, receive: Any, send: Any) -> None:
    """A framework that turns what it does not know into a 500, as most do."""
    try:
        await PlainTextResponse(await ask_cache(scope))(scope, receive, send)
    except Exception:
        headers = {"X-Frame-Options": "DENY", "ETag": "x"}
        await Response("It broke.", 500, headers, "text/plain")(scope, receive, send)
        raise


async def test_a_500_that_follows_a_refusal_of_ours_becomes_its_problem() -> None:
    exchange = await asgi.played(Inner(foreign), asgi.http(**given()))
    assert told(exchange) == (503, "component-paused")
    headers = dict(exchange.sent[0]["headers"])
    assert (headers[b"retry-after"], headers[b"x-frame-options"]) == (b"7", b"DENY")
    assert b"etag" not in headers


async def test_what_is_told_after_the_answer_that_was_replaced_is_dropped() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(ComponentPaused):
            await ask_cache(scope)
        await send({"type": "http.response.start", "status": 500, "headers": []})
        for part in (b"It ", b"broke."):
            await send({"type": "http.response.body", "body": part, "more_body": True})

    assert told(await asgi.played(Inner(app), asgi.http(**given()))) == (503, "component-paused")


async def test_another_error_than_the_one_that_was_told_goes_on() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await foreign_quietly(scope, receive, send)
        raise ValueError("another")

    async def foreign_quietly(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(ComponentPaused):
            await foreign(scope, receive, send)

    with pytest.raises(ValueError, match="another"):
        await asgi.played(Inner(app), asgi.http(**given()))


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_an_answer_that_follows_no_refusal_is_left_alone(status: int) -> None:
    app = Inner(PlainTextResponse("theirs", status))
    assert (await asgi.played(app, asgi.http(**given("it")))).sent[1]["body"] == b"theirs"


async def test_an_answer_to_a_refusal_that_was_handled_is_left_alone() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(ComponentPaused):
            await ask_cache(scope)
        await PlainTextResponse("without cache")(scope, receive, send)

    assert (await asgi.played(Inner(app), asgi.http(**given()))).sent[1]["body"] == b"without cache"


async def cached(request: Request) -> Response:
    return PlainTextResponse(await ask_cache(request))


async def test_starlette_is_taught_our_errors() -> None:
    app = Inner(Starlette(routes=[Route("/", cached)]), scrub=lambda text: text.replace("hunter2", "***"))
    assert told(await asgi.played(app, asgi.http(**given()))) == (503, "component-paused")


async def test_starlette_that_has_served_before_is_mended_from_outside() -> None:
    starlette = Starlette(routes=[Route("/", cached)])
    await asgi.played(starlette, asgi.http(**given("it")))
    assert told(await asgi.played(Inner(starlette), asgi.http(**given()))) == (503, "component-paused")


async def test_a_handler_that_the_user_has_is_kept() -> None:
    async def mine(request: Request, error: Exception) -> Response:
        return PlainTextResponse("mine")

    app = Starlette(routes=[Route("/", cached)], exception_handlers={PointsmanError: mine})
    assert (await asgi.played(Inner(app), asgi.http(**given()))).sent[1]["body"] == b"mine"


def fastapi() -> FastAPI:
    api = FastAPI()

    @api.get("/")
    async def index(cache: Annotated[str, Depends(use("adapter", "cache"))]) -> dict[str, str]:
        return {"cache": cache}

    @api.websocket("/live")
    async def live(websocket: WebSocket, cache: Annotated[str, Depends(use("adapter", "cache"))]) -> None:
        await websocket.accept()
        await websocket.send_text(cache)

    return api


async def test_fastapi_gets_components_by_depends() -> None:
    app = Inner(fastapi())
    assert (await asgi.played(app, asgi.http(**given("it")))).sent[1]["body"] == b'{"cache":"it"}'
    connect = {"type": "websocket.connect"}
    exchange = await asgi.played(app, asgi.websocket("/live", **given("it")), connect)
    assert exchange.types == ["websocket.accept", "websocket.send"]


@pytest.mark.parametrize(
    ("error", "status", "logged"), [(PAUSED, 503, 1), (TenantError("x"), 400, 0), (InputError("x"), 422, 0)]
)
async def test_a_refusal_inside_depends_is_its_problem(
    error: PointsmanError, status: int, logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = await asgi.played(Inner(fastapi()), asgi.http(**given(error)))
    assert told(exchange) == (status, error.code)
    assert len(caplog.records) == logged


async def test_a_refusal_of_a_websocket_goes_on_to_the_boundary() -> None:
    with pytest.raises(ComponentPaused):
        await asgi.played(Inner(fastapi()), asgi.websocket("/live", **given()), {"type": "websocket.connect"})
