"""Settings as one tree of plain values, and where each of them was written.

Pure. Sources are read elsewhere into one such tree each; here they are laid over one another, and every path is led
back to a file and line, a variable or an argument. No message shows a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from enum import IntEnum
from typing import Any

from pointsman.errors import ConfigurationError
from pointsman.resolution.template import Path
from pointsman.values import frozen

MAX_DEPTH = 32
"""Levels of nesting that any source may have."""


class Rank(IntEnum):
    """The sources, lowest first."""

    FILE = 0
    ENVIRONMENT = 1
    ARGUMENT = 2


@frozen
class Origin:
    """Where a value was written.

    Attributes:
        text: ``settings/tenants.yml:4``, ``POINTSMAN_TENANCY__SOURCE`` or ``argument``.
        told: How many leading parts of the path the text already tells.
    """

    rank: Rank
    text: str
    told: int = 0


@frozen
class Tree:
    """Sections by name, with the origin of every path that a source wrote."""

    values: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[Path, Origin] = field(default_factory=dict)

    def origin(self, path: Path) -> Origin | None:
        """Return the origin of a path, or of the nearest one above it that a source wrote."""
        for length in range(len(path), 0, -1):
            if found := self.origins.get(path[:length]):
                return found
        return None

    def where(self, path: Path) -> str:
        """Return a path as messages name it: ``settings/tenants.yml:4: acme.selections``."""
        found = self.origin(path)
        told, text = (found.told, found.text) if found else (0, "")
        inner = ".".join(map(str, path[told:]))
        return ": ".join(part for part in (text, inner) if part) or "settings"

    def over(self, lower: Tree) -> Tree:
        """Return the lower tree with this one laid over it: mappings are merged, everything else is replaced."""
        return Tree(_merged(lower.values, self.values), {**self.origins, **lower.shown_under(self.values)})

    def shown_under(self, higher: Mapping[str, Any]) -> dict[Path, Origin]:
        """Return the origins of what still shows when higher values are laid over this tree."""
        return {path: at for path, at in self.origins.items() if not _is_replaced(self.values, higher, path)}


def _merged(lower: Mapping[str, Any], higher: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(lower)
    for key, value in higher.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _is_replaced(lower: Any, higher: Any, path: Path) -> bool:
    for part in path:
        if part not in higher:
            return False
        lower, higher = lower[part], higher[part]
        if not (isinstance(lower, Mapping) and isinstance(higher, Mapping)):
            return True
    return False


def nested(path: Path, value: Any) -> Any:
    """Return mappings that lead along a path to a value."""
    for part in reversed(path):
        value = {part: value}
    return value


def paths_of(values: Mapping[str, Any], above: Path = ()) -> Iterator[Path]:
    """Yield the path of every name in nested mappings."""
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, Mapping):
            yield from paths_of(value, (*above, key))


@contextmanager
def placed(where: str) -> Iterator[None]:
    """Put the place before the message of a `ConfigurationError` that is raised inside."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error.message}", hint=error.hint) from error


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant."""
    import difflib  # for a mistake

    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1) or difflib.get_close_matches(name.lower(), names, n=1)
    return close[0] if close else None


def meant(name: str, known: Iterable[str]) -> str:
    """Return the hint for an unknown name: the nearest valid one, or all of them."""
    names = sorted(known)
    close = nearest(name, names)
    if close:
        return f"Did you mean {close}?"
    return f"Known here: {', '.join(names)}." if names else "Take it out: nothing is known here."
