"""Where an operator's question is answered: here, by the local application, or there, by a running service.

Both give the same documents, those of the admin API, so that a command prints the same whoever was asked.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from pointsman.declarations import Component

Facts: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What narrows an explanation."""

    tenant: str | None = None
    provider: str | None = None
    requires: Collection[str] = ()
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Ordered:
    """An operator's order, in the words of the admin API.

    Attributes:
        verb: ``swap unswap pause resume drain``.
        fields: Its body; what is ``None`` was not said.
        headers: ``If-Match`` and ``Idempotency-Key``, where they were said.
    """

    verb: str
    fields: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False

    @property
    def body(self) -> Facts:
        """What was said."""
        return {name: value for name, value in self.fields.items() if value is not None}


class Desk(Protocol):
    """Answers questions and takes orders; every answer is in JSON types. Errors are of our tree."""

    async def explain(self, component: Component[Any], asked: Asked) -> Facts:
        """Return an explanation."""
        ...

    async def components(self, tenants: Collection[str]) -> list[Facts]:
        """Return every component with its candidates, and who serves these tenants (here: unsaid, every one)."""
        ...

    async def status(self) -> Facts:
        """Return the manifest in force, the head, and what lives."""
        ...

    async def health(self, component: Component[Any] | None, *, probe: bool) -> Facts:
        """Return how everything is that lives; with ``probe`` everything is asked."""
        ...

    async def activity(self) -> list[Facts]:
        """Return every pause and drain in force."""
        ...

    async def order(self, ordered: Ordered) -> Facts:
        """Carry out an order, and return what came of it."""
        ...


def desk(url: str, token: str, reference: str) -> AbstractAsyncContextManager[Desk]:
    """Return the desk for one command: a running service's, where ``url`` names one, else the local application's."""
    if url:
        from pointsman.cli.there import there

        return there(url, token)
    return _here(reference)


@asynccontextmanager
async def _here(reference: str) -> AsyncGenerator[Desk]:
    from pointsman.cli.applications import runtime_of
    from pointsman.cli.here import here

    async with here(runtime_of(reference)) as found:
        yield found
