"""Declare routes by decorators, and compile them at the start.

A decorator notes its function and hands it back as it was; nothing is read from it before `compiled`. What is included
is kept in order, for `runtime.inclusion.collect` to walk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from types import ModuleType
from typing import Any, ClassVar, TypeAlias, TypeVar

import msgspec

from pointsman.declarations import Candidate, Use
from pointsman.errors import ConfigurationError
from pointsman.web.injection import http_endpoint, websocket_endpoint
from pointsman.web.parameters import called
from pointsman.web.routes import HandlerRoute, convertors_of

F = TypeVar("F", bound=Callable[..., Any])


class Declared(msgspec.Struct, frozen=True):
    """One decorated function.

    Attributes:
        methods: Upper case; empty for a websocket.
    """

    path: str
    handler: Callable[..., Any]
    methods: tuple[str, ...]
    status: int
    name: str | None


class Router:
    """Routes declared by decorators; the decorated functions stay what they were."""

    __pointsman_router__: ClassVar[bool] = True

    def __init__(self) -> None:
        self._declared: list[Declared] = []
        self._parts: list[Part] = []

    @property
    def declared(self) -> tuple[Declared, ...]:
        """The routes of this router, in the order of their declaration."""
        return tuple(self._declared)

    @property
    def parts(self) -> tuple[Part, ...]:
        """What was included, in order; nested parts are theirs to tell."""
        return tuple(self._parts)

    def get(self, path: str, *, status: int = 200, name: str | None = None) -> Callable[[F], F]:
        """Serve GET, and HEAD with it."""
        return self.route(path, methods=("GET",), status=status, name=name)

    def post(self, path: str, *, status: int = 200, name: str | None = None) -> Callable[[F], F]:
        """Serve POST."""
        return self.route(path, methods=("POST",), status=status, name=name)

    def put(self, path: str, *, status: int = 200, name: str | None = None) -> Callable[[F], F]:
        """Serve PUT."""
        return self.route(path, methods=("PUT",), status=status, name=name)

    def patch(self, path: str, *, status: int = 200, name: str | None = None) -> Callable[[F], F]:
        """Serve PATCH."""
        return self.route(path, methods=("PATCH",), status=status, name=name)

    def delete(self, path: str, *, status: int = 204, name: str | None = None) -> Callable[[F], F]:
        """Serve DELETE."""
        return self.route(path, methods=("DELETE",), status=status, name=name)

    def route(
        self, path: str, *, methods: Collection[str], status: int = 200, name: str | None = None
    ) -> Callable[[F], F]:
        """Serve these methods.

        Args:
            path: As in Starlette: ``/notes/{note_id}``, ``/files/{path:path}``.
            methods: At least one, e.g. ``["GET", "POST"]``.
            status: Of an answer that the handler does not make itself; 200 with nothing to send becomes 204.
            name: For ``request.url_for``; the function's own where it is left out.

        Raises:
            ConfigurationError: No path, no method, or the application has read its routes.
        """
        if isinstance(methods, str) or not methods:
            raise ConfigurationError(f"{path}: expected methods as a collection, found {methods!r}.", hint='["GET"]')
        return self._declaring(path, tuple(method.upper() for method in methods), status, name)

    def websocket(self, path: str, *, name: str | None = None) -> Callable[[F], F]:
        """Serve websockets.

        Raises:
            ConfigurationError: No path, or the application has read its routes.
        """
        return self._declaring(path, (), 200, name)

    def include(self, *parts: Part) -> None:
        """Add routers, modules, candidates and marked factories; each counts once, however often it is included.

        Raises:
            ConfigurationError: The application has read what is included.
        """
        self._refuse_late("include(…)")
        self._parts.extend(parts)

    def _declaring(self, path: str, methods: tuple[str, ...], status: int, name: str | None) -> Callable[[F], F]:
        if not path.startswith("/"):
            raise ConfigurationError(f"Expected a path that starts with a slash, found {path!r}.")

        def declare(handler: F) -> F:
            self._refuse_late(f"the route {path}")
            self._declared.append(Declared(path, handler, methods, status, name))
            return handler

        return declare

    def _refuse_late(self, what: str) -> None:
        """Raise where what is declared would no longer be read; an application has such a time, a router has none."""


Part: TypeAlias = Router | Candidate | ModuleType | Callable[..., Any]
"""What ``include=`` takes; a callable is a marked factory."""


def compiled(routers: Iterable[Router], *, max_body_bytes: int) -> list[HandlerRoute]:
    """Compile all routes of all routers, in order; the first that matches serves.

    Raises:
        ConfigurationError: A path or a handler's parameter is wrong; names the handler.
    """
    return [_compiled(declared, max_body_bytes) for router in routers for declared in router.declared]


def _compiled(declared: Declared, max_body_bytes: int) -> HandlerRoute:
    path, handler, methods = declared.path, declared.handler, declared.methods
    name = declared.name or str(getattr(handler, "__name__", type(handler).__name__))
    try:
        convertors = convertors_of(path)
    except ValueError as error:
        raise ConfigurationError(f"{called(handler)}: the path {path} is wrong: {error}.") from error
    endpoint = (
        http_endpoint(handler, convertors, status=declared.status, max_body_bytes=max_body_bytes)
        if methods
        else websocket_endpoint(handler, convertors)
    )
    return HandlerRoute(path, endpoint, methods=methods, name=name, convertors=convertors)


def uses_of(routes: Iterable[HandlerRoute]) -> Iterator[tuple[Use, str, bool]]:
    """Yield each component that compiled handlers ask for, who asks, and whether it is required."""
    for route in routes:
        yield from route.endpoint.parameters.uses()
