"""Answer our own routes in one frame, where nothing has to be waited for and nothing is refused.

The short way through what `assembly` stacks up: exact paths by one look-up, the tenant by one pass over the headers,
the handler's components as one bundle, the answer without a wrapped ``send``. Whatever is not that plain – patterns,
middleware, a start that is not over, a tenant that is refused – takes the long way, which says the same in more steps;
the short one decides nothing that the long one would decide otherwise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

from pointsman.observability.context import CURRENT, RequestContext
from pointsman.observability.tracing import rename
from pointsman.runtime.access import Components
from pointsman.web import starlette
from pointsman.web.access import COMPONENTS, connection_of
from pointsman.web.injection import HttpEndpoint
from pointsman.web.middleware.boundary import bounded, raising
from pointsman.web.results import CATALOG_HEADER, Answer
from pointsman.web.routes import HandlerRoute, Texts

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from pointsman.lifecycle.epoch import Epoch
    from pointsman.runtime.runtime import Runtime
    from pointsman.runtime.snapshot import Snapshot
    from pointsman.tenancy.policy import Asker, Tenancy
    from pointsman.web.dispatch import Dispatch
    from pointsman.web.inner import Inner
    from pointsman.web.problems import Scrub


class Served(msgspec.Struct, frozen=True):
    """One of our routes, under one method.

    Attributes:
        span: What its span is called.
    """

    endpoint: HttpEndpoint
    route: HandlerRoute
    router: Dispatch
    span: str


Pattern: TypeAlias = "tuple[Texts, Mapping[str, Served], Sequence[tuple[str, Callable[[str], object]]]]"
"""A route with parameters, or one behind such a route that may match its path: what finds the texts in a path, what is
served by method, and what makes values of the texts, by name; a text that stays one has none."""


class Timetable(msgspec.Struct, frozen=True):
    """Our routes as the short way finds them.

    Attributes:
        exact: Routes without parameters, by path and method.
        patterns: All others in their order.
        whole: Whether there is no other route.
    """

    exact: Mapping[str, Mapping[str, Served]]
    patterns: Sequence[Pattern]
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
        self._exact, self._patterns = timetable.exact, timetable.patterns
        self._behind = behind if timetable.whole else None
        self._is_taken = is_taken
        self._ground = ground
        self._runtime = ground.runtime
        self._tenancy = tenancy
        self._scrub = scrub

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return what answers a request, or hand it on."""
        if (
            scope["type"] != "http"
            or scope.get("root_path")
            or (served := self._found(scope)) is None
            or not self._ground.is_open(scope)
            or (asker := self._tenancy.at_once(scope)) is None
        ):
            return self._app(scope, receive, send)
        if not isinstance(served, Served):
            return self._hand_in(served, asker, scope, receive, send)
        return self._answer(served, asker, scope, receive, send)

    async def _answer(self, served: Served, asker: Asker, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by a handler.

        One that asks for components alone is given its bundle. All else has `Components` made: for what the handler
        asks for beside, for a response of its own, and for an error that tells of a provider out of reach.
        """
        runtime, endpoint = self._runtime, served.endpoint
        snapshot, epoch = runtime.footing()
        bundle = epoch.hold(asker.tenant, endpoint.plain) if endpoint.plain is not None else None
        its: Components | None = None
        token = CURRENT.set(RequestContext(asker.tenant or "", snapshot.label, scope["headers"]))
        try:
            scope["router"], scope["route"], scope["endpoint"] = served.router, served.route, endpoint
            rename(served.span)
            try:
                if bundle is not None:
                    result = await endpoint.call(*bundle.values)
                    answer = endpoint.results[type(result)](result)
                else:
                    its = self._components(snapshot, epoch, asker, scope, receive, send)
                    answer = await endpoint.respond(its, scope, receive, send)
            except Exception as error:  # noqa: BLE001 - raised again at the boundary, as on the long way
                await starlette.loaded()
                answer = raising(error)
            header = CATALOG_HEADER, snapshot.label.encode()
            if type(answer) is Answer:
                answer.headers.append(header)
                await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
                await send({"type": "http.response.body", "body": answer.body})
            else:
                if its is None:
                    its = self._components(snapshot, epoch, asker, scope, receive, send)
                    its.at_once(endpoint.plain)
                await bounded(answer, scope, receive, send, self._scrub, header)
        finally:
            if its is not None:
                its.close()
            if bundle is not None:
                runtime.lifecycle.epochs.release(epoch, bundle)
            CURRENT.reset(token)

    async def _hand_in(self, inner: Inner, asker: Asker, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the application behind answer."""
        snapshot, epoch = self._runtime.footing()
        its = self._components(snapshot, epoch, asker, scope, receive, send)
        token = CURRENT.set(RequestContext(asker.tenant or "", snapshot.label, scope["headers"]))
        try:
            await inner.serve(scope, receive, send, (CATALOG_HEADER, snapshot.label.encode()))
        finally:
            its.close()
            CURRENT.reset(token)

    def _components(
        self, snapshot: Snapshot, epoch: Epoch, asker: Asker, scope: Scope, receive: Receive, send: Send
    ) -> Components:
        """Pin what the request may use, and put it into its scope."""
        # by position: a class that is called with names takes twice as long
        made = connection_of, scope, receive, send
        its = Components(self._runtime, snapshot, epoch, asker.tenant, None, asker.vouched, made)
        scope[COMPONENTS] = its
        return its

    def _found(self, scope: Scope) -> Served | Inner | None:
        """Return what serves, with the path's parameters in the scope; ``None`` where only the long way can tell."""
        path, method = scope["path"], scope["method"]
        methods = self._exact.get(path)
        if methods is not None and (served := methods.get(method)) is not None:
            scope["path_params"] = {}
            return served
        for match, by_method, convertors in self._patterns:
            served = by_method.get(method)
            if served is not None and (found := match(path)) is not None and not self._is_taken(path):
                scope["path_params"] = parameters = found.groupdict()
                for name, convert in convertors:
                    parameters[name] = convert(parameters[name])
                return served
        return None if self._behind is None or self._is_taken(path) else self._behind


def timetable_of(router: Dispatch, is_taken: Callable[[str], bool]) -> Timetable:
    """Return those of our routes that come before any other; the first that matches serves.

    Args:
        router: All routes, in order; what ``request.url_for`` asks.
        is_taken: Whether a path is served before them.
    """
    exact: dict[str, dict[str, Served]] = {}
    patterns: list[Pattern] = []
    for route in router.routes:
        if not isinstance(route, HandlerRoute):
            if isinstance(route, starlette.routing.WebSocketRoute):
                continue
            return Timetable(exact, patterns, whole=False)  # it may take anything that comes after it
        endpoint, path = route.endpoint, route.path
        if not isinstance(endpoint, HttpEndpoint):
            continue
        served = {method: Served(endpoint, route, router, f"{method} {path}") for method in route.methods}
        if route.convertors or any(match(path) for match, *_ in patterns):
            patterns.append((route.texts, served, _converting(route)))
        elif not is_taken(path):
            exact[path] = {**served, **exact.get(path, {})}
    return Timetable(exact, patterns, whole=True)


def _converting(route: HandlerRoute) -> tuple[tuple[str, Callable[[str], object]], ...]:
    plain = (starlette.convertors.StringConvertor, starlette.convertors.PathConvertor)
    return tuple((name, one.convert) for name, one in route.convertors.items() if type(one) not in plain)
