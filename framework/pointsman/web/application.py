"""The ASGI application: settings and handlers, put together.

Nothing is loaded or made when it is declared: the server's lifespan starts it, or else the first request. It can be
started again after it has ended, with a new runtime each time.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pointsman.control.settings import ControlSettings
from pointsman.errors import ConfigurationError, NoCatalog
from pointsman.runtime.inclusion import collect
from pointsman.runtime.runtime import Runtime
from pointsman.web import starlette
from pointsman.web.assembly import Assembly, Operators, Plan
from pointsman.web.lifespan import Life, inner_lifespan, serve_lifespan
from pointsman.web.observing import observed
from pointsman.web.routing import Part, Router

if TYPE_CHECKING:
    from starlette.middleware import Middleware
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from pointsman.control.fleet import Fleet
    from pointsman.runtime.runtime import StrPath
    from pointsman.runtime.settings import Settings

Lifespan: TypeAlias = Callable[[Runtime], AbstractAsyncContextManager[Mapping[str, Any] | None]]


class Pointsman(Router):
    """The ASGI application.

    Args:
        settings: Loaded settings, the folder of their files, or None for ``settings/`` if there is one.
        include: Modules, routers, candidates and marked factories; each counts once.
        routes: Starlette routes, after those of the routers.
        middleware: Around all routes; sees every request, refused ones too, and finds the components in the scope.
        inner: Serves what no route does: Starlette, FastAPI, or any ASGI application.
        lifespan: Entered when the runtime stands; what it yields becomes ``request.state``.
    """

    __pointsman_router__: ClassVar[bool] = False

    def __init__(
        self,
        settings: Settings | StrPath | None = None,
        *,
        include: Iterable[Part] = (),
        routes: Sequence[BaseRoute] = (),
        middleware: Sequence[Middleware] = (),
        inner: ASGIApp | None = None,
        lifespan: Lifespan | None = None,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._routes = tuple(routes)
        self._middleware = tuple(middleware)
        self._inner = inner
        self._lifespan = lifespan
        self._runtime: Runtime | None = None
        self._assembly: Assembly | None = None
        self._life = Life(self._live)
        self._has_lifespan = False
        self._close_operators: Callable[[], Awaitable[None]] | None = None
        self.include(*include)

    @property
    def runtime(self) -> Runtime:
        """The runtime of this run; made, not started, where there is none yet.

        Raises:
            ConfigurationError: A setting, a declaration or a selection is wrong.
        """
        if self._runtime is None:
            self._runtime = Runtime(self._settings, include=self.parts)
        return self._runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a lifespan, a request or a websocket.

        Raises:
            ConfigurationError: The application cannot be put together.
        """
        if scope["type"] == "lifespan":
            self._has_lifespan = True
            try:
                await serve_lifespan(self._life, lambda: self.assembly.settings.startup_wait_s, receive, send)
            finally:
                self._has_lifespan = False
            return
        scope["app"] = self
        assembly = self._assembly or self.assembly
        await assembly.stack(scope, receive, send)

    @property
    def assembly(self) -> Assembly:
        """What serves in this run; put together where it is not.

        Raises:
            ConfigurationError: A setting, a route or a handler is wrong.
        """
        if self._assembly is None:
            plan = Plan(self._routers(), self._routes, self._middleware, self._inner, self.operators)
            self._assembly = Assembly(self.runtime, plan, prompt=self._start, environment=os.environ)
        return self._assembly

    def may_speak_websocket(self) -> bool:
        """Tell whether anything here may serve websockets, so that a server needs the library for them."""
        plain = all(isinstance(route, starlette.routing.Route) for route in self._routes)
        own = (declared for router in self._routers() for declared in router.declared)
        return self._inner is not None or not plain or not all(declared.methods for declared in own)

    def _routers(self) -> tuple[Router, ...]:
        return (self, *(router for router in collect(self.parts).routers if isinstance(router, Router)))

    def operators(self, assembly: Assembly) -> Operators | None:
        """Return the operators' routes; None where no authenticator is configured."""
        if not assembly.runtime.settings.says("admin"):
            return None
        from pointsman.web.admin.settings import AdminSettings

        settings = assembly.runtime.settings.section(AdminSettings)
        if not settings.authenticators:
            return None
        from pointsman.web.admin.application import Admin

        admin = Admin(assembly.runtime, settings, fleet=lambda: assembly.fleet, prompt=assembly.prompt)
        self._close_operators = admin.aclose
        return Operators(settings.path, admin)

    def _refuse_late(self, what: str) -> None:
        if self._assembly is not None or (self._runtime is not None and what.startswith("include")):
            raise ConfigurationError(f"{what} comes too late: it is read once, when the application starts.")

    async def _start(self) -> None:
        """Start where no lifespan did, single flight.

        Raises:
            NoCatalog: It takes longer than ``web.startup_wait_s``, and goes on.
            PointsmanError: The start has failed; the next call tries again.
        """
        if self._life.stands:
            return
        wait_s = 0.0 if self._has_lifespan else self.assembly.settings.startup_wait_s
        if not await self._life.start(wait_s):
            raise NoCatalog("The service is starting.")

    @asynccontextmanager
    async def _live(self) -> AsyncGenerator[None]:
        """Hold everything that this run lives by; what was entered last is left first."""
        assembly = self.assembly
        state: dict[str, Any] = {}
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(observed(assembly, os.environ))
                if self._close_operators is not None:
                    stack.push_async_callback(self._close_operators)
                if assembly.runtime.settings.section(ControlSettings).store:
                    assembly.fleet = await stack.enter_async_context(_fleet(assembly.runtime))
                stack.push_async_callback(assembly.runtime.stop)  # also what a start that fails has made
                await assembly.runtime.start_once()
                if self._lifespan is not None:
                    entered = await stack.enter_async_context(self._lifespan(assembly.runtime))
                    state.update(entered or {})
                if self._inner is not None:
                    await stack.enter_async_context(inner_lifespan(self._inner, state))
                assembly.state, assembly.stands = state, True
                yield
        finally:
            self._runtime = self._assembly = None


def _fleet(runtime: Runtime) -> AbstractAsyncContextManager[Fleet | None]:
    """Attach control; its libraries are loaded only where there is a fleet."""
    from pointsman.control.attachment import attached

    return attached(runtime, os.environ)
