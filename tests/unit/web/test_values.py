"""What a path and a query can carry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from pydantic.networks import AnyUrl

from pointsman.errors import ConfigurationError
from pointsman.web.values import REQUIRED, Value, value_of


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 2


UserId = NewType("UserId", int)
A_UUID = "12345678-1234-5678-1234-567812345678"


def value(annotation: Any, default: object = REQUIRED) -> Value:
    made = value_of("x", "query", annotation, default)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("annotation", "texts", "expected"),
    [
        (str, ["a", "b"], "b"),
        (int, ["-7"], -7),
        (int, [7], 7),
        (float, ["1.5e3"], 1500.0),
        (float, [".5"], 0.5),
        (bool, ["Yes"], True),
        (bool, ["off"], False),
        (int | None, ["7"], 7),
        (list[int], ["1", "2"], [1, 2]),
        (list[str] | None, ["1", "2"], ["1", "2"]),
        (list, ["1"], ["1"]),
        (set[str], ["a", "a"], {"a"}),
        (frozenset[str], ["a"], frozenset("a")),
        (Sequence[str], ["a"], ["a"]),
        (UUID, [A_UUID], UUID(A_UUID)),
        (list[UUID], [A_UUID], [UUID(A_UUID)]),
        (date | None, ["2026-02-28"], date(2026, 2, 28)),
        (Color, ["red"], Color.RED),
        (Level, ["2"], Level.HIGH),
        (Literal["a", "b"], ["b"], "b"),
        (int | str, ["x"], "x"),
        (UserId, ["7"], 7),
        (Annotated[int, Field(ge=1)], ["7"], 7),
        (Annotated[list[int], Field(max_length=2)], ["1", "2"], [1, 2]),
        (list[Annotated[int, Field(ge=1)]], ["1"], [1]),
        (Annotated[str, Field(min_length=1)] | None, ["x"], "x"),
    ],
)
def test_texts_become_values(annotation: Any, texts: list[Any], expected: object) -> None:
    found, errors = value(annotation).read(texts)
    assert errors == ()
    assert found == expected
    assert type(found) is type(expected)


def test_a_url_is_a_value_since_pydantic_knows_it() -> None:
    assert str(value(AnyUrl).read(["https://a.example/"])[0]) == "https://a.example/"


@pytest.mark.parametrize(
    ("annotation", "text", "code"),
    [
        (int, "many", "int_parsing"),
        (int, "1.0", "int_parsing"),
        (int, " 1", "int_parsing"),
        (int, "٣", "int_parsing"),
        (int, "1" * 5000, "int_parsing"),
        (float, "nan", "float_parsing"),
        (float, "1_0", "float_parsing"),
        (float, "1e999", "finite_number"),
        (bool, "maybe", "bool_parsing"),
        (list[int], "x", "int_parsing"),
        (Annotated[int, Field(ge=1)], "0", "greater_than_equal"),
        (Annotated[int, Field(ge=1)], "1.0", "int_parsing"),
        (UUID, "x", "uuid_parsing"),
        (Literal["a"], "b", "literal_error"),
        (Color, "blue", "enum"),
    ],
)
def test_what_cannot_be_read_is_told_without_the_value(annotation: Any, text: str, code: str) -> None:
    _, (error,) = value(annotation).read([text])
    assert (error["in"], error["name"], error["code"]) == ("query", "x", code)
    assert len(text) < 3 or text not in error["detail"]


class Service:
    """Nothing that a text can be."""


@pytest.mark.parametrize(
    "annotation", [Service, dict[str, str], list[list[int]], Literal[1, 2], object, Any, int | Service, None, "text"]
)
def test_other_types_are_carried_by_no_text(annotation: Any) -> None:
    assert value_of("x", "query", annotation) is None


@pytest.mark.parametrize("constraint", [Field(pattern="("), Field(discriminator="kind")])
def test_a_constraint_that_does_not_fit_is_refused_at_the_start(constraint: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot be validated"):
        value(Annotated[str, constraint])


def test_nothing_where_something_is_required() -> None:
    assert value(int).missing() == ({"in": "query", "name": "x", "detail": "Field required", "code": "missing"},)


@given(st.text())
def test_no_text_raises(text: str) -> None:
    for annotation in (int, float, bool, str):
        _, errors = value(annotation).read([text])
        assert len(errors) <= 1
