"""What a request must be before an operator's route sees it: to an allowed host, from our own pages, in the right form.

One rule each, over headers as they came: a header that comes twice is never one of them. Each refusal has the status
that its rule names. Who asks is not judged here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pointsman.errors import UnsupportedMediaType
from pointsman.web.problems import TYPE_PREFIX, Problem

if TYPE_CHECKING:
    from starlette.types import Scope

    from pointsman.web.admin.settings import AdminSettings

FOREIGN_HOST = Problem(
    421, "Misdirected request", "foreign-host", TYPE_PREFIX + "foreign-host",
    "This service does not answer operators under that host.",
)  # fmt: skip
FOREIGN_ORIGIN = Problem(
    403, "Forbidden", "foreign-origin", TYPE_PREFIX + "foreign-origin",
    "A page of another origin may not ask in an operator's name.",
)  # fmt: skip


def forbidden(detail: str) -> Problem:
    """Return the problem of someone who is known, and may not."""
    return Problem(403, "Forbidden", "forbidden", TYPE_PREFIX + "forbidden", detail)


def refused(scope: Scope, settings: AdminSettings) -> Problem | None:
    """Return why a request is turned away before anybody asks who sends it; ``None``: it is not."""
    hosts = _values(scope, b"host")
    if settings.allowed_hosts and not (len(hosts) == 1 and _is_allowed(hosts[0], settings.allowed_hosts)):
        return FOREIGN_HOST
    origins = _values(scope, b"origin")
    if origins and not (len(origins) == 1 and _is_own(origins[0], hosts, scope, settings.allowed_origins)):
        return FOREIGN_ORIGIN
    return None


def check_media_type(scope: Scope) -> None:
    """Refuse a command that is not JSON: a form of another page could send anything else.

    Raises:
        UnsupportedMediaType: It is not.
    """
    given = _values(scope, b"content-type")
    kind = given[0].partition(";")[0].strip().lower() if len(given) == 1 else ""
    if kind != "application/json":
        raise UnsupportedMediaType(f"Expected Content-Type: application/json, found {kind!a:.80}.")


def _is_allowed(host: str, allowed: Sequence[str]) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return any(one.lower() in {name, host.lower()} for one in allowed)


def _is_own(origin: str, hosts: Sequence[str], scope: Scope, allowed: Sequence[str]) -> bool:
    """Tell whether a page is ours, or allowed; behind a proxy that ends TLS it is https although the request is not."""
    own = {f"{scheme}://{host}" for scheme in ("https", scope.get("scheme", "http")) for host in hosts}
    return origin.lower() in {one.lower() for one in (*own, *allowed)}


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in scope["headers"] if key == name]
