"""Google's storage library, held to our limits: for writes and lists, and for reads as whoever google-auth says.

Every answer goes through a hook that takes it in within cap and deadline before the library sees it. Loading this
module takes longer than all reads of a cold start.
"""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Final

import google.auth
import requests
import urllib3
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession

from pointsman.stores.answers import refusal
from pointsman.stores.gcs.exchange import Exchange, no_credentials, translated, unanswered
from pointsman.stores.gcs.light import EMULATOR, download_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from google.auth.credentials import Credentials
    from google.cloud import storage  # type: ignore[attr-defined,import-untyped,unused-ignore]

    from pointsman.stores.settings import StoreSettings

_SCOPES: Final = ("https://www.googleapis.com/auth/devstorage.read_write",)
_NO_METADATA_READS: Final = "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"
_FIELDS: Final = "items(name,generation,timeCreated,size),nextPageToken"
_EXCHANGE: ContextVar[Exchange] = ContextVar("pointsman.stores.gcs.exchange")


class Library:
    """See `Reading`; and the library's client, made when it is first asked for."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._connecting = Lock()
        self._session: AuthorizedSession | None = None
        self._client: storage.Client | None = None

    def download(self, bucket: str, name: str, query: Mapping[str, str], exchange: Exchange) -> bytes:
        """See `Reading`; the session renews a token that was refused."""
        with _exchanging(exchange):
            session = self._connected()
            response = session.get(
                download_url(session.credentials.universe_domain, bucket, name),
                params=query,
                headers={"Accept-Encoding": "gzip"},
                timeout=self._timeout(),
                stream=True,
            )
            body: bytes = response.raw.read()
            return body

    def upload(self, bucket: str, name: str, body: bytes, expected: int, exchange: Exchange) -> storage.Blob:
        """Write an object over exactly this generation, 0 for none, and return what the store says of it."""
        with _exchanging(exchange):
            blob = self._connected_client().bucket(bucket).blob(name)
            blob.cache_control = "no-store"
            blob.upload_from_string(
                body,
                content_type="application/json",
                if_generation_match=expected,
                timeout=self._timeout(),
                retry=None,
            )
            return blob

    def listed(self, bucket: str, prefix: str, most: int, exchange: Exchange) -> Sequence[storage.Blob]:
        """Return at most so many objects under a prefix, as the store lists them."""
        with _exchanging(exchange):
            return list(
                self._connected_client().list_blobs(
                    bucket, prefix=prefix, max_results=most, fields=_FIELDS, timeout=self._timeout(), retry=None
                )
            )

    def close(self) -> None:
        """Close the connections."""
        session, self._session, self._client = self._session, None, None
        if session is not None:
            session.close()  # type: ignore[no-untyped-call] # the library's

    def _connected(self) -> AuthorizedSession:
        with self._connecting:
            if self._session is None:
                self._session = _connect(self._settings)
            return self._session

    def _connected_client(self) -> storage.Client:
        """Return the client; it would read the bucket's metadata once in a thread of its own, for trace attributes."""
        session = self._connected()
        with self._connecting:
            if self._client is None:
                os.environ.setdefault(_NO_METADATA_READS, "1")
                from google.cloud import storage  # type: ignore[attr-defined,unused-ignore] # ships no types

                self._client = storage.Client(project=None, credentials=session.credentials, _http=session)
            return self._client

    def _timeout(self) -> tuple[float, float]:
        return self._settings.connect_timeout_s, self._settings.timeout_s


def _connect(settings: StoreSettings) -> AuthorizedSession:
    """Find the credentials and make a session whose answers all go through `_take_in`."""
    credentials: Credentials
    if os.environ.get(EMULATOR):
        credentials = AnonymousCredentials()  # type: ignore[no-untyped-call] # the library's
    else:
        credentials, _ = google.auth.default(scopes=_SCOPES)
    session = AuthorizedSession(credentials, refresh_timeout=settings.timeout_s)  # type: ignore[no-untyped-call] # ditto
    session.configure_mtls_channel()  # type: ignore[no-untyped-call] # ditto
    session.max_redirects = 0
    session.hooks["response"].append(_take_in)
    return session


def _take_in(response: requests.Response, **_: object) -> None:
    """Take an answer in, and hand it on as if it had just come."""
    body = _EXCHANGE.get().take_in(response.raw)
    response.raw = urllib3.HTTPResponse(io.BytesIO(body), status=response.status_code, preload_content=False)


@contextmanager
def _exchanging(exchange: Exchange) -> Iterator[None]:
    """Make an exchange this thread's current one; errors of session, credentials and library become ours."""
    from google.api_core.exceptions import GoogleAPICallError

    what = exchange.ticket.what
    token = _EXCHANGE.set(exchange)
    try:
        with translated(what):
            yield
    except GoogleAuthError as exc:
        if exchange.status == 401:  # the token was refused, and there is no other
            raise refusal(401, what, reason=exchange.reason) from exc
        raise no_credentials(what, exc) from exc
    except requests.RequestException as exc:
        raise unanswered(what, exc, exc.args[0] if exc.args else None) from exc
    except GoogleAPICallError as exc:
        raise refusal(int(exc.code or 0), what, reason=exchange.reason, headers=exchange.headers) from exc
    finally:
        _EXCHANGE.reset(token)
