"""Read what a handler asks for, once, from its signature.

By annotation: a component (`Use`), the tenant, a body (a pydantic model), the connection, a part of the path, else a
value of the query. Called at the start only; what cannot be given is refused there and never at a request.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Literal, TypeAlias, get_origin, get_type_hints

import msgspec

from pointsman.declarations import Tenant, Use
from pointsman.errors import ConfigurationError
from pointsman.lifecycle.factories import Need, place_of, unwrapped
from pointsman.runtime.access import Components
from pointsman.web.values import REQUIRED, Value, value_of

Kind: TypeAlias = Literal["request", "websocket", "connection", "components"]
Protocol: TypeAlias = Literal["http", "websocket"]

_KINDS: Mapping[tuple[str, str], Kind] = {
    ("starlette.requests", "Request"): "request",
    ("starlette.websockets", "WebSocket"): "websocket",
    ("starlette.requests", "HTTPConnection"): "connection",
    (Components.__module__, "Components"): "components",
}
"""By module and name of a class: to know Starlette's themselves would load them."""
_ONLY: Mapping[Kind, Protocol] = {"request": "http", "websocket": "websocket"}


class WantedTenant(msgspec.Struct, frozen=True):
    """A parameter that is given the tenant."""

    name: str
    optional: bool


class WantedConnection(msgspec.Struct, frozen=True):
    """A parameter that is given the connection, or its components."""

    name: str
    kind: Kind


class WantedBody(msgspec.Struct, frozen=True):
    """A parameter that is given the body, validated by its model."""

    name: str
    model: Any
    optional: bool
    default: object


Wanted: TypeAlias = Need | WantedTenant | WantedConnection | WantedBody | Value


class Parameters(msgspec.Struct, frozen=True):
    """All that a handler asks for, by kind, and what it declares to return.

    Attributes:
        where: The handler as messages name it, ``handlers.notes:create``.
        returns: Its return annotation; ``inspect.Signature.empty`` without one.
    """

    where: str
    needs: tuple[Need, ...]
    tenants: tuple[WantedTenant, ...]
    connections: tuple[WantedConnection, ...]
    bodies: tuple[WantedBody, ...]
    values: tuple[Value, ...]
    returns: Any

    def uses(self) -> Iterator[tuple[Use, str, bool]]:
        """Yield each component that is asked for, who asks, and whether it is required."""
        for need in self.needs:
            yield need.use, f"{self.where}, parameter {need.name}", not need.optional


def read_parameters(handler: Callable[..., Any], path: Collection[str], protocol: Protocol = "http") -> Parameters:
    """Return what a handler asks for.

    Args:
        handler: The decorated function, or any callable with annotations.
        path: The names in its route's path.
        protocol: Whether it serves requests or websockets.

    Raises:
        ConfigurationError: A parameter can be given nothing, a second one asks for the body, or one asks for what
            this kind of handler does not have.
    """
    where = called(handler)
    hints = _hints(handler, where)
    wanted = [_wanted(parameter, hints, path, where) for parameter in _named(handler, where)]
    found = Parameters(
        where=where,
        needs=tuple(item for item in wanted if isinstance(item, Need)),
        tenants=tuple(item for item in wanted if isinstance(item, WantedTenant)),
        connections=tuple(item for item in wanted if isinstance(item, WantedConnection)),
        bodies=tuple(item for item in wanted if isinstance(item, WantedBody)),
        values=tuple(item for item in wanted if isinstance(item, Value)),
        returns=hints.get("return", inspect.Signature.empty),
    )
    _check(found, protocol)
    return found


def called(handler: object) -> str:
    """Return the name of a handler for messages."""
    target = _function(handler)
    return f"{getattr(target, '__module__', '?')}:{getattr(target, '__qualname__', repr(handler))}"


def is_async(handler: object) -> bool:
    """Return whether calling the handler gives something to await."""
    return inspect.iscoroutinefunction(_function(handler))


def _function(handler: object) -> Any:
    while isinstance(handler, functools.partial):
        handler = handler.func
    return handler if inspect.isroutine(handler) else getattr(type(handler), "__call__", handler)  # noqa: B004


def _named(handler: Callable[..., Any], where: str) -> Iterator[inspect.Parameter]:
    """Yield the parameters that are given something; ``*args`` and ``**kwargs`` are given nothing."""
    for parameter in inspect.signature(handler).parameters.values():
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ConfigurationError(
                f"{where}: parameter `{parameter.name}` is positional only, but parameters are given by name.",
                hint="Take the `/` out of the signature.",
            )
        if parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            yield parameter


def _hints(handler: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return get_type_hints(inspect.unwrap(_function(handler)), include_extras=True)
    except (NameError, AttributeError, TypeError) as error:
        raise ConfigurationError(
            f"{where}: an annotation cannot be read: {error}.",
            hint="Import it where the module is loaded, not only under TYPE_CHECKING.",
        ) from error


def _wanted(parameter: inspect.Parameter, hints: dict[str, Any], path: Collection[str], where: str) -> Wanted:
    """Return what one parameter asks for: the rows of the table, in their order."""
    name = parameter.name
    annotation = hints.get(name, str if name in path else None)
    core, use, optional = unwrapped(annotation)
    if use is not None:
        return Need(name, use, optional)
    if core is Tenant:
        return WantedTenant(name, optional)
    if isinstance(core, type) and hasattr(core, "__pydantic_validator__"):
        return WantedBody(
            name, core, optional or parameter.default is not parameter.empty, _default(parameter, None, where)
        )
    if kind := _KINDS.get(place_of(get_origin(core) or core)):
        return WantedConnection(name, kind)
    absent = None if optional and name not in path else REQUIRED
    default = _default(parameter, absent, where)
    try:
        value = value_of(name, "path" if name in path else "query", annotation, default)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: parameter `{name}`: {error.message}") from error
    if value is None:
        raise _no_value(parameter, hints, where)
    return value


def _default(parameter: inspect.Parameter, absent: object, where: str) -> object:
    default = parameter.default
    if default is parameter.empty:
        return absent
    if type(default).__module__.partition(".")[0] in {"pydantic", "fastapi"}:
        raise ConfigurationError(
            f"{where}: parameter `{parameter.name}` has {type(default).__name__}(…) as its default.",
            hint=f"Annotate instead: `{parameter.name}: Annotated[…, Field(…)]`; a component: `Annotated[…, Use(…)]`.",
        )
    return default


def _no_value(parameter: inspect.Parameter, hints: dict[str, Any], where: str) -> ConfigurationError:
    name = parameter.name
    if name not in hints:
        return ConfigurationError(
            f"{where}: parameter `{name}` has no annotation.",
            hint=f"Say what it is: `{name}: Request`, `{name}: str`, `{name}: Annotated[…, Use(…)]`.",
        )
    shown = shown_type(hints[name])
    return ConfigurationError(
        f"{where}: parameter `{name}: {shown}` is no path parameter, no pydantic model and no value that a query can "
        "carry.",
        hint=f'A component is asked for with `{name}: Annotated[{shown}, Use("service", "{name}")]`.',
    )


def shown_type(annotation: Any) -> str:
    """Return an annotation as one writes it."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _check(found: Parameters, protocol: Protocol) -> None:
    """Refuse what one handler cannot have twice, or not at all."""
    if len(found.bodies) > 1:
        first, second = found.bodies[:2]
        raise ConfigurationError(
            f"{found.where}: parameter `{second.name}: {shown_type(second.model)}` is a second body; the first is "
            f"`{first.name}: {shown_type(first.model)}`.",
            hint="A request has one body: put both into one model.",
        )
    if found.bodies and protocol == "websocket":
        raise ConfigurationError(
            f"{found.where}: parameter `{found.bodies[0].name}` is a body, but a websocket has none.",
            hint="Validate its messages: Model.model_validate_json(await websocket.receive_text()).",
        )
    for wanted in found.connections:
        if _ONLY.get(wanted.kind, protocol) != protocol:
            other = "WebSocket" if protocol == "websocket" else "Request"
            raise ConfigurationError(
                f"{found.where}: parameter `{wanted.name}` is a {wanted.kind}, but this route serves {protocol}.",
                hint=f"Ask for `{wanted.name}: {other}`, or for HTTPConnection, which is both.",
            )
