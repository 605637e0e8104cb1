"""Answer our own routes in one frame, where nothing has to be waited for and nothing is refused.

The short way through what `assembly` stacks up: exact paths by one look-up, the tenant by one pass over the headers,
the handler's components as one bundle, the answer without a wrapped ``send``. Whatever is not that plain – patterns,
middleware, a start that is not over, a tenant that is refused – takes the long way, which says the same in more steps;
the short one decides nothing that the long one would decide otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from starlette.requests import Request
from starlette.routing import Route, WebSocketRoute

from pointsman.observability.context import CURRENT, RequestContext
from pointsman.observability.tracing import rename
from pointsman.runtime.access import Components
from pointsman.web.access import COMPONENTS
from pointsman.web.injection import HttpEndpoint
from pointsman.web.inner import Inner
from pointsman.web.middleware.boundary import bounded, raising
from pointsman.web.problems import Scrub
from pointsman.web.results import CATALOG_HEADER, Answer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from pointsman.runtime.runtime import Runtime
    from pointsman.tenancy.policy import Tenancy
    from pointsman.web.dispatch import Dispatch


_REQUEST: Callable[..., object] = Request


class Served(NamedTuple):
    """One of our routes, under one method.

    Attributes:
        known: What the scope says of a route: itself, its router, its endpoint.
        span: What its span is called.
    """

    endpoint: HttpEndpoint
    known: Mapping[str, object]
    span: str


class Timetable(NamedTuple):
    """Our routes as the short way finds them.

    Attributes:
        exact: Routes without parameters, by path and method.
        patterns: All others in their order, each with what it serves by method.
        whole: Whether there is no other route.
    """

    exact: Mapping[str, Mapping[str, Served]]
    patterns: Sequence[tuple[Route, Mapping[str, Served]]]
    whole: bool


class Ground(Protocol):
    """What the short way stands on."""

    runtime: Runtime

    def is_open(self, scope: Scope, /) -> bool:
        """Whether a request may be served with nothing to wait for; fills ``request.state``."""


class Express:
    """Answers requests to our own routes, and hands everything else on.

    Args:
        app: The long way.
        timetable: Our routes.
        is_taken: Whether a path is served before all routes.
        ground: What is stood on.
        tenancy: Who asks.
        behind: The application that serves what no route of ours does.
        scrub: Takes secrets out of what is told.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        timetable: Timetable,
        is_taken: Callable[[str], bool],
        ground: Ground,
        tenancy: Tenancy,
        behind: Inner | None = None,
        scrub: Scrub = str,
    ) -> None:
        self._app = app
        self._exact, self._patterns, whole = timetable
        self._behind = behind if whole else None
        self._is_taken = is_taken
        self._ground = ground
        self._tenancy = tenancy
        self._scrub = scrub
        self._label: str | None = None
        self._header = CATALOG_HEADER, b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if (
            scope["type"] != "http"
            or scope.get("root_path")
            or (served := self._found(scope)) is None
            or not self._ground.is_open(scope)
            or (asker := self._tenancy.at_once(scope)) is None
        ):
            await self._app(scope, receive, send)
            return
        tenant = asker.tenant
        # by position: a class that is called with names takes twice as long
        its = Components(self._ground.runtime, tenant, None, asker.vouched, partial(_REQUEST, scope, receive, send))
        scope[COMPONENTS] = its
        label, header = its.snapshot.label, self._header
        if label != self._label:
            self._label, self._header = label, (header := (CATALOG_HEADER, label.encode("ascii")))
        token = CURRENT.set(RequestContext(tenant or "", label, scope["headers"]))
        try:
            if isinstance(served, Inner):
                await served.serve(scope, receive, send, header)
                return
            scope.update(served.known)
            rename(served.span)
            try:
                answer = await served.endpoint.respond(its, scope, receive, send)
            except Exception as error:  # noqa: BLE001 - raised again at the boundary, as on the long way
                answer = raising(error)
            if type(answer) is Answer:
                answer.raw_headers.append(header)
                await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
                await send({"type": "http.response.body", "body": answer.body})
            else:
                await bounded(answer, scope, receive, send, self._scrub, header)
        finally:
            its.close()
            CURRENT.reset(token)

    def _found(self, scope: Scope) -> Served | Inner | None:
        """Return what serves, with the path's parameters in the scope; ``None`` where only the long way can tell."""
        path, method = scope["path"], scope["method"]
        methods = self._exact.get(path)
        if methods is not None and (served := methods.get(method)) is not None:
            scope["path_params"] = {}
            return served
        for route, by_method in self._patterns:
            match = route.path_regex.match(path)
            if match and method in by_method and not self._is_taken(path):
                convertors = route.param_convertors
                found = {name: convertors[name].convert(text) for name, text in match.groupdict().items()}
                scope["path_params"] = found
                return by_method[method]
        return None if self._behind is None or self._is_taken(path) else self._behind


def timetable_of(router: Dispatch, is_taken: Callable[[str], bool]) -> Timetable:
    """Return those of our routes that come before any other; the first that matches serves.

    Args:
        router: All routes, in order; what ``request.url_for`` asks.
        is_taken: Whether a path is served before them.
    """
    exact: dict[str, dict[str, Served]] = {}
    patterns: list[tuple[Route, dict[str, Served]]] = []
    for route in router.routes:
        if isinstance(route, WebSocketRoute):
            continue
        if not isinstance(route, Route) or not isinstance(route.endpoint, HttpEndpoint):
            return Timetable(exact, patterns, whole=False)  # it may take anything that comes after it
        endpoint, path = route.endpoint, route.path
        known = {"router": router, "route": route, "endpoint": endpoint}
        served = {method: Served(endpoint, known, f"{method} {path}") for method in route.methods or ()}
        if route.param_convertors or any(earlier.path_regex.match(path) for earlier, _ in patterns):
            patterns.append((route, served))
        elif not is_taken(path):
            exact[path] = {**served, **exact.get(path, {})}
    return Timetable(exact, patterns, whole=True)
