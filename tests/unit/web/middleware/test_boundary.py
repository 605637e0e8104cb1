"""How every exception ends as an answer."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import ClientDisconnect
from starlette.websockets import WebSocketDisconnect

from pointsman.errors import ComponentPaused, ConfigurationError, TenantError
from pointsman.web.middleware.boundary import Boundary
from tests.unit.web import asgi

START = {"type": "http.response.start", "status": 200, "headers": []}


def raising(error: BaseException, *first: dict[str, Any]) -> Boundary:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in first:
            await send(message)
        raise error

    return Boundary(app, scrub=lambda text: text.replace("hunter2", "***"))


async def test_what_raises_nothing_is_left_alone() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)

    assert (await asgi.played(Boundary(app), asgi.http())).sent == [START]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ComponentPaused("x"), 503, "component-paused"),
        (TenantError("x"), 400, "tenant"),
        (HTTPException(404), 404, "http-404"),
        (ValueError("x"), 500, "internal-error"),
    ],
)
async def test_an_error_is_its_problem(error: Exception, status: int, code: str) -> None:
    sent = (await asgi.played(raising(error), asgi.http("/notes"))).sent
    assert (sent[0]["status"], json.loads(sent[1]["body"])["code"]) == (status, code)


async def test_an_error_after_the_answer_began_goes_on_to_the_server() -> None:
    with pytest.raises(ValueError, match="late"):
        await asgi.played(raising(ValueError("late"), START), asgi.http())


@pytest.mark.parametrize("error", [ClientDisconnect(), WebSocketDisconnect()])
async def test_a_client_that_has_gone_is_told_nothing(error: Exception) -> None:
    assert (await asgi.played(raising(error), asgi.http())).sent == []


@pytest.mark.parametrize(
    ("error", "level", "text"),
    [
        (ConfigurationError("It is hunter2."), logging.WARNING, "GET '/no\\u202ete': ConfigurationError: It is ***."),
        (HTTPException(502, "hunter2"), logging.WARNING, "GET '/no\\u202ete': 502: ***"),
        (ValueError("x"), logging.ERROR, "GET '/no\\u202ete': ValueError"),
    ],
)
async def test_what_the_caller_is_not_told_is_logged(
    error: Exception, level: int, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    await asgi.played(raising(error), asgi.http("/no\u202ete"))
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (level, text)
    assert (record.exc_info is not None) is (level == logging.ERROR)


async def test_what_the_caller_is_told_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    await asgi.played(raising(TenantError("x")), asgi.http())
    assert caplog.records == []


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (TenantError("x"), 1008, "Tenant refused"),
        (ComponentPaused("x"), 1013, "Component paused"),
        (ValueError("x"), 1011, "Internal Server Error"),
        (WebSocketException(4001, "mine"), 4001, "mine"),
    ],
)
@pytest.mark.parametrize("first", [(), ({"type": "websocket.accept"},)])
async def test_a_websocket_ends_with_the_code_of_its_error(
    error: Exception, code: int, reason: str, first: tuple[dict[str, Any], ...]
) -> None:
    exchange = await asgi.played(raising(error, *first), asgi.websocket())
    assert exchange.sent[-1] == {"type": "websocket.close", "code": code, "reason": reason}


async def test_a_websocket_that_is_not_accepted_is_denied_with_the_problem_where_the_server_can() -> None:
    denied = await asgi.played(raising(ComponentPaused("x")), asgi.websocket(deniable=True))
    assert denied.types == ["websocket.http.response.start", "websocket.http.response.body"]
    assert denied.sent[0]["status"] == 503
    accepted = raising(ComponentPaused("x"), {"type": "websocket.accept"})
    assert (await asgi.played(accepted, asgi.websocket(deniable=True))).types[-1] == "websocket.close"


async def test_a_websocket_that_is_closed_is_not_closed_again() -> None:
    with pytest.raises(ValueError, match="late"):
        await asgi.played(raising(ValueError("late"), {"type": "websocket.close"}), asgi.websocket())
