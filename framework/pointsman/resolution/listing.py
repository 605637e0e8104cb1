"""Candidates that lie in an index, and are made when their component is first asked for.

A source of many candidates brings them so: what nobody asks for costs a slot in the index, no ranking and no object.
The index never changes, and gives the same candidates, in the same order, however often it is asked.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from pointsman.declarations import Candidate, Component


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
