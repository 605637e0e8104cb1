"""What comes in large numbers: candidates that lie in an index until they are asked for, tenants who share values.

A source of many candidates brings them so: what nobody asks for costs a slot in the index, no ranking and no object.
The index never changes, and gives the same candidates, in the same order, however often it is asked.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection

    from pointsman.declarations import Candidate, Component


V = TypeVar("V")


class Listing(Sequence["Candidate"]):
    """The candidates of one source, as a sequence and by component."""

    @property
    @abstractmethod
    def components(self) -> Mapping[str, Collection[str]]:
        """Every domain, with its keys."""

    @abstractmethod
    def of(self, component: Component[Any]) -> tuple[Candidate, ...]:
        """Return a component's candidates in the order in which the source registers them."""

    @abstractmethod
    def at_hand(self) -> Iterable[Component[Any]]:
        """Return the components that may have a candidate whose factory is at hand, no reference."""


class Shared(Mapping[str, V]):
    """What many tenants have, of whom most have the same."""

    __slots__ = ()

    @abstractmethod
    def distinct(self) -> Iterator[tuple[str, V]]:
        """Yield each value once or a few times, with a tenant that has it."""


def distinct_of(tenants: Mapping[str, V]) -> Iterator[tuple[str, V]]:
    """Yield every value that a tenant has, with such a tenant; where they are `Shared`, hardly one twice."""
    return tenants.distinct() if isinstance(tenants, Shared) else iter(tenants.items())
