"""Tell what is wrong with settings: file and line, key, what was expected, and the nearest valid name.

Never shows a value: a sentence in which a word of the input stands is left out, and the fault's type tells the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ValidationError

from pointsman.errors import ConfigurationError
from pointsman.resolution.template import Path
from pointsman.runtime.sources.tree import Tree, meant
from pointsman.values import frozen

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_SHOWN: Final = 20
_UNKNOWN_NAME: Final = {"extra_forbidden", "unexpected_keyword_argument"}
_TELLING: Final = re.compile(r"\w{4,}")
"""Words of an input; shorter ones stand in messages by chance, and are no secrets."""


@frozen
class Fault:
    """One mistake, ready to be told."""

    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@contextmanager
def faults_told(tree: Tree, model: type[object], root: Path = ()) -> Iterator[None]:
    """Tell every fault that a model finds inside in the values that lie under a path of the tree.

    Raises:
        ConfigurationError: There was one. Pydantic's own error is not chained: it holds the values.
    """
    try:
        yield
    except ValidationError as error:
        raise _refusal(_faults_of(error, tree, model, root)) from None


def _refusal(faults: Iterable[Fault]) -> ConfigurationError:
    """Return one error that tells every fault, each once; of many the first ones."""
    told = tuple(dict.fromkeys(faults))
    if len(told) == 1:
        return ConfigurationError(str(told[0]), hint=told[0].hint)
    lines = [f"{fault} {fault.hint}".rstrip() for fault in told[:MAX_SHOWN]]
    if len(told) > MAX_SHOWN:
        lines.append(f"… and {len(told) - MAX_SHOWN} more.")
    return ConfigurationError("\n".join(lines))


def _faults_of(error: ValidationError, tree: Tree, model: type[object], root: Path) -> Iterator[Fault]:
    """Yield the faults that a model found in what lies under a path of the tree."""
    for detail in error.errors(include_url=False):
        path = (*root, *detail["loc"])
        if detail["type"] in _UNKNOWN_NAME:
            known = _names_at(model, detail["loc"][:-1])
            yield Fault(tree.where(path), "expected a setting, found an unknown name.", meant(str(path[-1]), known))
        elif detail["type"] == "missing":
            yield Fault(tree.where(path), "expected a value, found none.")
        else:
            yield Fault(tree.where(_written(tree, path)), f"{_expected(detail)} [{detail['type']}]")


def _expected(detail: ErrorDetails) -> str:
    """Return the model's sentence, unless a word of the input stands in it."""
    message = detail["msg"].removeprefix("Value error, ")
    if any(word in message for text in _texts(detail["input"]) for word in _TELLING.findall(text)):
        return "expected another value"
    return message


def _texts(value: object) -> Iterator[str]:
    """Yield the values in an input as text; keys of mappings are names, and no values."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    else:
        yield str(value)


def _written(tree: Tree, path: Path) -> Path:
    """Return as much of pydantic's path as a source wrote: its unions add names of their own."""
    value: Any = tree.values
    for length, part in enumerate(path):
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return path[:length]
    return path


def _names_at(annotation: Any, loc: Path) -> tuple[str, ...]:
    """Return the names that the model at a path takes; none where no model lies there."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not loc:
            return tuple(annotation.model_fields)
        field = annotation.model_fields.get(str(loc[0]))
        return _names_at(field.annotation, loc[1:]) if field else ()
    if isinstance(annotation, type) and is_dataclass(annotation):
        hints = {one.name: get_type_hints(annotation, include_extras=True)[one.name] for one in fields(annotation)}
        return _names_at(hints.get(str(loc[0])), loc[1:]) if loc else tuple(hints)
    origin = get_origin(annotation)
    if origin is Annotated:
        return _names_at(get_args(annotation)[0], loc)
    if origin in (Union, UnionType):
        return _names_in_union(get_args(annotation), loc)
    if loc and origin is not None:
        return next((names for inner in get_args(annotation) if (names := _names_at(inner, loc[1:]))), ())
    return ()


def _names_in_union(members: tuple[Any, ...], loc: Path) -> tuple[str, ...]:
    """Look into each member; where there are several, pydantic puts the member's name into the path."""
    for member in members:
        if loc and getattr(member, "__name__", None) == loc[0]:
            return _names_at(member, loc[1:])
    return next((names for member in members if (names := _names_at(member, loc))), ())
