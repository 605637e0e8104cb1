"""A Google of our own: keys, tokens, and a fake of where the keys are published."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_800_000_000.0
KEYS_URLS = {
    "id-token": "https://www.googleapis.com/oauth2/v3/certs",
    "iap": "https://www.gstatic.com/iap/verify/public_key-jwk",
}


@dataclass
class Google:
    """Signs what it is told to, and publishes its keys.

    Attributes:
        now: What the clock says that is handed to the adapter.
        published: Key ids in the published set.
        requests: How often the set was fetched.
        answer: In place of the set.
    """

    kind: str = "id-token"
    now: float = NOW
    published: tuple[str, ...] = ("k1",)
    requests: int = 0
    answer: httpx.Response | Exception | None = None
    keys: dict[tuple[str, str], RSAKey | ECKey] = field(default_factory=dict)

    def clock(self) -> float:
        return self.now

    def key(self, key_id: str) -> RSAKey | ECKey:
        return self.keys[self.kind, "k2" if key_id == "k2" else "k1"]

    def token(self, *, header: dict[str, Any] | None = None, key_id: str = "k1", **claims: Any) -> str:
        """Return a token that is right but for what is given; a claim of ``None`` is left out."""
        issuer = "https://accounts.google.com" if self.kind == "id-token" else "https://cloud.google.com/iap"
        told = {
            "iss": issuer, "aud": "https://notebook.example", "sub": "113", "iat": int(self.now) - 10,
            "exp": int(self.now) + 3590, "email": "ops@example.com", "email_verified": True, **claims,
        }  # fmt: skip
        algorithm = "RS256" if self.kind == "id-token" else "ES256"
        told = {name: value for name, value in told.items() if value is not None}
        return jwt.encode({"alg": algorithm, "kid": key_id, **(header or {})}, told, self.key(key_id))

    def key_set(self) -> dict[str, Any]:
        return {"keys": [self._public(key_id) for key_id in self.published]}

    def respond(self, _: httpx.Request) -> httpx.Response:
        self.requests += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or httpx.Response(200, json=self.key_set())

    def _public(self, key_id: str) -> dict[str, Any]:
        algorithm = "RS256" if self.kind == "id-token" else "ES256"
        return self.key(key_id).as_dict(private=False) | {"kid": key_id, "alg": algorithm, "use": "sig"}


@pytest.fixture(scope="session")
def signing_keys() -> dict[tuple[str, str], RSAKey | ECKey]:
    rsa = {("id-token", key_id): RSAKey.generate_key(2048) for key_id in ("k1", "k2")}
    return rsa | {("iap", key_id): ECKey.generate_key("P-256") for key_id in ("k1", "k2")}


@pytest.fixture
def google(signing_keys: dict[tuple[str, str], RSAKey | ECKey]) -> Iterator[Google]:
    google = Google(keys=signing_keys)
    with respx.mock(assert_all_called=False) as router:
        for url in KEYS_URLS.values():
            router.get(url).mock(side_effect=google.respond)
        yield google
