"""The candidates of a large manifest, packed by component: what nobody asks for is a few bytes, and no object.

Most entries say no more than who they are and how they rank, and are packed as such; the index holds no object that
the collector would look at. Beside it lies what admission looks at, gathered while the entries were at hand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, TypeAlias, TypeVar, cast, overload

import msgspec
from msgspec.structs import astuple

from pointsman.errors import Malformed
from pointsman.manifests.schema import CandidateEntry, Level, Text

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

R = TypeVar("R")
Piece: TypeAlias = "bytes | Whole"
"""Several entries of one component, packed: plain ones, or whole ones."""
Held: TypeAlias = "Piece | list[Piece]"
"""What a component has, in order."""
Row: TypeAlias = tuple[Any, ...]
"""The values of an entry in the order of its fields."""
OPENS: Final = b"$"
"""How a blank begins; the canonical form never spells it otherwise."""
_NO_KEYS: Final[Mapping[str, Held]] = MappingProxyType({})


class PlainEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, gc=False):
    """A `CandidateEntry` that says who it is and how it ranks, and no more.

    Names are texts here; whoever decodes checks them, each once. What it cannot say, it leaves out.
    """

    domain: str
    key: str
    provider: str
    factory: Annotated[str, msgspec.Meta(min_length=3, max_length=512)]
    priority: Level | None = None
    stack_level: Level | None = None
    lifetime: Literal["shared", "tenant", "request"] | None = None
    capabilities: tuple[str, ...] = ()
    description: Text | None = None
    version: Text | None = None
    owner: Text | None = None

    settings_model: ClassVar[None] = None
    metadata: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    requires: ClassVar[tuple[str, ...]] = ()
    conflicts_with: ClassVar[tuple[str, ...]] = ()
    python_version: ClassVar[None] = None
    os_platform: ClassVar[None] = None
    tenants: ClassVar[tuple[str, ...]] = ()
    not_tenants: ClassVar[tuple[str, ...]] = ()
    requires_secrets: ClassVar[bool] = False
    side_effect_free: ClassVar[bool] = False
    timeout_seconds: ClassVar[None] = None
    retry_policy: ClassVar[None] = None
    license: ClassVar[None] = None
    documentation_url: ClassVar[None] = None
    event_topics: ClassVar[None] = None
    event_max_concurrency: ClassVar[None] = None
    event_filters: ClassVar[None] = None
    event_priority: ClassVar[None] = None
    event_fanout_policy: ClassVar[None] = None
    dag: ClassVar[None] = None
    uri: ClassVar[None] = None
    sha256: ClassVar[None] = None


class Written(PlainEntry, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, gc=False):
    """A plain entry as a manifest writes it."""

    capabilities: list[str] = []  # type: ignore[assignment]  # made in fewer steps than a tuple


class Whole(msgspec.Struct, frozen=True, gc=False):
    """Rows of whole entries, packed."""

    rows: bytes


class _PlainRow(PlainEntry, frozen=True, forbid_unknown_fields=True, kw_only=True, array_like=True, gc=False):
    """A plain entry as it was packed."""


class _WholeRow(CandidateEntry, frozen=True, forbid_unknown_fields=True, kw_only=True, array_like=True):
    """A whole entry as it was packed."""


class _Names(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first four values of a row."""

    domain: str
    key: str
    provider: str
    factory: str


_COMPONENT: Final = itemgetter(0, 1)
_FACTORY: Final = itemgetter(3)
_NO_ROW: Final[Row] = (None, None, None, None, None, None, None, [])
_pack: Final = msgspec.msgpack.Encoder().encode


@cache
def _reader(kind: type[R]) -> Callable[[bytes], list[R]]:
    """Return what unpacks rows of a kind; making it takes longer than reading a small manifest, which needs none."""
    return msgspec.msgpack.Decoder(list[kind]).decode  # type: ignore[valid-type]  # told at run time


class Index:
    """Entries by domain and key.

    Attributes:
        domains: Every domain, with its keys and what they have.
    """

    __slots__ = ("_count", "domains")

    def __init__(self, domains: Mapping[str, Mapping[str, Held]], count: int) -> None:
        self.domains = domains
        self._count = count

    def of(self, domain: str, key: str) -> Iterator[CandidateEntry]:
        """Yield a component's entries in the order in which the manifest lists them."""
        for piece in _pieces(self.domains.get(domain, _NO_KEYS).get(key)):
            if isinstance(piece, Whole):
                yield from _reader(_WholeRow)(piece.rows)
            else:
                yield from cast("list[CandidateEntry]", _reader(_PlainRow)(piece))

    def naming(self, factories: AbstractSet[str]) -> Iterator[tuple[str, str]]:
        """Yield the components of which an entry names one of these factories."""
        for domain, keys in self.domains.items():
            for key, held in keys.items():
                if any(one.factory in factories for piece in _pieces(held) for one in _named(piece)):
                    yield domain, key

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[CandidateEntry]:
        """Yield every entry, component by component."""
        for domain, keys in self.domains.items():
            for key in keys:
                yield from self.of(domain, key)


class Packed(Sequence[CandidateEntry]):
    """The candidates of a manifest as a sequence, component by component; it cannot be encoded.

    Attributes:
        entries: By domain and key.
        whole: The entries that say more than a plain one.
        suspects: The texts of the chunks in which a blank may stand.
    """

    __slots__ = ("_factories", "entries", "suspects", "whole")

    def __init__(
        self,
        entries: Index,
        whole: tuple[CandidateEntry, ...],
        factories: tuple[bytes, ...],
        suspects: tuple[bytes, ...],
    ) -> None:
        self.entries = entries
        self.whole = whole
        self.suspects = suspects
        self._factories = factories

    def factories(self) -> Iterator[str]:
        """Yield every factory that is named, hardly one twice."""
        for several in self._factories:
            yield from _reader(str)(several)
        yield from dict.fromkeys(entry.factory for entry in self.whole)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[CandidateEntry]:
        return iter(self.entries)

    @overload
    def __getitem__(self, index: int) -> CandidateEntry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[CandidateEntry, ...]: ...
    def __getitem__(self, index: int | slice) -> CandidateEntry | tuple[CandidateEntry, ...]:
        """Return an entry by its place; unpacks all of them."""
        return tuple(self)[index]


class Shelf:
    """Where a reader puts entries, chunk by chunk; what is there twice is refused, and what it holds is no use then."""

    __slots__ = ("_domains", "_factories", "_providers", "_suspects", "_whole", "count")

    def __init__(self) -> None:
        self.count = 0
        self._domains: defaultdict[str, dict[str, Held]] = defaultdict(dict)
        self._providers: dict[tuple[str, str], set[str]] = {}  # of components that more than one chunk speaks of
        self._whole: list[CandidateEntry] = []
        self._factories: list[bytes] = []
        self._suspects: list[bytes] = []

    def put_plain(self, entries: Sequence[PlainEntry]) -> set[str]:
        """Pack plain entries, those of one component that follow each other as one piece.

        Returns:
            Every name that they say, to be checked.

        Raises:
            Malformed: One is there twice.
        """
        rows = list(map(astuple, entries))
        names: set[str] = set()
        capabilities: list[str] = []
        domains = self._domains
        start, (domain, key) = 0, rows[0][:2]
        for place, row in enumerate((*rows, _NO_ROW)):
            if row[7] != capabilities:  # most say what the one before says, and are not hashed
                capabilities = row[7]
                names.update(capabilities)
            if row[1] != key or row[0] != domain:
                run = rows[start:place]
                providers = {one[2] for one in run}
                if len(providers) != len(run):
                    raise _twice(domain, key, _repeated(run))
                piece = _pack(run)
                if domains[domain].setdefault(key, piece) is not piece:
                    self._add_more(domain, key, piece, providers)
                names |= providers
                names.add(key)
                names.add(domain)
                start, domain, key = place, row[0], row[1]
        self._factories.append(_pack(list(set(map(_FACTORY, rows)))))
        self.count += len(rows)
        return names

    def put_whole(self, entries: Sequence[CandidateEntry]) -> None:
        """Pack whole entries, and keep them for admission.

        Raises:
            Malformed: One is there twice.
        """
        for (domain, key), rows in groupby(map(astuple, entries), _COMPONENT):
            run = list(rows)
            providers = {one[2] for one in run}
            if len(providers) != len(run):
                raise _twice(domain, key, _repeated(run))
            piece = Whole(_pack(run))
            if self._domains[domain].setdefault(key, piece) is not piece:
                self._add_more(domain, key, piece, providers)
        self._whole += entries
        self.count += len(entries)

    def suspect(self, text: bytes) -> None:
        """Keep the text of a chunk for admission to look at."""
        self._suspects.append(text)

    def close(self) -> Packed:
        """Return all that was put there."""
        entries = Index(dict(self._domains), self.count)
        return Packed(entries, tuple(self._whole), tuple(self._factories), tuple(self._suspects))

    def _add_more(self, domain: str, key: str, piece: Piece, providers: Collection[str]) -> None:
        """Add a piece to a component that has one."""
        held = self._domains[domain][key]
        known = self._providers.get((domain, key))
        if known is None:
            known = self._providers[domain, key] = {one.provider for each in _pieces(held) for one in _named(each)}
        for provider in providers:
            if provider in known:
                raise _twice(domain, key, provider)
            known.add(provider)
        if isinstance(held, list):
            held.append(piece)
        else:
            self._domains[domain][key] = [held, piece]


def packed(candidates: Sequence[CandidateEntry]) -> Packed:
    """Return the candidates of any manifest indexed.

    Raises:
        Malformed: An entry is there twice.
    """
    if isinstance(candidates, Packed):
        return candidates
    shelf = Shelf()
    shelf.put_whole(candidates)
    return shelf.close()


def _pieces(held: Held | None) -> Sequence[Piece]:
    if held is None:
        return ()
    return held if isinstance(held, list) else (held,)


def _repeated(run: Sequence[Row]) -> str:
    """Return the first provider that rows name again."""
    providers: list[str] = [row[2] for row in run]
    return next(provider for place, provider in enumerate(providers) if provider in providers[:place])


def _twice(domain: str, key: str, provider: str) -> Malformed:
    return Malformed(f"candidates: expected {domain}/{key}/{provider} once, found it again.")


def _named(piece: Piece) -> list[_Names]:
    return _reader(_Names)(piece.rows if isinstance(piece, Whole) else piece)
