"""Find the candidates that installed packages bring by entry point.

A plugin that cannot be loaded is kept with its error and shown; it never stops the start, since it may belong to a
package that somebody else installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING

from pointsman.declarations import Candidate, marks_of
from pointsman.errors import PointsmanError
from pointsman.resolution.eligibility import Environment, barrier_here, this_environment
from pointsman.runtime.inclusion import collect

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUPS = (
    "pointsman.candidates",
    "pointsman.adapters",
    "pointsman.services",
    "pointsman.tasks",
    "pointsman.events",
    "pointsman.workflows",
    "pointsman.actions",
)


@dataclass(frozen=True, slots=True)
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
    from importlib.metadata import entry_points

    here = this_environment()
    return tuple(_loaded(point, here) for group in GROUPS for point in sorted(entry_points(group=group), key=_place))


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
