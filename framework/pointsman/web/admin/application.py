"""The operators' routes: one ASGI application, mounted before tenancy where an authenticator is configured.

A table of what can be looked at, a table of what can be ordered, and one way through for each: guard, who asks, act,
answer. An error is a problem document with its detail: its reader is an operator, once it is known that they are one.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from pointsman.control.commands import Command, Outcome, etag
from pointsman.declarations import component_of
from pointsman.errors import ConfigurationError, IdentityError, InputError, NotFound, PointsmanError
from pointsman.web.admin import looking
from pointsman.web.admin.authentication import Caller, Gatekeeper
from pointsman.web.admin.effects import effects_of
from pointsman.web.admin.guard import check_media_type, forbidden, refused
from pointsman.web.admin.operator import Alone, Operator
from pointsman.web.admin.ordering import Ordering, fitness
from pointsman.web.admin.orders import VERBS, Order, RefreshOrder, Verb
from pointsman.web.admin.queries import Query
from pointsman.web.admin.records import Records, unknown
from pointsman.web.admin.settings import AdminSettings
from pointsman.web.bodies import read_body
from pointsman.web.dispatch import Dispatch
from pointsman.web.problems import Problem, problem_of
from pointsman.web.results import CATALOG_HEADER, with_headers
from pointsman.web.validation import body_of

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from pointsman.control.fleet import Fleet
    from pointsman.runtime.runtime import Runtime

Look: TypeAlias = Callable[[Request], Awaitable[object]]
AUDIT_DEFAULT, AUDIT_MOST = 50, 500
CALLER = "pointsman.caller"
"""Where the ASGI scope holds who asks, once that is known."""
_OPERATION = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


async def _nothing_to_start() -> None:
    """Do nothing: whoever made the application starts the runtime."""


class Admin:
    """The operators' application; whoever made it closes it.

    Args:
        runtime: What is looked at.
        settings: Who may operate.
        fleet: Gives control, once it is attached; ``None`` where there is none.
        prompt: Awaited by every request: starts the runtime where no lifespan did, and lets a due refresh happen.
        clock: Monotonic seconds.

    Raises:
        ConfigurationError: An authenticator names an identity provider that is none of the image's.
    """

    def __init__(
        self,
        runtime: Runtime,
        settings: AdminSettings,
        *,
        fleet: Callable[[], Fleet | None],
        prompt: Callable[[], Awaitable[None]] = _nothing_to_start,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._runtime = runtime
        self._settings = settings
        self._fleet = fleet
        self._prompt = prompt
        self._alone = Alone(runtime)
        self._records = Records(runtime, clock)
        self._ordering = Ordering(runtime, lambda: self._operator, self._alone, self._records)
        self._gatekeeper = Gatekeeper(runtime, settings, self._records.seldom)
        self._dispatch = Dispatch([*self._looks(), *self._orders()])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        send = self._labelled(send)
        try:
            await self._serve(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the boundary: whatever comes out becomes one problem
            await self._told(error, scope)(scope, receive, send)

    async def aclose(self) -> None:
        """Close what authenticates, and what is written to."""
        await self._gatekeeper.aclose()
        await self._records.aclose()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (problem := refused(scope, self._settings)) is not None:
            await replace(problem, instance=scope["path"])(scope, receive, send)
            return
        await self._prompt()
        try:
            scope[CALLER] = await self._gatekeeper.caller(scope["headers"])
        except IdentityError as error:
            self._records.anonymous(scope["path"], error)
            raise
        await self._dispatch(scope, receive, send)

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
        return [_route(path, functools.partial(self._looked, look), "GET") for path, look in table]

    async def _looked(self, look: Look, request: Request) -> Response:
        caller: Caller = request.scope[CALLER]
        if caller.role is None:
            return _turned_away(request, f"{caller.name} is neither operator nor viewer of this service.")
        found = await look(request)
        return found if isinstance(found, Response) else self._json(found)

    async def _explain(self, request: Request) -> object:
        asked = Query(request.scope["query_string"], ("tenant", "provider", "requires", "subject"), ("requires",))
        component = _component(request.path_params["domain"], request.path_params["key"])
        requires = frozenset(asked.texts("requires"))
        found = looking.explained(
            self._runtime, component, asked.text("tenant"), asked.text("provider"), requires, asked.text("subject")
        )
        return found.as_dict()

    async def _health(self, request: Request) -> object:
        asked = Query(request.scope["query_string"], ("probe", "domain", "key"))
        return await looking.health_of(
            self._runtime, probe=asked.flag("probe"), domain=asked.text("domain"), key=asked.text("key")
        )

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
        return self._json(document, headers={"ETag": etag(cast("int", document["cseq"]))})

    async def _audit(self, request: Request) -> object:
        limit = Query(request.scope["query_string"], ("limit",)).number("limit", AUDIT_DEFAULT, AUDIT_MOST)
        found = [*await self._operator.audit(limit), *self._records.kept(limit)]
        found.sort(key=lambda record: record.begun_at, reverse=True)
        return [record.as_dict() for record in found[:limit]]

    async def _operation(self, request: Request) -> object:
        operation = request.path_params["operation"]
        if not _OPERATION.fullmatch(operation):
            raise unknown(operation)
        record = self._records.find(operation) or await self._operator.operation(operation)
        return record.as_dict()

    # --- order ---

    def _orders(self) -> Sequence[Route]:
        verbs = [(name, self._ordered, (verb, body_of(verb.body))) for name, verb in VERBS.items()]
        verbs.append(("refresh", self._refreshed, (body_of(RefreshOrder),)))  # type: ignore[arg-type]
        return [
            _route(f"/{name}", functools.partial(self._changed, name, do, *given), "POST") for name, do, given in verbs
        ]

    async def _changed(self, name: str, do: Callable[..., Awaitable[Response]], *given: Any) -> Response:
        *rest, request = given
        caller: Caller = request.scope[CALLER]
        if caller.role != "operator":
            detail = f"{caller.name} may {'look, and ' if caller.role else ''}change nothing."
            await self._records.denied(caller, name, "forbidden", detail)
            return _turned_away(request, detail)
        return await do(name, *rest, caller, request)

    async def _ordered(
        self, name: str, verb: Verb, read: Callable[[bytes], Any], caller: Caller, request: Request
    ) -> Response:
        command: Command | None = None
        try:
            order = cast("Order", await self._read(read, request))
            with fitness():
                command = await self._ordering.command(verb, order, caller, request)
                outcome = await self._ordering.carry_out(command, conditional="If-Match" in request.headers)
        except PointsmanError as error:
            await self._records.refused(caller, name, command, error)
            raise
        await self._records.applied(name, command, outcome)
        return self._answer(command, outcome)

    async def _refreshed(self, name: str, read: Callable[[bytes], Any], caller: Caller, request: Request) -> Response:
        try:
            await self._read(read, request)
            rehearsal = Query(request.scope["query_string"], ("dry_run",)).flag("dry_run")
        except PointsmanError as error:
            await self._records.refused(caller, name, None, error)
            raise
        if not rehearsal:
            self._records.refreshed(caller)
            await self._operator.refresh()
        return self._json(looking.manifest_of(self._runtime, self._operator))

    async def _read(self, read: Callable[[bytes], Any], request: Request) -> object:
        """Return the body as its model.

        Raises:
            InputError: It is no JSON, too large, or not of that shape.
        """
        check_media_type(request.scope)
        value, errors = read(await read_body(request.scope, request.receive, self._settings.max_body_bytes))
        if errors:
            raise InputError("The command cannot be read.", errors=tuple(errors))
        return cast("object", value)

    def _answer(self, command: Command, outcome: Outcome) -> Response:
        changes = [
            {
                "component": one.component,
                "tenant": one.tenant,
                "slot": one.slot,
                "before": one.before,
                "after": one.after,
            }
            for one in outcome.changes
        ]
        body: dict[str, object] = {
            "cseq": outcome.cseq,
            "operation": outcome.operation,
            "local": outcome.local,
            "fleet": outcome.fleet,
            "bound_s": outcome.bound_s,
            "changes": changes,
        }
        if command.dry_run:
            body["tenants"] = effects_of(self._runtime, command)
        reached = command.reach == "fleet" and not command.dry_run
        return self._json(body, 202 if reached else 200, {"ETag": outcome.etag} if command.reach == "fleet" else None)

    # --- within ---

    @property
    def _operator(self) -> Operator:
        return self._fleet() or self._alone

    def _json(self, found: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """Return an answer without secrets; ASCII throughout, so that nothing in it can disturb a terminal."""
        text = json.dumps(self._runtime.scrubber.scrub_value(found), separators=(",", ":"))
        return Response(text, status, dict(headers or {}), "application/json")

    def _labelled(self, send: Send) -> Send:
        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = with_headers(
                    message,
                    (CATALOG_HEADER, self._runtime.label.encode("ascii")),
                    (b"cache-control", b"no-store"),
                    (b"x-content-type-options", b"nosniff"),
                )
            await send(message)

        return labelled

    def _told(self, error: Exception, scope: Scope) -> Problem:
        """Return the problem that an error is; before it is known who asks, they are the public."""
        if not isinstance(error, PointsmanError) and not hasattr(error, "status_code"):
            self._runtime.events.tell("admin.failed", error=f"{type(error).__name__}: {error}", alarm=True)
        public = CALLER not in scope and not isinstance(error, IdentityError)
        problem = problem_of(error, public=public, instance=scope["path"], scrub=self._runtime.scrubber.scrub)
        return replace(problem, status=404, title="Not Found") if isinstance(error, NotFound) else problem


def _route(path: str, endpoint: Callable[[Request], Awaitable[Response]], method: str) -> Route:
    async def serve(request: Request) -> Response:
        return await endpoint(request)

    return Route(path, serve, methods=[method])


def _turned_away(request: Request, detail: str) -> Response:
    return replace(forbidden(detail), instance=request.scope["path"]).response()


def _component(domain: str, key: str) -> Any:
    try:
        return component_of(domain, key)
    except ConfigurationError as error:
        raise InputError(error.message, hint=error.hint) from error
