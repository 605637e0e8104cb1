"""Turn what a handler returns into a response.

A ``Response`` is sent as it is, ``str`` as text, ``None`` as nothing, all else as JSON. Decided once for each type that
a handler has returned, not at each request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeAlias, Union, get_args, get_origin

import msgspec
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.types import Message

Render: TypeAlias = Callable[[Any], Response]
CATALOG_HEADER = b"x-pointsman-catalog"
"""Tells with every answer what decided: ``<manifest version>.<cseq>``."""
HEADED = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
"""Messages that carry the headers of an answer."""
_BODILESS = frozenset({204, 205, 304})
_TEXT, _JSON = b"text/plain; charset=utf-8", b"application/json"


def with_headers(message: Message, *more: tuple[bytes, bytes]) -> Message:
    """Return a message of `HEADED` with more headers; what was sent is left as it is."""
    return {**message, "headers": [*message.get("headers", ()), *more]}


class Answer(Response):
    """A result that is rendered: nothing of it is left to be computed.

    Args:
        content_type: The header's value; ``None`` where there is no body.
    """

    background = None

    def __init__(self, body: bytes, status: int, content_type: bytes | None = None) -> None:
        self.status_code = status
        self.body = body
        if content_type is None:
            self.raw_headers = []
        else:
            self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", content_type)]


class Results:
    """The results of one handler.

    Args:
        returns: Its return annotation; where it names a pydantic model, that decides which fields are sent.
        status: The route's. A result without a body is 204 under 200; one with a body is 200 under 204.
    """

    def __init__(self, returns: Any, status: int) -> None:
        self._status = 200 if status in _BODILESS else status
        self._empty_status = 204 if status == 200 else status
        self._dump = _dumping(returns)
        self._renders: dict[type, Render] = {}

    def __call__(self, result: object) -> Response:
        """Return the response that carries a result.

        Raises:
            TypeError, ValueError: It is nothing that JSON can say, or not what the handler declares.
        """
        kind = type(result)
        render = self._renders.get(kind) or self._renders.setdefault(kind, self._rendering(kind))
        return render(result)

    def _rendering(self, kind: type) -> Render:
        if issubclass(kind, Response):
            return _as_it_is
        if kind is NoneType:
            return lambda _: self._nothing()
        if issubclass(kind, str):
            return lambda text: Answer(text.encode(), self._status, _TEXT)
        return lambda value: Answer(self._dump(value), self._status, _JSON)

    def _nothing(self) -> Response:
        if self._empty_status in _BODILESS:
            return Answer(b"", self._empty_status)
        return Response(status_code=self._empty_status)


def _as_it_is(response: Response) -> Response:
    return response


def _dumping(returns: Any) -> Callable[[Any], bytes]:
    """Return how JSON is written: by the declared type where it has a pydantic model in it, else by the value."""
    parts = get_args(returns) if get_origin(returns) in {Union, UnionType} else (returns,)
    declared = [part for part in parts if not (isinstance(part, type) and issubclass(part, Response | NoneType))]
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
