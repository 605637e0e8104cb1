"""Which paths the operators' application serves."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from pointsman.web.mounting import Mounted
from tests.unit.web import asgi


async def admin(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse(f"{scope['root_path']} {scope['path']}")(scope, receive, send)


async def served(path: str, root_path: str = "") -> str:
    app = Mounted(PlainTextResponse("else"), "/admin", admin)
    sent = (await asgi.played(app, asgi.http(path, root_path=root_path))).sent
    return bytes(sent[1]["body"]).decode()


@pytest.mark.parametrize(
    ("path", "root_path", "told"),
    [
        ("/admin", "", "/admin /admin/"),
        ("/admin/", "", "/admin /admin/"),
        ("/admin/explain/a/b", "", "/admin /admin/explain/a/b"),
        ("/api/admin/x", "/api", "/api/admin /api/admin/x"),
        ("/administer", "", "else"),
        ("//admin", "", "else"),
        ("//admin/x", "", "else"),
        ("/acme/admin", "", "else"),
        ("/Admin", "", "else"),
    ],
)
async def test_exactly_what_lies_below_the_prefix(path: str, root_path: str, told: str) -> None:
    assert await served(path, root_path) == told
