"""The short way answers as the long way would, whatever is asked, and takes nothing that is not its own."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.websockets import WebSocket

from pointsman.declarations import Candidate, Tenant, Use
from pointsman.errors import ProviderUnavailable
from pointsman.observability.context import CURRENT
from pointsman.runtime.settings import Settings
from pointsman.testing.serving import started
from pointsman.web.access import components
from pointsman.web.application import Pointsman
from pointsman.web.assembly import Operators
from pointsman.web.dispatch import Dispatch
from pointsman.web.express import Express, timetable_of
from pointsman.web.routing import Router, compiled
from tests.unit.web import asgi
from tests.workshop import until

Greeting = Annotated[str, Use("service", "greeting")]
router = Router()


class Note(BaseModel):
    title: str


class Session:
    def __init__(self, request: Request) -> None:
        self.path = request.url.path


@router.get("/hello")
async def hello(greeting: Greeting) -> str:
    return greeting


@router.get("/labels")
async def labels(tenant: Tenant) -> dict[str, Any]:
    context = CURRENT.get()
    assert context is not None
    return {"tenant": tenant.id, "labels": tenant.labels, "told": [context.tenant, context.traceparent]}


@router.get("/straight")
async def straight(tenant: Tenant, greeting: Greeting) -> list[str]:
    return [tenant.id, greeting]


@router.get("/turned")
async def turned(greeting: Greeting, tenant: Tenant) -> list[str]:
    return [tenant.id, greeting]


@router.post("/hello", status=201)
async def create(note: Note, greeting: Greeting, limit: int = 3) -> dict[str, Any]:
    return {"title": f"{greeting} {note.title}", "limit": limit}


@router.get("/notes/{note_id:int}", name="note")
async def note(note_id: int, request: Request) -> dict[str, Any]:
    found = components(request)
    return {"id": note_id, "url": str(request.url_for("note", note_id=note_id)), "tenant": found.tenant is not None}


@router.route("/notes/{name}", methods=["GET", "DELETE"])
async def named(name: str) -> str:
    return name


@router.get("/notes/late")
async def late() -> str:
    raise AssertionError("an earlier pattern has this path")


@router.get("/gone")
async def gone() -> None:
    raise HTTPException(410, headers={"x-why": "gone"})


@router.get("/broken")
async def broken() -> None:
    raise ValueError("what nobody foresaw")


@router.get("/vendor")
async def vendor() -> None:
    raise ProviderUnavailable("the vendor is down")


class Asking(Response):
    """A response of the user's own that looks for components."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.body = str(await components(scope).get("service", "greeting")).encode()
        await super().__call__(scope, receive, send)


@router.get("/asking")
async def asking(greeting: Greeting) -> Response:
    return Asking(headers={"x-greeting": greeting})


@router.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> Any:
        yield b"one"
        yield b"two"

    return StreamingResponse(parts(), headers={"x-kind": "stream"})


@router.get("/nothing")
async def nothing() -> None:
    return None


@router.get("/session")
async def session(own: Annotated[Session, Use("service", "session")]) -> str:
    return own.path


@router.get("/admin/mine")
async def shadowed() -> str:
    raise AssertionError("the operators have this path")


@router.get("/health/live")
async def alive() -> str:
    raise AssertionError("a probe has this path")


@router.get("/{root}/{rest}")
async def anything(root: str, rest: str) -> str:
    return f"{root}:{rest}"


@router.websocket("/hello")
async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


class WithOperators(Pointsman):
    def operators(self, assembly: Any) -> Operators:
        return Operators("/admin", PlainTextResponse("operators"))


def _behind() -> FastAPI:
    app = FastAPI()

    @app.get("/behind")
    async def behind(request: Request) -> dict[str, Any]:
        return {"greeting": await components(request).get("service", "greeting")}

    @app.get("/behind/{number}", name="numbered")
    async def numbered(number: int, request: Request) -> dict[str, Any]:
        return {"url": str(request.url_for("numbered", number=number))}

    @app.get("/behind-broken")
    async def behind_broken(request: Request) -> JSONResponse:
        try:
            await components(request).get("service", "missing")
        except Exception:
            return JSONResponse({"detail": "theirs"}, 500, headers={"x-theirs": "1"})
        raise AssertionError

    return app


PATHS = [
    "/hello", "/labels", "/notes/7", "/notes/x", "/notes/late", "/gone", "/broken", "/vendor", "/stream", "/nothing",
    "/session", "/admin/mine", "/admin", "/health/live", "/health/ready", "/hello/", "/missing", "/behind", "/behind/3",
    "/behind-broken", "/theirs", "/a/b", "//hello", "/notes/", "/straight", "/turned", "/asking",
]  # fmt: skip
HEADERS = [
    [], [(b"x-tenant-id", b"acme")], [(b"x-tenant-id", b"mallory")], [(b"x-tenant-id", b"ac me")],
    [(b"x-tenant-id", b"acme"), (b"x-tenant-id", b"globex")], [(b"x-tenant-id", b"\xff")],
    [(b"x-tenant-id", b"globex"), (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")],
]  # fmt: skip
BODIES = [b"", b'{"title":"x"}', b"{", b'{"title":1}']
TENANTS = {"acme": {"labels": {"plan": "gold"}}, "globex": {"selections": {"service/greeting": "french"}}}


@pytest.fixture(scope="module")
def applications(tmp_path_factory: pytest.TempPathFactory) -> list[Pointsman]:
    """One with an application behind, one with routes of the user's own, one that serves unknown tenants."""
    folder = tmp_path_factory.mktemp("settings")
    parts = [
        router,
        Candidate("service", "greeting", "french", lambda: "Bonjour"),
        Candidate("service", "greeting", "english", lambda: "Hello"),
        Candidate("service", "session", "own", Session, lifetime="request"),
    ]

    def settings(**tenancy: Any) -> Settings:
        return Settings.load(folder, environ={}, tenants=TENANTS, tenancy=tenancy)

    theirs = Route("/theirs", PlainTextResponse("theirs"))
    return [
        WithOperators(settings(), include=parts, inner=_behind()),
        WithOperators(settings(required=True), include=parts, routes=[theirs, Mount("/notes", PlainTextResponse("m"))]),
        Pointsman(settings(unknown="default"), include=parts),
    ]


async def answers(app: Pointsman, scope: dict[str, Any], body: bytes) -> tuple[Any, Any]:
    """What the short way and the long way send for one scope."""
    express = app.assembly.stack
    assert isinstance(express, Express)
    message = {"type": "http.request", "body": body, "more_body": False}
    short, long = [(await asgi.played(way, {**scope, "app": app}, message)).sent for way in (express, express._app)]
    return short, long


@given(
    which=st.integers(0, 2),
    path=st.sampled_from(PATHS),
    method=st.sampled_from(["GET", "HEAD", "POST", "DELETE"]),
    headers=st.sampled_from(HEADERS),
    body=st.sampled_from(BODIES),
    root_path=st.sampled_from(["", "", "", "/hello", "/root"]),
)
@trying(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_both_ways_say_the_same(
    applications: list[Pointsman],
    which: int,
    path: str,
    method: str,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    root_path: str,
) -> None:
    app = applications[which]
    async with started(app):
        scope = asgi.http(path, method, root_path=root_path)
        scope["headers"] = [*headers, (b"host", b"x"), (b"content-type", b"application/json")]
        short, long = await answers(app, scope, body)
        again, _ = await answers(app, scope, body)
        assert short == long
        assert again == long
        assert all(instance.leases == 0 for instance in app.runtime.lifecycle.keeper.instances)
        assert app.runtime.lifecycle.epochs.current.pins == 1
        assert CURRENT.get() is None


async def test_what_is_plain_never_takes_the_long_way(applications: list[Pointsman]) -> None:
    app = applications[0]
    async with started(app):
        express = app.assembly.stack
        assert isinstance(express, Express)

        async def refuse(scope: Any, receive: Any, send: Any) -> None:
            raise AssertionError(scope["path"])

        express._app = refuse
        for path in ("/hello", "/labels", "/notes/7", "/stream", "/session", "/behind", "/behind/3"):
            scope = asgi.http(path, headers={"x-tenant-id": "acme", "host": "x"})
            assert (await asgi.played(app, scope)).sent[0]["status"] == 200
        for path in ("/health/live", "/admin/mine", "/admin/other", "/hello/", "/missing"):
            scope = asgi.http(path, headers={"x-tenant-id": "mallory"})
            with pytest.raises(AssertionError):
                await asgi.played(app, scope)


class Mark:
    """Something in a scope that can be watched."""


@pytest.mark.parametrize("path", ["/hello", "/behind", "/health/live", "/missing"])
async def test_a_request_leaves_nothing_to_the_garbage_collector(applications: list[Pointsman], path: str) -> None:
    app = applications[0]
    async with started(app):
        headers = {"x-tenant-id": "acme", "host": "x"}
        await asgi.played(app, asgi.http(path, headers=headers))  # the first one makes the instances
        gc.disable()
        try:
            mark = Mark()
            watched = weakref.ref(mark)
            await asgi.played(app, asgi.http(path, headers=headers, mark=mark))
            del mark
            assert watched() is None
        finally:
            gc.enable()


class Vendor:
    """A component that goes down."""

    def __init__(self) -> None:
        self.looked = 0

    def health(self) -> bool:
        self.looked += 1
        return True


async def test_a_handler_of_components_holds_its_bundle_and_what_failed_it_is_looked_at(tmp_path: Path) -> None:
    own, seen = Router(), []

    @own.get("/down")
    async def down(vendor: Annotated[Vendor, Use("service", "vendor")]) -> None:
        lifecycle = app.runtime.lifecycle
        seen.append((lifecycle.epochs.current.pins, [instance.leases for instance in lifecycle.keeper.instances]))
        raise ProviderUnavailable("the vendor is down")

    policies = {"service/vendor": {"on_unhealthy": "next"}}
    settings = Settings.load(tmp_path, environ={}, components=policies, tenants={"acme": {}})
    app = Pointsman(settings, include=[own, Candidate("service", "vendor", "only", Vendor)])
    async with started(app):
        for _ in range(2):
            scope = asgi.http("/down", headers={"x-tenant-id": "acme"})
            assert (await asgi.played(app, scope)).sent[0]["status"] == 503
        (instance,) = app.runtime.lifecycle.keeper.instances
        looked = instance.value.looked
        await until(lambda: instance.value.looked > looked)
        await until(lambda: instance.leases == 0)
        assert seen == [(2, [1]), (2, [1])]
        assert app.runtime.lifecycle.epochs.current.pins == 1


async def test_a_response_asks_under_the_catalog_that_its_handler_began_under(applications: list[Pointsman]) -> None:
    app = applications[2]
    async with started(app):
        scope = asgi.http("/asking", headers={"x-tenant-id": "acme"})
        await asgi.played(app, scope)  # the first one makes the instances, and the bundle
        endpoint = app.assembly.stack._exact["/asking"]["GET"].endpoint  # type: ignore[attr-defined]
        call = endpoint.call

        async def swapping(greeting: str) -> Response:
            await app.runtime.swap("service", "greeting", "french", reason="x", reach="replica")
            return await call(greeting)

        endpoint.call = swapping
        sent = [(await asgi.played(app, scope)).sent for _ in range(2)]
    assert [(dict(start["headers"])[b"x-greeting"], end["body"]) for start, end in sent] == [
        (b"Hello", b"Hello"),
        (b"Bonjour", b"Bonjour"),
    ]


def test_a_route_after_one_of_the_users_own_waits_for_it() -> None:
    def is_taken(path: str) -> bool:
        return path.startswith("/health/")

    routes = compiled([router], max_body_bytes=100)
    whole = timetable_of(Dispatch(routes), is_taken)
    assert whole.whole
    assert set(whole.exact["/hello"]) == {"GET", "HEAD", "POST"}
    assert "/health/live" not in whole.exact
    assert [next(iter(served.values())).route.path for _, served, _ in whole.patterns] == [
        "/notes/{note_id:int}",
        "/notes/{name}",
        "/notes/late",
        "/{root}/{rest}",
    ]
    behind = timetable_of(Dispatch([*routes[:1], Mount("/notes", PlainTextResponse("m")), *routes[1:]]), is_taken)
    assert (list(behind.exact), behind.patterns, behind.whole) == (["/hello"], [], False)
