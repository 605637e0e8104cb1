"""The order in which candidates win: priority, stack level, registration.

Pure. A ranking never depends on who asks: tenants and filters take candidates away, they never reorder them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING

from pointsman.errors import ConfigurationError
from pointsman.resolution.contribution import Source
from pointsman.values import frozen

if TYPE_CHECKING:
    from pointsman.declarations import Candidate

STACK_ORDER_VARIABLE = "POINTSMAN_STACK_ORDER"
PATH_PRIORITIES: tuple[tuple[str, int], ...] = (
    ("adapters", 80),
    ("services", 70),
    ("tasks", 60),
    ("events", 60),
    ("workflows", 60),
    ("vendor", 90),
)
MAX_DEPTH_PENALTY = 10
_SOURCES = tuple(Source)


@frozen(eq=False)
class Registration:
    """A candidate in its place: where it came from, when, and with what priority.

    Attributes:
        sequence: Grows with every registration of its source.
        priority: The one that counts: explicit, inferred, or 0.
    """

    candidate: Candidate
    source: Source
    sequence: int
    priority: int

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """The key by which higher wins: priority, stack level, source, sequence."""
        return self.priority, self.candidate.stack_level, _SOURCES.index(self.source), self.sequence


def arrival(registration: Registration) -> tuple[int, int]:
    """Return the key by which earlier comes first: the last two of a rank."""
    return _SOURCES.index(registration.source), registration.sequence


def register_as(candidate: Candidate, source: Source, sequence: int, inferred: int | None = None) -> Registration:
    """Put a candidate in its place; an explicit priority counts before the inferred one, 0 included."""
    priority = candidate.priority if candidate.priority is not None else inferred
    return Registration(candidate, source, sequence, priority or 0)


def parse_stack_order(text: str) -> Mapping[str, int]:
    """Return the priorities of packages by name.

    Args:
        text: ``sites:100,splash:50,base:10``; a bare name gets ten times the number of entries before it.

    Raises:
        ConfigurationError: An entry has no name, or a priority that is no integer.
    """
    order: dict[str, int] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, colon, value = (part.strip() for part in entry.partition(":"))
        try:
            order[name] = int(value) if colon else 10 * len(order)
        except ValueError:
            name = ""
        if not name:
            raise ConfigurationError(
                f"{STACK_ORDER_VARIABLE}: expected name or name:integer, found {entry!r}.",
                hint=f"{STACK_ORDER_VARIABLE}=sites:100,splash:50,base:10",
            )
    return order


def infer_priority(package_name: str | None, path: str | None, stack_order: Mapping[str, int]) -> int:
    """Return the priority that a package's name, or else the place of its files, implies.

    The first word of `PATH_PRIORITIES` that is a whole component of the path gives its number, less the number of
    path parts (at most ten, a leading ``/`` counted); without one it is 0.
    """
    if package_name and package_name in stack_order:
        return stack_order[package_name]
    parts = PurePath(path or "").parts
    for word, priority in PATH_PRIORITIES:
        if word in parts:
            return priority - min(len(parts), MAX_DEPTH_PENALTY)
    return 0


def standing(registration: Registration, position: int) -> tuple[str, ...]:
    """Return what a candidate brings into the ranking, up to the first value that is not left at 0.

    Args:
        registration: The candidate in its place.
        position: Its place among the component's registrations, counted from 1.
    """
    priority = f"priority {registration.priority}"
    if registration.priority:
        return (priority,)
    level = registration.candidate.stack_level
    if level:
        return priority, f"stack level {level}"
    return priority, f"stack level {level}", f"registered {ordinal(position)}"


def ordinal(number: int) -> str:
    """Return ``1st``, ``2nd``, ``3rd``, ``11th``."""
    teen = number % 100 in {11, 12, 13}
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def deciding_rule(winner: Registration, runner_up: Registration | None) -> str:
    """Return the first rule by which the winner beats the next in rank."""
    if runner_up is None:
        return "only candidate"
    if winner.priority != runner_up.priority:
        return "priority"
    if winner.candidate.stack_level != runner_up.candidate.stack_level:
        return "stack level"
    return "registration order"


def beats(winner: Registration, runner_up: Registration | None) -> str:
    """Return the half sentence that says how the winner beats the next in rank."""
    match deciding_rule(winner, runner_up), runner_up:
        case "priority", Registration():
            return f"priority {winner.priority} beats {runner_up.candidate.provider}'s {runner_up.priority}"
        case "stack level", Registration():
            level, other = winner.candidate.stack_level, runner_up.candidate.stack_level
            loser = f"{runner_up.candidate.provider}'s {other}"
            return f"stack level {level} beats {loser} at equal priority {winner.priority}"
        case "registration order", Registration():
            return f"registered after {runner_up.candidate.provider}, at equal priority and stack level"
        case _:
            return "it is the only eligible candidate"
