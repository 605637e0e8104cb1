"""Google's word on who speaks: ID tokens, and the assertions of the Identity-Aware Proxy.

Which of the two is a setting, never read from the token: anybody can have Google sign an ID token for any audience. So
an audience alone proves only that some account, of whatever project, wanted to speak to us; who may is for ``emails``
or for the caller to say.
"""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Literal

import httpx
from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwt import JWTClaimsRegistry
from pydantic import BaseModel, Field

from pointsman.adapters.identity.jwks import KeyCache, KeyPolicy
from pointsman.adapters.identity.protocol import Claims, Identity
from pointsman.errors import IdentityError

MAX_TOKEN_CHARS = 16_384
Audience = Annotated[str, Field(min_length=1)]
_REMOVED = "SIGNATURE_REMOVED_BY_GOOGLE"


@dataclass(frozen=True, slots=True)
class _Issuer:
    names: tuple[str, ...]
    keys_url: str
    algorithm: str


_ISSUERS = {
    # Source: OpenID Connect discovery document of accounts.google.com
    "id-token": _Issuer(
        ("https://accounts.google.com", "accounts.google.com"), "https://www.googleapis.com/oauth2/v3/certs", "RS256"
    ),
    # Source: Identity-Aware Proxy, "Securing your app with signed headers"
    "iap": _Issuer(("https://cloud.google.com/iap",), "https://www.gstatic.com/iap/verify/public_key-jwk", "ES256"),
}


class GoogleIdentitySettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of ``identity/google``.

    Attributes:
        audience: What ``aud`` must be, or contain: our URL or client id; behind IAP
            ``/projects/NUMBER/global/backendServices/ID`` or ``/projects/NUMBER/locations/REGION/services/NAME``.
        kind: What is verified.
        emails: Accounts that may speak, service accounts too; empty: every one.
        authorized_parties: What ``azp`` may be; empty: anything.
        leeway_s: How far clocks may differ.
        timeout_s: For fetching Google's keys.
        keys_max_age_s: After that, keys are fetched again.
        keys_min_interval_s: Between two fetches, however many unknown keys tokens name.
    """

    audience: Audience | Annotated[tuple[Audience, ...], Field(min_length=1)]
    kind: Literal["id-token", "iap"] = "id-token"
    emails: tuple[str, ...] = ()
    authorized_parties: tuple[str, ...] = ()
    leeway_s: Annotated[int, Field(ge=0, le=300)] = 30
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    keys_max_age_s: Annotated[float, Field(ge=60, le=86_400)] = 3600.0
    keys_min_interval_s: Annotated[float, Field(ge=1, le=3600)] = 60.0


class GoogleIdentity(Identity):
    """Verifies tokens of one kind for one audience.

    Args:
        now: Seconds since 1970.
    """

    def __init__(self, settings: GoogleIdentitySettings, keys: KeyCache, now: Callable[[], float]) -> None:
        self._issuer = _ISSUERS[settings.kind]
        self._settings = settings
        self._emails = frozenset(email.casefold() for email in settings.emails)
        self._keys = keys
        self._now = now

    async def verify_token(self, token: str) -> Claims:
        """Return the claims of a token that Google signed for us, now, in the name of someone on the list.

        Raises:
            IdentityError: It is not that (401), or it is genuine and names someone else (403).
            ProviderUnavailable: Google's keys cannot be had.
            ProviderTimeout: They did not arrive in time.
        """
        key = await self._keys.find(self._key_id(token))
        try:
            claims = jwt.decode(token, key, algorithms=[self._issuer.algorithm]).claims
            self._rules().validate(claims)
        except ExpiredTokenError as error:
            raise IdentityError("Expected a token that is valid now, found one that has expired.") from error
        except JoseError as error:
            raise IdentityError(f"Expected a token of {self._issuer.names[0]} for us, found: {error}.") from error
        self._check_account(claims)
        return claims

    def _key_id(self, token: str) -> str:
        """Return the key that an unverified token names, where the rest of its header is as it must be."""
        if len(token) > MAX_TOKEN_CHARS:
            raise IdentityError(f"Expected a token of at most {MAX_TOKEN_CHARS} characters, found {len(token)}.")
        if token.endswith(_REMOVED):
            raise IdentityError(
                "Expected a signed token, found one whose signature Cloud Run removed after checking it.",
                hint="Send the token for Cloud Run in X-Serverless-Authorization, and this one in Authorization.",
            )
        try:
            header = jws.extract_compact(token.encode()).headers()
        except (JoseError, UnicodeEncodeError) as error:
            raise IdentityError("Expected a JSON Web Token, found something else.") from error
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm != self._issuer.algorithm or not isinstance(key_id, str):
            raise IdentityError(
                f"Expected a token signed with {self._issuer.algorithm} by a named key, found {algorithm!r}."
            )
        return key_id

    def _rules(self) -> JWTClaimsRegistry:
        settings = self._settings
        audiences = [settings.audience] if isinstance(settings.audience, str) else list(settings.audience)
        return JWTClaimsRegistry(
            now=int(self._now()),
            leeway=settings.leeway_s,
            iss={"essential": True, "values": list(self._issuer.names)},
            aud={"essential": True, "values": audiences},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )

    def _check_account(self, claims: Claims) -> None:
        """Refuse who is not on a list. IAP's addresses are verified; in an ID token a claim says whether they are."""
        email, party = claims.get("email"), claims.get("azp")
        if email is not None and self._settings.kind == "id-token" and claims.get("email_verified") is not True:
            raise IdentityError("Expected an e-mail address that Google verified, found one that it did not.")
        if self._emails and not (isinstance(email, str) and email.casefold() in self._emails):
            raise IdentityError("Expected an account of emails in identity/google, found another.", status=403)
        if self._settings.authorized_parties and party not in self._settings.authorized_parties:
            raise IdentityError("Expected a party of authorized_parties, found another.", status=403)


@asynccontextmanager
async def google_identity(
    settings: GoogleIdentitySettings, now: Callable[[], float] = time.time
) -> AsyncGenerator[GoogleIdentity]:
    """Open a client for Google's keys, and close it at the end; keys are fetched with the first token."""
    policy = KeyPolicy(
        url=_ISSUERS[settings.kind].keys_url,
        max_age_s=settings.keys_max_age_s,
        min_interval_s=settings.keys_min_interval_s,
        timeout_s=settings.timeout_s,
    )
    async with httpx.AsyncClient(timeout=settings.timeout_s, follow_redirects=False) as client:
        yield GoogleIdentity(settings, KeyCache(client, policy, now), now)
