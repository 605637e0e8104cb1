"""Where exceptions end: every error that comes out of the application becomes one answer.

The one broad ``except`` of the web layer. What watches the messages hands on what `send` returns and is no coroutine
itself: every message passes it. What the client has already been told cannot be taken back: once an answer
has begun, its error goes on to the server, which breaks the connection.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from pointsman.errors import PointsmanError, ProviderUnavailable
from pointsman.runtime.access import Components
from pointsman.web import starlette
from pointsman.web.access import COMPONENTS
from pointsman.web.results import HEADED, Header, with_headers

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pointsman.web.problems import Problem, Scrub

_log = logging.getLogger(__name__)
_DENIAL = "websocket.http.response"
_ANSWERS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.close"})
_STARTS = _ANSWERS | {"websocket.accept"}

POLICY_VIOLATION, INTERNAL_ERROR, TRY_AGAIN_LATER = 1008, 1011, 1013
"""Codes of closing. Source: RFC 6455, 7.4.1, and the IANA registry."""


class Boundary:
    """Turns errors into problems; a client that has gone is told nothing.

    Args:
        app: What may raise.
        scrub: Takes secrets out of what is told.
    """

    def __init__(self, app: ASGIApp, *, scrub: Scrub = str) -> None:
        self._app = app
        self._scrub = scrub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a websocket, to an answer in any case."""
        await bounded(self._app, scope, receive, send, self._scrub)


async def bounded(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, scrub: Scrub, label: Header | None = None
) -> None:
    """Serve as a `Boundary` does, with one more header on every answer.

    Args:
        app: What may raise.
        scope: As ASGI says; `receive` and `send` too.
        scrub: Takes secrets out of what is told.
        label: The header.
    """
    answered = accepted = False

    def watched(message: Message) -> Awaitable[None]:
        nonlocal answered, accepted
        kind = message["type"]
        if kind in _STARTS:
            answered = answered or kind in _ANSWERS
            accepted = accepted or kind == "websocket.accept"
            if label is not None and kind in HEADED:
                message = with_headers(message, label)
        return send(message)

    try:
        await app(scope, receive, watched)
    except (starlette.requests.ClientDisconnect, starlette.websockets.WebSocketDisconnect):
        return
    except Exception as error:
        if answered:
            suspect(error, scope)
            raise
        if isinstance(error, starlette.exceptions.WebSocketException):
            await send({"type": "websocket.close", "code": error.code, "reason": error.reason})
            return
        await answer(judged(error, scope, scrub), scope, receive, watched, accepted=accepted)


def judged(error: Exception, scope: Scope, scrub: Scrub) -> Problem:
    """Return the problem that answers an error, having logged what is ours to mend."""
    from pointsman.web.problems import problem_of

    suspect(error, scope)
    problem = problem_of(error, instance=scope["path"], scrub=scrub)
    if problem.status >= 500:
        report(error, scope, scrub)
    return problem


def suspect(error: Exception, scope: Scope) -> None:
    """Where a provider could not be reached, have what the request was given looked at."""
    its = scope.get(COMPONENTS)
    if isinstance(error, ProviderUnavailable) and isinstance(its, Components):
        its.suspect()


def raising(error: Exception) -> ASGIApp:
    """Return what raises the error."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    return app


def report(error: Exception, scope: Scope, scrub: Scrub) -> None:
    """Log what the caller is not told; where it was raised matters only for what nobody foresaw."""
    where = f"{scope.get('method', 'WEBSOCKET')} {scope['path']!a}"
    if isinstance(error, PointsmanError):
        _log.warning("%s: %s", where, scrub(error.render()))
    elif isinstance(error, starlette.exceptions.HTTPException):
        _log.warning("%s: %s", where, scrub(str(error)))
    else:
        _log.error("%s: %s", where, type(error).__name__, exc_info=error)


async def answer(problem: Problem, scope: Scope, receive: Receive, send: Send, *, accepted: bool) -> None:
    """Send a problem by what the protocol still allows: an answer, or the code of a websocket's end.

    A websocket that is not yet accepted gets the problem where the server can deny with an answer.
    """
    if scope["type"] == "http" or (not accepted and _DENIAL in scope.get("extensions", {})):
        await problem(scope, receive, send)
        return
    await send({"type": "websocket.close", "code": closing_code(problem), "reason": problem.title})


def closing_code(problem: Problem) -> int:
    """Return the code with which a websocket ends for a problem."""
    if problem.status < 500:
        return POLICY_VIOLATION
    return TRY_AGAIN_LATER if problem.retryable else INTERNAL_ERROR
