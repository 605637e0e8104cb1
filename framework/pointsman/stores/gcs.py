"""``gs://bucket/prefix``: a store in Google Cloud Storage, by its sync-only client in threads.

A read is one request: conditional, told by the answer's own headers which generation it carries. So it is right also
where a server ignores the condition, as the emulator does. Nothing is retried here, no request goes without a timeout,
and an answer's size and time are bounded before the library sees it. A cold start only reads: reads go through the
session alone, and Google's storage library is loaded by the first write or listing. This module alone loads Google's
libraries; load it by reference.
"""

from __future__ import annotations

import io
import os
import re
from base64 import b64encode
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from hashlib import md5
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import quote

import anyio
import anyio.to_thread
import google.auth
import google_crc32c
import requests
import urllib3
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession

from pointsman.errors import ConfigurationError, PreconditionFailed, StoreError, TooLarge, Unavailable
from pointsman.stores.answers import http_date, refusal, store_now
from pointsman.stores.blocking import Ticket, in_thread
from pointsman.stores.store import (
    Entry,
    Read,
    Written,
    check_name,
    check_prefix,
    local_clock,
    prefix_of,
    url_without_secrets,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from google.auth.credentials import Credentials
    from google.cloud import storage  # type: ignore[attr-defined,import-untyped,unused-ignore]

    from pointsman.stores.settings import StoreSettings

_FORM = "gs://bucket/prefix"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", re.ASCII)
_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
_EMULATOR = "STORAGE_EMULATOR_HOST"
_ENDPOINTS = (_EMULATOR, "API_ENDPOINT_OVERRIDE")
_OK, _NOT_MODIFIED = 200, 304
_NO_METADATA_READS = "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"
_FIELDS = "items(name,generation,timeCreated,size),nextPageToken"
_MESSAGE = re.compile(rb'"message":\s*"([^"]+)"')
_CHUNK = 64 * 1024
_MAX_ERROR_BYTES = 2 * 1024
_MAX_JSON_BYTES = 8 * 1024 * 1024


class GoogleStore:
    """The objects under a prefix of a bucket.

    Credentials are the ambient ones (on Cloud Run the service account); ``STORAGE_EMULATOR_HOST`` leads to an emulator,
    without any.

    Args:
        url: ``gs://bucket`` or ``gs://bucket/prefix``.
        settings: The limits.
        clock: What is told as the store's clock when an answer has no ``Date``.
    """

    writable = True
    paced = True

    def __init__(self, url: str, settings: StoreSettings, *, clock: Callable[[], datetime] = local_clock) -> None:
        bucket, path = url_without_secrets(url, _FORM)
        if not _BUCKET.fullmatch(bucket):
            raise ConfigurationError(f"Expected a store's URL such as {_FORM}, found the bucket {bucket[:80]!r}.")
        self._bucket = bucket
        self._prefix = prefix_of(path, _FORM)
        self.url = f"gs://{bucket}/{self._prefix}".rstrip("/")
        self._settings = settings
        self._clock = clock
        self._limiter = anyio.CapacityLimiter(settings.max_threads)
        self._connecting = Lock()
        self._session: AuthorizedSession | None = None
        self._client: storage.Client | None = None

    async def read(self, name: str, *, max_bytes: int, unless: str | None = None) -> Read:
        """See `Store.read`; one request, also the first."""
        work = partial(self._read, check_name(name), max_bytes, unless)
        return await in_thread(work, Ticket(f"reading {name}", self._settings.deadline_s), limiter=self._limiter)

    async def write(self, name: str, body: bytes, *, expect: str) -> Written:
        """See `Store.write`; at most one a second and object, else `Unavailable`."""
        expected = _number(expect)
        if expected is None:
            raise PreconditionFailed(f"Expected a generation of this store, found {expect[:40]!r}.")
        return await self._put(check_name(name), body, expected)

    async def create(self, name: str, body: bytes) -> Written:
        """See `Store.create`."""
        return await self._put(check_name(name), body, 0)

    async def list(self, prefix: str) -> Sequence[Entry]:
        """See `Store.list`; one request for every thousand objects."""
        work = partial(self._list, check_prefix(prefix))
        return await in_thread(work, Ticket(f"listing {prefix}", self._settings.deadline_s), limiter=self._limiter)

    async def aclose(self) -> None:
        """Close the connections."""
        session, self._session, self._client = self._session, None, None
        if session is not None:
            await anyio.to_thread.run_sync(session.close)

    async def _put(self, name: str, body: bytes, expected: int) -> Written:
        work = partial(self._write, name, body, expected)
        return await in_thread(work, Ticket(f"writing {name}", self._settings.timeout_s), limiter=self._limiter)

    # From here on everything runs in a thread.

    def _read(self, name: str, max_bytes: int, unless: str | None, ticket: Ticket) -> Read:
        known = _number(unless)
        unchanged = {} if known is None else {"ifGenerationNotMatch": str(known)}
        with _exchange(_Exchange(ticket, max_bytes, raw=True)) as exchange:
            session = self._connected(ticket)
            response = session.get(
                _download_url(session.credentials.universe_domain, self._bucket, self._prefix + name),
                params={"alt": "media", **unchanged},
                headers={"Accept-Encoding": "gzip"},
                timeout=self._timeout(),
                stream=True,
            )
            body: bytes = response.raw.read()
        if exchange.status == _NOT_MODIFIED and known is not None:
            return Read(None, str(known), self._stamp(exchange), self._now(exchange))
        if exchange.status != _OK:
            raise refusal(exchange.status, ticket.what, reason=exchange.reason, headers=exchange.headers)
        if not _is_whole(body, exchange.headers.get("x-goog-hash", "")):
            raise Unavailable(f"{ticket.what.capitalize()}: the body is not what its checksum says.", sent=True)
        generation = exchange.headers.get("x-goog-generation")
        if generation is None:
            raise StoreError(f"Reading {name}: expected the header x-goog-generation, found none.")
        changed = None if generation == unless else body
        return Read(changed, generation, self._stamp(exchange), self._now(exchange))

    def _write(self, name: str, body: bytes, expected: int, ticket: Ticket) -> Written:
        with _library(_Exchange(ticket, _MAX_JSON_BYTES)) as exchange:
            blob = self._blob(name, ticket)
            blob.cache_control = "no-store"
            blob.upload_from_string(
                body,
                content_type="application/json",
                if_generation_match=expected,
                timeout=self._timeout(),
                retry=None,
            )
            now = self._now(exchange)
            return Written(str(blob.generation), blob.time_created or now, now)

    def _list(self, prefix: str, ticket: Ticket) -> Sequence[Entry]:
        limit = self._settings.max_entries
        with _library(_Exchange(ticket, _MAX_JSON_BYTES)):
            blobs = self._client_of(self._connected(ticket)).list_blobs(
                self._bucket,
                prefix=self._prefix + prefix,
                max_results=limit + 1,
                fields=_FIELDS,
                timeout=self._timeout(),
                retry=None,
            )
            entries = [
                Entry(blob.name.removeprefix(self._prefix), str(blob.generation), blob.time_created, blob.size)
                for blob in blobs
            ]
        if len(entries) > limit:
            raise TooLarge(f"Expected at most {limit} objects under {prefix!r}, found more.")
        return sorted(entries, key=lambda entry: entry.name)

    def _blob(self, name: str, ticket: Ticket) -> storage.Blob:
        return self._client_of(self._connected(ticket)).bucket(self._bucket).blob(self._prefix + name)

    def _connected(self, ticket: Ticket) -> AuthorizedSession:
        """Return the session, made at the first use; then pass the point of no return."""
        with self._connecting:
            ticket.check()
            if self._session is None:
                self._session = _connect(self._settings)
            session = self._session
        ticket.commit()
        return session

    def _client_of(self, session: AuthorizedSession) -> storage.Client:
        """Return the library's client, made at the first use.

        It would read the bucket's metadata once in a thread of its own, for the sake of trace attributes.
        """
        with self._connecting:
            if self._client is None:
                os.environ.setdefault(_NO_METADATA_READS, "1")
                from google.cloud import storage  # type: ignore[attr-defined,unused-ignore] # ships no types

                self._client = storage.Client(project=None, credentials=session.credentials, _http=session)
            return self._client

    def _timeout(self) -> tuple[float, float]:
        return self._settings.connect_timeout_s, self._settings.timeout_s

    def _now(self, exchange: _Exchange) -> datetime:
        return store_now(exchange.headers, self._clock())

    def _stamp(self, exchange: _Exchange) -> datetime | None:
        return http_date(exchange.headers.get("Last-Modified"))


def _number(generation: str | None) -> int | None:
    """Return a generation as Google numbers it; None for what is none. Zero would mean that there is no object."""
    if generation is None or not (generation.isascii() and generation.isdigit()) or len(generation) > 19:
        return None
    return int(generation) or None


def _connect(settings: StoreSettings) -> AuthorizedSession:
    """Find the credentials and make a session whose answers all go through `_take_in`."""
    credentials: Credentials
    if os.environ.get(_EMULATOR):
        credentials = AnonymousCredentials()  # type: ignore[no-untyped-call] # the library's
    else:
        credentials, _ = google.auth.default(scopes=_SCOPES)
    session = AuthorizedSession(credentials, refresh_timeout=settings.timeout_s)  # type: ignore[no-untyped-call] # ditto
    session.configure_mtls_channel()  # type: ignore[no-untyped-call] # ditto
    session.max_redirects = 0
    session.hooks["response"].append(_take_in)
    return session


def _download_url(universe: str, bucket: str, name: str) -> str:
    """Return where an object's content is read, the JSON API's way; the host is the one that the library would ask.

    Source: Cloud Storage, JSON API, Objects: get, ``alt=media``.
    """
    host = next((url for variable in _ENDPOINTS if (url := os.environ.get(variable))), f"https://storage.{universe}")
    return f"{host}/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}"


def _is_whole(body: bytes, said: str) -> bool:
    """Whether a body is what ``x-goog-hash`` says of it, as it is stored; nothing said is nothing to hold it to."""
    sums = dict(part.strip().partition("=")[::2] for part in said.split(","))
    if "crc32c" in sums:
        return b64encode(google_crc32c.value(body).to_bytes(4, "big")).decode() == sums["crc32c"]
    if "md5" in sums:
        return b64encode(md5(body, usedforsecurity=False).digest()).decode() == sums["md5"]
    return True


class _Exchange:
    """One operation's requests: its ticket and cap on the way there, what the last answer said on the way back.

    ``raw`` takes a body as it is stored; otherwise it is JSON.
    """

    __slots__ = ("headers", "max_bytes", "raw", "reason", "status", "ticket")

    def __init__(self, ticket: Ticket, max_bytes: int, *, raw: bool = False) -> None:
        self.ticket = ticket
        self.max_bytes = max_bytes
        self.raw = raw
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.reason = ""


_EXCHANGE: ContextVar[_Exchange] = ContextVar("pointsman.stores.gcs.exchange")


def _take_in(response: requests.Response, **_: object) -> None:
    """Read an answer within cap and deadline, then hand it to the library as if it had just come.

    An error's text is cut instead of refused. Objects are given as they are stored. What was packed only on the way is
    unpacked here, so that the cap counts what it unpacks to.
    """
    exchange = _EXCHANGE.get()
    exchange.status = response.status_code
    exchange.headers = response.headers
    try:
        body = _read_capped(exchange, response)
    finally:
        response.raw.close()
    if not response.ok:
        exchange.reason = _said(body)
    response.raw = urllib3.HTTPResponse(io.BytesIO(body), status=response.status_code, preload_content=False)


def _read_capped(exchange: _Exchange, response: requests.Response) -> bytes:
    limit = exchange.max_bytes if response.ok else _MAX_ERROR_BYTES
    as_stored = exchange.raw and response.headers.get("x-goog-stored-content-encoding") != "identity"
    unpack = not (as_stored and response.ok)
    body = bytearray()
    while chunk := response.raw.read1(_CHUNK, decode_content=unpack):
        exchange.ticket.check()
        body += chunk
        if len(body) > limit:
            if not response.ok:
                return bytes(body[:limit])
            raise TooLarge(f"{exchange.ticket.what.capitalize()}: expected at most {limit} bytes, found more.")
    return bytes(body)


def _said(body: bytes) -> str:
    """Return the message in an error's JSON; it names the account and the permission that is missing."""
    match = _MESSAGE.search(body)
    return (match[1] if match else body).decode("utf-8", "replace")


@contextmanager
def _exchange(exchange: _Exchange) -> Iterator[_Exchange]:
    """Make an exchange this thread's current one, and turn errors of session and credentials into ours."""
    what = exchange.ticket.what
    token = _EXCHANGE.set(exchange)
    try:
        yield exchange
    except GoogleAuthError as exc:
        if exchange.status == 401:  # the token was refused, and there is no other
            raise refusal(401, what, reason=exchange.reason) from exc
        raise Unavailable(
            f"{what.capitalize()}: no credentials for Google Cloud Storage, {type(exc).__name__}.",
            sent=False,
            hint="On Cloud Run give the service a service account; elsewhere: gcloud auth application-default login",
        ) from exc
    except (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError) as exc:
        text = f"{what.capitalize()}: no whole answer, {type(exc).__name__}."
        raise Unavailable(text, sent=not _never_connected(exc)) from exc
    finally:
        _EXCHANGE.reset(token)


@contextmanager
def _library(exchange: _Exchange) -> Iterator[_Exchange]:
    """Make an exchange of Google's library this thread's current one, and turn its errors into ours, too."""
    from google.api_core.exceptions import GoogleAPICallError

    with _exchange(exchange):
        try:
            yield exchange
        except GoogleAPICallError as exc:
            status = int(exc.code or 0)
            raise refusal(status, exchange.ticket.what, reason=exchange.reason, headers=exchange.headers) from exc


def _never_connected(error: Exception) -> bool:
    """Say whether an error came before the first byte could go out: the name, the address, the port."""
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", None)
    return isinstance(reason, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError))
