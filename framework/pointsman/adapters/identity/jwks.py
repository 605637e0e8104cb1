"""The public keys of an issuer, fetched when they are needed and no more often than is good.

Tokens choose the key id, and anybody can send tokens: whatever they say, one fetch an interval goes out, and never two
at a time. Keys once fetched outlive an outage of who publishes them, for a bounded time.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import anyio
import httpx
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from pointsman.errors import IdentityError, ProviderError, ProviderTimeout, ProviderUnavailable

MAX_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """When keys are fetched.

    Attributes:
        url: Of the JSON Web Key Set.
        max_age_s: After that, keys are fetched again before they are used.
        max_stale_s: After that, keys that cannot be fetched again are not used any more.
        min_interval_s: Between two fetches, whatever tokens ask for.
        retry_interval_s: The same, after one that failed.
        timeout_s: For one fetch.
    """

    url: str
    max_age_s: float = 3600.0
    max_stale_s: float = 86_400.0
    min_interval_s: float = 60.0
    retry_interval_s: float = 5.0
    timeout_s: float = 5.0


class KeyCache:
    """The keys of one issuer. Concurrent tasks share it.

    Args:
        client: Closed by who made it; must follow no redirects.
        now: Seconds since 1970. A clock that jumps, either way, makes keys old.
    """

    def __init__(self, client: httpx.AsyncClient, policy: KeyPolicy, now: Callable[[], float]) -> None:
        self._client = client
        self._policy = policy
        self._now = now
        self._keys: Mapping[str, Key] = {}
        self._fetched_at = -math.inf
        self._tried_at = -math.inf
        self._failure: ProviderError | None = None
        self._turn = anyio.Lock()

    async def find(self, key_id: str) -> Key:
        """Return a key of the issuer.

        Raises:
            IdentityError: The issuer has no such key.
            ProviderUnavailable: The keys cannot be had.
            ProviderTimeout: They did not arrive in time.
        """
        if not self._usable(key_id, self._policy.max_age_s):
            await self._refresh(key_id)
        if self._usable(key_id, self._policy.max_stale_s):
            return self._keys[key_id]
        if self._failure is not None:
            raise type(self._failure)(self._failure.message, hint=self._failure.hint) from self._failure
        raise IdentityError(f"Expected a token signed by a key of {self._policy.url}, found one that names another.")

    def _usable(self, key_id: str, age_s: float) -> bool:
        return key_id in self._keys and abs(self._now() - self._fetched_at) < age_s

    async def _refresh(self, key_id: str) -> None:
        """Fetch, unless somebody else has just done so, or it is too soon. Who goes away in between counts for none."""
        async with self._turn:
            interval_s = self._policy.retry_interval_s if self._failure else self._policy.min_interval_s
            if abs(self._now() - self._tried_at) < interval_s or self._usable(key_id, self._policy.max_age_s):
                return
            try:
                self._keys = _parse(await self._fetch(), self._policy.url)
            except ProviderError as error:
                self._failure = error  # raised by `find`, unless the keys at hand still do
            else:
                self._failure = None
                self._fetched_at = self._now()
            self._tried_at = self._now()

    async def _fetch(self) -> bytes:
        body = bytearray()
        with _translated(self._policy):
            async with self._client.stream("GET", self._policy.url, headers={"Accept-Encoding": "identity"}) as answer:
                answer.raise_for_status()
                async for chunk in answer.aiter_raw():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise _unreadable(self._policy.url, f"more than {MAX_BYTES} bytes")
        return bytes(body)


@contextmanager
def _translated(policy: KeyPolicy) -> Iterator[None]:
    """Bound one fetch, and turn the client's errors into ours."""
    try:
        with anyio.fail_after(policy.timeout_s):
            yield
    except (TimeoutError, httpx.TimeoutException) as error:
        raise ProviderTimeout(f"Expected keys from {policy.url} within {policy.timeout_s:g} s, found none.") from error
    except httpx.HTTPStatusError as error:
        raise _unreadable(policy.url, f"status {error.response.status_code}") from error
    except httpx.HTTPError as error:
        raise _unreadable(policy.url, type(error).__name__) from error


def _parse(body: bytes, url: str) -> Mapping[str, Key]:
    """Return the keys of a set by their ids; those of a kind that we cannot read are left out.

    Source: RFC 7517, 5.

    Raises:
        ProviderUnavailable: It is no key set, or none of its keys can be read.
    """
    try:
        entries = json.loads(body)["keys"]
        found = {key_id: key for entry in entries for key_id, key in _read(entry)}
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise _unreadable(url, "no JSON Web Key Set") from error
    if not found:
        raise _unreadable(url, "a set without a key that can be read")
    return found


def _read(entry: object) -> Iterator[tuple[str, Key]]:
    match entry:
        case {"kid": str(key_id), "kty": "RSA" | "EC"}:
            try:
                yield key_id, JWKRegistry.import_key(cast("dict[str, str | list[str]]", entry))
            except (JoseError, ValueError):
                return


def _unreadable(url: str, found: str) -> ProviderUnavailable:
    return ProviderUnavailable(f"Expected a JSON Web Key Set at {url}, found {found}.")
