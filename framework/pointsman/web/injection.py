"""Call handlers with what they ask for.

Each handler is compiled once into an ASGI endpoint that holds its plan; a request walks the plan, and decides nothing
that the signature has decided. Inputs are read before components are made, and all their errors are told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from pointsman.errors import ConfigurationError, InputError
from pointsman.runtime.access import Asked
from pointsman.web import starlette
from pointsman.web.access import components, connection_of
from pointsman.web.parameters import Kind, Parameters, is_async, read_parameters
from pointsman.web.results import Results
from pointsman.web.values import REQUIRED

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Receive, Scope, Send

    from pointsman.runtime.access import Components
    from pointsman.web.bodies import JsonBody

Handler: TypeAlias = Callable[..., Any]
Arguments: TypeAlias = dict[str, Any]
_CONNECTIONS: Mapping[Kind, Callable[[Scope, Receive, Send], Any]] = {
    "request": connection_of,
    "websocket": connection_of,
    "connection": lambda scope, receive, send: starlette.requests.HTTPConnection(scope),
    "components": lambda scope, receive, send: components(scope),
}


class Injection:
    """Finds the arguments of one handler; concurrent requests share it.

    Attributes:
        asked: The components, and the tenant.
        connections: Forms of the connection, each with what makes it.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self._values = parameters.values
        has_query = any(value.place == "query" for value in parameters.values)
        self._query = starlette.datastructures.QueryParams if has_query else None
        self.asked = Asked(
            ((need.name, need.use, need.optional) for need in parameters.needs),
            ((one.name, one.optional) for one in parameters.tenants),
        )
        self.connections = tuple((one.name, _CONNECTIONS[one.kind]) for one in parameters.connections)

    def by_position(self, handler: Handler) -> Asked | None:
        """Return all that the handler asks for, where that is components and tenant, and no name is needed to give it.

        A call by names takes twice as long. They are needed where the order is another, or the function is wrapped.
        """
        code = getattr(handler, "__code__", None)
        if code is None or code.co_varnames[: code.co_argcount] != self.asked.names:
            return None
        others = self.parameters.values or self.parameters.bodies or self.parameters.connections
        return None if others or not is_async(handler) else self.asked

    def read(self, scope: Scope, arguments: Arguments) -> tuple[dict[str, str], ...]:
        """Add what path and query carry, and return what is wrong with it."""
        errors: tuple[dict[str, str], ...] = ()
        path = scope["path_params"]
        query = self._query(scope["query_string"]) if self._query is not None else None
        for value in self._values:
            texts = query.getlist(value.name) if query is not None and value.place == "query" else [path[value.name]]
            if texts:
                arguments[value.name], found = value.read(texts)
                errors += found
            elif value.default is REQUIRED:
                errors += value.missing()
            else:
                arguments[value.name] = value.default
        return errors

    def connect(self, scope: Scope, receive: Receive, send: Send, arguments: Arguments) -> None:
        """Add the connection in the forms that the handler asks for."""
        for name, made in self.connections:
            arguments[name] = made(scope, receive, send)


class HttpEndpoint:
    """An ASGI application that serves one handler's requests.

    Attributes:
        call: The handler, in a thread where it is not asynchronous.
        results: How what it returns is rendered.
        plain: All that it asks for, where `call` takes that by position; else ``None``.
    """

    def __init__(self, handler: Handler, injection: Injection, results: Results, body: JsonBody | None) -> None:
        self.handler = handler
        self.parameters = injection.parameters
        self.call = handler if is_async(handler) else _in_threads(handler)
        self.results = results
        self.plain = injection.by_position(handler)
        self._injection = injection
        self._body = body
        self._inputs = bool(injection.parameters.values or body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; its background task runs before the components are let go."""
        response = await self.respond(components(scope), scope, receive, send)
        await response(scope, receive, send)

    async def respond(self, its: Components, scope: Scope, receive: Receive, send: Send) -> ASGIApp:
        """Return the answer to one request; nothing of it is sent."""
        injection = self._injection
        arguments: Arguments = {}
        if self._inputs:
            receive = await self._read(scope, receive, arguments)
        if injection.connections:
            injection.connect(scope, receive, send, arguments)
        found = its.at_once(injection.asked)
        arguments.update(await its.obtain_all(injection.asked) if found is None else found.given)
        return self.results(await self.call(**arguments))

    async def _read(self, scope: Scope, receive: Receive, arguments: Arguments) -> Receive:
        """Add path, query and body.

        Raises:
            InputError: Something is wrong with one of them; the errors of all are told at once.
        """
        errors = self._injection.read(scope, arguments)
        if self._body is not None:
            arguments[self._body.name], found, body = await self._body.read(scope, receive)
            errors += found
            if self._injection.connections:
                from pointsman.web.bodies import replayed

                receive = replayed(body, receive)
        if errors:
            raise InputError("The request does not have the declared shape.", errors=errors)
        return receive


class WebSocketEndpoint:
    """An ASGI application that serves one handler's websockets."""

    def __init__(self, handler: Handler, injection: Injection) -> None:
        self.handler = handler
        self.parameters = injection.parameters
        self._injection = injection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one websocket to its end; what is refused is refused before it is accepted."""
        arguments: Arguments = {}
        if errors := self._injection.read(scope, arguments):
            raise InputError("The request does not have the declared shape.", errors=errors)
        self._injection.connect(scope, receive, send, arguments)
        arguments.update(await components(scope).obtain_all(self._injection.asked))
        await self.handler(**arguments)


def http_endpoint(handler: Handler, path: Collection[str], *, status: int, max_body_bytes: int) -> HttpEndpoint:
    """Compile a handler of requests.

    Args:
        handler: A synchronous one runs in a thread.
        path: The names in its route's path.
        status: The route's.
        max_body_bytes: The cap of a body that is injected; a handler that reads the request itself has none.

    Raises:
        ConfigurationError: A parameter can be given nothing, or its annotation cannot be validated.
    """
    parameters = read_parameters(handler, path)
    try:
        body = _body(parameters, max_body_bytes)
        results = Results(parameters.returns, status)
    except ConfigurationError as error:
        raise ConfigurationError(f"{parameters.where}: {error.message}") from error
    return HttpEndpoint(handler, Injection(parameters), results, body)


def _body(parameters: Parameters, max_body_bytes: int) -> JsonBody | None:
    if not parameters.bodies:
        return None
    from pointsman.web.bodies import JsonBody

    (wanted,) = parameters.bodies
    return JsonBody(wanted, max_body_bytes)


def websocket_endpoint(handler: Handler, path: Collection[str]) -> WebSocketEndpoint:
    """Compile a handler of websockets.

    Raises:
        ConfigurationError: A parameter can be given nothing, or the handler is not asynchronous.
    """
    parameters = read_parameters(handler, path, "websocket")
    if not is_async(handler):
        raise ConfigurationError(
            f"{parameters.where} serves a websocket, and is not asynchronous.", hint="Write `async def`."
        )
    return WebSocketEndpoint(handler, Injection(parameters))


def _in_threads(handler: Handler) -> Handler:
    """Return the handler as a coroutine function that calls it in a thread."""
    from anyio import to_thread

    async def call(**arguments: Any) -> Any:
        return await to_thread.run_sync(partial(handler, **arguments))

    return call
