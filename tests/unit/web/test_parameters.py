"""What a handler is read to ask for, and what is refused at the start."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import pytest
from pydantic import BaseModel, Field
from pydantic.dataclasses import dataclass
from starlette.requests import HTTPConnection, Request
from starlette.websockets import WebSocket

from pointsman.declarations import Tenant, Use
from pointsman.errors import ConfigurationError
from pointsman.runtime.access import Components
from pointsman.web.parameters import Parameters, WantedBody, WantedTenant, called, is_async, read_parameters
from pointsman.web.values import REQUIRED

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers

CACHE = Use("adapter", "cache")


class Cache(Protocol): ...


class Draft(BaseModel):
    title: str


@dataclass
class Point:
    x: int


def read(handler: Callable[..., Any], *path: str, **options: Any) -> Parameters:
    return read_parameters(handler, path, **options)


def test_components_are_required_unless_none_will_do() -> None:
    def handler(
        a: Annotated[Cache, CACHE],
        b: Annotated[Cache | None, CACHE],
        c: Annotated[Cache, CACHE] | None,
        d: Annotated[Cache, Use("adapter", "cache", provider="redis")] = None,  # type: ignore[assignment]
    ) -> None: ...

    found = read(handler)
    assert [(need.name, need.optional) for need in found.needs] == [
        ("a", False),
        ("b", True),
        ("c", True),
        ("d", False),
    ]
    where = f"{__name__}:test_components_are_required_unless_none_will_do.<locals>.handler"
    assert list(found.uses())[:2] == [(CACHE, f"{where}, parameter a", True), (CACHE, f"{where}, parameter b", False)]


def test_the_connection_is_given_in_each_form() -> None:
    def handler(a: Request, b: HTTPConnection, c: Components, d: Request[Any]) -> None: ...

    kinds = [wanted.kind for wanted in read(handler).connections]
    assert kinds == ["request", "connection", "components", "request"]


def test_the_tenant_may_be_optional() -> None:
    def handler(a: Tenant, b: Tenant | None) -> None: ...

    assert read(handler).tenants == (WantedTenant("a", optional=False), WantedTenant("b", optional=True))


@pytest.mark.parametrize("model", [Draft, Point])
def test_a_model_is_the_body(model: Any) -> None:
    def required(body) -> None: ...  # type: ignore[no-untyped-def]
    def optional(body=None) -> None: ...  # type: ignore[no-untyped-def]

    required.__annotations__["body"] = model
    optional.__annotations__["body"] = model | None
    assert read(required).bodies == (WantedBody("body", model, optional=False, default=None),)
    assert read(optional).bodies == (WantedBody("body", model, optional=True, default=None),)


def test_names_in_the_path_are_of_the_path_and_others_of_the_query() -> None:
    def handler(note_id: int, name, limit: int = 20, tag: str | None = None, since: int | None = 3) -> None: ...  # type: ignore[no-untyped-def]
    def without_default(tag: str | None, words: list[str]) -> None: ...

    found = read(handler, "note_id", "name")
    assert [(value.name, value.place, value.default) for value in found.values] == [
        ("note_id", "path", REQUIRED),
        ("name", "path", REQUIRED),
        ("limit", "query", 20),
        ("tag", "query", None),
        ("since", "query", 3),
    ]
    assert [value.default for value in read(without_default).values] == [None, REQUIRED]


def test_what_is_returned_is_noted() -> None:
    def handler() -> list[Draft]:
        return []

    assert read(handler).returns == list[Draft]


class Called:
    async def __call__(self, limit: int = 1) -> None: ...

    def method(self, limit: int = 1) -> None: ...


def plain(factor: int, limit: int = 1, *args: int, **kwargs: int) -> None: ...


@pytest.mark.parametrize(
    ("handler", "name", "asynchronous"),
    [
        (Called(), "Called.__call__", True),
        (Called().method, "Called.method", False),
        (functools.partial(plain, 2), "plain", False),
    ],
)
def test_any_callable_with_annotations_is_a_handler(handler: Any, name: str, asynchronous: bool) -> None:
    assert [value.name for value in read(handler).values] == ["limit"]
    assert called(handler) == f"{__name__}:{name}"
    assert is_async(handler) is asynchronous


# --- what is refused ---


def unknown_type(notes: Cache) -> None: ...
def unknown_generic(notes: dict[str, int]) -> None: ...
def no_annotation(request) -> None: ...  # type: ignore[no-untyped-def]
def positional(limit: int, /) -> None: ...
def unreadable(limit: OnlyForCheckers) -> None: ...
def second_body(a: Draft, b: Point) -> None: ...
def socket(websocket: WebSocket) -> None: ...
def old_style(limit: int = Field(ge=1)) -> None: ...
def misfit(limit: Annotated[str, Field(pattern="(")]) -> None: ...


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (
            unknown_type,
            """\
{m}:unknown_type: parameter `notes: Cache` is no path parameter, no pydantic model and no value that a query can carry.
  A component is asked for with `notes: Annotated[Cache, Use("service", "notes")]`.""",
        ),
        (unknown_generic, "parameter `notes: dict[str, int]` is no path parameter"),
        (
            no_annotation,
            "{m}:no_annotation: parameter `request` has no annotation.\n  Say what it is: `request: Request`",
        ),
        (positional, "parameter `limit` is positional only"),
        (unreadable, "{m}:unreadable: an annotation cannot be read: name 'OnlyForCheckers' is not defined."),
        (second_body, "parameter `b: Point` is a second body; the first is `a: Draft`."),
        (socket, "parameter `websocket` is a websocket, but this route serves http."),
        (old_style, "parameter `limit` has FieldInfo(…) as its default.\n  Annotate instead: `limit: Annotated["),
        (misfit, "{m}:misfit: parameter `limit`: "),
    ],
)
def test_what_can_be_given_nothing_is_refused_with_what_to_write(handler: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(handler)
    assert message.format(m=__name__) in str(caught.value)


def with_request(request: Request) -> None: ...
def with_body(draft: Draft) -> None: ...


@pytest.mark.parametrize(
    ("handler", "message"), [(with_request, "is a request, but this route serves websocket"), (with_body, "is a body")]
)
def test_a_websocket_has_no_request_and_no_body(handler: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(handler, protocol="websocket")
