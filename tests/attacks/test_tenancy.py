"""Attacks on who asks: ids that are none, ids of others, and ways round a guard by the path."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from pointsman.declarations import Candidate, Component, Tenant, Use
from pointsman.runtime.settings import Settings
from pointsman.testing.serving import started
from pointsman.web.application import Pointsman
from pointsman.web.assembly import Assembly, Operators
from pointsman.web.routing import Router

if TYPE_CHECKING:
    from pathlib import Path

BOX = Component[list[str]]("service", "box")
SECRETS = {"acme": {}, "globex": {}}
router = Router()


@router.get("/box")
async def box(box: Annotated[list[str], Use(BOX)]) -> list[str]:
    """Tell whose box is served: one is made for each tenant, and holds its name."""
    return box


def filled(tenant: Tenant) -> list[str]:
    return [tenant.id]


class WithOperators(Pointsman):
    """Operators behind a guard that nobody passes."""

    def operators(self, assembly: Assembly) -> Operators:
        return Operators("/admin", PlainTextResponse("guarded", 401))


def application(folder: Path, **tenancy: Any) -> Pointsman:
    settings = Settings.load(folder, environ={}, tenancy=tenancy, tenants=SECRETS)
    return WithOperators(settings, include=[router, Candidate(*BOX, "filled", filled, lifetime="tenant")])


@pytest.fixture(params=["reject", "default"])
async def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[str, Pointsman]]:
    app = application(tmp_path, unknown=request.param, required=True)
    async with started(app):
        yield request.param, app


async def ask(app: Pointsman, path: str, *tenants: bytes, header: bytes = b"x-tenant-id") -> tuple[int, bytes]:
    """Ask by ASGI, so that no client mends or refuses what an attacker would send."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(header, tenant) for tenant in tenants],
    }
    await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


MALFORMED = [
    b"",
    b" ",
    b"a" * 64,
    b"a" * 100_000,
    b"acme\r\nX-Tenant-ID: globex",
    b"acme\nglobex",
    b"acme\x00",
    b"acme ",
    b" acme",
    b"acme,globex",
    b"ACME",
    b"acme/../globex",
    b"*",
    b"\xe0cme",
    "аcme".encode(),
    b"${secret:KEY}",
]


@pytest.mark.parametrize("tenant", MALFORMED)
async def test_a67_a_malformed_id_is_400_and_nobodys_box(guarded: tuple[str, Pointsman], tenant: bytes) -> None:
    _, app = guarded
    status, body = await ask(app, "/box", tenant)
    assert status == 400
    assert body.isascii()
    assert len(body) < 1000


async def test_a67_no_id_is_400_where_one_is_required(guarded: tuple[str, Pointsman]) -> None:
    _, app = guarded
    assert (await ask(app, "/box"))[0] == 400


@pytest.mark.parametrize("tenants", [(b"acme", b"acme"), (b"acme", b"globex"), (b"acme", b"")])
async def test_a67_an_id_that_comes_twice_is_400(guarded: tuple[str, Pointsman], tenants: tuple[bytes, ...]) -> None:
    _, app = guarded
    assert (await ask(app, "/box", *tenants))[0] == 400


async def test_a67_unknown_ids_are_rejected_or_share_the_one_default(guarded: tuple[str, Pointsman]) -> None:
    unknown, app = guarded
    for tenant in (b"initech", b"hooli", b"default"):
        status, body = await ask(app, "/box", tenant)
        if unknown == "reject":
            assert status == 404
        else:
            assert (status, body) == (200, b'["default"]')


async def test_a67_ten_thousand_unknown_ids_make_one_instance(guarded: tuple[str, Pointsman]) -> None:
    unknown, app = guarded
    for number in range(10_000 if unknown == "default" else 10):
        await ask(app, "/box", f"x{number}".encode())
    assert len(app.runtime.lifecycle.board.as_dict()) == (1 if unknown == "default" else 0)


async def test_a67_without_an_id_no_tenants_instance_is_given(tmp_path: Path) -> None:
    app = application(tmp_path)
    async with started(app):
        assert await ask(app, "/box", b"acme") == (200, b'["acme"]')
        assert (await ask(app, "/box"))[0] == 400


@pytest.mark.parametrize("path", ["/acme/box", "//acme/box", "/acme//box", "/box"])
async def test_a67_a_path_names_the_tenant_by_its_first_segment_alone(tmp_path: Path, path: str) -> None:
    app = application(tmp_path, source="path", required=True)
    async with started(app):
        status, body = await ask(app, path)
        assert (status, body) == (200, b'["acme"]') if path == "/acme/box" else status in {400, 404}


@pytest.mark.parametrize(
    "host", [b"acme.example/globex", b"globex@acme.example", b"acme.example\r\n", b"acme..example"]
)
async def test_a67_a_host_that_is_none_names_nobody_else(tmp_path: Path, host: bytes) -> None:
    app = application(tmp_path, source="host", required=True, domain="example")
    async with started(app):
        assert await ask(app, "/box", b"acme.example", header=b"host") == (200, b'["acme"]')
        assert (await ask(app, "/box", host, header=b"host"))[0] in {400, 404}


# --- no way round a guard ---


@pytest.mark.parametrize("source", ["header", "path"])
async def test_a72_what_the_guard_does_not_see_reaches_no_operators_route(tmp_path: Path, source: str) -> None:
    app = application(tmp_path, source=source)
    async with started(app):
        for path in ("/admin", "/admin/", "/admin/explain/adapter/cache", "/admin//x", "/admin/../box"):
            assert await ask(app, path) == (401, b"guarded")
        for path in (
            "//admin",
            "///admin/x",
            "/acme/admin",
            "/acme/admin/x",
            "/acme//admin",
            "/./admin",
            "/x/../admin",
        ):
            assert (await ask(app, path))[0] in {400, 404}


async def test_a72_an_encoded_path_is_the_path_that_it_encodes(tmp_path: Path) -> None:
    app = application(tmp_path)
    async with started(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as client:
        for path in ("/%61dmin", "/%61dmin/x", "/admin%2Fx", "/%61cme/admin"):
            answer = await client.get(path)
            assert answer.status_code == (404 if "cme" in path else 401)


async def test_a72_a_tenant_called_like_a_reserved_path_does_not_shadow_it(tmp_path: Path) -> None:
    settings = Settings.load(
        tmp_path, environ={}, tenancy={"source": "path"}, tenants={"admin": {}, "health": {}}
    )  # fmt: skip
    app = WithOperators(settings, include=[router, Candidate(*BOX, "filled", filled, lifetime="tenant")])
    async with started(app):
        assert await ask(app, "/admin/box") == (401, b"guarded")
        assert await ask(app, "/health/live") == (200, b'{"status":"ok"}')
        assert await ask(app, "/health/box") == (200, b'["health"]')
