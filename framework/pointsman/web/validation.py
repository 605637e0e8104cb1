"""Validate bodies and constrained values with pydantic, and say its errors in ours.

The one module of the web layer that imports pydantic; it is loaded late, where a handler asks for a body or a
constraint. An error here repeats no value that was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError

from pointsman.errors import ConfigurationError

Errors: TypeAlias = tuple[dict[str, str], ...]


def check_of(annotation: Any, place: str, name: str, *, textual: bool) -> Callable[[Any], tuple[object, Errors]]:
    """Return the check of a path or query value, from what was read to the value and its errors.

    Args:
        annotation: The parameter's, constraints and all.
        place: ``path`` or ``query``, for the errors.
        name: The parameter's, for the errors.
        textual: Whether what was read is one text, still to be turned into the type.

    Raises:
        ConfigurationError: Pydantic cannot make anything of the annotation.
    """
    adapter = _adapter(annotation)

    def check(value: Any) -> tuple[object, Errors]:
        try:
            if textual and isinstance(value, str):
                return adapter.validate_strings(value), ()
            return adapter.validate_python(value), ()
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            return None, tuple({"in": place, "name": name, "detail": one["msg"], "code": one["type"]} for one in found)

    return check


def body_of(model: Any) -> Callable[[bytes], tuple[object, Errors]]:
    """Return the reading of a JSON body, to the model and the errors, each with the JSON pointer of its field.

    Raises:
        ConfigurationError: The model is not complete.
    """
    validate = _adapter(model).validator.validate_json  # what the adapter's own calls, whose options nobody sets here

    def read(body: bytes) -> tuple[object, Errors]:
        try:
            return validate(body), ()
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            return None, tuple(
                {"in": "body", "pointer": pointer(one["loc"]), "detail": one["msg"], "code": one["type"]}
                for one in found
            )

    return read


def dump_of(annotation: Any) -> Callable[[object], bytes]:
    """Return the writing of a result as JSON, by what the handler declares to return.

    What is declared decides: fields that only a subclass has are not sent, and another type is an error, since it may
    hold what was never meant for the caller.

    Raises:
        ConfigurationError: Pydantic cannot make anything of the annotation.
    """
    serializer = _adapter(annotation).serializer

    def dump(value: object) -> bytes:
        return serializer.to_json(value, by_alias=True, warnings="error")

    return dump


def pointer(location: Iterable[int | str]) -> str:
    """Return a JSON pointer. Source: RFC 6901, section 3."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in location)


def _adapter(annotation: Any) -> TypeAdapter[object]:
    try:
        return TypeAdapter(annotation)
    except (PydanticUserError, SchemaError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(f"{annotation} cannot be validated: {reason}") from error
