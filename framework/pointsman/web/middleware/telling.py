"""Tell of every request when it has ended: how it was answered, how long it took, whose it was.

Outermost of ours, and inside the span of a request that is recorded. Probes are not told of, nor websockets. Changes
nothing of an answer, and lets every exception pass.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter, time
from typing import TYPE_CHECKING, Final

from pointsman.observability.accessline import Answered
from pointsman.observability.context import CURRENT, UNTRACED, RequestContext, current_trace
from pointsman.tenancy.sources import below_root
from pointsman.web.probes import PATHS, PREFIX

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

GONE: Final = 499
"""The status of a request whose client had gone before an answer began, as Cloud Run tells it."""
FAILED: Final = 500


class Telling:
    """Tells of each request.

    Args:
        app: What answers.
        tell: Must not wait.
    """

    def __init__(self, app: ASGIApp, tell: Callable[[Answered], None]) -> None:
        self._app = app
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and tell."""
        path = scope["path"]
        if scope["type"] != "http" or (PREFIX in path and below_root(path, scope.get("root_path", "")) in PATHS):
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        status, answered, request = GONE, False, None

        def watched(message: Message) -> Awaitable[None]:
            nonlocal status, answered, request
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
                request = CURRENT.get()  # the admission forgets it at its end
            return send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            if not answered:
                status = FAILED  # what the server answers
            raise
        finally:
            request = request or CURRENT.get() or RequestContext(headers=scope["headers"])
            trace = None if UNTRACED in scope else current_trace(request)
            self._tell(Answered(scope["method"], path, status, time(), perf_counter() - started, request, trace))
