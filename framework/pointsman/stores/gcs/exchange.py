"""One operation's requests to Cloud Storage: its ticket and cap on the way there, what was answered on the way back.

An answer's size and time are bounded before anybody else sees it, and what goes wrong on the wire becomes one of our
errors here. Knows urllib3, which requests and Google's library stand on, and neither of those.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import urllib3

from pointsman.errors import TooLarge, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pointsman.stores.blocking import Ticket

_MESSAGE = re.compile(rb'"message":\s*"([^"]+)"')
MAX_JSON_BYTES = 8 * 1024 * 1024
_CHUNK = 64 * 1024
_MAX_ERROR_BYTES = 2 * 1024
_OK_BELOW = 400


class Exchange:
    """What one operation may take in, and what the last answer said.

    Args:
        ticket: The operation's; asked at each chunk.
        max_bytes: The cap of an answer's body, unpacked.
        raw: Take a body as it is stored; otherwise it is JSON.
    """

    __slots__ = ("headers", "max_bytes", "raw", "reason", "status", "ticket")

    def __init__(self, ticket: Ticket, max_bytes: int, *, raw: bool = False) -> None:
        self.ticket = ticket
        self.max_bytes = max_bytes
        self.raw = raw
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.reason = ""

    def take_in(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """Read an answer within cap and deadline, and keep what it says.

        An error's text is cut instead of refused. Objects are given as they are stored. What was packed only on the way
        is unpacked here, so that the cap counts what it unpacks to.

        Raises:
            TooLarge: A body is larger than the cap.
            Unavailable: The time is over.
        """
        self.status = response.status
        self.headers = response.headers
        try:
            body = self._capped(response)
        finally:
            response.close()
        self.reason = "" if self._is_ok else _said(body)
        return body

    @property
    def _is_ok(self) -> bool:
        return self.status < _OK_BELOW

    def _capped(self, response: urllib3.BaseHTTPResponse) -> bytes:
        limit = self.max_bytes if self._is_ok else _MAX_ERROR_BYTES
        as_stored = self.raw and response.headers.get("x-goog-stored-content-encoding") != "identity"
        unpack = not (as_stored and self._is_ok)
        body = bytearray()
        while chunk := response.read1(_CHUNK, decode_content=unpack):
            self.ticket.check()
            body += chunk
            if len(body) > limit:
                if not self._is_ok:
                    return bytes(body[:limit])
                raise TooLarge(f"{self.ticket.what.capitalize()}: expected at most {limit} bytes, found more.")
        return bytes(body)


class Reading(Protocol):
    """A way to read objects; safe in several threads."""

    def download(self, bucket: str, name: str, query: Mapping[str, str], exchange: Exchange) -> bytes:
        """Return the body of one answer, of whatever status; `exchange` keeps the rest of it."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn errors of the wire into ours."""
    try:
        yield
    except (urllib3.exceptions.HTTPError, ConnectionError) as exc:
        raise unanswered(what, exc, exc) from exc


def unanswered(what: str, error: Exception, cause: object) -> Unavailable:
    """Return the error of a request without a whole answer.

    Args:
        what: The operation.
        error: What was raised.
        cause: urllib3's part of it: whether it came before the first byte could go out, for the want of a name, an
            address or a port.
    """
    before = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    never = isinstance(cause, before) or isinstance(getattr(cause, "reason", None), before)
    return Unavailable(f"{what.capitalize()}: no whole answer, {type(error).__name__}.", sent=not never)


def no_credentials(what: str, error: Exception) -> Unavailable:
    """Return the error of a caller who cannot say who it is; nothing was sent."""
    return Unavailable(
        f"{what.capitalize()}: no credentials for Google Cloud Storage, {type(error).__name__}.",
        sent=False,
        hint="On Cloud Run give the service a service account; elsewhere: gcloud auth application-default login",
    )


def _said(body: bytes) -> str:
    """Return the message in an error's JSON; it names the account and the permission that is missing."""
    match = _MESSAGE.search(body)
    return (match[1] if match else body).decode("utf-8", "replace")
