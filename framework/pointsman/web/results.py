"""Turn what a handler returns into a response.

A ``Response`` is sent as it is, ``str`` as text, ``None`` as nothing, all else as JSON. Decided once for each type that
a handler has returned, not at each request.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeAlias, Union, get_args, get_origin

import msgspec

from pointsman.web import starlette

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Header: TypeAlias = tuple[bytes, bytes]
Render: TypeAlias = "Callable[[Any], ASGIApp]"
CATALOG_HEADER = b"x-pointsman-catalog"
"""Tells with every answer what decided: ``<manifest version>.<cseq>``."""
HEADED = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
"""Messages that carry the headers of an answer."""
_BODILESS = frozenset({204, 205, 304})
_TEXT: Header = (b"content-type", b"text/plain; charset=utf-8")
_JSON: Header = (b"content-type", b"application/json")


def with_headers(message: Message, *more: Header) -> Message:
    """Return a message of `HEADED` with more headers; what was sent is left as it is."""
    return {**message, "headers": [*message.get("headers", ()), *more]}


class Answer(msgspec.Struct, gc=False):
    """A result that is rendered: an ASGI callable of which nothing is left to be computed.

    Attributes:
        headers: Its own; whoever sends it may add to them.
    """

    status: int
    headers: list[Header]
    body: bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


class Results(dict[type, Render]):
    """The results of one handler: how each type that it has returned is rendered.

    Args:
        returns: Its return annotation; where it names a pydantic model, that decides which fields are sent.
        status: The route's. A result without a body is 204 under 200; one with a body is 200 under 204.
    """

    def __init__(self, returns: Any, status: int) -> None:
        super().__init__()
        self._status = 200 if status in _BODILESS else status
        self._empty_status = 204 if status == 200 else status
        self._dump = _dumping(returns)

    def __call__(self, result: object) -> ASGIApp:
        """Return what sends a result.

        Raises:
            TypeError, ValueError: It is nothing that JSON can say, or not what the handler declares.
        """
        return self[type(result)](result)

    def __missing__(self, kind: type) -> Render:
        """Decide how a type is rendered that was not returned before."""
        render = self[kind] = self._rendering(kind)
        return render

    def _rendering(self, kind: type) -> Render:
        if _is_response(kind):
            return _as_it_is
        if kind is NoneType:
            return lambda _: self._nothing()
        if issubclass(kind, str):
            return _writing(str.encode, self._status, _TEXT)
        return _writing(self._dump, self._status, _JSON)

    def _nothing(self) -> ASGIApp:
        if self._empty_status in _BODILESS:
            return Answer(self._empty_status, [], b"")
        return starlette.responses.Response(status_code=self._empty_status)


def _writing(write: Callable[[Any], bytes], status: int, content_type: Header) -> Render:
    def rendered(result: Any) -> Answer:
        body = write(result)
        # a number is written by what writes JSON: at half the cost of formatting it
        return Answer(status, [(b"content-length", _dump(len(body))), content_type], body)

    return rendered


def _is_response(kind: object) -> bool:
    """Return whether it is a class of Starlette's responses; there is none where nobody has loaded those."""
    loaded = sys.modules.get("starlette.responses")
    return loaded is not None and isinstance(kind, type) and issubclass(kind, loaded.Response)


def _as_it_is(response: Response) -> Response:
    return response


def _dumping(returns: Any) -> Callable[[Any], bytes]:
    """Return how JSON is written: by the declared type where it has a pydantic model in it, else by the value."""
    parts = get_args(returns) if get_origin(returns) in {Union, UnionType} else (returns,)
    declared = [part for part in parts if not (part is NoneType or _is_response(part))]
    if not any(map(_has_model, declared)):
        return _dump
    from pointsman.web.validation import dump_of

    return dump_of(Union[tuple(declared)])  # noqa: UP007 - made of values


def _has_model(annotation: Any) -> bool:
    return hasattr(annotation, "__pydantic_serializer__") or any(map(_has_model, get_args(annotation)))


def _foreign(value: Any) -> object:
    """Return what msgspec knows in place of a value that it does not know."""
    if hasattr(type(value), "__pydantic_serializer__"):
        return value.__pydantic_serializer__.to_python(value, mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterator):
        return list(value)
    raise TypeError(f"A {type(value).__name__} is nothing that JSON can say.")


_dump: Callable[[object], bytes] = msgspec.json.Encoder(enc_hook=_foreign).encode
