"""Let a request in: find out who asks, pin what decides about it, and let go at its very end.

The pin is taken with no await between reading and counting, and returned in ``finally``, synchronously: after the
response, its stream and its background tasks have ended, and also when the client has gone. A request that is refused
still passes the user's middleware (which may answer a preflight, or add headers that a browser wants) and is turned
away at the `Gate` behind it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol

from pointsman.errors import PointsmanError
from pointsman.observability.context import CURRENT, RequestContext
from pointsman.tenancy.sources import taken_in
from pointsman.web import starlette
from pointsman.web.access import COMPONENTS, components, connection_of
from pointsman.web.results import CATALOG_HEADER, HEADED, with_headers

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pointsman.tenancy.policy import Asker

RESOLUTION_HEADER = b"x-pointsman-resolution"


class Pinned(Protocol):
    """What a request is given, and what is asked of it at the end."""

    def resolutions(self) -> Mapping[str, str]:
        """Return component → provider for all that was handed out."""

    def close(self) -> None:
        """Give everything back."""


class Pinning(Protocol):
    """What the admission asks of the runtime."""

    @property
    def label(self) -> str:
        """``<manifest version>.<cseq>`` of what decides about the next request."""

    def components(self, *, tenant: str | None, vouched: bool, connection: Callable[[], object]) -> Pinned:
        """Pin what decides now."""


class Asking(Protocol):
    """What the admission asks of tenancy."""

    async def of(self, scope: Scope, /) -> Asker:
        """Return who asks."""


class Admission:
    """Puts a request's components into its scope, and their label on its answer.

    Args:
        app: The user's middleware, if any, and a `Gate`.
        runtime: What is pinned.
        tenancy: Who asks.
        prepare: Awaited first: starts the runtime where no lifespan did, lets a refresh that is due happen, fills
            ``request.state``, and raises NoCatalog while there is nothing to serve from.
        resolution_header: Whether answers tell which providers served (``debug.resolution_header``).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        runtime: Pinning,
        tenancy: Asking,
        prepare: Callable[[Scope], Awaitable[None]],
        resolution_header: bool = False,
    ) -> None:
        self._app = app
        self._runtime = runtime
        self._tenancy = tenancy
        self._prepare = prepare
        self._resolution_header = resolution_header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a websocket under its own components."""
        await starlette.loaded()
        context = RequestContext(headers=scope["headers"])
        token = CURRENT.set(context)
        pinned: Pinned | None = None
        try:
            try:
                await self._prepare(scope)
                asker = await self._tenancy.of(scope)
                if asker.root_path is not None:
                    scope = taken_in(scope, asker.root_path)
                pinned = scope[COMPONENTS] = self._pin(asker, scope, receive, send)
                context.tenant = asker.tenant or ""
            except (PointsmanError, starlette.exceptions.HTTPException) as refusal:
                scope[COMPONENTS] = refusal
            context.catalog = self._runtime.label
            told = partial(_resolutions, pinned) if self._resolution_header and pinned is not None else None
            await self._app(scope, receive, labelling(send, context.catalog, told))
        finally:
            if pinned is not None:
                pinned.close()
            CURRENT.reset(token)

    def _pin(self, asker: Asker, scope: Scope, receive: Receive, send: Send) -> Pinned:
        connection = partial(connection_of, scope, receive, send)
        return self._runtime.components(tenant=asker.tenant, vouched=asker.vouched, connection=connection)


def labelling(send: Send, label: str, resolutions: Callable[[], bytes] | None = None) -> Send:
    """Return a send that puts the label of what decides on the answer's first message.

    Args:
        resolutions: Tells which providers served, where answers say it (``debug.resolution_header``).
    """
    catalog = (CATALOG_HEADER, label.encode("ascii"))

    def labelled(message: Message) -> Awaitable[None]:
        if message["type"] in HEADED:
            more = [catalog] if resolutions is None else [catalog, (RESOLUTION_HEADER, resolutions())]
            message = with_headers(message, *more)
        return send(message)

    return labelled


class Gate:
    """Turns away what was not let in; innermost, so that the user's middleware sees the request first."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, or raise the refusal."""
        components(scope)
        await self._app(scope, receive, send)


def _resolutions(pinned: Pinned) -> bytes:
    return ";".join(f"{component}={provider}" for component, provider in pinned.resolutions().items()).encode("ascii")
