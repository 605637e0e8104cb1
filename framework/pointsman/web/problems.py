"""Say every error as one problem document: ``application/problem+json``.

One table, error class → status and title. A public problem of 500 or more carries its code and title and never a
detail, since that speaks of our inside to whoever asked; operators' answers (``public=False``) carry all.
Source: RFC 9457.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from pointsman import errors
from pointsman.values import frozen
from pointsman.web import starlette

if TYPE_CHECKING:
    from starlette.exceptions import HTTPException
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:pointsman:problem:"
Scrub: TypeAlias = Callable[[str], str]
"""Takes the values of resolved secrets out of a text."""

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_RETRYABLE = frozenset({408, 425, 429, 502, 503, 504})


class _Row(msgspec.Struct, frozen=True):
    status: int
    title: str
    public: int | None = None
    """The status towards the public, where the fault is the caller's only on operators' routes."""


ROWS: Mapping[type[errors.PointsmanError], _Row] = {
    errors.PointsmanError: _Row(500, "Internal error"),
    errors.ConfigurationError: _Row(500, "Configuration error"),
    errors.InputError: _Row(422, "Invalid input"),
    errors.BodyTooLarge: _Row(413, "Body too large"),
    errors.UnsupportedMediaType: _Row(415, "Unsupported media type"),
    errors.TenantError: _Row(400, "Tenant refused"),
    errors.IdentityError: _Row(401, "Not authenticated"),
    errors.ResolutionError: _Row(500, "Component not resolved"),
    errors.UnknownComponent: _Row(404, "Unknown component", public=500),
    errors.UnknownProvider: _Row(404, "Unknown provider", public=500),
    errors.NoEligibleCandidate: _Row(503, "No eligible candidate"),
    errors.LifecycleError: _Row(503, "Component not available"),
    errors.ActivationFailed: _Row(503, "Activation failed"),
    errors.HealthCheckFailed: _Row(503, "Component not healthy"),
    errors.ComponentPaused: _Row(503, "Component paused"),
    errors.ComponentDraining: _Row(503, "Component draining"),
    errors.ComponentsClosed: _Row(500, "Components closed"),
    errors.CapacityExceeded: _Row(503, "Capacity exceeded"),
    errors.NoCatalog: _Row(503, "No catalog yet"),
    errors.ProviderError: _Row(502, "Provider failed"),
    errors.ProviderUnavailable: _Row(503, "Provider unavailable"),
    errors.ProviderTimeout: _Row(504, "Provider timed out"),
    errors.ManifestError: _Row(422, "Manifest refused", public=500),
    errors.StoreError: _Row(503, "Store failed"),
    errors.ControlError: _Row(422, "Command refused", public=500),
    errors.Conflict: _Row(409, "Conflict", public=500),
    errors.Stale: _Row(412, "Precondition failed", public=500),
    errors.ControlFull: _Row(409, "Control document full", public=500),
    errors.OutcomeUnknown: _Row(503, "Outcome unknown"),
    errors.ReadOnlyReplica: _Row(503, "Read-only replica"),
    errors.OrderUnavailable: _Row(503, "Order unavailable"),
    errors.ManifestPending: _Row(503, "Manifest pending"),
}


@frozen
class Problem:
    """A problem document, and the headers that go with it.

    Attributes:
        errors: One entry a field of a 422: ``{"in", "pointer" | "name", "detail", "code"}``.
        headers: Further headers of the answer, e.g. ``Retry-After``.
    """

    status: int
    title: str
    code: str
    type: str = "about:blank"
    detail: str = ""
    instance: str = ""
    retryable: bool = False
    errors: tuple[Mapping[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the document; members without a value are left out."""
        document: dict[str, Any] = {"type": self.type, "title": self.title, "status": self.status}
        for name in ("detail", "instance"):
            if value := getattr(self, name):
                document[name] = value
        document |= {"code": self.code, "retryable": self.retryable}
        if self.errors:
            document["errors"] = [dict(error) for error in self.errors]
        return document

    def response(self) -> Response:
        """Return the answer; ASCII throughout, so that nothing in it can disturb a terminal or a log."""
        if self.status in {204, 304}:
            return starlette.responses.Response(status_code=self.status, headers=dict(self.headers))
        body = json.dumps(self.as_dict(), separators=(",", ":"))
        return starlette.responses.Response(body, self.status, dict(self.headers), MEDIA_TYPE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer: a problem is an ASGI application."""
        await self.response()(scope, receive, send)


def problem_of(error: BaseException, *, public: bool = True, instance: str = "", scrub: Scrub = str) -> Problem:
    """Return the problem that an error is; never raises.

    Args:
        error: What was raised; anything outside of our tree and Starlette's is an internal error.
        public: Whether the caller is the public, who learns no detail of what failed inside.
        instance: Where it happened: the path of the request.
        scrub: Applied to every detail.
    """
    if isinstance(error, errors.PointsmanError):
        problem = _of_ours(error, scrub, public=public)
    elif isinstance(error, starlette.exceptions.HTTPException):
        problem = _of_starlette(error, scrub)
    else:
        problem = Problem(500, "Internal Server Error", "internal-error")
    if public and problem.status >= 500:
        return replace(problem, detail="", errors=())
    return replace(problem, instance=instance)


def _of_ours(error: errors.PointsmanError, scrub: Scrub, *, public: bool) -> Problem:
    row = next(ROWS[ours] for ours in type(error).__mro__ if ours in ROWS)
    status = error.status if isinstance(error, errors.TenantError | errors.IdentityError) else row.status
    if public and row.public is not None:
        status = row.public
    fields = error.errors if isinstance(error, errors.InputError) else ()
    return Problem(
        status=status,
        title=row.title,
        code=error.code,
        type=TYPE_PREFIX + error.code,
        detail=scrub(error.message if public else " ".join(filter(None, (error.message, error.hint)))),
        retryable=error.retryable,
        errors=tuple({name: scrub(value) for name, value in field.items()} for field in fields),
        headers=tuple(_headers(error, status)),
    )


def _headers(error: errors.PointsmanError, status: int) -> list[tuple[str, str]]:
    if status == HTTPStatus.UNAUTHORIZED:
        return [("WWW-Authenticate", "Bearer")]
    if status == HTTPStatus.SERVICE_UNAVAILABLE and error.retry_after_s is not None:
        return [("Retry-After", str(max(1, math.ceil(error.retry_after_s))))]
    return []


def _of_starlette(error: HTTPException, scrub: Scrub) -> Problem:
    title = _PHRASES.get(error.status_code) or f"Status {error.status_code}"
    detail = scrub(str(error.detail))
    kept = {name: value for name, value in (error.headers or {}).items() if not name.lower().startswith("content-")}
    return Problem(
        status=error.status_code,
        title=title,
        code=f"http-{error.status_code}",
        detail="" if detail == title else detail,
        retryable=error.status_code in _RETRYABLE,
        headers=tuple(kept.items()),
    )
