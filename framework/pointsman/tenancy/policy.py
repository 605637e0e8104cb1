"""What is believed of a tenant id: its shape, whether it is known, who vouches for it.

No I/O of its own: the verification of tokens is given in. Never answers with a tenant that the request did not name,
but for the one name ``default`` under which all unknown ones are served.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from pointsman.declarations import UNDECLARED
from pointsman.errors import ConfigurationError, IdentityError, TenantError
from pointsman.patterns import late_pattern
from pointsman.tenancy.sources import (
    Function,
    bearer_token,
    from_claims,
    from_header,
    from_host,
    from_path,
    function_of,
)

if TYPE_CHECKING:
    from pointsman.tenancy.settings import TenancySettings

Scope: TypeAlias = MutableMapping[str, Any]
Claims: TypeAlias = Mapping[str, Any]
Verify: TypeAlias = Callable[[str], Awaitable[Claims]]
"""From a token to its verified claims; raises IdentityError."""

MAX_LENGTH = 128
_BUILT_IN = ("header", "host", "path", "claim")
_REFERENCE = late_pattern(r"[A-Za-z_][\w.]*:[A-Za-z]\w*", re.ASCII)


class Tenants(Protocol):
    """Who is declared, by settings or by the manifest in force."""

    def known_tenant(self, tenant_id: str, /) -> bool:
        """Return whether a source declares the tenant."""

    def declares_tenants(self) -> bool:
        """Return whether any source declares a tenant."""

    def edition(self) -> object:
        """Return what is another object whenever other tenants may be declared."""


class Asker(msgspec.Struct, frozen=True):
    """Who asks, after all checks.

    Attributes:
        tenant: The tenant's id, ``default`` for unknown ones, or None.
        vouched: Whether something other than the caller says so; components marked ``isolated`` demand it.
        root_path: The ASGI root path that takes in the tenant's prefix; None: unchanged.
    """

    tenant: str | None
    vouched: bool
    root_path: str | None = None


class Contradiction(msgspec.Struct, frozen=True):
    """A request named a tenant that its verified claim does not: for the audit."""

    named: str
    claimed: str | None


class _Located(msgspec.Struct, frozen=True):
    tenant: str | None
    root_path: str | None = None
    claims: Claims | None = None


Locate: TypeAlias = Callable[[Scope], Awaitable[_Located]]


def check(settings: TenancySettings, environment: Mapping[str, str]) -> None:
    """Refuse settings that cannot work, or that leave unsaid on Cloud Run who vouches for a header.

    Args:
        settings: The section as it was read.
        environment: The process environment; ``K_SERVICE`` says that this is Cloud Run.

    Raises:
        ConfigurationError: One of these.
    """
    if settings.source not in _BUILT_IN and not _REFERENCE.fullmatch(settings.source):
        raise ConfigurationError(
            f"tenancy.source: expected header, host, path, claim or module:function, found {settings.source!r}."
        )
    if "claim" in (settings.source, settings.vouched_by) and not (settings.identity and settings.claim):
        raise ConfigurationError(
            "tenancy: a claim needs to know who verifies the token, and which claim names the tenant.",
            hint="Say tenancy.identity (a provider of adapter/identity) and tenancy.claim.",
        )
    if settings.source in ("header", "host") and settings.vouched_by is None and environment.get("K_SERVICE"):
        raise ConfigurationError(
            f"tenancy: on Cloud Run it must be said who makes sure that a caller may name its tenant by "
            f"{'the ' + settings.header + ' header' if settings.source == 'header' else 'the host'}.",
            hint="Say tenancy.vouched_by: gateway, claim, or none.",
        )
    try:
        re.compile(settings.pattern, re.ASCII)
    except re.error as error:
        raise ConfigurationError(f"tenancy.pattern is no regular expression: {error}.") from error


def well_formed(value: str, pattern: re.Pattern[str]) -> str:
    """Return an id that matches the pattern, is printable ASCII, and at most 128 characters long.

    Raises:
        TenantError: It is not (400).
    """
    if 0 < len(value) <= MAX_LENGTH and value.isascii() and value.isprintable() and pattern.fullmatch(value):
        return value
    raise TenantError(f"Expected a tenant id that matches {pattern.pattern}, found {value[:MAX_LENGTH]!a}.")


class Tenancy:
    """Finds out who asks; one for the process, concurrent requests share it.

    Args:
        settings: Checked by `check`.
        tenants: Who is declared; asked at every request, since a manifest may declare more.
        verify: Verifies a token; needed where a claim decides or vouches.
        connection: Makes what a ``module:function`` source is called with.
        audit: Told of every request whose tenant contradicts its claim.

    Raises:
        ConfigurationError: The ``module:function`` does not exist, or ``verify`` is missing.
    """

    def __init__(
        self,
        settings: TenancySettings,
        *,
        tenants: Tenants,
        verify: Verify | None = None,
        connection: Callable[[Scope], object] = lambda scope: scope,
        audit: Callable[[Contradiction], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._tenants = tenants
        self._audit = audit
        self._pattern = re.compile(settings.pattern, re.ASCII)
        self._header = settings.header.lower().encode("latin-1")
        self._token_header = settings.token_header.lower().encode("latin-1")
        self._claimed = "claim" in (settings.source, settings.vouched_by)
        self._vouched = self._claimed or settings.vouched_by == "gateway"
        if self._claimed and verify is None:
            raise ConfigurationError("tenancy: a claim decides or vouches, but nothing verifies tokens.")
        self._verify = verify
        sources: dict[str, Locate] = {
            "header": self._by_header,
            "host": self._by_host,
            "path": self._by_path,
            "claim": self._by_claim,
        }
        self._locate = sources.get(settings.source) or _by(function_of(settings.source), connection)
        self._plain = settings.source == "header" and not self._claimed
        self._nobody = None if settings.required else Asker(None, self._vouched)
        self._known: dict[bytes, Asker] = {}
        self._known_of: object = None

    async def of(self, scope: Scope) -> Asker:
        """Return who asks in this ASGI scope.

        Raises:
            TenantError: The id is missing where it is required, malformed, or comes twice (400); unknown where
                unknown ones are rejected (404); not the one that the verified claim names (403).
            IdentityError: A claim decides or vouches, and the token is missing or proves nothing (401).
        """
        located = await self._locate(scope)
        if located.tenant is None:
            if self._settings.required:
                raise self._missing()
            return Asker(None, self._vouched, located.root_path)
        named = well_formed(located.tenant, self._pattern)
        if self._claimed:
            await self._compare(named, scope, located.claims)
        return Asker(self._settle(named), self._vouched, located.root_path)

    def at_once(self, scope: Scope) -> Asker | None:
        """Return who asks where a header alone says it, and nothing is wrong with it; ``None``: only `of` can tell.

        Remembers who is declared, and nobody else.
        """
        if not self._plain:
            return None
        header, found = self._header, None
        for name, value in scope["headers"]:
            if name == header:
                if found is not None:
                    return None
                found = value
        if found is None:
            return self._nobody
        if (edition := self._tenants.edition()) is not self._known_of:
            self._known, self._known_of = {}, edition
        try:
            return self._known[found]
        except KeyError:
            return self._recognised(found)

    def _recognised(self, value: bytes) -> Asker | None:
        try:
            named = well_formed(value.decode("latin-1"), self._pattern)
            asker = Asker(self._settle(named), self._vouched)
        except TenantError:
            return None
        if asker.tenant == named and self._tenants.known_tenant(named):
            self._known[value] = asker
        return asker

    async def _by_header(self, scope: Scope) -> _Located:
        return _Located(from_header(scope["headers"], self._header))

    async def _by_host(self, scope: Scope) -> _Located:
        return _Located(from_host(scope["headers"], self._settings.domain))

    async def _by_path(self, scope: Scope) -> _Located:
        return _Located(*from_path(scope["path"], scope.get("root_path", "")))

    async def _by_claim(self, scope: Scope) -> _Located:
        claims = await self._claims(scope)
        return _Located(None if claims is None else from_claims(claims, self._settings.claim), claims=claims)

    async def _claims(self, scope: Scope) -> Claims | None:
        token = bearer_token(scope["headers"], self._token_header)
        return None if token is None or self._verify is None else await self._verify(token)

    async def _compare(self, named: str, scope: Scope, claims: Claims | None) -> None:
        """Hold what the request names, by its source and by the header, against the verified claim."""
        if claims is None:
            claims = await self._claims(scope)
        if claims is None:
            raise IdentityError(f"Expected a token in {self._settings.token_header} that vouches for the tenant.")
        claimed = from_claims(claims, self._settings.claim)
        header = from_header(scope["headers"], self._header)
        for asked in (named, header):
            if asked is not None and asked != claimed:
                self._audit(Contradiction(asked, claimed))
                raise TenantError("The request names another tenant than its token.", status=403)

    def _settle(self, named: str) -> str:
        if self._tenants.known_tenant(named):
            return named
        unknown = self._settings.unknown or ("reject" if self._tenants.declares_tenants() else "default")
        if unknown == "reject":
            raise TenantError(f"There is no tenant {named}.", status=404)
        return UNDECLARED

    def _missing(self) -> TenantError | IdentityError:
        ours = self._settings
        if ours.source == "claim":
            return IdentityError(f"Expected a token in {ours.token_header} with the claim {ours.claim}.")
        where = {"header": f"in the {ours.header} header", "host": "in the host", "path": "as the path's first part"}
        return TenantError(f"Expected a tenant id {where.get(ours.source, 'in the request')}.")


def _by(function: Function, connection: Callable[[Scope], object]) -> Locate:
    async def locate(scope: Scope) -> _Located:
        found = function(connection(scope))
        return _Located(await found if isawaitable(found) else found)

    return locate
