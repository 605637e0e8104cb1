"""What a resolution says of itself: the winner, the losers, and why.

Values only, equal however and whenever they were made. They are rendered here and nowhere else, so that the shell, HTTP
and Python tell the same story.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NoReturn, Self

from pointsman.values import frozen

if TYPE_CHECKING:
    from pointsman.declarations import Candidate, Component


@frozen
class Ranked:
    """A candidate that did not win, and what it brought."""

    candidate: Candidate
    reasons: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return ``{"provider", "reasons"}``."""
        return {"provider": self.candidate.provider, "reasons": list(self.reasons)}


class _ToldLater:
    """The place of what an explanation keeps besides its fields: it is not compared, copied or pickled."""

    __slots__ = ("_tell",)


@frozen
class Explanation(_ToldLater):
    """Every rule weighed and every candidate that lost. ``str()`` is the tree that the shell prints.

    Attributes:
        selected: The winner, or ``None`` when nothing may serve.
        why: One sentence that a person can read.
        reasons: What the winner brought into the ranking.
        shadowed: Those that might have won, best first.
        ineligible: Those that could not, each with its reason.
        decided_by: The name of the rule that decided.
        layers: Each layer of selections, highest first, and what it says.
    """

    component: Component[Any]
    tenant: str | None
    selected: Candidate | None
    why: str
    reasons: tuple[str, ...]
    shadowed: tuple[Ranked, ...]
    ineligible: tuple[Ranked, ...]
    decided_by: str
    layers: tuple[str, ...]
    catalog_serial: int

    @classmethod
    def when_read(cls, tell: Callable[[], Explanation]) -> Explanation:
        """Return what ``tell`` returns, which is asked when a field is first read.

        Args:
            tell: Pure; two threads that read at once may both ask it.
        """
        explanation = object.__new__(cls)
        object.__setattr__(explanation, "_tell", tell)
        return explanation

    if not TYPE_CHECKING:  # a misspelt attribute must still fail the type check

        def __getattr__(self, name: str) -> object:
            if name not in self.__slots__:  # Python asks only for what is not there: fields that are not told yet
                raise AttributeError(f"Explanation has no attribute {name!r}.", name=name, obj=self)
            told = self._tell()
            for each in self.__slots__:
                object.__setattr__(self, each, getattr(told, each))
            return getattr(told, name)

    def as_dict(self) -> dict[str, Any]:
        """Return the record as JSON carries it."""
        return {
            "component": str(self.component),
            "tenant": self.tenant,
            "selected": self.selected.provider if self.selected else None,
            "why": self.why,
            "decided_by": self.decided_by,
            "reasons": list(self.reasons),
            "shadowed": [entry.as_dict() for entry in self.shadowed],
            "ineligible": [entry.as_dict() for entry in self.ineligible],
            "layers": list(self.layers),
            "catalog": self.catalog_serial,
        }

    def __str__(self) -> str:
        tenant = f" for {self.tenant}" if self.tenant is not None else ""
        provider = self.selected.provider if self.selected else "nothing"
        rows = [
            ("decided by", [self.decided_by]),
            ("why", [self.why]),
            ("layers", [" · ".join(self.layers)]),
            ("shadowed", _table(self.shadowed)),
            ("ineligible", _table(self.ineligible)),
            ("catalog", [str(self.catalog_serial)]),
        ]
        lines = [f"{self.component}{tenant} → {provider}"]
        for name, values in rows:
            lines += [
                f"  {label:<11} {value}" for label, value in zip((name, *[""] * len(values)), values, strict=False)
            ]
        return "\n".join(lines)


def _table(entries: tuple[Ranked, ...]) -> list[str]:
    width = max((len(entry.candidate.provider) for entry in entries), default=0)
    return [f"{entry.candidate.provider:<{width}}   {', '.join(entry.reasons)}" for entry in entries] or ["–"]


@frozen
class Resolution:
    """Which candidate serves, and by which rule. Awaiting it gives itself; nothing is made."""

    component: Component[Any]
    provider: str
    candidate: Candidate
    decided_by: str
    tenant: str | None
    catalog_serial: int

    def __await__(self) -> Generator[None, None, Self]:
        return self
        yield  # makes this a generator: awaiting ends at once, without a turn of the loop

    if not TYPE_CHECKING:  # a misspelt attribute must still fail the type check

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__") or name in self.__slots__:  # a copy asks before the fields are there
                raise AttributeError(name)
            domain, key = self.component
            raise AttributeError(
                f"Resolution has no attribute {name!r}. resolve() says which candidate serves {self.component} "
                f"({self.provider}); it does not make it.\n"
                f'  For the live object: `await components(request).get("{domain}", "{key}")` '
                f'or `await lifecycle.activate("{domain}", "{key}")`.'
            )
