from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from pointsman.adapters.identity.jwks import MAX_BYTES, KeyCache, KeyPolicy
from pointsman.errors import IdentityError, ProviderTimeout, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Google

URL = "https://www.googleapis.com/oauth2/v3/certs"


@pytest.fixture
async def keys(google: Google) -> AsyncIterator[KeyCache]:
    async with httpx.AsyncClient() as client:
        yield KeyCache(client, KeyPolicy(URL), google.clock)


async def body(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def unknown(keys: KeyCache, key_id: str = "unknown") -> None:
    with pytest.raises(IdentityError):
        await keys.find(key_id)


async def test_keys_are_fetched_once_and_again_when_they_are_old(google: Google, keys: KeyCache) -> None:
    for _ in range(3):
        assert (await keys.find("k1")).kid == "k1"
    assert google.requests == 1
    google.now += 3599
    await keys.find("k1")
    assert google.requests == 1
    google.now += 1
    await keys.find("k1")
    assert google.requests == 2


async def test_a_hundred_first_callers_are_one_fetch(google: Google, keys: KeyCache) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(keys.find, "k1")
    assert google.requests == 1


async def test_a_new_key_is_found_as_soon_as_the_interval_allows(google: Google, keys: KeyCache) -> None:
    await keys.find("k1")
    google.published = ("k1", "k2")
    google.now += 59
    await unknown(keys, "k2")
    google.now += 1
    assert (await keys.find("k2")).kid == "k2"
    assert google.requests == 2


async def test_a_key_that_was_taken_away_is_not_found_after_the_next_fetch(google: Google, keys: KeyCache) -> None:
    await keys.find("k1")
    google.published = ("k2",)
    google.now += 3600
    await unknown(keys, "k1")


async def test_an_outage_is_outlived_by_the_keys_at_hand_for_a_day(google: Google, keys: KeyCache) -> None:
    await keys.find("k1")
    google.answer = httpx.ConnectError("down")
    google.now += 86_399
    assert (await keys.find("k1")).kid == "k1"
    google.now += 1
    with pytest.raises(ProviderUnavailable, match="ConnectError"):
        await keys.find("k1")


async def test_a_failure_is_remembered_for_some_seconds_and_then_tried_again(google: Google, keys: KeyCache) -> None:
    google.answer = httpx.Response(503)
    for _ in range(3):
        with pytest.raises(ProviderUnavailable, match="status 503") as caught:
            await keys.find("k1")
        assert caught.value.retryable
    assert google.requests == 1
    google.answer, google.now = None, google.now + 5
    assert (await keys.find("k1")).kid == "k1"


async def test_a_clock_that_jumps_back_a_day_makes_keys_old_not_eternal(google: Google, keys: KeyCache) -> None:
    await keys.find("k1")
    google.now -= 86_400
    google.published = ("k1", "k2")
    assert (await keys.find("k2")).kid == "k2"


async def test_a_caller_who_goes_away_while_fetching_counts_for_none(google: Google) -> None:
    asked, go_on = anyio.Event(), anyio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        asked.set()
        await go_on.wait()
        return httpx.Response(200, content=body(google.respond(request).content))

    async with httpx.AsyncClient(transport=httpx.MockTransport(slow)) as client:
        keys = KeyCache(client, KeyPolicy(URL), google.clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keys.find, "k1")
            await asked.wait()
            tasks.cancel_scope.cancel()
        go_on.set()
        assert (await keys.find("k1")).kid == "k1"


async def test_keys_that_do_not_arrive_in_time_are_a_timeout(google: Google) -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    async with httpx.AsyncClient(transport=httpx.MockTransport(never)) as client:
        keys = KeyCache(client, KeyPolicy(URL, timeout_s=0.01), google.clock)
        for _ in range(2):
            with pytest.raises(ProviderTimeout):
                await keys.find("k1")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (httpx.Response(302, headers={"Location": "https://evil.example"}), "status 302"),
        (httpx.Response(404), "status 404"),
        (httpx.ReadTimeout("slow"), "found none"),
        (httpx.Response(200, content=b"<html>"), "no JSON Web Key Set"),
        (httpx.Response(200, content=b"[" * 100_000), "no JSON Web Key Set"),
        (httpx.Response(200, json=[]), "no JSON Web Key Set"),
        (httpx.Response(200, json={}), "no JSON Web Key Set"),
        (httpx.Response(200, json={"keys": 7}), "no JSON Web Key Set"),
        (httpx.Response(200, json={"keys": ["x"]}), "without a key"),
        (httpx.Response(200, json={"keys": []}), "without a key"),
        (httpx.Response(200, content=b" " * (MAX_BYTES + 1)), "more than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_no_set_of_keys_is_refused(
    google: Google, keys: KeyCache, answer: httpx.Response | Exception, found: str
) -> None:
    google.answer = answer
    with pytest.raises((ProviderUnavailable, ProviderTimeout), match=found):
        await keys.find("k1")


@pytest.mark.parametrize(
    "entry",
    [
        {}, {"kid": "k1"}, {"kid": 1, "kty": "RSA"}, {"kid": "k1", "kty": "oct", "k": "AA"},
        {"kid": "k1", "kty": "RSA", "n": "!", "e": "AQAB"}, {"kid": "k1", "kty": "RSA", "n": 5, "e": "AQAB"},
        {"kid": "k1", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, {"kid": "k1", "kty": ["RSA"]},
    ],
    ids=repr,
)  # fmt: skip
async def test_a_key_that_cannot_be_read_is_left_out(google: Google, keys: KeyCache, entry: dict[str, object]) -> None:
    google.published = ("k2",)
    google.answer = httpx.Response(200, json={"keys": [entry, *google.key_set()["keys"]]})
    assert (await keys.find("k2")).kid == "k2"
    await unknown(keys, "k1")
