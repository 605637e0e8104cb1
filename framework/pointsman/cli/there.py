"""Ask a running service, through its admin API.

Every refusal of the service is raised as the error of ours that its code names. What does not answer as the API does
(a proxy, a login page) is told so, and nothing of it is believed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from pointsman.cli.answering import note
from pointsman.errors import (
    ConfigurationError,
    MissingExtraError,
    OutcomeUnknown,
    PointsmanError,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
)

if TYPE_CHECKING:
    from pointsman.cli.desk import Asked, Facts, Ordered
    from pointsman.declarations import Component

ADMIN: Final = "/admin"
TIMEOUT_S: Final = 30.0
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@asynccontextmanager
async def there(url: str, token: str, transport: httpx.AsyncBaseTransport | None = None) -> AsyncGenerator[There]:
    """Open a connection to a service, for the time of the block.

    Args:
        url: Of the service; with a path: of its operators' routes.
        token: The operator's; it travels to this URL alone.
        transport: Unsaid: the network.

    Raises:
        ConfigurationError: It is no URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"Expected a URL of a service, found {url!r:.80}.", hint="Write https://host.")
    if token and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        note(f"The token travels to {parts.hostname} unencrypted.")
    base = url if parts.path.strip("/") else f"{url.rstrip('/')}{ADMIN}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=TIMEOUT_S, transport=transport) as client:
        yield There(client)


class There:
    """A running service."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def explain(self, component: Component[Any], asked: Asked) -> Facts:
        """Ask ``GET /admin/explain/{domain}/{key}``."""
        given = {
            "tenant": asked.tenant,
            "provider": asked.provider,
            "requires": list(asked.requires) or None,
            "subject": asked.subject,
        }
        found: Facts = await self._get(f"explain/{component.domain}/{component.key}", given)
        return found

    async def components(self, tenants: Collection[str]) -> list[Facts]:
        """Ask ``GET /admin/components``, and ``/admin/tenants/{tenant}`` for each tenant."""
        rows: list[Facts] = await self._get("components")
        answers = {tenant: (await self._get(f"tenants/{tenant}"))["components"] for tenant in tenants}
        if answers:
            for row in rows:
                row["tenants"] = {tenant: served.get(row["component"]) for tenant, served in answers.items()}
        return rows

    async def status(self) -> Facts:
        """Ask ``GET /admin/manifest`` and ``GET /admin/health``."""
        return {**await self._get("manifest"), **await self._get("health")}

    async def health(self, component: Component[Any] | None, *, probe: bool) -> Facts:
        """Ask ``GET /admin/health``."""
        named = {} if component is None else {"domain": component.domain, "key": component.key}
        found: Facts = await self._get("health", {**named, "probe": "true" if probe else None})
        return found

    async def activity(self) -> list[Facts]:
        """Ask ``GET /admin/activity``."""
        found: list[Facts] = await self._get("activity")
        return found

    async def order(self, ordered: Ordered) -> Facts:
        """Send ``POST /admin/{verb}``."""
        with _translated(changing=not ordered.dry_run):
            answer = await self._client.post(
                ordered.verb,
                json=ordered.body,
                headers=ordered.headers,
                params={"dry_run": "true"} if ordered.dry_run else None,
            )
        found: Facts = _document(answer)
        return found

    async def _get(self, path: str, asked: dict[str, Any] | None = None) -> Any:
        given = {name: value for name, value in (asked or {}).items() if value is not None}
        with _translated():
            answer = await self._client.get(path, params=given)
        return _document(answer)


def _document(answer: httpx.Response) -> Any:
    """Return what the service answered.

    Raises:
        PointsmanError: It refused, or did not answer as the admin API does.
    """
    try:
        found = answer.json()
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        kind = answer.headers.get("content-type", "no type")
        raise ProviderError(
            f"Expected JSON from {answer.url}, found {answer.status_code} {kind:.60}.",
            hint="Name the service itself, and its admin path where that is not /admin.",
        ) from error
    if answer.is_success:
        return found
    raise _refusal(found if isinstance(found, dict) else {}, answer)


def _refusal(problem: Facts, answer: httpx.Response) -> PointsmanError:
    code = str(problem.get("code", f"http-{answer.status_code}"))
    kind = {each.code: each for each in _all(PointsmanError) if each is not MissingExtraError}.get(code, PointsmanError)
    detail = str(problem.get("detail") or problem.get("title") or f"The service answered {answer.status_code}.")
    fields = [f"{each.get('pointer') or each.get('name')}: {each.get('detail')}" for each in problem.get("errors", ())]
    error = kind("; ".join([detail, *(field for field in fields if field not in detail)]))
    error.code = code
    if answer.status_code == 401:
        error.hint = "Say the operator's token: --token, or POINTSMAN_TOKEN."
    elif answer.status_code == 404 and code == "http-404":
        error.hint = "Operators' routes are mounted only where an authenticator is configured (admin.authenticators)."
    return error


def _all(kind: type[PointsmanError]) -> Iterator[type[PointsmanError]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from _all(inner)


@contextmanager
def _translated(*, changing: bool = False) -> Iterator[None]:
    """Tell the network's faults in our words; what was sent and not answered may have been done."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.ProxyError) as error:
        raise ProviderUnavailable(f"The service was not reached: {error}.", hint="Nothing was sent.") from error
    except httpx.HTTPError as error:
        if changing:
            raise OutcomeUnknown(
                f"The command was sent, and no answer came: {error or type(error).__name__}.",
                hint="Send it again under the same --idempotency-key: it is applied once.",
            ) from error
        if isinstance(error, httpx.TimeoutException):
            raise ProviderTimeout(f"The service did not answer within {TIMEOUT_S:g} s.") from error
        raise ProviderUnavailable(f"The service broke off: {error or type(error).__name__}.") from error
