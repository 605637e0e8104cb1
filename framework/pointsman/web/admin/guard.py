"""What a request must be before an operator's route sees it: to an allowed host, by a known caller, in the right form.

The steps, in order: host, caller, role, origin, media type. Each refuses with the status that its own rule names.
Anonymous denials write no object: one line a second in the log, with the number of those left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException

from pointsman.errors import IdentityError, UnsupportedMediaType

if TYPE_CHECKING:
    from starlette.requests import Request

    from pointsman.web.admin.authentication import Caller, Gatekeeper
    from pointsman.web.admin.settings import AdminSettings

DENIALS_APART_S = 1.0


class Guard:
    """Lets operators in.

    Args:
        settings: Hosts and origins.
        gatekeeper: Tells who asks.
        tell: Told of denials.
        clock: Monotonic seconds.
    """

    def __init__(
        self, settings: AdminSettings, gatekeeper: Gatekeeper, tell: Callable[..., None], clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._gatekeeper = gatekeeper
        self._tell = tell
        self._denials = Denials(tell, clock)

    async def admitted(self, request: Request, *, changes: bool) -> Caller:
        """Return the caller of a request that may go on.

        Raises:
            IdentityError: Nobody known (401), or one who may not do this (403).
            HTTPException: Another host (421) or origin (403).
            UnsupportedMediaType: A command that is not JSON.
        """
        self._check_host(request)
        try:
            caller = await self._gatekeeper.caller(request.headers)
        except IdentityError as error:
            self._denials.count(request.scope["path"], error)
            raise
        if changes:
            try:
                self._check_command(request, caller)
            except (IdentityError, HTTPException, UnsupportedMediaType) as error:
                self._tell("admin.refused", who=caller.name, path=request.scope["path"], error=str(error))
                raise
        return caller

    def _check_command(self, request: Request, caller: Caller) -> None:
        if caller.role != "operator":
            raise IdentityError(f"{caller.name} may look, and change nothing.", status=403)
        self._check_origin(request)
        check_media_type(request)

    def _check_host(self, request: Request) -> None:
        allowed = self._settings.allowed_hosts
        if allowed and _host(request) not in allowed:
            raise HTTPException(421, "This service does not answer operators under that host.")

    def _check_origin(self, request: Request) -> None:
        origin = request.headers.get("origin")
        if origin is None or origin in self._settings.allowed_origins:
            return
        if urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
            raise HTTPException(403, "A page of another origin may not send commands.")


def check_media_type(request: Request) -> None:
    """Refuse a command that is not JSON: a form of another page could send anything else.

    Raises:
        UnsupportedMediaType: It is not.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != "application/json":
        raise UnsupportedMediaType(f"Expected Content-Type: application/json, found {given!r:.80}.")


def _host(request: Request) -> str:
    return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""


@dataclass(slots=True)
class Denials:
    """Counts anonymous denials, and tells of them at most once in `DENIALS_APART_S`."""

    tell: Callable[..., None]
    clock: Callable[[], float]
    _told_at: float = float("-inf")
    _left_out: int = 0

    def count(self, path: str, error: IdentityError) -> None:
        """One more was turned away."""
        now = self.clock()
        if now - self._told_at < DENIALS_APART_S:
            self._left_out += 1
            return
        self.tell("admin.denied", path=path[:200], error=error.message, left_out=self._left_out)
        self._told_at, self._left_out = now, 0
