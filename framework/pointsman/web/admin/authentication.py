"""Who operates: a bearer of a known token, or whom a provider of ``adapter/identity`` vouches for.

Fails closed. A token is compared by its digest, in constant time, with every one that is known; a provider is the
image's, whatever a manifest or a command says, since trust must not come from what it guards.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, TypeAlias

from pointsman.adapters.identity.protocol import IDENTITY, Claims
from pointsman.errors import ConfigurationError, IdentityError
from pointsman.resolution.contribution import Source
from pointsman.resolution.template import render

if TYPE_CHECKING:
    from pointsman.runtime.runtime import Runtime
    from pointsman.web.admin.settings import Authenticator

Role: TypeAlias = Literal["operator", "viewer"]
Headers: TypeAlias = Mapping[str, str]
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
FORWARDED = "X-Serverless-Authorization"
"""Cloud Run's IAM takes its own token from here, so that ``Authorization`` passes untouched."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the audit names them, and what they may do."""

    name: str
    role: Role


class Gatekeeper:
    """Tells who asks, by the authenticators of the settings, in their order.

    Args:
        runtime: Brings secrets and identity providers.
        authenticators: At least one.
    """

    def __init__(self, runtime: Runtime, authenticators: Sequence[Authenticator]) -> None:
        self._runtime = runtime
        self._by_token = [one for one in authenticators if one.token_sha256 is not None]
        self._by_identity = [one for one in authenticators if one.identity is not None]
        self._digests: list[tuple[bytes, Caller]] | None = None

    async def caller(self, headers: Headers) -> Caller:
        """Return who asks.

        Raises:
            IdentityError: Nobody that is known (401), or somebody who may do nothing here (403).
        """
        token = _bearer(headers.get("Authorization", ""))
        if token and (known := self._known(token, await self._tokens())):
            return known
        refused: IdentityError | None = None
        for authenticator in self._by_identity:
            try:
                if (found := await self._vouched(authenticator, headers)) is not None:
                    return found
            except IdentityError as error:
                refused = error
        raise refused or IdentityError("Expected a bearer token of an operator.", hint="Send Authorization: Bearer …")

    async def _tokens(self) -> list[tuple[bytes, Caller]]:
        if self._digests is None:
            self._digests = [(await self._digest(one), Caller(one.name, one.role)) for one in self._by_token]
        return self._digests

    async def _digest(self, authenticator: Authenticator) -> bytes:
        text = await render(
            authenticator.token_sha256 or "",
            env=self._runtime.environ,
            secrets=self._runtime.secrets,
            tenant=None,
            where="admin.authenticators",
        )
        if not _DIGEST.fullmatch(text.strip().lower()):
            raise ConfigurationError(
                f"admin.authenticators: {authenticator.name}: expected the hex SHA-256 of a token, found other text.",
                hint='printf %s "$TOKEN" | sha256sum',
            )
        return bytes.fromhex(text.strip())

    @staticmethod
    def _known(token: str, digests: Sequence[tuple[bytes, Caller]]) -> Caller | None:
        given, found = sha256(token.encode()).digest(), None
        for digest, caller in digests:  # all of them, whichever matches: time tells nothing
            if hmac.compare_digest(given, digest):
                found = found or caller
        return found

    async def _vouched(self, authenticator: Authenticator, headers: Headers) -> Caller | None:
        given = headers.get(authenticator.header, "")
        token = _bearer(given) if authenticator.header == "Authorization" else given.strip()
        if not token:
            return None
        claims = await self._claims(authenticator, token)
        if authenticator.audience is not None and authenticator.audience not in _values(claims.get("aud")):
            raise IdentityError("The token is for another audience.")
        names = _values(claims.get(authenticator.claim))
        for role, patterns in (("operator", authenticator.operators), ("viewer", authenticator.viewers)):
            for name in names:
                if any(fnmatchcase(name, pattern) for pattern in patterns):
                    return Caller(name, "operator" if role == "operator" else "viewer")
        raise IdentityError("The token is genuine, and its bearer is no operator of this service.", status=403)

    async def _claims(self, authenticator: Authenticator, token: str) -> Claims:
        provider = authenticator.identity or ""
        self._check_of_the_image(provider)
        async with self._runtime.components() as its:
            identity = await its.get(IDENTITY, provider=provider)
            return await identity.verify_token(token)

    def _check_of_the_image(self, provider: str) -> None:
        for registration in self._runtime.snapshot.catalog.candidates.of(IDENTITY):
            if registration.candidate.provider == provider and registration.source is Source.MANIFEST:
                raise IdentityError(f"{provider} comes from a manifest: it may not say who operates.", status=403)


def _bearer(header: str) -> str:
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _values(claim: object) -> tuple[str, ...]:
    if isinstance(claim, str):
        return (claim,)
    return tuple(one for one in claim if isinstance(one, str)) if isinstance(claim, list | tuple) else ()
