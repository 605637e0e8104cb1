"""What makes two instances the same, and what it takes to make one.

Pure. Two tenants share an instance exactly when nothing about it could differ: candidate, settings, secrets' epochs,
the tenant where it matters, and the identities of all that it stands on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

import msgspec

from pointsman.values import frozen

if TYPE_CHECKING:
    from pointsman.declarations import Candidate, Component, Factory, Lifetime, Tenant
    from pointsman.lifecycle.factories import FactorySpec
    from pointsman.resolution.decision import Question
    from pointsman.resolution.explanation import Resolution


class Recipe(msgspec.Struct, frozen=True):
    """The part of a candidate that makes an instance what it is; ranking and words are no part of it."""

    domain: str
    key: str
    provider: str
    factory: Factory
    settings_model: Any
    lifetime: Lifetime
    version: str

    @property
    def name(self) -> tuple[str, str, str]:
        """Domain, key and provider."""
        return self.domain, self.key, self.provider


def recipe_of(candidate: Candidate, lifetime: Lifetime) -> Recipe:
    """Return the recipe of a candidate under its effective lifetime."""
    return Recipe(
        candidate.domain, candidate.key, candidate.provider, candidate.factory,
        candidate.settings_model, lifetime, candidate.version,
    )  # fmt: skip


@frozen
class Identity:
    """What makes two instances the same.

    Attributes:
        settings: Canonical text of the settings; secrets stay templates, the tenant is filled in.
        secrets: Each secret that the settings name, with its epoch; a rotation raises it.
        tenant: The tenant, where the instance may differ by it.
        labels: The tenant's labels, where the factory is given the tenant.
        needs: The identities of all that it stands on; ``None`` for an optional one that is absent.
    """

    recipe: Recipe
    settings: str
    secrets: tuple[tuple[str, int], ...] = ()
    tenant: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    needs: tuple[Identity | None, ...] = ()
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = (self.recipe.name, self.settings, self.secrets, self.tenant, self.needs)
        object.__setattr__(self, "_hash", hash(parts))

    def __hash__(self) -> int:
        return self._hash  # identities nest: hashing the whole tree at each look-up would cost its size

    def __str__(self) -> str:
        return "{}/{}={}".format(*self.recipe.name) + (f" for {self.tenant}" if self.tenant else "")


class Plan(msgspec.Struct, frozen=True, eq=False):
    """An answer taken to the end: who serves, what it stands on, and what instance that is.

    Attributes:
        question: What was asked.
        settings: The provider's settings with the tenant filled in, secrets and environment not.
        tenant: The tenant that the factory is given.
        needs: The plan behind each parameter that names a component.
        facade: Whether the instance hands out one view a tenant.
        by_subject: Whether another subject might have led to another plan.
        foreign: Those of the settings that a manifest says, as it says them.
    """

    question: Question
    resolution: Resolution
    spec: FactorySpec
    identity: Identity
    settings: Mapping[str, Any]
    tenant: Tenant | None
    needs: tuple[tuple[str, Plan | None], ...]
    facade: bool
    by_subject: bool
    foreign: Mapping[str, Any]

    @property
    def component(self) -> Component[Any]:
        """The component that is served."""
        return self.resolution.component

    @property
    def lifetime(self) -> Lifetime:
        """How long an instance of this plan may live."""
        return self.spec.lifetime

    @property
    def tenant_bound(self) -> bool:
        """Whether its instance, or the view of it that is handed out, belongs to one tenant."""
        return self.identity.tenant is not None or self.facade

    def closure(self) -> Iterator[Plan]:
        """Yield every plan that this one stands on, dependencies first, itself last."""
        for _, need in self.needs:
            if need is not None:
                yield from need.closure()
        yield self

    def __str__(self) -> str:
        return str(self.identity)
