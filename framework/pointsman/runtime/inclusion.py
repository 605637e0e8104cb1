"""Collect what ``include=`` names: modules, routers, candidates and marked factories, each once.

Reads attributes and registers nothing. A router is known by its mark, not by its class: the runtime serves without
the web layer, and must never import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Protocol, TypeGuard

import msgspec

from pointsman.declarations import Candidate, marks_of
from pointsman.errors import ConfigurationError

ROUTER_MARK = "__pointsman_router__"


class Including(Protocol):
    """What a router shows of itself: the parts that were included into it."""

    @property
    def parts(self) -> Sequence[object]:
        """Modules, routers, candidates and marked factories, in the order in which they were included."""


class Collected(msgspec.Struct, frozen=True):
    """All that was included, in the order in which it was met.

    Attributes:
        routers: Routers, outer ones before those that they include.
        candidates: Candidates as given, and those that `provides` marked; their order is the order of registration.
    """

    routers: tuple[Including, ...]
    candidates: tuple[Candidate, ...]


def collect(parts: Iterable[object]) -> Collected:
    """Return the routers and candidates of all parts, nested ones too, each once.

    Of a module count its routers, its candidates, and the marked factories that it or its submodules define; a
    factory that it merely imports from elsewhere does not. An application in a module is no part.

    Raises:
        ConfigurationError: A part is none of these.
    """
    found = tuple(_walk(parts, set()))
    return Collected(
        routers=tuple(part for part in found if not isinstance(part, Candidate)),
        candidates=tuple(part for part in found if isinstance(part, Candidate)),
    )


def _walk(parts: Iterable[object], seen: set[int]) -> Iterator[Candidate | Including]:
    for part in parts:
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Candidate):
            yield part
        elif _is_router(part):
            yield part
            yield from _walk(part.parts, seen)
        elif isinstance(part, ModuleType):
            yield from _walk(_members(part), seen)
        elif marks := marks_of(part):
            yield from marks
        else:
            raise _refused(part)


def _members(module: ModuleType) -> Iterator[object]:
    for value in vars(module).values():
        if isinstance(value, Candidate) or _is_router(value) or (marks_of(value) and _belongs(value, module)):
            yield value


def _is_router(part: object) -> TypeGuard[Including]:
    return getattr(type(part), ROUTER_MARK, False) is True


def _belongs(factory: object, module: ModuleType) -> bool:
    home: str = getattr(factory, "__module__", None) or ""
    return home == module.__name__ or home.startswith(f"{module.__name__}.")


def _refused(part: object) -> ConfigurationError:
    if hasattr(type(part), ROUTER_MARK):
        return ConfigurationError(
            f"include= takes no application, found {part!r}.",
            hint="Put its routes on a Router, or mount it: routes=[Mount('/path', app=…)].",
        )
    name = getattr(part, "__qualname__", None)
    if callable(part) and name:
        return ConfigurationError(
            f"include= expected a marked factory, but nothing marks {getattr(part, '__module__', '?')}:{name}.",
            hint=f'Write @provides("service", "key", "provider") over it, or include what it returns: *{name}().',
        )
    return ConfigurationError(
        f"include= expected a module, a Router, a Candidate or a marked factory, found {part!r}.",
        hint="Unpack a collection: include=[*parts].",
    )
