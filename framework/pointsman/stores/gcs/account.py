"""The container's service account, as the metadata server of Cloud Run knows it.

What google-auth does there, without what it needs for every other place: loading that takes longer than all reads of a
cold start. Where anything says that credentials come from elsewhere, `is_here` says no, and google-auth decides.

Source: Cloud Run, Introduction to service identity, "Fetch identity and access tokens using the metadata server";
google-auth, ``google.auth.default``, for the order of places.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import urllib3

from pointsman.stores.gcs.exchange import no_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pointsman.stores.blocking import Ticket

PLACES: Final = ("K_SERVICE", "CLOUD_RUN_JOB", "CLOUD_RUN_WORKER_POOL")
"""Each is set in one kind of container of Cloud Run."""
_ELSEWHERE: Final = ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "NO_GCE_CHECK", "GCE_METADATA_MTLS_MODE")
_ELSEWHERE_PREFIXES: Final = ("GOOGLE_API_", "GOOGLE_CLOUD_UNIVERSE")
_WELL_KNOWN: Final = Path(".config/gcloud/application_default_credentials.json")
_HOSTS: Final = ("GCE_METADATA_HOST", "GCE_METADATA_ROOT")
_FLAVOR: Final = {"Metadata-Flavor": "Google"}
_SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_write"
_TOKEN: Final = f"instance/service-accounts/default/token?scopes={_SCOPE}"
_UNIVERSE: Final = "universe/universe-domain"
_USUAL_UNIVERSE: Final = "googleapis.com"
_EARLY_S: Final = 225.0
_MAX_BYTES: Final = 16 * 1024
_TRIES: Final = urllib3.Retry(3, backoff_factor=0.1, status_forcelist=(429, 500, 502, 503, 504), redirect=0)


def is_here(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether this is a container of Cloud Run whose credentials can only be those of the metadata server."""
    return (
        any(environ.get(name) for name in PLACES)
        and not any(environ.get(name) for name in _ELSEWHERE)
        and not any(name.startswith(_ELSEWHERE_PREFIXES) for name in environ)
        and not (Path(environ.get("HOME", "/")) / _WELL_KNOWN).exists()
    )


class _Token(msgspec.Struct):
    access_token: Annotated[str, msgspec.Meta(pattern=r"^[!-~]+\Z")]
    expires_in: Annotated[int, msgspec.Meta(ge=1)]


class Account:
    """Who this container is; safe in several threads.

    Args:
        pool: Of connections.
        timeout: Of one request.
        wall: Seconds of a clock that goes on while the container is frozen.
    """

    def __init__(
        self, pool: urllib3.PoolManager, timeout: urllib3.Timeout, wall: Callable[[], float] = time.time
    ) -> None:
        host = next((host for name in _HOSTS if (host := os.environ.get(name))), "metadata.google.internal")
        self._root = f"http://{host}/computeMetadata/v1/"
        self._pool = pool
        self._timeout = timeout
        self._wall = wall
        self._turn = Lock()
        self._token = ""
        self._until = 0.0
        self._universe = ""

    def token(self, ticket: Ticket, *, instead_of: str = "") -> str:
        """Return an access token for Cloud Storage.

        Args:
            ticket: Of the operation that needs it.
            instead_of: One that was refused; another is fetched, unless somebody has.

        Raises:
            Unavailable: There is none; nothing was sent.
        """
        with self._turn:
            if self._wall() >= self._until or self._token == instead_of:
                self._token, lasts_s = _token_in(self._asked(_TOKEN, ticket), ticket)
                self._until = self._wall() + lasts_s - _EARLY_S
            return self._token

    def universe(self, ticket: Ticket) -> str:
        """Return the domain of Google's services here.

        Raises:
            Unavailable: The metadata server does not answer; nothing was sent.
        """
        with self._turn:
            self._universe = self._universe or self._asked(_UNIVERSE, ticket).decode() or _USUAL_UNIVERSE
            return self._universe

    def _asked(self, path: str, ticket: Ticket) -> bytes:
        """Return what the metadata server says; nothing where it knows nothing of it."""
        try:
            response = self._pool.request(
                "GET", self._root + path, headers=_FLAVOR, timeout=self._timeout, retries=_TRIES, preload_content=False
            )
            try:
                body = response.read(_MAX_BYTES)
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, ConnectionError) as error:
            raise no_credentials(ticket.what, error) from error
        if response.headers.get("Metadata-Flavor") != "Google" or response.status not in {200, 404}:
            raise no_credentials(ticket.what, ValueError(f"status {response.status}"))
        return body if response.status == 200 else b""


def _token_in(answer: bytes, ticket: Ticket) -> tuple[str, float]:
    try:
        said = msgspec.json.decode(answer, type=_Token)
    except msgspec.DecodeError as error:
        raise no_credentials(ticket.what, error) from error
    return said.access_token, said.expires_in
