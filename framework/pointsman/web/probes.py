"""Answer the probes: ``GET /health/startup|live|ready``, before tenancy, and with no detail.

200 or 503 with ``{"status": "ok|degraded|unavailable"}``. A sick vendor is ``degraded`` and 200: a probe that failed
for it would take every replica away at once. Only starting, stopping, or having no catalog makes a replica unready, and
nothing here makes it unalive. A probe gets CPU where nothing else does, so each one also drives convergence.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

from pointsman.errors import PointsmanError
from pointsman.tenancy.sources import below_root
from pointsman.web import starlette
from pointsman.web.results import Answer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

Condition: TypeAlias = Literal["ok", "degraded", "unavailable"]
"""What a probe tells."""

METHODS = ("GET", "HEAD")
PREFIX = "/health/"
PATHS = ("/health/startup", "/health/live", "/health/ready")


class Probes:
    """Answers the three paths, and hands everything else on.

    Args:
        app: What is served behind.
        started: Whether the start is over.
        condition: How the replica is; ``unavailable`` while starting, stopping, or without a catalog.
        prompt: Awaited by every probe: starts the runtime where no lifespan did, and lets a refresh that is due happen.
            What it raises makes the startup and the ready probe ``unavailable``.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        started: Callable[[], bool],
        condition: Callable[[], Condition],
        prompt: Callable[[], Awaitable[None]],
    ) -> None:
        self._app = app
        self._prompt = prompt
        self._probes: dict[str, Callable[[], Condition]] = {
            PATHS[0]: lambda: "ok" if started() else "unavailable",
            PATHS[1]: lambda: "ok",
            PATHS[2]: condition,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a probe, or hand on."""
        path = below_root(scope["path"], scope.get("root_path", ""))
        probe = self._probes.get(path) if scope["type"] == "http" else None
        if probe is None:
            await self._app(scope, receive, send)
        elif scope["method"] in METHODS:
            prompted = await self._prompted()
            await _answer(probe() if prompted or path == "/health/live" else "unavailable")(scope, receive, send)
        else:
            from pointsman.web.problems import problem_of

            await starlette.loaded()
            refusal = starlette.exceptions.HTTPException(405, headers={"Allow": ", ".join(METHODS)})
            await problem_of(refusal, instance=scope["path"])(scope, receive, send)

    async def _prompted(self) -> bool:
        try:
            await self._prompt()
        except PointsmanError:  # whoever started it has told why; a probe tells no detail
            return False
        return True


def _answer(condition: Condition) -> Answer:
    body = b'{"status":"%s"}' % condition.encode()
    length = str(len(body)).encode()
    headers = [(b"cache-control", b"no-store"), (b"content-length", length), (b"content-type", b"application/json")]
    return Answer(503 if condition == "unavailable" else 200, headers, body)
