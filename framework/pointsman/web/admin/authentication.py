"""Who operates: a bearer of a known token, or whom a provider of ``adapter/identity`` vouches for.

Fails closed. A token is compared by its digest, in constant time, with every one that is known; a provider is the
image's, whatever a manifest or a command says, since trust must not come from what it guards.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeAlias

from pointsman.control.commands import MAX_WHO, check_plain
from pointsman.errors import ConfigurationError, IdentityError, PointsmanError, ProviderUnavailable
from pointsman.resolution.template import render
from pointsman.tenancy.settings import TenancySettings
from pointsman.tenancy.sources import bearer_token
from pointsman.values import frozen
from pointsman.web.admin.image import ImageIdentities
from pointsman.web.admin.settings import DIGEST, AdminSettings, Authenticator, Role

if TYPE_CHECKING:
    from pointsman.adapters.identity.protocol import Claims
    from pointsman.runtime.runtime import Runtime

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]
"""As ASGI gives them: names in lower case."""
Way: TypeAlias = "Callable[[RawHeaders], Awaitable[Caller | None]]"
AUTHORIZATION: Final = "Authorization"
MIN_TOKEN: Final = 43
"""Characters of 256 bits in base64url: no digest of a password lets anybody in."""
MAX_TOKEN: Final = 16_384


@frozen
class Caller:
    """Who asks, as the audit names them, and what they may do; without a role nothing."""

    name: str
    role: Role | None


class Gatekeeper:
    """Tells who asks, by the authenticators of the settings, in their order; tokens first.

    Args:
        runtime: Brings secrets and the image's identity providers.
        settings: Who may operate.
        seldom: Told of authenticators that cannot tell.

    Raises:
        ConfigurationError: A provider that is named is none of the image's.
    """

    def __init__(self, runtime: Runtime, settings: AdminSettings, seldom: Callable[..., None]) -> None:
        self._runtime = runtime
        self._seldom = seldom
        numbered = [(one.name or f"token-{at}", one) for at, one in enumerate(settings.authenticators, 1)]
        self._by_token = [(name, one) for name, one in numbered if one.token_sha256 is not None]
        self._by_identity = [one for one in settings.authenticators if one.identity is not None]
        self._strangers = _of_tenants(runtime.settings.section(TenancySettings))
        named = [*self._by_identity, *self._strangers]
        self.identities = ImageIdentities(runtime, _audiences(named), settings.verify_timeout_s)

    async def caller(self, headers: RawHeaders) -> Caller:
        """Return who asks; whoever is genuine and on no list has no role.

        Raises:
            IdentityError: Nobody that is known, by no authenticator (401).
            ProviderUnavailable: Nobody so far, and one authenticator cannot tell now.
        """
        stranger: Caller | None = None
        refused: IdentityError | None = None
        failed: PointsmanError | None = None
        vouching = (partial(self._vouched, one) for one in (*self._by_identity, *self._strangers))
        ways: tuple[Way, ...] = (self._bearer, *vouching)
        for way in ways:
            try:
                found = await way(headers)
            except IdentityError as error:
                refused = error
            except PointsmanError as error:
                failed = error
                self._seldom("admin.authenticator-failed", code=error.code, error=error.message)
            else:
                if found is not None and found.role is not None:
                    return found
                stranger = stranger or found
        if failed is not None:
            raise ProviderUnavailable("Who asks cannot be told now: an authenticator does not answer.") from failed
        if stranger is not None:
            return stranger
        hint = (refused.hint if refused else "") or "Send Authorization: Bearer …"
        raise IdentityError("Expected the token of an operator or a viewer.", hint=hint) from refused

    async def aclose(self) -> None:
        """Close the identity providers."""
        await self.identities.aclose()

    # --- tokens ---

    async def _bearer(self, headers: RawHeaders) -> Caller | None:
        token = _token(headers, AUTHORIZATION)
        if token is None or not self._by_token or len(token) < MIN_TOKEN:
            return None
        given, found = sha256(token.encode()).digest(), None
        failed: PointsmanError | None = None
        for name, one in self._by_token:  # all of them, whichever matches: time tells nothing
            try:
                digest = await self._digest(one)
            except PointsmanError as error:
                failed = error
                continue
            if hmac.compare_digest(given, digest):
                found = found or Caller(name, one.role)
        if found is None and failed is not None:
            raise failed
        return found

    async def _digest(self, authenticator: Authenticator) -> bytes:
        """Return a token's digest; read each time, so that a rotated secret counts (its reader keeps it a while)."""
        text = await render(
            authenticator.token_sha256 or "",
            env=self._runtime.environ,
            secrets=self._runtime.secrets,
            tenant=None,
            where="admin.authenticators",
        )
        if not DIGEST.fullmatch(text.strip()):
            raise ConfigurationError(
                "admin.authenticators: token_sha256: expected the hex SHA-256 of a token, found other text.",
                hint='printf %s "$TOKEN" | sha256sum',
            )
        return bytes.fromhex(text.strip())

    # --- identities ---

    async def _vouched(self, authenticator: Authenticator, headers: RawHeaders) -> Caller | None:
        provider, token = authenticator.identity or "", _token(headers, authenticator.header)
        if token is None:
            return None
        try:
            claims = await self.identities.verify(provider, token)
        except IdentityError as error:
            if error.status == 401:
                raise
            return Caller(f"{provider}:unlisted", None)  # genuine, and on no list of the provider's own
        if authenticator.audience and authenticator.audience not in _values(claims.get("aud")):
            raise IdentityError(f"Expected a token for {authenticator.audience}, found one for another audience.")
        return Caller(_name(provider, claims), _role(authenticator, claims))


def _of_tenants(tenancy: TenancySettings) -> list[Authenticator]:
    """Return who knows the tenants' tokens: genuine ones that may do nothing here are 403, no longer anonymous."""
    if not tenancy.identity:
        return []
    nobody = Authenticator(identity=tenancy.identity, header=tenancy.token_header, operators=("*",))
    return [nobody.model_copy(update={"operators": ()})]


def _audiences(authenticators: Sequence[Authenticator]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for one in authenticators:
        known = found.get(one.identity or "", ())
        more = (one.audience,) if one.audience and one.audience not in known else ()
        found[one.identity or ""] = (*known, *more)
    return found


def _token(headers: RawHeaders, name: str) -> str | None:
    """Return the token of a header.

    Raises:
        IdentityError: The header comes more than once, or holds more than any token.
    """
    token = bearer_token(headers, name.lower().encode("ascii"))
    if token is not None and len(token) > MAX_TOKEN:
        raise IdentityError(f"Expected a token of at most {MAX_TOKEN} characters, found {len(token)}.")
    return token or None


def _name(provider: str, claims: Claims) -> str:
    """Return how the audit names someone: by person, not by the group that lets them in."""
    person = next((one for one in (claims.get("email"), claims.get("sub")) if isinstance(one, str) and one), "")
    name = f"{provider}:{person or 'unnamed'}"
    if len(name) > MAX_WHO or check_plain(name) is not None:
        raise IdentityError("Expected a token that names its bearer in plain text, found one that does not.")
    return name


def _role(authenticator: Authenticator, claims: Claims) -> Role | None:
    if authenticator.claim == "email" and claims.get("email_verified", True) is not True:
        return None
    names = [name for name in _values(claims.get(authenticator.claim)) if name.isascii()]
    if any(_matches(name, authenticator.operators) for name in names):
        return "operator"
    if any(_matches(name, authenticator.viewers) for name in names):
        return "viewer"
    return None


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """Tell whether a pattern, in which only ``*`` means anything, is the whole of a name; case is no matter."""
    return any(
        re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.IGNORECASE | re.ASCII | re.DOTALL)
        for pattern in patterns
    )


def _values(claim: object) -> tuple[str, ...]:
    if isinstance(claim, str):
        return (claim,)
    return tuple(one for one in claim if isinstance(one, str)) if isinstance(claim, list | tuple) else ()
