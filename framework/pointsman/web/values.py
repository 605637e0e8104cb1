"""Read what a path or a query carries: texts, numbers, booleans, dates, choices, and lists of them.

Text, numbers and booleans are read here, in one canonical form; what has constraints or another type is checked by
pydantic, which is loaded only then. At a request nothing here raises: it answers with the errors of what was sent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin
from uuid import UUID

import msgspec

from pointsman.lifecycle.factories import unwrapped
from pointsman.patterns import late_pattern

Errors: TypeAlias = tuple[dict[str, str], ...]
Place: TypeAlias = Literal["path", "query"]
Check: TypeAlias = Callable[[Any], tuple[object, Errors]]

REQUIRED: object = object()
"""The default of a parameter that has none."""

_INTEGER = late_pattern(r"[+-]?[0-9]{1,40}", re.ASCII)
_NUMBER = late_pattern(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_BOOLEANS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), False),
}
_MANY: Mapping[Any, Callable[[list[Any]], Collection[Any]]] = {
    list: list,
    Sequence: list,
    set: set,
    frozenset: frozenset,
}
_TEXTUAL = frozenset(
    {str, bytes, int, float, bool, Decimal, UUID, date, datetime, time, timedelta, IPv4Address, IPv6Address}
)


class _Unreadable(Exception):
    """A text is not of the type; holds detail and code, in pydantic's words."""


class Value(msgspec.Struct, frozen=True):
    """One parameter that the path or the query carries.

    Attributes:
        read: From the texts that came, at least one, to the value and its errors.
        default: Given where nothing came; `REQUIRED` if there is none.
    """

    name: str
    place: Place
    read: Callable[[Sequence[Any]], tuple[object, Errors]]
    default: object

    def missing(self) -> Errors:
        """Return the error that nothing came."""
        return ({"in": self.place, "name": self.name, "detail": "Field required", "code": "missing"},)


def value_of(name: str, place: Place, annotation: Any, default: object = REQUIRED) -> Value | None:
    """Return how a parameter is read, or None where neither path nor query can carry its type."""
    core, _, _ = unwrapped(annotation)
    many = _MANY.get(get_origin(core) or core)
    item, _, _ = unwrapped((get_args(core) or (str,))[0]) if many else (core, None, False)
    if not _carried(item):
        return None
    parse = _PLAIN.get(item)
    check = (
        None if parse and _unconstrained(annotation) else _check(annotation, place, name, textual=not (many or parse))
    )
    return Value(name, place, _reader(place, name, parse or _as_is, many, check), default)


def _check(annotation: Any, place: Place, name: str, *, textual: bool) -> Check:
    from pointsman.web.validation import check_of

    return check_of(annotation, place, name, textual=textual)


def _reader(
    place: Place,
    name: str,
    parse: Callable[[str], object],
    many: Callable[[list[Any]], Collection[Any]] | None,
    check: Check | None,
) -> Callable[[Sequence[Any]], tuple[object, Errors]]:
    """Return the reading of one parameter: first each text by itself, then the whole by its constraints."""

    def parsed(text: Any) -> object:
        return parse(text) if isinstance(text, str) else text  # a path's convertor may have made the value already

    def read(texts: Sequence[Any]) -> tuple[object, Errors]:
        try:
            value = parsed(texts[-1]) if many is None else many(list(map(parsed, texts)))
        except _Unreadable as error:
            detail, code = error.args
            return None, ({"in": place, "name": name, "detail": detail, "code": code},)
        return (value, ()) if check is None else check(value)

    return read


def _carried(annotation: Any) -> bool:
    """Return whether one text can be turned into a value of the type."""
    origin = get_origin(annotation)
    if origin is Literal:
        return all(isinstance(choice, str) for choice in get_args(annotation))
    if origin in {Union, UnionType}:
        return all(_carried(unwrapped(part)[0]) for part in get_args(annotation) if part is not type(None))
    for named in ("__supertype__", "__value__"):  # NewType, and `type X = …`
        if hasattr(annotation, named):
            return _carried(unwrapped(getattr(annotation, named))[0])
    if not isinstance(annotation, type):
        return False
    return annotation in _TEXTUAL or issubclass(annotation, Enum) or hasattr(annotation, "__get_pydantic_core_schema__")


def _unconstrained(annotation: Any) -> bool:
    return get_origin(annotation) is not Annotated and all(map(_unconstrained, get_args(annotation)))


def _as_is(text: str) -> str:
    return text


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise _Unreadable("Input should be a valid integer, unable to parse string as an integer", "int_parsing")
    return int(text)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise _Unreadable("Input should be a valid number, unable to parse string as a number", "float_parsing")
    number = float(text)
    if math.isinf(number):
        raise _Unreadable("Input should be a finite number", "finite_number")
    return number


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise _Unreadable("Input should be a valid boolean, unable to interpret input", "bool_parsing") from None


_PLAIN: Mapping[Any, Callable[[str], object]] = {str: _as_is, int: _integer, float: _number, bool: _boolean}
