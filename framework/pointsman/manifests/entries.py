"""The candidates of a manifest, indexed as they were read; a `Candidate` is made when its component is asked for.

Pure. What could be found wrong with an entry is found when the index is made, never when it is asked. No factory is
imported: what an entry leaves out, the mark of an included factory of the same reference says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, overload

from pointsman.declarations import Candidate, Component
from pointsman.errors import Malformed
from pointsman.resolution.listing import Listing

if TYPE_CHECKING:
    from pointsman.manifests.schema import CandidateEntry

Held: TypeAlias = "CandidateEntry | dict[str, CandidateEntry]"
"""What a component has: its only entry, or several by their providers."""
Make: TypeAlias = "Callable[[CandidateEntry, Candidate | None], Candidate]"
_NO_KEYS: Final[Mapping[str, Any]] = {}


class Entries(Listing):
    """An index of entries by domain and key.

    Args:
        entries: Of one manifest, in order.
        marks: What the image says of its own factories, by their references.
        make: Makes the candidate of an entry and its mark.

    Raises:
        Malformed: An entry is there twice.
    """

    __slots__ = ("_count", "_index", "_make", "_marks")

    def __init__(self, entries: Iterable[CandidateEntry], marks: Mapping[str, Candidate], make: Make) -> None:
        self._marks = marks
        self._make = make
        self._index: dict[str, dict[str, Held]] = {}
        self._count = 0
        keys: dict[str, Held]
        for self._count, entry in enumerate(entries, 1):
            try:
                keys = self._index[entry.domain]
            except KeyError:
                keys = self._index[entry.domain] = {}
            held = keys.setdefault(entry.key, entry)
            if held is not entry:
                _put(keys, held, entry)

    @property
    def components(self) -> Mapping[str, Mapping[str, Held]]:
        """Every domain, with its keys."""
        return self._index

    def of(self, component: Component[Any]) -> tuple[Candidate, ...]:
        """Return a component's candidates in the order in which the manifest lists them."""
        entries = _entries(self._index.get(component[0], _NO_KEYS).get(component[1]))
        return tuple(self._make(entry, self._marks.get(entry.factory)) for entry in entries)

    def at_hand(self) -> Iterator[Component[Any]]:
        """Yield the components that have an entry of a factory which is at hand, no reference."""
        loaded = {reference for reference, mark in self._marks.items() if not isinstance(mark.factory, str)}
        if loaded:
            for domain, keys in self._index.items():
                for key, held in keys.items():
                    if any(entry.factory in loaded for entry in _entries(held)):
                        yield Component(domain, key)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Candidate]:
        """Yield every candidate, component by component."""
        for domain, keys in self._index.items():
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
        return hash(self._count)


def _put(keys: dict[str, Held], held: Held, entry: CandidateEntry) -> None:
    """Add an entry to a component that has one."""
    several = held if isinstance(held, dict) else {held.provider: held}
    if several.setdefault(entry.provider, entry) is not entry:
        raise Malformed(f"candidates: expected {entry.domain}/{entry.key}/{entry.provider} once, found it again.")
    keys[entry.key] = several


def _entries(held: Held | None) -> Iterable[CandidateEntry]:
    if held is None:
        return ()
    return held.values() if isinstance(held, dict) else (held,)
