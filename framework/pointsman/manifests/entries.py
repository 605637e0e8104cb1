"""The candidates of a manifest, indexed as they were read; a `Candidate` is made when its component is asked for.

Pure. What could be found wrong with an entry is found when the index is made, never when it is asked. No factory is
imported: what an entry leaves out, the mark of an included factory of the same reference says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from pointsman.declarations import Candidate, Component
from pointsman.resolution.listing import Listing

if TYPE_CHECKING:
    from collections.abc import Collection

    from pointsman.manifests.packed import Packed
    from pointsman.manifests.schema import CandidateEntry

Make: TypeAlias = "Callable[[CandidateEntry, Candidate | None], Candidate]"


class Entries(Listing):
    """The entries of one manifest by component.

    Args:
        candidates: Of a manifest; no more than its index is kept.
        marks: What the image says of its own factories, by their references.
        make: Makes the candidate of an entry and its mark.
    """

    __slots__ = ("_at_hand", "_index", "_make", "_marks")

    def __init__(self, candidates: Packed, marks: Mapping[str, Candidate], make: Make) -> None:
        self._marks = marks
        self._make = make
        self._index = candidates.entries
        loaded = {reference for reference, mark in marks.items() if not isinstance(mark.factory, str)}
        named = loaded.intersection(candidates.factories()) if loaded else loaded
        self._at_hand = tuple(Component[Any](*names) for names in self._index.naming(named)) if named else ()

    @property
    def components(self) -> Mapping[str, Collection[str]]:
        """Every domain, with its keys."""
        return self._index.domains

    def of(self, component: Component[Any]) -> tuple[Candidate, ...]:
        """Return a component's candidates in the order in which the manifest lists them."""
        return tuple(self._make(entry, self._marks.get(entry.factory)) for entry in self._index.of(*component))

    def at_hand(self) -> Iterable[Component[Any]]:
        """Return the components that have an entry of a factory which is at hand, no reference."""
        return self._at_hand

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[Candidate]:
        """Yield every candidate, component by component."""
        for domain, keys in self._index.domains.items():
            for key in keys:
                yield from self.of(Component(domain, key))

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Candidate, ...]: ...
    def __getitem__(self, index: int | slice) -> Candidate | tuple[Candidate, ...]:
        """Return a candidate by its place; makes all of them."""
        return tuple(self)[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Iterable) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(len(self._index))
