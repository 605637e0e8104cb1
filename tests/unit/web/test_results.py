"""How results become responses."""

from __future__ import annotations

import dataclasses
import inspect
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Protocol

import pytest
from pydantic import BaseModel, Field
from pydantic_core import PydanticSerializationError
from starlette.responses import RedirectResponse, Response

from pointsman.errors import ConfigurationError
from pointsman.web.results import Answer, Results
from tests.unit.web import asgi

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
EMPTY = inspect.Signature.empty


class Public(BaseModel):
    name: Annotated[str, Field(serialization_alias="fullName")]


class Private(Public):
    password: str = "hunter2"


@dataclasses.dataclass
class Holder:
    public: Public
    at: datetime


class Color(StrEnum):
    RED = "red"


def sent(result: object, returns: Any = EMPTY, status: int = 200) -> tuple[int, bytes, str | None]:
    answer = Results(returns, status)(result)
    if isinstance(answer, Response):
        return answer.status_code, bytes(answer.body), answer.headers.get("content-type")
    assert isinstance(answer, Answer)
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    assert headers.get("content-length", "0") == str(len(answer.body))
    return answer.status, answer.body, headers.get("content-type")


async def test_an_answer_is_two_messages() -> None:
    exchange = await asgi.played(Results(EMPTY, 201)({"a": "b" * 100}), asgi.http())
    assert exchange.sent == [
        {
            "type": "http.response.start",
            "status": 201,
            "headers": [(b"content-length", b"108"), (b"content-type", b"application/json")],
        },
        {"type": "http.response.body", "body": b'{"a":"' + b"b" * 100 + b'"}'},
    ]


def test_a_response_is_sent_as_it_is() -> None:
    response = RedirectResponse("/")
    assert Results(EMPTY, 201)(response) is response


@pytest.mark.parametrize(("text", "body"), [("hä", "hä".encode()), (Color.RED, b"red")])
def test_a_text_is_sent_as_text(text: str, body: bytes) -> None:
    assert sent(text, status=201) == (201, body, "text/plain; charset=utf-8")


@pytest.mark.parametrize(("status", "expected"), [(200, 204), (202, 202), (204, 204)])
def test_nothing_is_204_unless_the_route_says_otherwise(status: int, expected: int) -> None:
    assert sent(None, status=status) == (expected, b"", None)


def test_a_body_under_a_status_that_forbids_one_is_200() -> None:
    assert sent({"a": 1}, status=204) == (200, b'{"a":1}', "application/json")


@pytest.mark.parametrize(
    ("result", "body"),
    [
        ({"a": [1, 2.5, None, True]}, b'{"a":[1,2.5,null,true]}'),
        (Public(name="ann"), b'{"fullName":"ann"}'),
        ([Public(name="ann")], b'[{"fullName":"ann"}]'),
        (
            Holder(Public(name="ann"), datetime(2026, 1, 1, tzinfo=UTC)),
            b'{"public":{"fullName":"ann"},"at":"2026-01-01T00:00:00Z"}',
        ),
        (MappingProxyType({"a": 1}), b'{"a":1}'),
        ((part for part in (1, 2)), b"[1,2]"),
        (7, b"7"),
    ],
)
def test_all_else_is_json(result: object, body: bytes) -> None:
    assert sent(result, status=201) == (201, body, "application/json")


def test_a_declared_model_decides_which_fields_are_sent() -> None:
    assert sent(Private(name="ann"), Public)[1] == b'{"fullName":"ann"}'
    assert sent([Private(name="ann")], list[Public] | None)[1] == b'[{"fullName":"ann"}]'
    assert sent(Private(name="ann"), Public | Response)[1] == b'{"fullName":"ann"}'
    assert sent(None, Public | None)[0] == 204


@pytest.mark.parametrize("result", [{"password": "hunter2"}, 7])
def test_another_type_than_the_declared_model_is_an_error(result: object) -> None:
    with pytest.raises(PydanticSerializationError):
        sent(result, Public)


def test_another_model_than_the_declared_one_tells_nothing_that_was_not_declared() -> None:
    class Other(BaseModel):
        password: str

    assert sent(Other(password="hunter2"), Public)[1] == b"{}"


def test_each_type_is_decided_once() -> None:
    results = Results(EMPTY, 200)
    answers = [results(value) for value in ("a", None, "b", 1, 2)]
    assert [answer.body for answer in answers if isinstance(answer, Answer)] == [b"a", b"", b"b", b"1", b"2"]
    assert set(results) == {str, type(None), int}


def test_what_json_cannot_say_is_an_error() -> None:
    with pytest.raises(TypeError, match="object is nothing that JSON can say"):
        sent(object())


class Anything(Protocol): ...


def test_a_declaration_that_cannot_be_written_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="cannot be validated"):
        Results(Public | Anything, 200)
