"""The operators' routes: one ASGI application, mounted before tenancy where an authenticator is configured.

A table of what can be looked at, a table of what can be ordered, and one way through for each: guard, act, answer. An
error is a problem document with its detail: its reader is an operator.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pointsman.control.commands import Command, Outcome, etag
from pointsman.declarations import component_of
from pointsman.errors import (
    ConfigurationError,
    InputError,
    LifecycleError,
    NoEligibleCandidate,
    NotFound,
    PointsmanError,
)
from pointsman.web.admin import looking
from pointsman.web.admin.authentication import Caller, Gatekeeper
from pointsman.web.admin.guard import Guard
from pointsman.web.admin.operator import Alone, Operator
from pointsman.web.admin.orders import VERBS, Order, Verb, command_of
from pointsman.web.admin.settings import AdminSettings
from pointsman.web.bodies import read_body
from pointsman.web.dispatch import Dispatch
from pointsman.web.problems import problem_of
from pointsman.web.validation import body_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from pointsman.control.fleet import Fleet
    from pointsman.runtime.runtime import Runtime

Look: TypeAlias = Callable[[Request], Awaitable[object]]
AUDIT_DEFAULT, AUDIT_MOST = 50, 500


class Admin:
    """The operators' application.

    Args:
        runtime: What is looked at.
        settings: Who may operate.
        fleet: Gives control, once it is attached; ``None`` where there is none.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        runtime: Runtime,
        settings: AdminSettings,
        *,
        fleet: Callable[[], Fleet | None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._runtime = runtime
        self._settings = settings
        self._fleet = fleet
        self._alone = Alone(runtime)
        gatekeeper = Gatekeeper(runtime, settings.authenticators)
        self._guard = Guard(settings, gatekeeper, runtime.events.tell, clock)
        self._dispatch = Dispatch([*self._looks(), *self._orders(), self._route("/refresh", self._refresh, "POST")])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            await self._dispatch(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever comes out becomes one problem
            await self._told(error, scope)(scope, receive, send)

    # --- look ---

    def _looks(self) -> Sequence[Route]:
        table: Sequence[tuple[str, Look]] = (
            ("/explain/{domain}/{key}", self._explain),
            ("/health", self._health),
            ("/components", self._components),
            ("/tenants/{tenant}", self._tenant),
            ("/activity", self._activity),
            ("/manifest", self._manifest),
            ("/audit", self._audit),
            ("/operations/{operation}", self._operation),
            ("/control", self._control),
        )
        return [self._route(path, functools.partial(self._looked, look), "GET") for path, look in table]

    async def _looked(self, look: Look, request: Request) -> Response:
        await self._guard.admitted(request, changes=False)
        found = await look(request)
        return found if isinstance(found, Response) else JSONResponse(found)

    async def _explain(self, request: Request) -> object:
        asked, path = request.query_params, request.path_params
        component = _component(path["domain"], path["key"])
        requires = frozenset(name for text in asked.getlist("requires") for name in text.split(",") if name)
        found = looking.explained(
            self._runtime, component, asked.get("tenant"), asked.get("provider"), requires, asked.get("subject")
        )
        return found.as_dict()

    async def _health(self, request: Request) -> object:
        asked = request.query_params
        probe = asked.get("probe", "").lower() in {"1", "true", "yes"}
        return await looking.health_of(self._runtime, probe=probe, domain=asked.get("domain"), key=asked.get("key"))

    async def _components(self, _request: Request) -> object:
        return looking.components_of(self._runtime)

    async def _tenant(self, request: Request) -> object:
        return looking.tenant_of(self._runtime, request.path_params["tenant"])

    async def _activity(self, _request: Request) -> object:
        return looking.activity_of(self._runtime)

    async def _manifest(self, _request: Request) -> object:
        return looking.manifest_of(self._runtime, self._operator)

    async def _control(self, _request: Request) -> object:
        document = looking.control_of(self._operator)
        return JSONResponse(document, headers={"ETag": etag(cast("int", document["cseq"]))})

    async def _audit(self, request: Request) -> object:
        limit = _limit(request.query_params.get("limit", str(AUDIT_DEFAULT)))
        return [record.as_dict() for record in await self._operator.audit(limit)]

    async def _operation(self, request: Request) -> object:
        return (await self._operator.operation(request.path_params["operation"])).as_dict()

    # --- order ---

    def _orders(self) -> Sequence[Route]:
        return [
            self._route(f"/{name}", functools.partial(self._ordered, verb, body_of(verb.body)), "POST")
            for name, verb in VERBS.items()
        ]

    async def _ordered(self, verb: Verb, read: Callable[[bytes], Any], request: Request) -> Response:
        caller = await self._guard.admitted(request, changes=True)
        body = await read_body(request.scope, request.receive, self._settings.max_body_bytes)
        try:
            order, errors = read(body)
            if errors:
                raise InputError("The command cannot be read.", errors=tuple(errors))
            command = self._command(verb, cast("Order", order), caller, request)
            outcome = await self._carried_out(command)
        except PointsmanError as error:
            self._deny(caller, request, error)
            raise
        return _answer(command, outcome)

    def _command(self, verb: Verb, order: Order, caller: Caller, request: Request) -> Command:
        dry_run = request.query_params.get("dry_run", "").lower() in {"1", "true", "yes"}
        catalog = self._runtime.points.current().catalog
        return command_of(verb, order, caller, catalog, request.headers, dry_run=dry_run)

    async def _carried_out(self, command: Command) -> Outcome:
        """Carry a command out; a target that does not stand here, or may not serve, is the caller's mistake: 422."""
        try:
            return await self._operator.run(command)
        except (LifecycleError, NoEligibleCandidate) as error:
            raise Unfit(error) from error

    def _deny(self, caller: Caller, request: Request, error: PointsmanError) -> None:
        self._runtime.events.tell(
            "admin.refused", who=caller.name, path=request.scope["path"], code=error.code, error=error.message
        )

    async def _refresh(self, request: Request) -> Response:
        await self._guard.admitted(request, changes=True)
        await self._operator.refresh()
        return JSONResponse(looking.manifest_of(self._runtime, self._operator))

    # --- within ---

    @property
    def _operator(self) -> Operator:
        return self._fleet() or self._alone

    def _told(self, error: Exception, scope: Scope) -> Response:
        if not isinstance(error, PointsmanError) and not hasattr(error, "status_code"):
            self._runtime.events.tell("admin.failed", error=f"{type(error).__name__}: {error}", alarm=True)
        problem = problem_of(error, public=False, instance=scope["path"], scrub=self._runtime.scrubber.scrub)
        if isinstance(error, NotFound):
            problem = replace(problem, status=404, title="Not Found")
        return problem.response()

    @staticmethod
    def _route(path: str, endpoint: Callable[[Request], Awaitable[Response]], method: str) -> Route:
        async def serve(request: Request) -> Response:
            return await endpoint(request)

        return Route(path, serve, methods=[method])


class Unfit(InputError):
    """The target of a swap does not stand on this replica, or may not serve; nothing was written."""

    def __init__(self, error: PointsmanError) -> None:
        super().__init__(error.message, hint=error.hint)
        self.code = error.code


def _answer(command: Command, outcome: Outcome) -> Response:
    changes = [
        {"component": one.component, "tenant": one.tenant, "slot": one.slot, "before": one.before, "after": one.after}
        for one in outcome.changes
    ]
    body = {
        "cseq": outcome.cseq,
        "operation": outcome.operation,
        "local": outcome.local,
        "fleet": outcome.fleet,
        "bound_s": outcome.bound_s,
        "changes": changes,
    }
    reached = command.reach == "fleet" and not command.dry_run
    return JSONResponse(body, 202 if reached else 200, {"ETag": outcome.etag} if reached else None)


def _component(domain: str, key: str) -> Any:
    try:
        return component_of(domain, key)
    except ConfigurationError as error:
        raise InputError(error.message, hint=error.hint) from error


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= AUDIT_MOST:
        detail = f"expected 1 to {AUDIT_MOST}"
        raise InputError(
            f"limit: {detail}.", errors=({"in": "query", "name": "limit", "detail": detail, "code": "invalid"},)
        )
    return int(text)
