"""Where a request names its tenant: a header, the host, the path, a claim, or a function of the user's.

Pure over what the ASGI scope holds. Nothing here believes what it reads: the policy decides. Never looks at
``X-Forwarded-*``, which whoever sends the request may forge.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, TypeAlias

from pointsman.errors import ConfigurationError, IdentityError, TenantError
from pointsman.patterns import late_pattern

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
"""As ASGI gives them: names in lower case."""
Function: TypeAlias = Callable[[Any], str | Awaitable[str | None] | None]
"""From the connection (``starlette.requests.HTTPConnection``) to a tenant id, or None."""

_HOST = late_pattern(r"(?P<name>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
_ADDRESS = late_pattern(r"[0-9.]+|\[.*", re.ASCII)


def from_header(headers: Headers, name: bytes) -> str | None:
    """Return the one value of a header, or None.

    Raises:
        TenantError: The header comes more than once (400).
    """
    values = [value for key, value in headers if key == name]
    if len(values) > 1:
        raise TenantError(f"Expected one {name.decode('latin-1')} header, found {len(values)}.")
    return values[0].decode("latin-1") if values else None


def from_host(headers: Headers, domain: str = "") -> str | None:
    """Return the label in front of ``domain``, or the first of several labels; addresses have none.

    Raises:
        TenantError: The Host header comes twice, or is no host (400).
    """
    value = from_header(headers, b"host")
    if not value:
        return None
    match = _HOST.fullmatch(value)
    if match is None:
        raise TenantError("Expected a host name in the Host header.")
    name = match["name"].lower().rstrip(".")
    if _ADDRESS.fullmatch(name):
        return None
    if domain:
        return name.removesuffix(f".{domain}") if name.endswith(f".{domain}") else None
    label, several, _ = name.partition(".")
    return label if several else None


def below_root(path: str, root_path: str) -> str:
    """Return the part of an ASGI path that routes decide by; ``path`` holds the root path, too."""
    return path[len(root_path) :] if path.startswith(f"{root_path}/") else path


def from_path(path: str, root_path: str = "") -> tuple[str | None, str]:
    """Return the first segment of the path below ``root_path``, and the root path that takes it in.

    The path is the decoded one, so ``/%61cme`` is ``/acme`` here as for everyone. An empty first segment (``//x``)
    names nobody, and nothing is taken in.
    """
    segment = below_root(path, root_path).removeprefix("/").partition("/")[0]
    if not segment:
        return None, root_path
    return segment, f"{root_path}/{segment}"


def taken_in(scope: MutableMapping[str, Any], root_path: str) -> dict[str, Any]:
    """Return the scope in which the tenant's prefix belongs to the root path, as for a mounted application.

    ASGI's ``path`` and ``raw_path`` go on holding the whole; ``/acme`` alone becomes ``/acme/``, so that it has a root.
    """
    child = {**scope, "root_path": root_path}
    if child["path"] == root_path:
        child["path"] = f"{root_path}/"
        if child.get("raw_path"):
            child["raw_path"] += b"/"
    return child


def from_claims(claims: Mapping[str, Any], claim: str) -> str | None:
    """Return the claim that names the tenant, or None where the token has none.

    Raises:
        TenantError: The claim is no text (403): the token is genuine, so the caller cannot mend it.
    """
    value = claims.get(claim)
    if value is None or isinstance(value, str):
        return value
    raise TenantError(f"Expected the claim {claim!r} to be text, found {type(value).__name__}.", status=403)


def bearer_token(headers: Headers, name: bytes) -> str | None:
    """Return the token that a header carries, without ``Bearer``; None for another scheme or no header.

    Raises:
        IdentityError: The header comes more than once.
    """
    values = [value for key, value in headers if key == name]
    if len(values) > 1:
        raise IdentityError(f"Expected one {name.decode('latin-1')} header, found {len(values)}.")
    if not values:
        return None
    scheme, space, token = values[0].decode("latin-1").strip().partition(" ")
    if space:
        return token.strip() if scheme.lower() == "bearer" else None
    return scheme or None


def function_of(reference: str) -> Function:
    """Import the function that ``tenancy.source: module:function`` names; image settings are trusted to name it.

    Raises:
        ConfigurationError: There is no such module or function.
    """
    module, _, name = reference.partition(":")
    try:
        found = vars(importlib.import_module(module)).get(name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"tenancy.source: {reference}: there is no module {error.name}.") from error
    if not callable(found):
        raise ConfigurationError(
            f"tenancy.source: expected {module} to define the function {name}.",
            hint="Write header, host, path, claim, or module:function.",
        )
    return found  # type: ignore[no-any-return]
