"""Turn an answer into a plan: the whole tree of what must be made, by one catalog, for one tenant and subject.

Synchronous and without I/O, so that a request may plan between two awaits; a factory that is still only a reference
raises `NotLoaded`, and is loaded in a thread by `load`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pointsman.declarations import LIFETIMES, Candidate, Component, Lifetime, Tenant
from pointsman.errors import ConfigurationError, PointsmanError, TenantError
from pointsman.lifecycle.factories import FactorySpec, read_factory
from pointsman.lifecycle.identity import Identity, Plan, recipe_of
from pointsman.lifecycle.reporting import in_words
from pointsman.resolution.decision import Question, Verdict, settings_key, weigh
from pointsman.resolution.reference import load_reference
from pointsman.resolution.resolver import resolution_of
from pointsman.resolution.template import Kind, Reference, bind_tenant, references

if TYPE_CHECKING:
    from pointsman.resolution.catalog import Catalog

Path = tuple[tuple[str, str, str], ...]


class NotLoaded(Exception):
    """A factory is still only a reference."""

    def __init__(self, candidate: Candidate) -> None:
        super().__init__(str(candidate))
        self.candidate = candidate


class Planner:
    """Makes plans, and remembers what each factory asks for.

    Args:
        secret_epoch: How often a secret was rotated, by name.
    """

    def __init__(self, secret_epoch: Callable[[str], int]) -> None:
        self._secret_epoch = secret_epoch
        self._specs: dict[Candidate, FactorySpec] = {}

    async def plan(self, catalog: Catalog, question: Question) -> Plan:
        """Return the plan for a question, loading each factory that is still a reference.

        Raises:
            ResolutionError: Nothing may serve, or something that it stands on is missing.
            TenantError: A factory needs a tenant and none asks.
            ConfigurationError: A factory cannot be loaded or read, or stands on itself.
        """
        while True:
            try:
                return self.plan_now(catalog, question)
            except NotLoaded as missing:
                await self.load(missing.candidate)

    async def load(self, candidate: Candidate) -> FactorySpec:
        """Load a candidate's factory in a thread, and read it.

        Raises:
            ConfigurationError: There is no such factory, it cannot be read, or its module cannot be imported.
            FactoryForbidden: A manifest names what it may not.
        """
        try:
            spec = await asyncio.to_thread(_load, candidate)
        except PointsmanError:
            raise
        except Exception as error:  # the boundary around the user's module, which runs when it is imported
            raise ConfigurationError(
                f"{candidate}: {candidate.factory} cannot be imported: {in_words(error)}"
            ) from error
        self._specs[candidate] = spec
        return spec

    def keep(self, catalog: Catalog) -> None:
        """Forget what was read of factories that a catalog does not have, so that no refresh leaves anything."""
        self._specs = {
            candidate: spec
            for candidate, spec in self._specs.items()
            if any(entry.candidate == candidate for entry in catalog.candidates.of(candidate.component))
        }

    def plan_now(self, catalog: Catalog, question: Question) -> Plan:
        """Return the plan for a question, without an await.

        Raises:
            NotLoaded: A factory is still only a reference.
            PointsmanError: As `plan`.
        """
        return self._plan(catalog, question, ())

    def _plan(self, catalog: Catalog, question: Question, path: Path) -> Plan:
        verdict = weigh(catalog, question)
        resolution = resolution_of(catalog, verdict)
        candidate = resolution.candidate
        step = (candidate.domain, candidate.key, candidate.provider)
        if step in path:
            cycle = " → ".join(f"{domain}/{key}={provider}" for domain, key, provider in (*path, step))
            raise ConfigurationError(f"A component stands on itself: {cycle}.")
        spec = self.spec(candidate)
        needs = tuple(
            (need.name, self._need(catalog, question, need.use, (*path, step), optional=need.optional))
            for need in spec.needs
        )
        _check_needs(candidate, spec, needs)
        return self._assemble(catalog, verdict, spec, needs)

    def spec(self, candidate: Candidate) -> FactorySpec:
        """Return what a candidate's factory asks for.

        Raises:
            NotLoaded: It, or its settings model, is still only a reference.
        """
        if (spec := self._specs.get(candidate)) is not None:
            return spec
        if isinstance(candidate.factory, str) or isinstance(candidate.settings_model, str):
            raise NotLoaded(candidate)
        spec = self._specs[candidate] = read_factory(candidate, candidate.factory, candidate.settings_model)
        return spec

    def _need(self, catalog: Catalog, question: Question, use: Any, path: Path, *, optional: bool) -> Plan | None:
        """Plan what a factory asks for: same catalog, same tenant, same subject."""
        if optional and not is_registered(catalog, use.component):
            return None
        needed = Question(use.component, question.tenant, use.provider, use.requires, question.drawn_for)
        return self._plan(catalog, needed, path)

    def _assemble(
        self, catalog: Catalog, verdict: Verdict, spec: FactorySpec, needs: tuple[tuple[str, Plan | None], ...]
    ) -> Plan:
        resolution = resolution_of(catalog, verdict)
        question, candidate = verdict.question, resolution.candidate
        settings = catalog.provider_settings(candidate, question.tenant)
        blanks = references(settings) if settings else ()
        names_tenant = any(blank.kind is Kind.TENANT for blank in blanks)
        tenant = _tenant(catalog, question, candidate, spec, needed=names_tenant)
        if names_tenant:
            settings = bind_tenant(settings, question.tenant, where=str(candidate))
        beneath = any(plan is not None and plan.tenant_bound for _, plan in needs)
        identity = Identity(
            recipe=recipe_of(candidate, spec.lifetime),
            settings=settings_key(settings),
            secrets=self._secrets(blanks),
            tenant=question.tenant if spec.lifetime != "shared" or names_tenant or beneath else None,
            labels=tuple(sorted(tenant.labels.items())) if tenant and spec.tenant else (),
            needs=tuple(plan.identity if plan else None for _, plan in needs),
        )
        by_subject = verdict.depends_on_subject or any(plan is not None and plan.by_subject for _, plan in needs)
        facade = candidate.metadata.get("facade") == "tenant"
        foreign = catalog.foreign_settings(candidate, question.tenant)
        return Plan(question, resolution, spec, identity, settings, tenant, needs, facade, by_subject, foreign)

    def _secrets(self, blanks: tuple[Reference, ...]) -> tuple[tuple[str, int], ...]:
        names = sorted(blank.name for blank in blanks if blank.kind is Kind.SECRET)
        return tuple((name, self._secret_epoch(name)) for name in names)


def is_registered(catalog: Catalog, component: Component[Any]) -> bool:
    """Whether there is any candidate for a component, eligible or not."""
    return bool(catalog.candidates.of(component)) or component in catalog.replaced


def _load(candidate: Candidate) -> FactorySpec:
    factory: object = candidate.factory
    if isinstance(factory, str):
        factory = load_reference(factory)
    model = candidate.settings_model
    return read_factory(candidate, factory, load_reference(model) if isinstance(model, str) else model)


def _tenant(
    catalog: Catalog, question: Question, candidate: Candidate, spec: FactorySpec, *, needed: bool
) -> Tenant | None:
    if question.tenant is None:
        if needed or spec.lifetime == "tenant" or (spec.tenant and not spec.tenant[1]):
            raise TenantError(f"{candidate} is made for one tenant, and nobody said which.", hint="Say who asks.")
        return None
    return Tenant(question.tenant, catalog.labels(question.tenant))


def _check_needs(candidate: Candidate, spec: FactorySpec, needs: tuple[tuple[str, Plan | None], ...]) -> None:
    """Nothing may stand on what lives shorter."""
    for name, plan in needs:
        if plan is not None and _shorter(plan.lifetime, spec.lifetime):
            raise ConfigurationError(
                f"{candidate} lives as {spec.lifetime!r}, but stands on {plan.resolution.candidate}, which lives as "
                f'{plan.lifetime!r} (parameter `{name}`). Say lifetime="{plan.lifetime}", or drop the parameter.'
            )


def _shorter(one: Lifetime, other: Lifetime) -> bool:
    return LIFETIMES.index(one) > LIFETIMES.index(other)
