"""The application as a whole, over the real runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import anyio
import pytest
from fastapi import Depends, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from pointsman.declarations import Candidate, Component, Tenant, Use, provides
from pointsman.errors import ConfigurationError
from pointsman.runtime.runtime import Runtime
from pointsman.runtime.settings import Settings
from pointsman.testing import serving
from pointsman.testing.serving import started
from pointsman.web.access import components, use
from pointsman.web.application import Pointsman
from pointsman.web.assembly import Assembly, Operators
from pointsman.web.routing import Router
from tests.unit.web import asgi

GREETING = Component[str]("service", "greeting")
FRENCH = Candidate(*GREETING, "french", lambda: "Bonjour")
ENGLISH = Candidate(*GREETING, "english", lambda: "Hello")
TENANTS = {"acme": {"selections": {"service/greeting": "english"}}, "globex": {}}
MakeSettings = Callable[..., Settings]


@pytest.fixture
def settings(tmp_path: Path) -> MakeSettings:
    """Settings of sections alone: no file, no variable."""

    def make(**sections: Any) -> Settings:
        return Settings.load(tmp_path, environ={}, **sections)

    return make


router = Router()


@router.get("/hello/{name}")
async def hello(name: str, greeting: Annotated[str, Use(GREETING)], tenant: Tenant | None) -> str:
    return f"{greeting} {name} of {tenant.id if tenant else 'nobody'}"


@router.get("/state")
async def state(request: Request) -> dict[str, Any]:
    return {"pool": request.state.pool}


def application(settings: Settings, **options: Any) -> Pointsman:
    include = options.pop("include", [router, ENGLISH, FRENCH])
    return Pointsman(settings, include=include, **options)


async def test_each_tenant_gets_the_provider_that_it_chose(settings: MakeSettings) -> None:
    app = application(settings(tenants=TENANTS, debug={"resolution_header": True}))
    async with serving(app, tenant="acme") as client:
        answer = await client.get("/hello/ann")
        assert answer.text == "Hello ann of acme"
        assert answer.headers["x-pointsman-catalog"] == "0.0"
        assert answer.headers["x-pointsman-resolution"] == "service/greeting=english"
        assert (await client.get("/hello/ann", headers={"X-Tenant-ID": "globex"})).text == "Bonjour ann of globex"
        unknown = await client.get("/hello/ann", headers={"X-Tenant-ID": "initech"})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "tenant")
        assert unknown.headers["x-pointsman-catalog"] == "0.0"


async def test_without_a_lifespan_the_first_requests_start_it_once(settings: MakeSettings) -> None:
    app = application(settings())
    runtimes: list[Runtime] = []

    @asynccontextmanager
    async def lifespan(runtime: Runtime) -> AsyncGenerator[Mapping[str, Any]]:
        runtimes.append(runtime)
        yield {"pool": "it"}

    app = application(settings(), lifespan=lifespan)
    async with asgi.client_of(app) as client:
        answers = await asyncio.gather(*(client.get("/state") for _ in range(20)))
        assert {answer.text for answer in answers} == {'{"pool":"it"}'}
        assert (await client.get("/health/ready")).json() == {"status": "ok"}
    assert runtimes == [app.runtime]
    await app._life.stop()


async def test_without_a_lifespan_a_probe_starts_it_too(settings: MakeSettings) -> None:
    app = application(settings())
    async with asgi.client_of(app) as client:
        assert (await client.get("/health/startup")).status_code == 200
    await app._life.stop()


async def test_it_can_be_started_again_with_a_new_runtime(settings: MakeSettings) -> None:
    app = application(settings())
    runtimes = []
    for _ in range(2):
        async with serving(app) as client:
            assert (await client.get("/hello/ann")).text == "Bonjour ann of nobody"
            runtimes.append(app.runtime)
    assert runtimes[0] is not runtimes[1]
    assert runtimes[0].state == "stopping"


async def test_what_its_lifespan_yields_is_the_requests_state(settings: MakeSettings) -> None:
    left: list[str] = []

    @asynccontextmanager
    async def lifespan(runtime: Runtime) -> AsyncGenerator[Mapping[str, Any] | None]:
        assert runtime.state == "serving"
        async with anyio.create_task_group():
            yield {"pool": "it"}
        left.append(runtime.state)

    async with serving(application(settings(), lifespan=lifespan)) as client:
        assert (await client.get("/state")).json() == {"pool": "it"}
    assert left == ["serving"]


# --- what stops the start ---


async def test_a_required_component_that_nobody_registers_stops_the_start(settings: MakeSettings) -> None:
    app = application(settings(), include=[router])
    with pytest.raises(ConfigurationError) as caught:
        async with started(app):
            pytest.fail("started")
    told = str(caught.value)
    assert told.startswith("UnknownComponent [unknown-component]: nothing is registered for service/greeting.")
    assert f"asked by {__name__}:hello, parameter greeting." in told


async def test_without_a_lifespan_it_fails_each_request_and_readiness(
    settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async with asgi.client_of(application(settings(), include=[router])) as client:
        for _ in range(2):
            answer = await client.get("/hello/ann")
            assert (answer.status_code, answer.json()["code"]) == (500, "unknown-component")
        assert (await client.get("/health/ready")).status_code == 503
        assert (await client.get("/health/live")).status_code == 200
    assert "nothing is registered for service/greeting" in caplog.records[0].getMessage()


async def nonsense(what: dict[str, int]) -> None: ...


async def test_a_handler_that_can_be_given_nothing_stops_the_start(settings: MakeSettings) -> None:
    app = application(settings())
    app.get("/nonsense")(nonsense)
    with pytest.raises(ConfigurationError, match="parameter `what: dict"):
        async with started(app):
            pytest.fail("started")


async def test_on_cloud_run_it_must_be_said_who_vouches(
    settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K_SERVICE", "notebook")
    with pytest.raises(ConfigurationError, match="vouched_by"):
        async with started(application(settings())):
            pytest.fail("started")
    async with started(application(settings(tenancy={"vouched_by": "gateway"}))):
        pass


async def test_what_comes_too_late_is_refused(settings: MakeSettings) -> None:
    app = application(settings())
    app.runtime  # noqa: B018 - it reads what was included
    app.get("/early")(hello)
    with pytest.raises(ConfigurationError, match=r"include\(…\) comes too late"):
        app.include(router)
    async with started(app):
        with pytest.raises(ConfigurationError, match="the route /late comes too late"):
            app.get("/late")(hello)


async def test_an_application_is_no_part_of_another(settings: MakeSettings) -> None:
    outer = application(settings(), include=[application(settings())])  # type: ignore[list-item]
    with pytest.raises(ConfigurationError, match="takes no application"):
        outer.runtime  # noqa: B018 - it reads what was included


# --- starting slowly ---


async def test_while_it_starts_probes_are_answered_and_routes_are_503(settings: MakeSettings) -> None:
    gate = asyncio.Event()

    async def slow() -> str:
        await gate.wait()
        return "slow"

    policy = {"service/greeting": {"prewarm": True}}
    slowly = settings(components=policy, web={"startup_wait_s": 0})
    app = application(slowly, include=[router, Candidate(*GREETING, "slow", slow)])
    async with serving(app) as client:
        assert (await client.get("/health/startup")).status_code == 503
        assert (await client.get("/health/ready")).json() == {"status": "unavailable"}
        assert (await client.get("/health/live")).status_code == 200
        refused = await client.get("/hello/ann")
        assert (refused.status_code, refused.json()["code"]) == (503, "no-catalog")
        assert refused.headers["retry-after"] == "1"
        gate.set()
        assert await app._life.start(5)
        assert (await client.get("/hello/ann")).text == "slow ann of nobody"
        assert (await client.get("/health/startup")).status_code == 200


async def test_without_a_catalog_only_probes_are_answered(settings: MakeSettings) -> None:
    app = application(settings())
    async with serving(app) as client:
        app.runtime.intake.catalog_stands = False
        assert (await client.get("/hello/ann")).status_code == 503
        assert (await client.get("/health/startup")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 503


async def test_until_the_fleet_has_a_head_probes_are_answered_and_routes_are_503(settings: MakeSettings) -> None:
    fleet = settings(environment="development", control={"store": "memory://headless"})
    app = application(fleet)
    async with serving(app) as client:
        assert app.assembly.fleet is app.runtime.fleet is not None
        assert (await client.get("/health/startup")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 503
        assert (await client.get("/hello/ann")).json()["code"] == "no-catalog"


async def test_a_vendor_that_fails_degrades_and_does_not_take_the_replica_away(
    settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> str:
        raise OSError("no route to host")

    app = application(settings(), include=[router, Candidate(*GREETING, "broken", broken)])
    async with serving(app) as client:
        answer = await client.get("/hello/ann")
        assert (answer.status_code, answer.json()["code"]) == (503, "activation-failed")
        assert "no route" not in answer.text
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()) == (200, {"status": "degraded"})
    assert any("no route to host" in record.getMessage() for record in caplog.records)


async def test_a_head_that_is_stale_degrades(settings: MakeSettings) -> None:
    app = application(settings())
    async with serving(app) as client:
        app.runtime.is_stale = lambda: True
        assert (await client.get("/health/ready")).json() == {"status": "degraded"}


# --- around the routes ---


async def test_starlette_routes_serve_beside_ours(settings: MakeSettings) -> None:
    async def plain(request: Request) -> PlainTextResponse:
        greeting = await components(request).get(GREETING)
        return PlainTextResponse(f"{greeting} {request.url_for('hello', name='ann').path} {request.app is app}")

    app = application(settings(), routes=[Route("/plain", plain)])
    async with serving(app) as client:
        assert (await client.get("/plain")).text == "Bonjour /hello/ann True"


async def test_a_preflight_needs_no_tenant_and_a_browser_can_read_a_refusal(settings: MakeSettings) -> None:
    cors = Middleware(CORSMiddleware, allow_origins=["https://a.example"])
    app = application(settings(tenancy={"required": True}), middleware=[cors])
    origin = {"Origin": "https://a.example"}
    async with serving(app) as client:
        asked = await client.options("/hello/ann", headers={**origin, "Access-Control-Request-Method": "GET"})
        assert asked.status_code == 200
        refused = await client.get("/hello/ann", headers=origin)
        assert refused.status_code == 400
        assert refused.headers["access-control-allow-origin"] == "https://a.example"


async def test_middleware_finds_components_and_its_own_errors_end_as_problems(settings: MakeSettings) -> None:
    class Greeting:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/crash":
                raise ValueError("mine")
            scope["greeting"] = await components(scope).get(GREETING)
            await self.app(scope, receive, send)

    async def told(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request["greeting"])

    app = application(settings(), routes=[Route("/told", told)], middleware=[Middleware(Greeting)])
    async with serving(app) as client:
        assert (await client.get("/told")).text == "Bonjour"
        crashed = await client.get("/crash")
        assert (crashed.status_code, crashed.json()["code"]) == (500, "internal-error")


async def test_fastapi_is_served_behind_with_its_lifespan(settings: MakeSettings) -> None:
    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        yield {"pool": "theirs"}

    api = FastAPI(lifespan=living)

    @api.get("/theirs/{name}")
    async def theirs(
        name: str, greeting: Annotated[str, Depends(use(GREETING))], connection: HTTPConnection
    ) -> dict[str, str]:
        return {"text": f"{greeting} {name} {connection.state.pool}"}

    @api.get("/missing")
    async def missing(_: Annotated[str, Depends(use("adapter", "nothing"))]) -> None: ...

    app = application(settings(), inner=api)
    async with serving(app) as client:
        assert (await client.get("/theirs/ann")).json() == {"text": "Bonjour ann theirs"}
        assert (await client.get("/hello/ann")).text == "Bonjour ann of nobody"
        assert (await client.get("/nope")).json() == {"detail": "Not Found"}
        refused = await client.get("/missing")
        assert (refused.status_code, refused.json()["code"]) == (500, "unknown-component")


class Audited(Pointsman):
    def operators(self, assembly: Assembly) -> Operators:
        return Operators("/admin", PlainTextResponse(f"operators of {type(assembly.runtime).__name__}"))


async def test_operators_are_served_before_tenancy(settings: MakeSettings) -> None:
    app = Audited(settings(tenancy={"required": True}), include=[router, FRENCH])
    async with serving(app) as client:
        assert (await client.get("/admin/explain")).text == "operators of Runtime"
        assert (await client.get("/hello/ann")).status_code == 400


# --- who asks ---


@provides("adapter", "identity", "corporate")
class Corporate:
    async def verify_token(self, token: str) -> Mapping[str, Any]:
        return {"org_id": token}


async def test_a_claim_is_verified_by_a_provider_of_identity(settings: MakeSettings) -> None:
    tenancy = {"source": "claim", "identity": "corporate", "claim": "org_id", "required": True}
    app = application(settings(tenancy=tenancy, tenants=TENANTS), include=[router, Corporate, ENGLISH, FRENCH])
    told: list[Any] = []
    async with serving(app) as client:
        app.runtime.events.subscribe(told.append)
        token = {"Authorization": "Bearer acme"}
        assert (await client.get("/hello/ann", headers=token)).text == "Hello ann of acme"
        anonymous = await client.get("/hello/ann")
        assert (anonymous.status_code, anonymous.headers["www-authenticate"]) == (401, "Bearer")
        contradicted = await client.get("/hello/ann", headers={**token, "X-Tenant-ID": "globex"})
        assert contradicted.status_code == 403
    (event,) = (event for event in told if event.name == "tenant-contradicted")
    assert (event.alarm, event.fields["named"], event.fields["tenant"]) == (True, "globex", "acme")


async def test_an_identity_that_nobody_provides_stops_the_start(settings: MakeSettings) -> None:
    tenancy = {"source": "claim", "identity": "nobody", "claim": "org_id"}
    with pytest.raises(ConfigurationError, match="nobody is registered for adapter/identity"):
        async with started(application(settings(tenancy=tenancy))):
            pytest.fail("started")


async def test_a_component_that_is_isolated_demands_that_somebody_vouches(settings: MakeSettings) -> None:
    policy = {"service/greeting": {"isolated": True}}
    for vouched_by, status in (("gateway", 200), ("none", 403)):
        app = application(settings(tenancy={"vouched_by": vouched_by}, components=policy, tenants=TENANTS))
        async with serving(app, tenant="acme") as client:
            assert (await client.get("/hello/ann")).status_code == status


# --- the end of a request ---


async def test_a_stream_and_its_background_may_use_what_the_request_may_and_nothing_longer(
    settings: MakeSettings,
) -> None:
    kept: list[Any] = []

    async def stream(request: Request) -> StreamingResponse:
        its = components(request)
        kept.append(its)

        async def parts() -> AsyncGenerator[str]:
            yield await its.get(GREETING)

        return StreamingResponse(parts())

    async with serving(application(settings(), routes=[Route("/stream", stream)])) as client:
        assert (await client.get("/stream")).text == "Bonjour"
        assert kept[0].closed
        with pytest.raises(Exception, match="after the request had ended"):
            await kept[0].get(GREETING)
        async with kept[0].renew() as own:
            assert await own.get(GREETING) == "Bonjour"


async def test_an_open_websocket_meets_a_swap_by_taking_components_for_each_message(settings: MakeSettings) -> None:
    app = application(settings())

    @app.websocket("/live")
    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        async for name in websocket.iter_text():
            async with components(websocket).renew() as its:
                await websocket.send_text(f"{await its.get(GREETING)} {name}")

    words = [{"type": "websocket.receive", "text": "ann"}, {"type": "websocket.receive", "text": "bob"}]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not sent:
            return {"type": "websocket.connect"}
        if not words:
            return {"type": "websocket.disconnect", "code": 1000}
        if len(words) == 1:
            await app.runtime.swap("service", "greeting", "english", reason="test", reach="replica")
        return words.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    async with started(app):
        await app(asgi.websocket("/live"), receive, send)
    assert [message.get("text") for message in sent] == [None, "Bonjour ann", "Hello bob"]
    assert sent[0]["headers"] == [(b"x-pointsman-catalog", b"0.0")]


async def test_a_client_that_goes_away_leaves_no_lease(settings: MakeSettings) -> None:
    entered = anyio.Event()

    async def hanging(request: Request) -> None:
        await components(request).get(GREETING)
        entered.set()
        await anyio.sleep_forever()

    app = application(settings(), routes=[Route("/hang", hanging)])
    async with started(app):
        epochs = app.runtime.lifecycle.epochs
        async with anyio.create_task_group() as group:
            group.start_soon(asgi.played, app, asgi.http("/hang"))
            await entered.wait()
            pinned = epochs.current.pins
            group.cancel_scope.cancel()
        assert epochs.current.pins == pinned - 1


async def _nothing(scope: Any, receive: Any, send: Any) -> None: ...


def test_what_may_speak_websocket_is_told_from_its_parts() -> None:
    talking = Router()
    talking.websocket("/talk")(_nothing)
    assert not Pointsman(routes=[Route("/plain", _nothing)]).may_speak_websocket()
    assert Pointsman(include=[talking]).may_speak_websocket()
    assert Pointsman(routes=[WebSocketRoute("/talk", _nothing)]).may_speak_websocket()
    assert Pointsman(routes=[Mount("/below", _nothing)]).may_speak_websocket()
    assert Pointsman(inner=_nothing).may_speak_websocket()


class ReadsTheBody:
    def __init__(self, request: Request) -> None:
        self.request = request


async def test_all_factories_of_a_request_are_given_the_same_connection(settings: MakeSettings) -> None:
    parts = [Candidate("service", key, "own", ReadsTheBody, lifetime="request") for key in "ab"]
    app = Pointsman(settings(), include=parts)

    @app.post("/")
    async def hello(
        a: Annotated[ReadsTheBody, Use("service", "a")], b: Annotated[ReadsTheBody, Use("service", "b")]
    ) -> list[str]:
        return [(await one.request.body()).decode() for one in (a, b)]

    async with serving(app) as client:
        assert (await client.post("/", content=b"once")).json() == ["once", "once"]
