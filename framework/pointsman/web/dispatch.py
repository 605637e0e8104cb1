"""Find the route that serves a request: the first that matches; else the application behind; else 404 or 405.

Decides by the scope's path, never by a URL that was put together from headers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pointsman.observability.tracing import rename
from pointsman.tenancy.sources import below_root
from pointsman.web import starlette

if TYPE_CHECKING:
    from starlette.datastructures import URLPath
    from starlette.responses import RedirectResponse
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from pointsman.web.routes import HandlerRoute


class Dispatch:
    """Hands a request to the first route that matches it in full.

    Args:
        routes: Ours and the user's, in order.
        behind: Serves what no route does; without it that is refused.
    """

    def __init__(self, routes: Sequence[HandlerRoute | BaseRoute], behind: ASGIApp | None = None) -> None:
        self.routes = tuple(routes)
        self._behind = behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a websocket.

        Raises:
            HTTPException: No route has the path (404), or none of those that have it serves the method (405).
        """
        allowed: list[str] = []
        full, partial = starlette.routing.Match.FULL, starlette.routing.Match.PARTIAL
        for route in self.routes:
            match, child = route.matches(scope)
            if match is full:
                scope.setdefault("router", self)
                scope["route"] = route
                scope.update(child)
                rename(f"{scope.get('method', 'WEBSOCKET')} {getattr(route, 'path', scope['path'])}")
                await route.handle(scope, receive, send)
                return
            if match is partial:
                allowed.extend(getattr(route, "methods", None) or ())
        if self._behind is not None:
            await self._behind(scope, receive, send)
        elif allowed:
            raise starlette.exceptions.HTTPException(405, headers={"Allow": ", ".join(sorted(set(allowed)))})
        elif (redirect := self._with_or_without_slash(scope)) is not None:
            await redirect(scope, receive, send)
        else:
            raise starlette.exceptions.HTTPException(404)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Return the path of a named route, for ``request.url_for``.

        Raises:
            NoMatchFound: There is none with these parameters.
        """
        for route in self.routes:
            try:
                return route.url_path_for(name, **path_params)
            except starlette.routing.NoMatchFound:
                continue
        raise starlette.routing.NoMatchFound(name, path_params)

    def _with_or_without_slash(self, scope: Scope) -> RedirectResponse | None:
        """Return the way to the same path with or without its last slash, where a route has that."""
        path: str = scope["path"]
        if scope["type"] != "http" or below_root(path, scope.get("root_path", "")) == "/":
            return None
        other = {**scope, "path": path.rstrip("/") if path.endswith("/") else f"{path}/"}
        if all(route.matches(other)[0] is starlette.routing.Match.NONE for route in self.routes):
            return None
        return starlette.responses.RedirectResponse(str(starlette.datastructures.URL(scope=other)))
