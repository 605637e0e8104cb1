"""Put together what serves in one run of an application: the runtime, and the ASGI callables around its routes.

From outside in: probes, operators' routes, the boundary where exceptions end, the admission, the user's middleware, a
boundary again (so that this middleware sees every error as an answer), the gate, and the routes with what is behind
them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from pointsman.declarations import Use
from pointsman.errors import NoCatalog
from pointsman.tenancy.policy import Tenancy, check
from pointsman.tenancy.settings import TenancySettings
from pointsman.web import starlette
from pointsman.web.dispatch import Dispatch
from pointsman.web.express import Express, timetable_of
from pointsman.web.middleware.admission import Admission, Gate
from pointsman.web.middleware.boundary import Boundary
from pointsman.web.probes import PATHS, Condition, Probes
from pointsman.web.routes import HandlerRoute
from pointsman.web.routing import Router, compiled, uses_of
from pointsman.web.settings import DebugSettings, WebSettings

if TYPE_CHECKING:
    from starlette.middleware import Middleware
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Scope

    from pointsman.adapters.identity.protocol import Identity
    from pointsman.control.fleet import Fleet
    from pointsman.runtime.runtime import Runtime
    from pointsman.tenancy.policy import Claims, Contradiction


class Operators(msgspec.Struct, frozen=True):
    """The operators' routes: an application, and where it is mounted (``/admin``)."""

    prefix: str
    app: ASGIApp


class Plan(msgspec.Struct, frozen=True):
    """What the user put together.

    Attributes:
        operators: Makes the operators' routes; ``None`` where no authenticator is configured.
    """

    routers: Sequence[Router] = ()
    routes: Sequence[BaseRoute] = ()
    middleware: Sequence[Middleware] = ()
    inner: ASGIApp | None = None
    operators: Callable[[Assembly], Operators | None] = lambda _: None


class Assembly:
    """All that serves in one run.

    Args:
        runtime: Not yet started.
        plan: What the user put together.
        prompt: Starts the run where nothing did.
        environment: The process environment.

    Raises:
        ConfigurationError: A setting, a route or a handler is wrong.

    Attributes:
        fleet: What steers this replica, once control is attached.
        stands: Whether everything that the application lives by is entered.
        state: What ``request.state`` holds at first, once the user's lifespan is entered.
        stack: The outermost ASGI callable.
    """

    def __init__(
        self, runtime: Runtime, plan: Plan, *, prompt: Callable[[], Awaitable[None]], environment: Mapping[str, str]
    ) -> None:
        self.runtime = runtime
        self.fleet: Fleet | None = None
        self.stands = False
        self.state: Mapping[str, Any] = {}
        self.settings = runtime.settings.section(WebSettings)
        self._start = prompt
        self._scrub = runtime.scrubber.scrub
        tenancy = self._tenancy(environment)
        ours = compiled(plan.routers, max_body_bytes=self.settings.max_body_bytes)
        runtime.require((use, where) for use, where, required in uses_of(ours) if required)
        self.stack = self._stacked([*ours, *plan.routes], plan, tenancy)

    def is_open(self, scope: Scope) -> bool:
        """Whether a request may be served with nothing to wait for; fills ``request.state`` where it may."""
        runtime = self.runtime
        if not (self.stands and runtime.state == "serving" and runtime.intake.catalog_stands):
            return False
        if self.fleet is not None and self.fleet.looks_first():
            return False
        if self.state:
            self._fill_state(scope)
        return True

    async def prompt(self) -> None:
        """Start where nothing did, and let a refresh that is due happen.

        Raises:
            NoCatalog: The start is not over.
            PointsmanError: The start has failed.
        """
        await self._start()
        if self.fleet is not None:
            await self.fleet.before_request()

    def condition(self) -> Condition:
        """Return how this replica is: a vendor that fails, or a head that is stale, degrades it."""
        runtime = self.runtime
        if runtime.state != "serving" or not runtime.intake.catalog_stands:
            return "unavailable"
        statuses = runtime.lifecycle.board.as_dict().values()
        sick = any(status["state"] == "failed" or status["last_health"] is False for status in statuses)
        return "degraded" if sick or runtime.is_stale() or runtime.snapshot.catalog.outages else "ok"

    async def _prepare(self, scope: Scope) -> None:
        await self.prompt()
        if self.runtime.state == "stopping" or not self.runtime.intake.catalog_stands:
            raise NoCatalog("There is no catalog to serve from.")
        if self.state:
            self._fill_state(scope)

    def _fill_state(self, scope: Scope) -> None:
        scope["state"] = {**self.state, **scope.get("state", {})}

    def _stacked(self, routes: Sequence[HandlerRoute | BaseRoute], plan: Plan, tenancy: Tenancy) -> ASGIApp:
        behind = None
        if plan.inner is not None:
            from pointsman.web.inner import Inner

            behind = Inner(plan.inner, scrub=self._scrub)
        router = Dispatch(routes, behind)
        app: ASGIApp = Boundary(Gate(router), scrub=self._scrub)
        for middleware, args, kwargs in reversed(plan.middleware):
            app = middleware(app, *args, **kwargs)
        tells = self.runtime.settings.section(DebugSettings).resolution_header
        app = Admission(app, runtime=self.runtime, tenancy=tenancy, prepare=self._prepare, resolution_header=tells)
        app = Boundary(app, scrub=self._scrub)
        operators = plan.operators(self)
        app = Probes(
            app,
            started=lambda: self.runtime.state != "starting",
            condition=self.condition,
            prompt=self.prompt,
        )
        if operators is not None:
            from pointsman.web.mounting import Mounted

            app = Mounted(app, operators.prefix, operators.app)
        is_taken = taken_by(operators)
        timetable = timetable_of(router, is_taken)
        if plan.middleware or tells:
            return app
        return Express(
            app,
            timetable=timetable,
            is_taken=is_taken,
            ground=self,
            tenancy=tenancy,
            behind=behind,
            scrub=self._scrub,
        )

    def _tenancy(self, environment: Mapping[str, str]) -> Tenancy:
        settings = self.runtime.settings.section(TenancySettings)
        check(settings, environment)
        verify = None
        if settings.identity:
            from pointsman.adapters.identity.protocol import IDENTITY

            identity = Use(IDENTITY, provider=settings.identity)
            self.runtime.require([(identity, "tenancy.identity")])
            verify = _verifier(self.runtime, identity)
        return Tenancy(
            settings,
            tenants=Declared(self.runtime),
            verify=verify,
            connection=lambda scope: starlette.requests.HTTPConnection(scope),
            audit=self._audit,
        )

    def _audit(self, found: Contradiction) -> None:
        self.runtime.events.tell("tenant-contradicted", alarm=True, tenant=found.claimed, named=found.named)


def taken_by(operators: Operators | None) -> Callable[[str], bool]:
    """Return what tells whether probes or operators serve a path before any route does."""
    if operators is None:
        return PATHS.__contains__
    from pointsman.web.mounting import is_below

    prefix = operators.prefix
    return lambda path: path in PATHS or is_below(path, prefix)


class Declared:
    """The tenants of the catalog in force."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def known_tenant(self, tenant_id: str, /) -> bool:
        """Return whether a source declares the tenant."""
        return self._runtime.snapshot.catalog.knows(tenant_id)

    def declares_tenants(self) -> bool:
        """Return whether any source declares a tenant."""
        return self._runtime.snapshot.catalog.declares_tenants

    def edition(self) -> object:
        """Return the catalog, which is another one whenever other tenants may be declared."""
        return self._runtime.points.snapshot.catalog


def _verifier(runtime: Runtime, use: Use) -> Callable[[str], Awaitable[Claims]]:
    """Return the verification of tokens by a provider of ``adapter/identity``, which the image alone may bring."""

    async def verify(token: str) -> Mapping[str, Any]:
        async with runtime.components() as its:
            identity: Identity = await its.obtain(use)
            return await identity.verify_token(token)

    return verify
