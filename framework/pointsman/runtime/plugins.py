"""Find the candidates that installed packages bring by entry point.

A plugin that cannot be loaded is kept with its error and shown; it never stops the start, since it may belong to a
package that somebody else installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType

from pointsman.declarations import Candidate
from pointsman.errors import PointsmanError
from pointsman.runtime.inclusion import collect

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
    from importlib.metadata import EntryPoint, entry_points

    def place(point: EntryPoint) -> tuple[str, str]:
        return point.dist.name if point.dist else "", point.name

    return tuple(_loaded(point) for group in GROUPS for point in sorted(entry_points(group=group), key=place))


def _loaded(point: object) -> Plugin:
    from importlib.metadata import EntryPoint

    assert isinstance(point, EntryPoint)
    package = point.dist.name if point.dist else ""
    try:
        candidates = tuple(_candidates(point.load()))
    except PointsmanError as error:
        return Plugin(point.group, point.name, point.value, package, error=error.message)
    except Exception as error:  # noqa: BLE001 - the boundary around somebody else's package
        return Plugin(point.group, point.name, point.value, package, error=f"{type(error).__name__}: {error}")
    return Plugin(point.group, point.name, point.value, package, candidates)


def _candidates(found: object) -> Iterator[Candidate]:
    """Yield what an entry point names: a module, an iterable, a marked factory, or a function that returns one."""
    if isinstance(found, ModuleType | Candidate):
        yield from collect([found]).candidates
    elif isinstance(found, Iterable):
        yield from collect(found).candidates
    elif callable(found) and not hasattr(found, "__pointsman_candidates__"):
        yield from _candidates(found())
    else:
        yield from collect([found]).candidates
