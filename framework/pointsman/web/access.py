"""Find the components of a connection: `components(request)`, and `use(…)` for FastAPI's ``Depends``.

Both read what the admission put into the ASGI scope; neither pins or resolves anything itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pointsman.declarations import Component, Use, component_of
from pointsman.errors import ConfigurationError
from pointsman.web import starlette

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import Receive, Scope, Send

    from pointsman.runtime.access import Components

T = TypeVar("T")
COMPONENTS = "pointsman.components"
"""Where the ASGI scope holds the request's components, or the refusal that it got instead."""


def components(connection: HTTPConnection | Mapping[str, Any], /) -> Components:
    """Return the components of a request, a websocket, or an ASGI scope.

    After the request has ended they give out nothing more, but ``renew()`` still works.

    Raises:
        PointsmanError, HTTPException: The request was not let in, e.g. for want of a tenant.
        ConfigurationError: It did not come through a Pointsman application.
    """
    try:
        found: Components | Exception = connection[COMPONENTS]
    except KeyError:
        raise ConfigurationError(
            "components(…) was asked of a connection that did not come through a Pointsman application.",
            hint="Wrap the application: Pointsman(inner=app); probes and admin routes have no components.",
        ) from None
    if isinstance(found, Exception):
        raise found
    return found


def connection_of(scope: Scope, receive: Receive, send: Send) -> HTTPConnection:
    """Return a request, or a websocket, as the scope is one."""
    made = starlette.requests.Request if scope["type"] == "http" else starlette.websockets.WebSocket
    return made(scope, receive, send)


@overload
def use(
    component: Component[T], /, *, provider: str | None = None, requires: Collection[str] = ()
) -> Callable[[HTTPConnection], Awaitable[T]]: ...
@overload
def use(
    domain: str, key: str, /, *, provider: str | None = None, requires: Collection[str] = ()
) -> Callable[[HTTPConnection], Awaitable[Any]]: ...
def use(
    component: Component[Any] | str,
    key: str | None = None,
    /,
    *,
    provider: str | None = None,
    requires: Collection[str] = (),
) -> Callable[[HTTPConnection], Awaitable[Any]]:
    """Return what FastAPI's ``Depends`` takes: a function from the connection to the component.

    Raises:
        ConfigurationError: The names are not a component's.
    """
    # FastAPI reads the annotation of the parameter below, so that must stand at run time
    asked = Use(component_of(component, key), provider=provider, requires=requires)

    async def dependency(connection: starlette.requests.HTTPConnection) -> Any:
        return await components(connection).obtain(asked)

    return dependency
