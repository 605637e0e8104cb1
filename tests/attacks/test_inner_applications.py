"""A refusal of ours inside somebody else's application is our problem document, never their 500."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pointsman.declarations import Candidate, Component
from pointsman.manifests.schema import Order
from pointsman.runtime.settings import Settings
from pointsman.testing import serving
from pointsman.web.access import components, use
from pointsman.web.application import Pointsman

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp

CACHE = Component[str]("service", "thing")
PAUSE = Order(op="pause", kind="pause", tenants="*", cseq=1)


async def told(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await components(request).get(CACHE))


def fastapi() -> ASGIApp:
    api = FastAPI()

    @api.get("/")
    async def index(thing: Annotated[str, Depends(use(CACHE))]) -> str:
        return thing

    return api


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """An application without any framework: what it raises goes on."""
    await PlainTextResponse(await components(scope).get(CACHE))(scope, receive, send)


APPLICATIONS = {
    "fastapi": fastapi,
    "starlette": lambda: Starlette(routes=[Route("/", told)]),
    "starlette behind middleware": lambda: Starlette(
        routes=[Route("/", told)], middleware=[Middleware(GZipMiddleware)]
    ),
    "bare": lambda: bare,
}


@pytest.mark.parametrize("inner", APPLICATIONS)
async def test_a92_a_refusal_inside_an_inner_application_is_the_503_problem(tmp_path: Path, inner: str) -> None:
    settings = Settings.load(tmp_path, environ={})
    app = Pointsman(settings, include=[Candidate(*CACHE, "it", lambda: "it")], inner=APPLICATIONS[inner]())
    async with serving(app) as client:
        assert (await client.get("/")).status_code == 200
        await app.runtime.intake.take_overrides({str(CACHE): (PAUSE,)})
        refused = await client.get("/")
        assert (refused.status_code, refused.json()["code"]) == (503, "component-paused")
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["x-pointsman-catalog"]
        await app.runtime.intake.take_overrides({})
        assert (await client.get("/")).status_code == 200
