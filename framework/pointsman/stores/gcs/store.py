"""``gs://bucket/prefix``: a store in Google Cloud Storage, by sync-only clients in threads.

A read is one request: conditional, told by the answer's own headers which generation it carries. So it is right also
where a server ignores the condition, as the emulator does. Nothing is retried here, no request goes without a timeout.
A cold start only reads: Google's libraries are loaded by the first write or listing, and by a read where they alone
know who we are.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from functools import partial
from hashlib import md5
from threading import Lock
from typing import TYPE_CHECKING

import google_crc32c

from pointsman.errors import ConfigurationError, PreconditionFailed, StoreError, TooLarge, Unavailable
from pointsman.stores.answers import http_date, refusal, store_now
from pointsman.stores.blocking import Threads, Ticket
from pointsman.stores.gcs import light
from pointsman.stores.gcs.exchange import MAX_JSON_BYTES, Exchange
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
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pointsman.stores.gcs.exchange import Reading
    from pointsman.stores.gcs.library import Library
    from pointsman.stores.settings import StoreSettings

_FORM = "gs://bucket/prefix"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", re.ASCII)
_OK, _NOT_MODIFIED = 200, 304


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
        self._threads = Threads(settings.max_threads)
        self._connecting = Lock()
        self._reading: Reading | None = None
        self._library: Library | None = None

    async def read(self, name: str, *, max_bytes: int, unless: str | None = None) -> Read:
        """See `Store.read`; one request, also the first."""
        work = partial(self._read, check_name(name), max_bytes, unless)
        return await self._threads.run(work, Ticket(f"reading {name}", self._settings.deadline_s))

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
        return await self._threads.run(work, Ticket(f"listing {prefix}", self._settings.deadline_s))

    async def aclose(self) -> None:
        """Close the connections."""
        opened = {one for one in (self._reading, self._library) if one is not None}
        self._reading = self._library = None
        for one in opened:
            await asyncio.to_thread(one.close)
        self._threads.close()

    async def _put(self, name: str, body: bytes, expected: int) -> Written:
        work = partial(self._write, name, body, expected)
        return await self._threads.run(work, Ticket(f"writing {name}", self._settings.timeout_s))

    # From here on everything runs in a thread.

    def _read(self, name: str, max_bytes: int, unless: str | None, ticket: Ticket) -> Read:
        known = _number(unless)
        query = {"alt": "media"} if known is None else {"alt": "media", "ifGenerationNotMatch": str(known)}
        exchange = Exchange(ticket, max_bytes, raw=True)
        body = self._connected(ticket).download(self._bucket, self._prefix + name, query, exchange)
        if exchange.status == _NOT_MODIFIED and known is not None:
            return Read(None, str(known), _stamp(exchange), self._now(exchange))
        if exchange.status != _OK:
            raise refusal(exchange.status, ticket.what, reason=exchange.reason, headers=exchange.headers)
        if not _is_whole(body, exchange.headers.get("x-goog-hash", "")):
            raise Unavailable(f"{ticket.what.capitalize()}: the body is not what its checksum says.", sent=True)
        generation = exchange.headers.get("x-goog-generation")
        if generation is None:
            raise StoreError(f"Reading {name}: expected the header x-goog-generation, found none.")
        changed = None if generation == unless else body
        return Read(changed, generation, _stamp(exchange), self._now(exchange))

    def _write(self, name: str, body: bytes, expected: int, ticket: Ticket) -> Written:
        exchange = Exchange(ticket, MAX_JSON_BYTES)
        written = self._loaded(ticket).upload(self._bucket, self._prefix + name, body, expected, exchange)
        now = self._now(exchange)
        return Written(str(written.generation), written.time_created or now, now)

    def _list(self, prefix: str, ticket: Ticket) -> Sequence[Entry]:
        limit = self._settings.max_entries
        exchange = Exchange(ticket, MAX_JSON_BYTES)
        found = self._loaded(ticket).listed(self._bucket, self._prefix + prefix, limit + 1, exchange)
        if len(found) > limit:
            raise TooLarge(f"Expected at most {limit} objects under {prefix!r}, found more.")
        cut = len(self._prefix)
        entries = (Entry(one.name[cut:], str(one.generation), one.time_created, one.size) for one in found)
        return sorted(entries, key=lambda entry: entry.name)

    def _connected(self, ticket: Ticket) -> Reading:
        """Return the lightest way to read that serves here; then pass the point of no return."""
        with self._connecting:
            ticket.check()
            if self._reading is None:
                self._reading = light.LightReading(self._settings) if light.serves() else self._load()
            reading = self._reading
        ticket.commit()
        return reading

    def _loaded(self, ticket: Ticket) -> Library:
        """Return Google's library; then pass the point of no return."""
        with self._connecting:
            ticket.check()
            library = self._load()
        ticket.commit()
        return library

    def _load(self) -> Library:
        """Return the library, loaded at the first use by whoever is connecting."""
        if self._library is None:
            from pointsman.stores.gcs.library import Library

            self._library = Library(self._settings)
        return self._library

    def _now(self, exchange: Exchange) -> datetime:
        return store_now(exchange.headers, self._clock())


def _stamp(exchange: Exchange) -> datetime | None:
    return http_date(exchange.headers.get("Last-Modified"))


def _number(generation: str | None) -> int | None:
    """Return a generation as Google numbers it; None for what is none. Zero would mean that there is no object."""
    if generation is None or not (generation.isascii() and generation.isdigit()) or len(generation) > 19:
        return None
    return int(generation) or None


def _is_whole(body: bytes, said: str) -> bool:
    """Whether a body is what ``x-goog-hash`` says of it, as it is stored; nothing said is nothing to hold it to."""
    sums = dict(part.strip().partition("=")[::2] for part in said.split(","))
    if "crc32c" in sums:
        return b64encode(google_crc32c.value(body).to_bytes(4, "big")).decode() == sums["crc32c"]
    if "md5" in sums:
        return b64encode(md5(body, usedforsecurity=False).digest()).decode() == sums["md5"]
    return True
