"""A route of ours: a path, and the handler that is compiled for it.

What the short way needs of it is known without Starlette's routing; the long way and ``request.url_for`` ask it as they
ask any route of Starlette's, and have that one made. Must match the paths that Starlette matches, and no other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from pointsman.web import starlette

if TYPE_CHECKING:
    from starlette.convertors import Convertor
    from starlette.types import Receive, Scope, Send

    from pointsman.web.injection import HttpEndpoint, WebSocketEndpoint

Texts: TypeAlias = "Callable[[str], re.Match[str] | None]"
_PARAMETER = "{([a-zA-Z_][a-zA-Z0-9_]*)(?::([a-zA-Z_][a-zA-Z0-9_]*))?}"


class HandlerRoute:
    """A route that a decorator declared.

    Args:
        path: As in Starlette.
        endpoint: The compiled handler.
        methods: Upper case; HEAD comes with GET; none for a websocket.
        name: For ``request.url_for``.
        convertors: By the names in the path, as `convertors_of` tells them.
    """

    def __init__(
        self,
        path: str,
        endpoint: HttpEndpoint | WebSocketEndpoint,
        *,
        methods: Collection[str],
        name: str,
        convertors: Mapping[str, Convertor[Any]],
    ) -> None:
        self.path = path
        self.endpoint = endpoint
        self.methods = frozenset({*methods, "HEAD"} if "GET" in methods else methods)
        self.name = name
        self.convertors = convertors

    @property
    def texts(self) -> Texts:
        """What finds the texts of the path's parameters in a path, by name."""
        shape = [re.escape(text) for text in re.split(_PARAMETER, self.path)[::3]]
        for number, (name, convertor) in enumerate(self.convertors.items()):
            shape[number] += f"(?P<{name}>{convertor.regex})"
        return re.compile(f"^{''.join(shape)}$").match

    def matches(self, scope: Scope) -> tuple[starlette.routing.Match, Scope]:
        """Tell whether the route has the path, and the method; and what is then added to the scope."""
        return self._made.matches(scope)

    def url_path_for(self, name: str, /, **path_params: Any) -> starlette.datastructures.URLPath:
        """Return the path for these parameters.

        Raises:
            NoMatchFound: The route has another name, or other parameters.
        """
        return self._made.url_path_for(name, **path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a websocket that matches."""
        await self._made.handle(scope, receive, send)

    @cached_property
    def _made(self) -> starlette.routing.Route | starlette.routing.WebSocketRoute:
        if not self.methods:
            return starlette.routing.WebSocketRoute(self.path, self.endpoint, name=self.name)
        return starlette.routing.Route(self.path, self.endpoint, methods=self.methods, name=self.name)


def convertors_of(path: str) -> dict[str, Convertor[Any]]:
    """Return what makes values of the texts in a path, by name, in their order.

    Raises:
        ValueError: A name comes twice, or there is no such convertor.
    """
    found: dict[str, Convertor[Any]] = {}
    if "{" not in path:
        return found
    for name, kind in re.findall(_PARAMETER, path):
        if name in found:
            raise ValueError(f"the parameter {name} comes twice")
        known = starlette.convertors.CONVERTOR_TYPES
        if (convertor := known.get(kind or "str")) is None:
            raise ValueError(f"there is no convertor {kind!r}, only {', '.join(known)}")
        found[name] = convertor
    return found
