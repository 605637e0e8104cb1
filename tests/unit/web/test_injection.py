"""How handlers are called with what they ask for."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket

from pointsman.declarations import Tenant, Use
from pointsman.errors import ComponentPaused, ConfigurationError, InputError, TenantError, UnknownComponent
from pointsman.runtime.access import Components
from pointsman.web.access import COMPONENTS
from pointsman.web.injection import HttpEndpoint, http_endpoint, websocket_endpoint
from tests.unit.web import asgi

JSON = {"content-type": "application/json"}


class Draft(BaseModel):
    title: Annotated[str, Field(min_length=1)]
    text: str


def endpoint(handler: Callable[..., Any], *path: str, status: int = 200) -> HttpEndpoint:
    return http_endpoint(handler, path, status=status, max_body_bytes=1000)


async def ask(
    app: Any, *received: dict[str, Any], components: asgi.FakeComponents | None = None, **scope: Any
) -> tuple[int, bytes]:
    given = {COMPONENTS: components or asgi.FakeComponents()}
    sent = (await asgi.played(app, asgi.http(**scope, **given), *received)).sent
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def body(value: object) -> dict[str, Any]:
    return {"type": "http.request", "body": json.dumps(value).encode(), "more_body": False}


async def test_path_query_body_tenant_and_components_are_given_by_name() -> None:
    async def create(
        note_id: int,
        draft: Draft,
        tenant: Tenant,
        cache: Annotated[str, Use("adapter", "cache")],
        queue: Annotated[str | None, Use("adapter", "queue")],
        limit: Annotated[int, Field(ge=1)] = 20,
        tags: list[str] = [],  # noqa: B006 - given as it is
    ) -> dict[str, Any]:
        return {"all": [note_id, draft.title, tenant.id, cache, queue, limit, tags]}

    status, answer = await ask(
        endpoint(create, "note_id", status=201),
        body({"title": "a", "text": "b"}),
        components=asgi.FakeComponents({("adapter", "cache"): "the cache"}, "acme"),
        path_params={"note_id": "7"},
        query_string=b"limit=3&tags=x&tags=y%20z",
        headers=JSON,
    )
    assert (status, json.loads(answer)) == (201, {"all": [7, "a", "acme", "the cache", None, 3, ["x", "y z"]]})


async def test_defaults_are_given_where_nothing_came() -> None:
    async def index(limit: int = 20, word: str | None = None) -> dict[str, Any]:
        return {"limit": limit, "word": word}

    assert await ask(endpoint(index)) == (200, b'{"limit":20,"word":null}')


async def test_all_faults_are_told_at_once_and_no_component_is_made() -> None:
    async def create(
        note_id: int, draft: Draft, limit: int, word: str, cache: Annotated[str, Use("adapter", "cache")]
    ) -> None: ...

    components = asgi.FakeComponents()
    with pytest.raises(InputError) as caught:
        await ask(
            endpoint(create, "note_id"),
            body({"title": ""}),
            components=components,
            path_params={"note_id": "x"},
            query_string=b"limit=many",
            headers=JSON,
        )
    assert [(error["in"], error.get("name") or error["pointer"], error["code"]) for error in caught.value.errors] == [
        ("path", "note_id", "int_parsing"),
        ("query", "limit", "int_parsing"),
        ("query", "word", "missing"),
        ("body", "/title", "string_too_short"),
        ("body", "/text", "missing"),
    ]
    assert components.asked == []


async def test_the_connection_is_given_in_each_form_and_the_body_can_be_read_again() -> None:
    async def all_of_it(
        request: Request, connection: HTTPConnection, its: Components, draft: Draft | None = None
    ) -> dict[str, Any]:
        assert its is connection.scope[COMPONENTS]
        return {"again": (await request.body()).decode(), "path": connection.scope["path"], "draft": draft}

    _, answer = await ask(endpoint(all_of_it), body({"title": "a", "text": "b"}), path="/x", headers=JSON)
    assert json.loads(answer) == {
        "again": '{"title": "a", "text": "b"}',
        "path": "/x",
        "draft": {"title": "a", "text": "b"},
    }
    assert (await ask(endpoint(all_of_it)))[1] == b'{"again":"","path":"/","draft":null}'


async def test_a_starlette_endpoint_is_a_handler_that_asks_for_the_request() -> None:
    async def old(request: Request) -> Response:
        return Response(await request.body(), 418)

    message = {"type": "http.request", "body": b"raw", "more_body": False}
    assert await ask(endpoint(old), message) == (418, b"raw")


async def test_a_synchronous_handler_runs_in_a_thread() -> None:
    def where(name: str, cache: Annotated[str, Use("adapter", "cache")]) -> str:
        assert threading.current_thread() is not threading.main_thread()
        return f"{cache} {name}"

    components = asgi.FakeComponents({("adapter", "cache"): "hello"})
    assert await ask(endpoint(where), components=components, query_string=b"name=ann") == (200, b"hello ann")


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("turned", [False, True])
async def test_a_handler_of_components_alone_takes_them_by_position_where_it_names_them_in_order(
    wrapped: bool, turned: bool
) -> None:
    async def straight(tenant: Tenant, cache: Annotated[str, Use("adapter", "cache")]) -> list[str]:
        return [tenant.id, cache]

    async def other(cache: Annotated[str, Use("adapter", "cache")], tenant: Tenant) -> list[str]:
        return [tenant.id, cache]

    handler = other if turned else straight

    @functools.wraps(handler)
    async def wrapper(**given: Any) -> list[str]:
        return await handler(**given)

    compiled = endpoint(wrapper if wrapped else handler)
    assert (compiled.plain is not None) is not (wrapped or turned)
    components = asgi.FakeComponents({("adapter", "cache"): "it"}, "acme")
    assert await ask(compiled, components=components) == (200, b'["acme","it"]')


def test_a_handler_of_more_than_components_is_given_all_by_name() -> None:
    async def plain(cache: Annotated[str, Use("adapter", "cache")]) -> None: ...

    async def with_query(cache: Annotated[str, Use("adapter", "cache")], word: str = "") -> None: ...

    async def with_request(cache: Annotated[str, Use("adapter", "cache")], *, request: Request) -> None: ...

    def in_a_thread(cache: Annotated[str, Use("adapter", "cache")]) -> None: ...

    handlers = (plain, with_query, with_request, in_a_thread)
    assert [endpoint(handler).plain is not None for handler in handlers] == [True, False, False, False]


async def test_components_can_be_used_until_stream_and_background_have_ended() -> None:
    seen: list[Any] = []

    async def stream(its: Components) -> Response:
        async def parts() -> Any:
            yield str(await its.get("adapter", "cache"))

        async def after() -> None:
            seen.append(await its.get("adapter", "cache"))

        return StreamingResponse(parts(), background=BackgroundTask(after))

    components = asgi.FakeComponents({("adapter", "cache"): "it"})
    assert await ask(endpoint(stream), components=components) == (200, b"it")
    assert seen == ["it"]


async def test_what_refuses_a_required_component_refuses_the_request() -> None:
    async def handler(cache: Annotated[str, Use("adapter", "cache")]) -> None: ...

    with pytest.raises(UnknownComponent):
        await ask(endpoint(handler))


async def test_an_optional_component_that_is_paused_is_not_taken_for_absent() -> None:
    async def handler(cache: Annotated[str | None, Use("adapter", "cache")]) -> None: ...

    with pytest.raises(ComponentPaused):
        await ask(endpoint(handler), components=asgi.FakeComponents({("adapter", "cache"): ComponentPaused("x")}))


async def test_a_handler_for_tenants_refuses_nobody() -> None:
    async def strict(tenant: Tenant) -> None: ...

    async def lenient(tenant: Tenant | None) -> str:
        return str(tenant)

    with pytest.raises(TenantError) as caught:
        await ask(endpoint(strict))
    assert caught.value.status == 400
    assert await ask(endpoint(lenient)) == (200, b"None")


async def test_a_websocket_handler_is_given_the_same() -> None:
    async def live(
        room: int, websocket: WebSocket, tenant: Tenant, cache: Annotated[str, Use("adapter", "cache")], since: int = 0
    ) -> None:
        await websocket.accept()
        await websocket.send_json([room, tenant.id, cache, since])

    given = {COMPONENTS: asgi.FakeComponents({("adapter", "cache"): "it"}, "acme")}
    scope = asgi.websocket(path_params={"room": "7"}, query_string=b"since=3", **given)
    exchange = await asgi.played(websocket_endpoint(live, ["room"]), scope, {"type": "websocket.connect"})
    assert exchange.types == ["websocket.accept", "websocket.send"]
    assert json.loads(exchange.sent[1]["text"]) == [7, "acme", "it", 3]


async def test_a_websocket_with_faults_is_refused_before_it_is_accepted() -> None:
    async def live(since: int, websocket: WebSocket) -> None: ...

    scope = asgi.websocket(**{COMPONENTS: asgi.FakeComponents()})
    with pytest.raises(InputError):
        await asgi.played(websocket_endpoint(live, []), scope)


def test_a_synchronous_websocket_handler_is_refused() -> None:
    def live(websocket: WebSocket) -> None: ...

    with pytest.raises(ConfigurationError, match="not asynchronous"):
        websocket_endpoint(live, [])


def test_a_declared_result_that_cannot_be_written_names_the_handler() -> None:
    def handler() -> Draft | int: ...  # type: ignore[empty-body]

    handler.__annotations__["return"] = Annotated[Draft, Field(discriminator="kind")]
    with pytest.raises(ConfigurationError, match=r":.*handler: .* cannot be validated"):
        endpoint(handler)
