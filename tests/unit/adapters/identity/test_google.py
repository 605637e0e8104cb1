from __future__ import annotations

import base64
import hmac
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from pointsman.adapters.identity.google import MAX_TOKEN_CHARS, GoogleIdentitySettings, google_identity
from pointsman.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Google

    from pointsman.adapters.identity.google import GoogleIdentity

OURS = "https://notebook.example"


@asynccontextmanager
async def identity(google: Google, **values: Any) -> AsyncIterator[GoogleIdentity]:
    settings = GoogleIdentitySettings(**{"audience": OURS, "kind": google.kind, **values})
    async with google_identity(settings, google.clock) as identity:
        yield identity


async def refused(google: Google, token: str, **values: Any) -> IdentityError:
    async with identity(google, **values) as verifier:
        with pytest.raises(IdentityError) as caught:
            await verifier.verify_token(token)
    return caught.value


@pytest.mark.parametrize("kind", ["id-token", "iap"])
async def test_a_genuine_token_gives_its_claims(google: Google, kind: str) -> None:
    google.kind = kind
    async with identity(google) as verifier:
        claims = await verifier.verify_token(google.token(hd="example.com"))
    assert (claims["email"], claims["sub"], claims["hd"]) == ("ops@example.com", "113", "example.com")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"}, {"iss": "https://cloud.google.com/iap"}, {"iss": None}, {"iss": ["x"]},
        {"aud": "https://other.example"}, {"aud": None}, {"aud": []}, {"aud": ""}, {"aud": [OURS + "/"]}, {"aud": 1},
        {"sub": None}, {"sub": ""}, {"sub": 7},
        {"exp": None}, {"exp": "2030-01-01"}, {"exp": True}, {"exp": float("nan")}, {"exp": float("inf")},
        {"iat": None}, {"iat": 1_800_000_031}, {"nbf": 1_800_000_031},
        {"exp": 1_799_999_970},
        {"email_verified": False}, {"email_verified": None}, {"email_verified": "true"}, {"email_verified": 1},
    ],
    ids=repr,
)  # fmt: skip
async def test_a_claim_that_is_not_as_it_must_be_is_refused(google: Google, claims: dict[str, Any]) -> None:
    error = await refused(google, google.token(**claims))
    assert error.status == 401


async def test_clocks_may_differ_by_thirty_seconds(google: Google) -> None:
    async with identity(google) as verifier:
        for claims in ({"exp": int(google.now) - 29}, {"iat": int(google.now) + 29}, {"nbf": int(google.now) + 29}):
            assert await verifier.verify_token(google.token(**claims))


async def test_one_of_several_audiences_is_enough(google: Google) -> None:
    async with identity(google, audience=["https://a.example", OURS]) as verifier:
        assert await verifier.verify_token(google.token())
        assert await verifier.verify_token(google.token(aud=["https://x.example", OURS]))
        with pytest.raises(IdentityError):
            await verifier.verify_token(google.token(aud="https://x.example"))


def unsigned(header: dict[str, Any]) -> str:
    parts = [json.dumps(part).encode() for part in (header, {"aud": OURS})]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


async def test_no_other_algorithm_is_believed(google: Google) -> None:
    for algorithm in ("none", "None", "", None, 5):
        await refused(google, unsigned({"alg": algorithm, "kid": "k1"}))
    text = unsigned({"alg": "HS256", "kid": "k1"}).rstrip(".")
    digest = hmac.digest(google.key("k1").as_pem(private=False), text.encode(), "sha256")
    await refused(google, f"{text}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}")
    await refused(google, unsigned({"alg": "RS512", "kid": "k1"}) + "AA")
    assert google.requests == 0, "nothing of that is worth a fetch"


async def test_a_key_of_the_other_kind_is_not_believed(google: Google) -> None:
    google.kind = "iap"
    token = google.token(iss="https://accounts.google.com")
    google.kind = "id-token"
    await refused(google, token)


async def test_a_key_that_google_does_not_publish_is_not_believed(google: Google) -> None:
    assert "names another" in str(await refused(google, google.token(key_id="k2")))
    google.published = ("k1", "k2")
    forged = google.token(header={"kid": "k2"})
    assert "bad_signature" in str(await refused(google, forged))


@pytest.mark.parametrize("change", ["payload", "signature", "truncated"])
async def test_a_changed_token_is_refused(google: Google, change: str) -> None:
    header, payload, signature = google.token().split(".")
    changed = {
        "payload": f"{header}.{payload[:-4]}AAAA.{signature}",
        "signature": f"{header}.{payload}.{'A' + signature[1:] if signature[0] != 'A' else 'B' + signature[1:]}",
        "truncated": f"{header}.{payload}.{signature[:-8]}",
    }
    await refused(google, changed[change])


@pytest.mark.parametrize(
    "token",
    [
        "", ".", "..", "a.b.c", "é.é.é", "\ud800", "x" * (MAX_TOKEN_CHARS + 1), "." * 9000,
        unsigned({"alg": "RS256"}), unsigned({"alg": "RS256", "kid": 7}), unsigned({"alg": "RS256", "kid": ["k1"]}),
        base64.urlsafe_b64encode(b"[" * 300).decode() + ".e30.AA",
    ],
    ids=lambda token: f"{token[:12]!r}",
)  # fmt: skip
async def test_what_is_no_token_is_refused_before_anything_is_fetched(google: Google, token: str) -> None:
    assert (await refused(google, token)).status == 401
    assert google.requests == 0


async def test_a_header_that_demands_what_we_do_not_know_is_refused(google: Google) -> None:
    await refused(google, unsigned({"alg": "RS256", "kid": "k1", "crit": ["x"], "x": 1}) + "AA")


async def test_a_token_that_cloud_run_took_the_signature_from_says_what_to_do(google: Google) -> None:
    token = google.token().rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE"
    assert "X-Serverless-Authorization" in (await refused(google, token)).hint


async def test_an_account_that_is_not_on_the_list_is_forbidden_not_unknown(google: Google) -> None:
    foreign = google.token(email="bot@evil.iam.gserviceaccount.com", azp="999")
    assert (await refused(google, foreign, emails=["ops@example.com"])).status == 403
    assert (await refused(google, google.token(email=None), emails=["ops@example.com"])).status == 403
    assert (await refused(google, google.token(azp="999"), authorized_parties=["111"])).status == 403
    async with identity(google, emails=["Ops@Example.com"], authorized_parties=["111"]) as verifier:
        assert await verifier.verify_token(google.token(azp="111"))


async def test_a_token_without_an_address_needs_none_where_none_is_listed(google: Google) -> None:
    async with identity(google) as verifier:
        assert "email" not in await verifier.verify_token(google.token(email=None, email_verified=None))


async def test_no_message_shows_the_token(google: Google) -> None:
    token = google.token(aud="https://other.example")
    error = await refused(google, token)
    assert not any(part in f"{error}{error.__cause__}" for part in token.split("."))


@pytest.mark.parametrize("values", [{}, {"audience": ""}, {"audience": []}, {"audience": OURS, "kind": "any"}])
def test_settings_without_an_audience_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GoogleIdentitySettings(**values)
