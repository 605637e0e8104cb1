"""What is served in the HTTP rows: factories for ``uvicorn --factory``; peers are imported where they are used.

Each answers ``{"message": "hello"}``. Ours read settings from where ``POINTSMAN_SETTINGS`` points.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from pointsman import Pointsman
    from pointsman.runtime.runtime import Runtime

ANSWER = {"message": "hello"}


class A:
    """A component that costs nothing."""


class B:
    """Another."""


class C:
    """And another."""


def starlette() -> Starlette:
    """Bare Starlette: the floor."""

    async def hello(_request: Request) -> JSONResponse:
        return JSONResponse(ANSWER)

    return Starlette(routes=[Route("/hello", hello)])


def instrumented() -> Any:
    """Bare Starlette in the stock ASGI instrumentation, one trace in ten sampled."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(0.1)))
    exporter = OTLPSpanExporter(os.environ["BENCH_COLLECTOR"] + "/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return OpenTelemetryMiddleware(starlette(), tracer_provider=provider)


def _pointsman(**more: Any) -> Pointsman:
    from pointsman import Candidate, Pointsman

    parts = [Candidate("service", key, "one", made) for key, made in (("a", A), ("b", B), ("c", C))]
    return Pointsman(include=[*parts, Candidate("service", "a", "two", B, priority=-1)], **more)


def _with_hello(app: Pointsman) -> Pointsman:
    from pointsman import Use

    async def hello(a: A, b: B, c: C) -> dict[str, str]:
        return ANSWER

    hello.__annotations__ = {
        **{key: Annotated[object, Use("service", key)] for key in "abc"},
        "return": dict[str, str],
    }
    app.get("/hello")(hello)
    return app


def own() -> Pointsman:
    """Own routes, with tenancy and three components."""
    return _with_hello(_pointsman())


def inner() -> Pointsman:
    """Ours around a Starlette application that takes three components."""
    from pointsman import components

    async def hello(request: Request) -> JSONResponse:
        its = components(request)
        await its.get("service", "a")
        await its.get("service", "b")
        await its.get("service", "c")
        return JSONResponse(ANSWER)

    return _pointsman(inner=Starlette(routes=[Route("/hello", hello)]))


def swapped() -> Pointsman:
    """Own routes, while the first component is swapped ten times a second."""

    async def swap_for_ever(runtime: Runtime) -> None:
        while True:
            for provider in ("two", "one"):
                await asyncio.sleep(0.1)
                await runtime.swap("service", "a", provider, reason="bench", reach="replica")

    @asynccontextmanager
    async def swapping(runtime: Runtime) -> AsyncGenerator[None]:
        task = asyncio.create_task(swap_for_ever(runtime))
        try:
            yield
        finally:
            task.cancel()

    return _with_hello(_pointsman(lifespan=swapping))


def typed() -> Pointsman:
    """A path parameter, a pydantic body, a component."""
    from pydantic import BaseModel

    from pointsman import Use

    class Item(BaseModel):
        title: str
        text: str

    async def add(item_id: int, item: Item, a: A) -> dict[str, Any]:
        return {"id": item_id, "title": item.title}

    add.__annotations__ = {
        "item_id": int,
        "item": Item,
        "a": Annotated[object, Use("service", "a")],
        "return": dict[str, Any],
    }
    app = _pointsman()
    app.post("/items/{item_id}", status=200)(add)
    return app


def fastapi_typed() -> Any:
    """The same in FastAPI, the component by one ``Depends`` of an ``async def``."""
    only = A()

    async def get_a() -> A:
        return only

    return _fastapi_with(get_a)


def fastapi_typed_in_a_thread() -> Any:
    """The same, the dependency a plain ``def``: FastAPI calls it in a thread."""
    only = A()

    def get_a() -> A:
        return only

    return _fastapi_with(get_a)


def _fastapi_with(get_a: Callable[[], Any]) -> Any:
    from fastapi import Depends, FastAPI
    from pydantic import BaseModel

    class Item(BaseModel):
        title: str
        text: str

    async def add(item_id: int, item: Item, a: Any) -> dict[str, Any]:
        return {"id": item_id, "title": item.title}

    a = Annotated[Any, Depends(get_a)]
    add.__annotations__ = {"item_id": int, "item": Item, "a": a, "return": dict[str, Any]}
    app = FastAPI()
    app.post("/items/{item_id}")(add)
    return app


def fastapi() -> Any:
    """Hello in FastAPI with three ``Depends`` of an ``async def``."""
    from fastapi import Depends, FastAPI

    def giving(part: object) -> Any:
        async def give() -> object:
            return part

        return Annotated[Any, Depends(give)]

    async def hello(a: A, b: B, c: C) -> dict[str, str]:
        return ANSWER

    hello.__annotations__ = {"a": giving(A()), "b": giving(B()), "c": giving(C()), "return": dict[str, str]}
    app = FastAPI()
    app.get("/hello")(hello)
    return app


def litestar() -> Any:
    """Hello in Litestar, without components."""
    from litestar import Litestar, get

    async def hello() -> dict[str, str]:
        return {"message": "hello"}

    hello.__annotations__ = {"return": dict[str, str]}
    return Litestar([get("/hello")(hello)])


def blacksheep() -> Any:
    """Hello in BlackSheep, without components."""
    from blacksheep import Application
    from blacksheep.server.routing import Router

    app = Application(router=Router())

    @app.router.get("/hello")
    async def hello() -> dict[str, str]:
        return ANSWER

    return app


def _contained(once: Callable[[], Awaitable[object]]) -> Starlette:
    async def hello(_request: Request) -> JSONResponse:
        await once()
        return JSONResponse(ANSWER)

    return Starlette(routes=[Route("/hello", hello)])


def wireup() -> Starlette:
    """Starlette, with a container opened, asked three times and closed in the handler."""
    from tests.bench.request import open_wireup

    return _contained(open_wireup())


def dishka() -> Starlette:
    """The same with dishka."""
    from tests.bench.request import open_dishka

    return _contained(open_dishka())


def svcs() -> Starlette:
    """The same with svcs."""
    from tests.bench.request import open_svcs

    return _contained(open_svcs())


def collector() -> Starlette:
    """Takes whatever is exported, and says how many posts it took."""
    taken = 0

    async def take(request: Request) -> JSONResponse:
        nonlocal taken
        if request.method == "POST":
            await request.body()
            taken += 1
        return JSONResponse({"taken": taken})

    return Starlette(routes=[Route("/{path:path}", take, methods=["GET", "POST"])])
