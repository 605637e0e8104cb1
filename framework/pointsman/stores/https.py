"""``https://host/prefix``: a store that is only read, by conditional GETs; ``http`` to this machine alone.

No redirect is followed, nothing is sent that identifies us, and no more than the cap is taken in: of the bytes on the
wire, of what they unpack to, and of the time that both may take.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import zlib
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Never, cast

import anyio
import httpx

from pointsman.errors import ConfigurationError, ReadOnlyReplica, StoreError, TooLarge, Unavailable
from pointsman.stores.answers import http_date, refusal, store_now
from pointsman.stores.store import (
    Entry,
    Read,
    Written,
    check_name,
    local_clock,
    prefix_of,
    url_without_secrets,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
    from datetime import datetime

    from pointsman.stores.settings import StoreSettings

_FORM = "https://host/prefix"
_DIGEST = "sha256:"
_HEADERS = {"Accept-Encoding": "gzip", "Cache-Control": "no-cache", "User-Agent": "pointsman"}
_GZIP = 16 + zlib.MAX_WBITS
_HOST = re.compile(rb"[a-z0-9.:-]+")
_REASON_BYTES = 300


class HttpsStore:
    """Objects that some web server offers.

    The generation is the ``ETag``; of a server that gives none, the body's digest.

    Args:
        url: ``https://host/prefix``, or ``http://`` with a loopback host.
        settings: The limits.
        clock: What is told as the store's clock when the server sends no ``Date``.
    """

    writable = False
    paced = False

    def __init__(self, url: str, settings: StoreSettings, *, clock: Callable[[], datetime] = local_clock) -> None:
        self.url = _checked(url)
        self._settings = settings
        self._clock = clock
        self._client = httpx.AsyncClient(
            headers=_HEADERS,
            timeout=httpx.Timeout(settings.timeout_s, connect=settings.connect_timeout_s),
            follow_redirects=False,
        )

    async def read(self, name: str, *, max_bytes: int, unless: str | None = None) -> Read:
        """See `Store.read`."""
        what = f"reading {check_name(name)}"
        with anyio.move_on_after(self._settings.deadline_s), _translated(what):
            return await self._get(what, f"{self.url}/{name}", max_bytes, unless)
        raise Unavailable(f"{what.capitalize()} was not done within {self._settings.deadline_s:g} s.", sent=True)

    async def write(self, name: str, body: bytes, *, expect: str) -> Written:
        """Raise `ReadOnlyReplica`."""
        self._refuse(f"writing {name}")

    async def create(self, name: str, body: bytes) -> Written:
        """Raise `ReadOnlyReplica`."""
        self._refuse(f"creating {name}")

    async def list(self, prefix: str) -> Sequence[Entry]:
        """Raise `ReadOnlyReplica`: the web has no way to list."""
        self._refuse(f"listing {prefix}")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _refuse(self, what: str) -> Never:
        raise ReadOnlyReplica(
            f"{what.capitalize()[:80]}: a store over HTTPS can only be read, one name at a time.",
            hint="Commands reach this replica alone; for the fleet use gs://bucket/prefix.",
        )

    async def _get(self, what: str, url: str, max_bytes: int, unless: str | None) -> Read:
        tag = None if unless is None or unless.startswith(_DIGEST) else unless
        async with self._client.stream("GET", url, headers={"If-None-Match": tag} if tag else None) as response:
            now = store_now(response.headers, self._clock())
            stamp = http_date(response.headers.get("Last-Modified"))
            if response.status_code == httpx.codes.NOT_MODIFIED and tag is not None:
                return Read(None, tag, stamp, now)
            if response.status_code != httpx.codes.OK:
                raise await _refused(what, response)
            generation = response.headers.get("ETag")
            if generation is not None and generation == unless:
                return Read(None, generation, stamp, now)
            body = await _body(what, response, max_bytes)
        generation = generation or _DIGEST + hashlib.sha256(body).hexdigest()
        return Read(None if generation == unless else body, generation, stamp, now)


def _checked(url: str) -> str:
    """Return the URL in its canonical form.

    Raises:
        ConfigurationError: It is unencrypted and leaves this machine, or is none.
    """
    authority, path = url_without_secrets(url, _FORM)
    prefix = prefix_of(path, _FORM)
    try:
        parsed = httpx.URL(f"{url.partition(':')[0]}://{authority}")
    except httpx.InvalidURL as exc:
        raise ConfigurationError(f"Expected a store's URL such as {_FORM}, found a malformed host.") from exc
    if not _HOST.fullmatch(parsed.raw_host):
        raise ConfigurationError(f"Expected a store's URL such as {_FORM}, found the host {parsed.host[:80]!r}.")
    if parsed.scheme != "https" and not _is_loopback(parsed.host):
        raise ConfigurationError(
            f"Expected https for {parsed.host}, found {parsed.scheme}.", hint=f"Write {_FORM}; http is for localhost."
        )
    return f"{str(parsed).rstrip('/')}/{prefix}".rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _refused(what: str, response: httpx.Response) -> StoreError:
    """Return the error of an answer that is no object, with the beginning of what it says."""
    if response.is_redirect or response.status_code == httpx.codes.NOT_MODIFIED:
        return Unavailable(
            f"{what.capitalize()}: expected the object, found status {response.status_code}.",
            sent=True,
            hint="Redirects are not followed: let the store's URL name the place itself.",
        )
    reason = b""
    if "Content-Encoding" not in response.headers:
        async with _closing(response.aiter_raw(_REASON_BYTES)) as chunks:
            reason = await anext(chunks, b"")
    return refusal(response.status_code, what, reason=reason.decode("utf-8", "replace"), headers=response.headers)


async def _body(what: str, response: httpx.Response, max_bytes: int) -> bytes:
    """Return the body, unpacked, taking in no more than the cap on the way."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip"}:
        raise StoreError(f"{what.capitalize()}: expected the bytes as they are or gzip, found {encoding[:40]!r}.")
    unpacker = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
    body = bytearray()
    packed = 0
    async with _closing(response.aiter_raw()) as chunks:
        async for chunk in chunks:
            packed += len(chunk)
            body += unpacker.decompress(chunk, max_bytes + 1 - len(body)) if unpacker else chunk
            if max(packed, len(body)) > max_bytes:
                raise TooLarge(f"{what.capitalize()}: expected at most {max_bytes} bytes, found more.")
    if unpacker is not None and (not unpacker.eof or unpacker.unused_data):
        raise Unavailable(f"{what.capitalize()}: the gzip stream was cut, or something follows it.", sent=True)
    return bytes(body)


def _closing(chunks: AsyncIterator[bytes]) -> aclosing[AsyncGenerator[bytes, None]]:
    """Close an iteration that is left early; httpx calls its generators iterators."""
    return aclosing(cast("AsyncGenerator[bytes, None]", chunks))


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn httpx's and zlib's errors into ours."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
        text = f"{what.capitalize()}: no connection to the store, {type(exc).__name__}."
        raise Unavailable(text, sent=False) from exc
    except httpx.HTTPError as exc:
        raise Unavailable(f"{what.capitalize()}: no whole answer, {type(exc).__name__}.", sent=True) from exc
    except zlib.error as exc:
        raise Unavailable(f"{what.capitalize()}: expected gzip, found something else.", sent=True) from exc
