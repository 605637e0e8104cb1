"""Read objects with urllib3 alone, as a cold start does: one request, by the JSON API.

Serves an emulator, and a container of Cloud Run as its service account. Where a proxy or credentials of another kind
are asked for, `serves` says no, and Google's library reads.

Source: Cloud Storage, JSON API, Objects: get, ``alt=media``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import urllib3

from pointsman.stores.gcs.account import Account, is_here
from pointsman.stores.gcs.exchange import Exchange, translated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pointsman.stores.settings import StoreSettings

EMULATOR: Final = "STORAGE_EMULATOR_HOST"
_ENDPOINTS: Final = (EMULATOR, "API_ENDPOINT_OVERRIDE")
_PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_REFUSED: Final = 401


def serves(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether objects can be read this way here."""
    proxied = any(environ.get(name) or environ.get(name.lower()) for name in _PROXIES)
    return not proxied and (bool(environ.get(EMULATOR)) or is_here(environ))


def download_url(universe: str, bucket: str, name: str) -> str:
    """Return where an object's content is read; the host is the one that Google's library would ask."""
    host = next((url for variable in _ENDPOINTS if (url := os.environ.get(variable))), f"https://storage.{universe}")
    return f"{host}/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}"


class LightReading:
    """See `Reading`."""

    def __init__(self, settings: StoreSettings) -> None:
        self._timeout = urllib3.Timeout(connect=settings.connect_timeout_s, read=settings.timeout_s)
        self._pool = _pool(settings)
        self._account = None if os.environ.get(EMULATOR) else Account(self._pool, self._timeout)

    def download(self, bucket: str, name: str, query: Mapping[str, str], exchange: Exchange) -> bytes:
        """See `Reading`; a token that was refused is renewed once."""
        ticket, account = exchange.ticket, self._account
        with translated(ticket.what):
            if account is None:
                return self._asked(download_url("", bucket, name), query, "", exchange)
            url = download_url(account.universe(ticket), bucket, name)
            token = account.token(ticket)
            body = self._asked(url, query, token, exchange)
            if exchange.status == _REFUSED:
                body = self._asked(url, query, account.token(ticket, instead_of=token), exchange)
            return body

    def close(self) -> None:
        """See `Reading`."""
        self._pool.clear()

    def _asked(self, url: str, query: Mapping[str, str], token: str, exchange: Exchange) -> bytes:
        headers = {"Accept-Encoding": "gzip", **({"Authorization": f"Bearer {token}"} if token else {})}
        response = self._pool.request(
            "GET",
            f"{url}?{urlencode(query)}",
            headers=headers,
            timeout=self._timeout,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        return exchange.take_in(response)


def _pool(settings: StoreSettings) -> urllib3.PoolManager:
    """Return a pool that trusts whom `requests` would; an emulator has no certificate, and no need to load any."""
    if os.environ.get(EMULATOR, "").startswith("http://"):
        return urllib3.PoolManager(maxsize=settings.max_threads)
    import certifi

    trusted = next((named for name in _BUNDLES if (named := os.environ.get(name))), certifi.where())
    file, folder = (None, trusted) if Path(trusted).is_dir() else (trusted, None)
    return urllib3.PoolManager(
        maxsize=settings.max_threads, cert_reqs="CERT_REQUIRED", ca_certs=file, ca_cert_dir=folder
    )
