"""How a request is let in, and let go."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket

from pointsman.declarations import Use
from pointsman.errors import NoCatalog, TenantError
from pointsman.observability.context import CURRENT
from pointsman.tenancy.policy import Asker
from pointsman.web.access import components
from pointsman.web.middleware.admission import Admission, Gate
from tests.unit.web import asgi

CATALOG = (b"x-pointsman-catalog", b"42.7")


class World:
    """A runtime and a tenancy in memory, in one."""

    label = "42.7"

    def __init__(self, asker: Asker | Exception | None = None, *, unready: bool = False) -> None:
        self.asker = asker or Asker("acme", vouched=True)
        self.unready = unready
        self.pinned: list[asgi.FakeComponents] = []
        self.given: list[dict[str, Any]] = []

    def components(self, **given: Any) -> asgi.FakeComponents:
        self.given.append(given)
        self.pinned.append(asgi.FakeComponents({("adapter", "cache"): "redis"}, given["tenant"]))
        return self.pinned[-1]

    async def of(self, scope: Any, /) -> Asker:
        if isinstance(self.asker, Exception):
            raise self.asker
        return self.asker

    async def prepare(self, scope: Any) -> None:
        if self.unready:
            raise NoCatalog("There is no catalog to serve from.")

    def admission(self, app: Any, **options: Any) -> Admission:
        return Admission(app, runtime=self, tenancy=self, prepare=self.prepare, **options)


@pytest.mark.parametrize(("scope", "kind"), [(asgi.http(), Request), (asgi.websocket(), WebSocket)])
async def test_components_are_pinned_for_the_tenant_and_closed_at_the_end(scope: dict[str, Any], kind: type) -> None:
    world = World()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert components(scope) is world.pinned[0]
        assert world.pinned[0].closed == 0

    await asgi.played(world.admission(app), scope)
    assert world.pinned[0].closed == 1
    connection = world.given[0].pop("connection")()
    assert (world.given, type(connection)) == ([{"tenant": "acme", "vouched": True}], kind)
    assert connection.scope is scope


async def test_components_are_closed_when_the_application_raises_and_when_the_client_goes() -> None:
    world = World()

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("x")

    async def hanging(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await anyio.sleep_forever()

    with pytest.raises(ValueError, match="x"):
        await asgi.played(world.admission(failing), asgi.http())
    entered = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(asgi.played, world.admission(hanging), asgi.http())
        await entered.wait()
        group.cancel_scope.cancel()
    assert [pinned.closed for pinned in world.pinned] == [1, 1]
    assert CURRENT.get() is None


async def test_every_answer_carries_the_label_of_what_decides() -> None:
    exchange = await asgi.played(World().admission(PlainTextResponse("x")), asgi.http())
    assert exchange.sent[0]["headers"][-1] == CATALOG
    denied = await asgi.played(World().admission(PlainTextResponse("x")), asgi.websocket())
    assert denied.sent[0]["headers"][-1] == CATALOG

    async def accepting(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    accepted = await asgi.played(World().admission(accepting), asgi.websocket())
    assert accepted.sent == [{"type": "websocket.accept", "headers": [CATALOG]}]


async def test_the_resolution_header_tells_what_served() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await components(scope).obtain(Use("adapter", "cache"))
        await PlainTextResponse("x")(scope, receive, send)

    exchange = await asgi.played(World().admission(app, resolution_header=True), asgi.http())
    assert exchange.sent[0]["headers"][-2:] == [CATALOG, (b"x-pointsman-resolution", b"adapter/cache=str")]
    refused = World(TenantError("x")).admission(PlainTextResponse("x"), resolution_header=True)
    assert (await asgi.played(refused, asgi.http())).sent[0]["headers"][-1] == CATALOG


@pytest.mark.parametrize(
    ("world", "refusal"),
    [
        (World(TenantError("x")), TenantError),
        (World(HTTPException(418)), HTTPException),
        (World(unready=True), NoCatalog),
    ],
)
async def test_a_refused_request_passes_the_users_middleware_and_is_turned_away_at_the_gate(
    world: World, refusal: type[Exception]
) -> None:
    seen: list[str] = []

    async def served(scope: Any, receive: Any, send: Any) -> None:
        seen.append("served")

    async def users(scope: Any, receive: Any, send: Any) -> None:
        seen.append("middleware")
        await Gate(served)(scope, receive, send)

    with pytest.raises(refusal):
        await asgi.played(world.admission(users), asgi.http())
    assert seen == ["middleware"]
    assert world.pinned == []


async def test_a_request_that_is_let_in_passes_the_gate() -> None:
    exchange = await asgi.played(World().admission(Gate(PlainTextResponse("x"))), asgi.http())
    assert exchange.sent[1]["body"] == b"x"


async def test_the_tenants_prefix_belongs_to_the_root_path_inside() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (scope["root_path"], scope["path"]) == ("/acme", "/acme/notes")
        assert components(scope) is world.pinned[0]
        assert world.given[0]["connection"]().scope is scope

    world = World(Asker("acme", vouched=False, root_path="/acme"))
    await asgi.played(world.admission(app), asgi.http("/acme/notes"))


async def test_log_lines_know_trace_tenant_and_catalog() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        context = CURRENT.get()
        assert context is not None
        assert (context.traceparent, context.tenant, context.catalog) == ("00-abc", tenant, "42.7")

    tenant = "acme"
    await asgi.played(World().admission(app), asgi.http(headers={"traceparent": "00-abc"}))
    tenant = ""
    await asgi.played(World(Asker(None, vouched=False)).admission(app), asgi.http(headers={"traceparent": "00-abc"}))
