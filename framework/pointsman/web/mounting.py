"""Serve one prefix by another application: the operators' routes, before tenancy.

Compares the decoded path below the root path, exactly: ``//admin`` and ``/administer`` are not below ``/admin``, and
``/%61dmin`` is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointsman.tenancy.sources import below_root, taken_in

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class Mounted:
    """Hands what lies below a prefix to one application, and everything else on.

    Args:
        app: Serves everything else.
        prefix: ``/admin``; no slash at its end.
        mounted: Serves the prefix; its root path takes the prefix in.
    """

    def __init__(self, app: ASGIApp, prefix: str, mounted: ASGIApp) -> None:
        self._app = app
        self._prefix = prefix
        self._mounted = mounted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, to one or the other."""
        root_path = scope.get("root_path", "")
        path = below_root(scope["path"], root_path)
        if is_below(path, self._prefix):
            await self._mounted(taken_in(scope, root_path + self._prefix), receive, send)
        else:
            await self._app(scope, receive, send)


def is_below(path: str, prefix: str) -> bool:
    """Whether a path is the prefix, or lies below it."""
    return path == prefix or path.startswith(f"{prefix}/")
