"""Rules for the values of settings: declared beside a field, kept by pydantic where it is asked, and by `accept`.

`accept` takes only what is plainly right, exact types and kept rules, and makes of it what pydantic would; what else it
meets is `Doubtful`, and pydantic decides. It must never accept what pydantic refuses, and imports no pydantic.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from pointsman.values import frozen

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

T = TypeVar("T")

FORBID: Final[Mapping[str, str]] = {"extra": "forbid"}
"""The ``__pydantic_config__`` of every section: an unknown name is a mistake."""


class Doubtful(Exception):
    """A value is not plainly right; it may still be, in another spelling."""


@frozen
class Bounds:
    """Bounds of a number, or the pattern of a text; what is None does not bind."""

    gt: float | None = None
    ge: float | None = None
    le: float | None = None
    pattern: str | None = None
    allow_inf_nan: bool | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of the type with these bounds in it."""
        said = {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) is not None}
        return cast("CoreSchema", {**handler(source), **said})

    def taken(self, value: Any) -> Any:
        """Return the value.

        Raises:
            Doubtful: It is out of bounds; a text with a line break counts so, where a pattern's end is read variously.
        """
        kept = (
            (self.gt is None or value > self.gt)
            and (self.ge is None or value >= self.ge)
            and (self.le is None or value <= self.le)
            and (self.pattern is None or ("\n" not in value and re.search(self.pattern, value) is not None))
            and (self.allow_inf_nan is not False or isfinite(value))
        )
        if not kept:
            raise Doubtful
        return value


@frozen
class After:
    """A rule in code, asked when the type is right; it returns the value, or raises ValueError."""

    rule: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of the type, with the rule after it."""
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self.rule, handler(source))

    def taken(self, value: Any) -> Any:
        """Return what the rule returns.

        Raises:
            Doubtful: It refuses the value.
        """
        try:
            return self.rule(value)
        except ValueError as error:
            raise Doubtful from error


@frozen
class Empty:
    """What is written without anything in it counts as the empty value."""

    value: Callable[[], object]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of the type, with nothing taken for the empty value before it."""
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self.filled, handler(source))

    def filled(self, value: object) -> object:
        """Return the empty value for None."""
        return self.value() if value is None else value


def accept(kind: type[T], value: object) -> T:
    """Return a value as a type of settings: a dataclass from a mapping, with everything in it.

    Raises:
        Doubtful: It is not plainly right.
    """
    try:
        return cast("T", _accept(kind, value))
    except (NameError, OverflowError, RecursionError) as error:
        raise Doubtful from error


def _accept(kind: Any, value: Any) -> Any:
    origin = get_origin(kind)
    if origin is Annotated:
        return _annotated(*get_args(kind), value=value)
    if origin is None:
        return _dataclass(kind, value) if is_dataclass(kind) else _plain(kind, value)
    if origin in (Union, UnionType):
        return _first(get_args(kind), value)
    if origin is Literal:
        return value if type(value) is str and value in get_args(kind) else _doubt()
    if origin is tuple:
        return tuple(_accept(get_args(kind)[0], one) for one in value) if isinstance(value, list | tuple) else _doubt()
    if origin is dict and isinstance(value, dict):
        of_key, of_value = get_args(kind)
        return {_accept(of_key, key): _accept(of_value, one) for key, one in value.items()}
    return _doubt()


def _plain(kind: Any, value: Any) -> Any:
    """Return a value of a type that is written as it is; a whole number may stand for any, a text for a path."""
    if kind is Any or type(value) is kind:
        return value
    if kind is float and type(value) is int:
        return float(value)
    if kind is Path and type(value) is str:
        return Path(value)
    return _doubt()


def _annotated(kind: Any, *rules: object, value: Any) -> Any:
    for rule in reversed(rules):
        if isinstance(rule, Empty):
            value = rule.filled(value)
    value = _accept(kind, value)
    for rule in rules:
        if isinstance(rule, Bounds | After):
            value = rule.taken(value)
        elif not isinstance(rule, Empty):
            return _doubt()  # somebody else's, which pydantic may know
    return value


def _first(kinds: tuple[Any, ...], value: Any) -> Any:
    """Return the value as the one type of a union that it plainly is; they exclude one another."""
    if value is None:
        return None if NoneType in kinds else _doubt()
    for kind in kinds:
        try:
            return _accept(kind, value)
        except Doubtful:
            continue
    return _doubt()


def _dataclass(kind: Any, value: Any) -> Any:
    if getattr(kind, "__pydantic_config__", None) != FORBID:
        return _doubt()  # its owner reads otherwise
    if value == {}:
        return _made(kind, {})  # most sections of most services, and looking at their types takes longest
    told, required = _fields(kind)
    if not isinstance(value, dict) or not value.keys() <= told.keys() or not required <= value.keys():
        return _doubt()
    return _made(kind, {name: _accept(_type_of(kind, name), one) for name, one in value.items()})


def _made(kind: Any, given: Mapping[str, Any]) -> Any:
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        raise Doubtful from error


@cache
def _fields(kind: Any) -> tuple[Mapping[str, Any], frozenset[str]]:
    """Return the annotations of a dataclass's fields, and the names of those without a default."""
    required = (one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING)
    return {one.name: one.type for one in fields(kind)}, frozenset(required)


@cache
def _type_of(kind: Any, name: str) -> Any:
    """Return the type of one field: to evaluate all of them takes longer than to check what is usually said."""
    owner = next((base for base in kind.__mro__ if name in vars(base).get("__annotations__", ())), kind)
    told, _ = _fields(kind)
    only = type(kind.__name__, (), {"__module__": owner.__module__, "__annotations__": {name: told[name]}})
    return get_type_hints(only, include_extras=True)[name]


def _doubt() -> Any:
    raise Doubtful
