"""Components in memory, and ASGI by hand: what the tests of the web layer stand on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from pointsman.declarations import Tenant, Use
from pointsman.errors import ComponentsClosed, PointsmanError, TenantError, UnknownComponent
from pointsman.runtime.access import Asked


class FakeComponents:
    """Gives out what it was given, by component; an error in place of an instance is raised."""

    def __init__(self, instances: Mapping[tuple[str, str], Any] | None = None, tenant: str | None = None) -> None:
        self.instances = dict(instances or {})
        self.tenant = None if tenant is None else Tenant(tenant)
        self.catalog_serial = 1
        self.refusal: PointsmanError | None = None
        self.asked: list[Use] = []
        self.closed = 0

    async def obtain(self, use: Use) -> Any:
        if self.closed:
            raise ComponentsClosed(f"{use.component} was asked for after the request had ended.")
        self.asked.append(use)
        found = self.instances.get(use.component, UnknownComponent(f"nothing is registered for {use.component}."))
        if isinstance(found, PointsmanError):
            self.refusal = found
            raise found
        return found

    async def obtain_optional(self, use: Use) -> Any:
        try:
            return await self.obtain(use)
        except UnknownComponent:
            return None

    def at_once(self, asked: object) -> None:
        return None

    async def obtain_all(self, asked: Asked) -> Mapping[str, object]:
        given: dict[str, object] = {}
        for name, optional in asked.tenants:
            if self.tenant is None and not optional:
                raise TenantError("Expected a tenant: this route serves tenants only.")
            given[name] = self.tenant
        for name, use, optional in asked.needs:
            given[name] = await (self.obtain_optional(use) if optional else self.obtain(use))
        return given

    async def get(self, domain: str, key: str) -> Any:
        return await self.obtain(Use(domain, key))

    def resolutions(self) -> Mapping[str, str]:
        return {str(use.component): type(self.instances[use.component]).__name__ for use in self.asked}

    def close(self) -> None:
        self.closed += 1


@dataclass
class Exchange:
    """One ASGI conversation, played by hand."""

    received: list[dict[str, Any]]
    sent: list[dict[str, Any]] = field(default_factory=list)

    async def receive(self) -> dict[str, Any]:
        return self.received.pop(0) if self.received else {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(dict(message))

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.sent]


App = Callable[[Any, Any, Any], Awaitable[None]]


def http(path: str = "/", method: str = "GET", **more: Any) -> dict[str, Any]:
    headers = [(name.lower().encode(), value.encode()) for name, value in more.pop("headers", {}).items()]
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "path_params": {},
        **more,
    }


def websocket(path: str = "/", *, deniable: bool = False, **more: Any) -> dict[str, Any]:
    extensions = {"websocket.http.response": {}} if deniable else {}
    return {**http(path, **more), "type": "websocket", "extensions": extensions, "subprotocols": []}


async def played(app: App, scope: dict[str, Any], *received: dict[str, Any]) -> Exchange:
    """Let an application answer one scope, and return all that it sent."""
    exchange = Exchange(list(received) or [{"type": "http.request", "body": b"", "more_body": False}])
    await app(scope, exchange.receive, exchange.send)
    return exchange


def client_of(app: Any, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver", **options)
