"""Find the candidates that installed packages bring by entry point.

A plugin that cannot be loaded is kept with its error and shown; it never stops the start, since it may belong to a
package that somebody else installed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import cache
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING

from pointsman.declarations import Candidate, marks_of
from pointsman.errors import PointsmanError
from pointsman.resolution.eligibility import Environment, barrier_here, this_environment
from pointsman.runtime.inclusion import collect
from pointsman.values import frozen

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_METADATA = (".dist-info", ".egg-info", ".egg")
OURS = b"[pointsman."
PYDANTICS = b"[pydantic]"
"""What stands in ``entry_points.txt`` of packages that bring something for us, or for pydantic."""
GROUPS = (
    "pointsman.candidates",
    "pointsman.adapters",
    "pointsman.services",
    "pointsman.tasks",
    "pointsman.events",
    "pointsman.workflows",
    "pointsman.actions",
)


@frozen
class Plugin:
    """One entry point: what it brought, or why it could not be read."""

    group: str
    name: str
    reference: str
    package: str
    candidates: tuple[Candidate, ...] = ()
    error: str | None = None


def installed_plugins() -> tuple[Plugin, ...]:
    """Load every entry point of `GROUPS`, in the order of groups, packages and names. Blocks: it reads and imports."""
    if not any_declared(sys.path):
        return ()
    from importlib.metadata import entry_points

    here = this_environment()
    return tuple(_loaded(point, here) for group in GROUPS for point in sorted(entry_points(group=group), key=_place))


def any_declared(path: Iterable[str], what: bytes = OURS) -> bool:
    """Tell whether any package may declare such entry points: far cheaper than to read them all.

    Looks for the words in the files that `importlib.metadata` would read. Where something else than folders may hold
    packages – archives, finders of packages' own – it tells that some may.

    Args:
        path: Where modules are looked for, as ``sys.path``.
        what: `OURS` or `PYDANTICS`.
    """
    finders = (finder for finder in sys.meta_path if finder is not PathFinder)
    if any(hasattr(finder, "find_distributions") for finder in finders):
        return True
    return any(_declares(place or ".", what) for place in dict.fromkeys(path))


def _declares(place: str, what: bytes) -> bool:
    try:
        packages = [name for name in os.listdir(place) if name.endswith(_METADATA)]  # noqa: PTH208 - thousands of names
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        return True
    return any(name.endswith(".egg") or what in _words(f"{place}/{name}") for name in packages)


@cache
def _words(package: str) -> Collection[bytes]:
    """Return which of the words an installed package's file holds; read once, since no version is installed twice."""
    try:
        with open(f"{package}/entry_points.txt", "rb") as file:  # noqa: PTH123 - hundreds of them
            said = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return tuple(word for word in (OURS, PYDANTICS) if word in said)


def _place(point: EntryPoint) -> tuple[str, str]:
    return point.dist.name if point.dist else "", point.name


def _loaded(point: EntryPoint, here: Environment) -> Plugin:
    """Return what an entry point brought, each part of it readable, or why it brought nothing."""
    package, name = _place(point)
    plugin = Plugin(point.group, name, point.value, package)
    try:
        candidates = tuple(_candidates(point.load()))
        for candidate in candidates:
            barrier_here(candidate, here)
    except PointsmanError as error:
        return replace(plugin, error=error.message)
    except Exception as error:  # noqa: BLE001 - the boundary around somebody else's package
        return replace(plugin, error=f"{type(error).__name__}: {error}")
    return replace(plugin, candidates=candidates)


def _candidates(found: object) -> Iterator[Candidate]:
    """Yield what an entry point names: a module, an iterable, a marked factory, or a function that returns one."""
    if isinstance(found, ModuleType | Candidate):
        yield from collect([found]).candidates
    elif isinstance(found, Iterable):
        yield from collect(found).candidates
    elif callable(found) and not marks_of(found):
        yield from _candidates(found())
    else:
        yield from collect([found]).candidates
