"""Attacks 68 and 87 on the Google identity provider; its other refusals are among its unit tests."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest
import respx
from joserfc import jwt
from joserfc.jwk import RSAKey

from pointsman.adapters.identity.google import GoogleIdentitySettings, google_identity
from pointsman.errors import IdentityError

KEYS = "https://www.googleapis.com/oauth2/v3/certs"
NOW = 1_800_000_000
OURS = "https://notebook.example"


@pytest.fixture(scope="module")
def key() -> RSAKey:
    return RSAKey.generate_key(2048)


def signed(key: RSAKey, *, key_id: str = "k1", **claims: Any) -> str:
    told = {
        "iss": "https://accounts.google.com", "aud": OURS, "sub": "1", "iat": NOW, "exp": NOW + 3600,
        "email": "oncall@example.com", "email_verified": True, **claims,
    }  # fmt: skip
    return jwt.encode({"alg": "RS256", "kid": key_id}, told, key)


@pytest.fixture
def published(key: RSAKey) -> Any:
    public = key.as_dict(private=False) | {"kid": "k1", "alg": "RS256", "use": "sig"}
    with respx.mock(assert_all_called=False) as router:
        yield router.get(KEYS).mock(return_value=httpx.Response(200, json={"keys": [public]}))


@pytest.mark.parametrize(
    "token",
    [
        lambda key: signed(key, exp=NOW - 31),
        lambda key: signed(key, aud="https://other.example"),
        lambda key: signed(key, iss="https://evil.example"),
        lambda key: "eyJhbGciOiJub25lIiwia2lkIjoiazEifQ." + signed(key).split(".")[1] + ".",
        lambda _: "",
    ],
    ids=["expired", "wrong audience", "wrong issuer", "alg=none", "missing"],
)
async def test_a68_a_token_that_proves_nothing_is_401(key: RSAKey, published: respx.Route, token: Any) -> None:
    async with google_identity(GoogleIdentitySettings(audience=OURS), lambda: NOW) as identity:
        assert await identity.verify_token(signed(key))
        with pytest.raises(IdentityError) as caught:
            await identity.verify_token(token(key))
    assert caught.value.status == 401


async def test_a87_a_genuine_token_of_a_foreign_service_account_is_403(key: RSAKey, published: respx.Route) -> None:
    settings = GoogleIdentitySettings(audience=OURS, emails=["oncall@example.com"])
    async with google_identity(settings, lambda: NOW) as identity:
        with pytest.raises(IdentityError) as caught:
            await identity.verify_token(signed(key, email="bot@evil.iam.gserviceaccount.com"))
    assert caught.value.status == 403


async def test_a87_a_flood_of_unknown_key_ids_is_one_fetch_of_keys(key: RSAKey, published: respx.Route) -> None:
    async with google_identity(GoogleIdentitySettings(audience=OURS), lambda: NOW) as identity:

        async def attack(number: int) -> None:
            with pytest.raises(IdentityError):
                await identity.verify_token(signed(key, key_id=f"forged-{number}"))

        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(attack, number)
        assert await identity.verify_token(signed(key))
    assert published.call_count == 1
