"""Read a JSON body up to its cap, and refuse what is none.

The cap is counted while reading, so that a body without a length, or one that lies about it, costs no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from pointsman.errors import BodyTooLarge, UnsupportedMediaType
from pointsman.web import starlette
from pointsman.web.parameters import WantedBody

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope

Errors: TypeAlias = tuple[dict[str, str], ...]

MISSING: Errors = ({"in": "body", "pointer": "", "detail": "Field required", "code": "missing"},)


class JsonBody:
    """The body of one handler; concurrent requests share it.

    Args:
        wanted: The handler's parameter.
        max_bytes: The cap, ``web.max_body_bytes``.
    """

    def __init__(self, wanted: WantedBody, max_bytes: int) -> None:
        from pointsman.web.validation import body_of

        self.name = wanted.name
        self._wanted = wanted
        self._max_bytes = max_bytes
        self._read: Callable[[bytes], tuple[object, Errors]] = body_of(wanted.model)

    async def read(self, scope: Scope, receive: Receive) -> tuple[object, Errors, bytes]:
        """Return the model, what is wrong with it, and the bytes as they came.

        Raises:
            BodyTooLarge: It is over the cap.
            UnsupportedMediaType: There is a body, and its Content-Type is not JSON.
            ClientDisconnect: The client went away before the end.
        """
        body = await read_body(scope, receive, self._max_bytes)
        if not body:
            return self._wanted.default, () if self._wanted.optional else MISSING, body
        _check_type(scope)
        value, errors = self._read(body)
        return value, errors, body


async def read_body(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
    """Return the whole body.

    Raises:
        BodyTooLarge: It says that it is over the cap, or is.
        ClientDisconnect: The client went away before the end.
    """
    length = _header(scope, b"content-length")
    if length.isdigit() and int(length) > max_bytes:
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise starlette.requests.ClientDisconnect
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body", False):
            return b"".join((*chunks, chunk)) if chunks else chunk
        chunks.append(chunk)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a receive that gives the body once more, for a handler that also asks for the request."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _check_type(scope: Scope) -> None:
    given = _header(scope, b"content-type")
    if given == b"application/json":
        return
    given = given.partition(b";")[0].strip().lower()
    if given != b"application/json" and not (given.startswith(b"application/") and given.endswith(b"+json")):
        found = f"found {given.decode('latin-1')!a}" if given else "found none"
        raise UnsupportedMediaType(f"Expected Content-Type: application/json, {found}.")


def _header(scope: Scope, name: bytes) -> bytes:
    value: bytes
    for key, value in scope["headers"]:
        if key == name:
            return value
    return b""


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"Expected a body of at most {max_bytes} bytes.", hint="Raise web.max_body_bytes.")
