"""Serve another ASGI application behind our surface, so that a refusal of ours is no 500 of theirs.

To Starlette and FastAPI our handler is added. Any other framework may turn an exception that it does not know into a
500 of its own; one that follows a refusal of ours is replaced by the problem.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from pointsman.errors import PointsmanError
from pointsman.web import starlette
from pointsman.web.access import components
from pointsman.web.middleware.boundary import bounded, judged, raising, report
from pointsman.web.problems import Scrub, problem_of
from pointsman.web.results import Header, with_headers

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


_OF_THE_BODY = frozenset({b"content-length", b"content-type", b"content-encoding", b"etag", b"transfer-encoding"})


class Inner:
    """Another application; what it makes of our refusals is mended.

    Args:
        app: Starlette, FastAPI, or any ASGI application.
        scrub: Takes secrets out of what is told.
    """

    def __init__(self, app: ASGIApp, *, scrub: Scrub = str) -> None:
        self._app = app
        self._scrub = scrub
        _teach(app, scrub)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and answer with the problem where a 500 follows a refusal of ours."""
        await self.serve(scope, receive, send)

    async def serve(self, scope: Scope, receive: Receive, send: Send, label: Header | None = None) -> None:
        """Serve so; with a label, which every answer then carries, an error that was not answered goes no further."""
        answered = False
        told: PointsmanError | None = None

        def mended(message: Message) -> Awaitable[None]:
            nonlocal answered, told
            if told is not None:
                return _dropped()
            if message["type"] == "http.response.start":
                answered = True
                if label is not None:
                    message = with_headers(message, label)
                if message["status"] == 500 and (told := components(scope).refusal):
                    return self._replace(told, message, scope, receive, send)
            return send(message)

        try:
            await self._app(scope, receive, mended)
        except Exception as error:
            if told is not None and told in (error, error.__cause__, error.__context__):
                return
            if answered or label is None:
                raise
            await bounded(raising(error), scope, receive, send, self._scrub, label)

    async def _replace(
        self, told: PointsmanError, message: Message, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send the problem with those headers of the replaced answer that do not describe its body."""
        report(told, scope, self._scrub)
        response = problem_of(told, instance=scope["path"], scrub=self._scrub).response()
        response.raw_headers.extend(pair for pair in message.get("headers", ()) if pair[0].lower() not in _OF_THE_BODY)
        await response(scope, receive, send)


async def _dropped() -> None:
    """Send nothing: the rest of an answer that was replaced."""


def _teach(app: Any, scrub: Scrub) -> None:
    """Add our handler to Starlette's or FastAPI's, unless the user has one."""
    from starlette.applications import Starlette

    if not isinstance(app, Starlette):
        return

    async def refused(connection: HTTPConnection, error: Exception) -> Response:
        if not isinstance(connection, starlette.requests.Request):
            raise error  # a websocket's refusal is answered at the boundary
        return judged(error, connection.scope, scrub).response()

    app.exception_handlers.setdefault(PointsmanError, refused)
