"""Read what a factory is and what it asks for, once, from its declaration.

A factory is told apart by how it is declared, never by what it returns: an ``httpx.AsyncClient`` is itself a context
manager. Nothing is made here but in `entered`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin, get_type_hints

import msgspec

from pointsman.declarations import Candidate, Lifetime, Tenant, Use, marks_of
from pointsman.errors import ConfigurationError

CONNECTIONS: Mapping[tuple[str, str], str] = {
    ("starlette.requests", "Request"): "connection",
    ("starlette.requests", "HTTPConnection"): "connection",
    ("starlette.websockets", "WebSocket"): "connection",
    ("pointsman.runtime.access", "Components"): "components",
}
"""Types that only a request has, by module and name: this layer imports neither of them."""

Given: TypeAlias = Mapping[str, Callable[[], object]]
"""What only a request has, by the kinds of `CONNECTIONS`; each is made when the first factory asks for it."""

CLOSERS = ("aclose", "cleanup", "close")


class Shape(StrEnum):
    """How a factory is declared."""

    CALL = "class or function"
    COROUTINE = "async function"
    GENERATOR = "async generator"
    MANAGER = "async context manager"


class Need(msgspec.Struct, frozen=True):
    """A parameter that names another component."""

    name: str
    use: Use
    optional: bool


class FactorySpec(msgspec.Struct, frozen=True, eq=False):
    """What a factory is and what it asks for.

    Attributes:
        make: The factory itself.
        settings: The parameter that takes the settings, and their model.
        tenant: The parameter that takes the tenant, and whether it may be ``None``.
        connections: Parameters that take something of the request: ``(name, "connection" | "components")``.
        lifetime: The candidate's, or the mark's where the candidate left it out.
    """

    make: Callable[..., Any]
    shape: Shape
    needs: tuple[Need, ...]
    settings: tuple[str, Any] | None
    tenant: tuple[str, bool] | None
    connections: tuple[tuple[str, str], ...]
    lifetime: Lifetime


def read_factory(candidate: Candidate, factory: object, settings_model: Any = None) -> FactorySpec:
    """Return what a factory asks for.

    Args:
        candidate: Whose factory it is; for its lifetime and for messages.
        factory: The loaded class or function.
        settings_model: The loaded model that the candidate names, if it names one.

    Raises:
        ConfigurationError: It is no factory, a parameter can be given nothing, or asks for what outlives it not.
    """
    if not callable(factory):
        raise ConfigurationError(
            f"{candidate}: expected a class or a function as factory, found {type(factory).__name__}."
        )
    parameters = _parameters(candidate, factory)
    _check_once(candidate, factory, parameters)
    spec = FactorySpec(
        make=factory,
        shape=shape_of(candidate, factory),
        needs=tuple(Need(name, use, optional) for name, kind, use, optional in parameters if kind == "component"),
        settings=next(
            ((name, settings_model or model) for name, kind, model, _ in parameters if kind == "settings"), None
        ),
        tenant=next(((name, optional) for name, kind, _, optional in parameters if kind == "tenant"), None),
        connections=tuple((name, kind) for name, kind, _, _ in parameters if kind in {"connection", "components"}),
        lifetime=_lifetime(candidate, factory),
    )
    _check_lifetime(candidate, spec)
    return spec


def shape_of(candidate: Candidate, factory: Callable[..., Any]) -> Shape:
    """Return how a factory is declared.

    Raises:
        ConfigurationError: It is a synchronous generator.
    """
    plain = _plain(factory)
    inner = inspect.unwrap(plain)
    if inspect.isasyncgenfunction(inner):
        return Shape.GENERATOR if inner is plain else Shape.MANAGER
    if inspect.isgeneratorfunction(inner):
        raise ConfigurationError(
            f"{candidate}: expected an async generator, found the synchronous {_called(factory)}.",
            hint="Write `async def`, with @asynccontextmanager or bare.",
        )
    return Shape.COROUTINE if inspect.iscoroutinefunction(plain) else Shape.CALL


@asynccontextmanager
async def entered(spec: FactorySpec, arguments: Mapping[str, object]) -> AsyncGenerator[object]:
    """Make an instance, hand it over, and close it at the end, all in the caller's task."""
    if spec.shape is Shape.MANAGER:
        async with spec.make(**arguments) as instance:
            yield instance
        return
    if spec.shape is Shape.GENERATOR:
        async with asynccontextmanager(spec.make)(**arguments) as instance:
            yield instance
        return
    instance = await spec.make(**arguments) if spec.shape is Shape.COROUTINE else spec.make(**arguments)
    try:
        yield instance
    finally:
        await close(instance)


async def close(instance: object) -> None:
    """Call the first of ``aclose``, ``cleanup``, ``close`` that an instance has; a synchronous one off the loop."""
    for name in CLOSERS:
        closer = getattr(instance, name, None)
        if callable(closer):
            await call(closer)
            return


async def call(function: Callable[[], Any]) -> Any:
    """Call a function of the user's: an async one here, any other in a thread, which a deadline leaves behind."""
    if inspect.iscoroutinefunction(function):
        return await function()
    from anyio import to_thread

    answer = await to_thread.run_sync(function, abandon_on_cancel=True)
    return await answer if inspect.isawaitable(answer) else answer


def _parameters(candidate: Candidate, factory: Callable[..., Any]) -> list[tuple[str, str, Any, bool]]:
    """Return ``(name, kind, what, optional)`` of each parameter that is given something."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # a builtin class that tells no signature takes nothing
        return []
    hints = _hints(candidate, factory)
    found = []
    for name, parameter in signature.parameters.items():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        kind, what, optional = _kind(hints.get(name))
        if kind == "other":
            if parameter.default is parameter.empty:
                raise _unknown_parameter(candidate, factory, name, hints.get(name))
            continue
        found.append((name, kind, what, optional))
    return found


def _kind(annotation: Any) -> tuple[str, Any, bool]:
    """Return what an annotation asks for: its kind, its subject, and whether ``None`` will do."""
    annotation, use, optional = unwrapped(annotation)
    if use is not None:
        return "component", use, optional
    if annotation is Tenant:
        return "tenant", None, optional
    place = place_of(annotation)
    if place in CONNECTIONS:
        return CONNECTIONS[place], None, optional
    if hasattr(annotation, "model_validate"):
        return "settings", annotation, optional
    return "other", annotation, optional


def place_of(annotation: Any) -> tuple[str, str]:
    """Return module and name of a class, by which it is known without being loaded."""
    return getattr(annotation, "__module__", ""), getattr(annotation, "__qualname__", "")


def unwrapped(annotation: Any) -> tuple[Any, Use | None, bool]:
    """Return an annotation without ``Annotated`` and ``| None``, the `Use` found in it, and whether it had ``None``."""
    use, optional = None, False
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *extras = get_args(annotation)
            use = next((extra for extra in extras if isinstance(extra, Use)), use)
            continue
        if get_origin(annotation) in {Union, UnionType}:
            others = [part for part in get_args(annotation) if part is not NoneType]
            if len(others) < len(get_args(annotation)):
                optional = True
            if len(others) == 1:
                annotation = others[0]
                continue
        return annotation, use, optional


def _plain(factory: Callable[..., Any]) -> Callable[..., Any]:
    """Return the class or function that is declared: behind a partial, or as an object's ``__call__``."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    if inspect.isclass(factory) or inspect.isroutine(factory):
        return factory
    called: Callable[..., Any] = type(factory).__call__
    return called


def _hints(candidate: Candidate, factory: Callable[..., Any]) -> dict[str, Any]:
    target = _plain(factory)
    if inspect.isclass(target):
        target = getattr(target, "__init__")  # noqa: B009 - read for its annotations, never called
    try:
        return get_type_hints(inspect.unwrap(target), include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise ConfigurationError(
            f"{candidate}: an annotation of {_called(factory)} cannot be read: {error}.",
            hint="Import it where the module is loaded, not only under TYPE_CHECKING.",
        ) from error


def _lifetime(candidate: Candidate, factory: object) -> Lifetime:
    if candidate.lifetime != "shared":
        return candidate.lifetime
    marks = (mark for mark in marks_of(factory) if mark.component == candidate.component)
    return next((mark.lifetime for mark in marks if isinstance(candidate.factory, str)), "shared")


def _check_lifetime(candidate: Candidate, spec: FactorySpec) -> None:
    if spec.tenant and spec.lifetime == "shared":
        raise ConfigurationError(
            f"{candidate} is shared by every tenant, but {_called(spec.make)} asks for the tenant "
            f'(parameter `{spec.tenant[0]}`). Say lifetime="tenant", or drop the parameter.'
        )
    if spec.connections and spec.lifetime != "request":
        raise ConfigurationError(
            f"{candidate} outlives a request, but {_called(spec.make)} asks for one "
            f'(parameter `{spec.connections[0][0]}`). Say lifetime="request", or drop the parameter.'
        )


def _check_once(
    candidate: Candidate, factory: Callable[..., Any], parameters: list[tuple[str, str, Any, bool]]
) -> None:
    """Refuse a factory that asks twice for what there is once."""
    for kind in ("settings", "tenant"):
        names = [name for name, found, _, _ in parameters if found == kind]
        if len(names) > 1:
            raise ConfigurationError(
                f"{candidate}: expected {_called(factory)} to ask for its {kind} once, found {', '.join(names)}."
            )


def _unknown_parameter(
    candidate: Candidate, factory: Callable[..., Any], name: str, annotation: Any
) -> ConfigurationError:
    shown = f"{name}: {getattr(annotation, '__name__', annotation)}" if annotation is not None else name
    return ConfigurationError(
        f"{candidate}: {_called(factory)}: parameter `{shown}` is no component, no tenant, no settings model, "
        "and has no default.",
        hint=f'A component is asked for with `{name}: Annotated[…, Use("service", "{name}")]`.',
    )


def _called(factory: object) -> str:
    module, name = getattr(factory, "__module__", None), getattr(factory, "__qualname__", None)
    return f"{module}:{name}" if module and name else repr(factory)
