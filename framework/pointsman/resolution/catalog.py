"""All candidates and selections, and the tables made from them: immutable, numbered.

A catalog answers for everyone and every tenant by one ranking. It does no I/O and never changes; replacing one of its
inputs makes the next catalog, which shares with this one whatever stayed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeAlias

from pointsman.declarations import Component
from pointsman.resolution.contribution import Contribution, Policy, ProviderValues, Source
from pointsman.resolution.eligibility import Environment, barrier_here
from pointsman.resolution.listing import Listing, Shared
from pointsman.resolution.precedence import Registration, register_as
from pointsman.resolution.selection import Choices, Selection, Selections, Split
from pointsman.values import frozen

if TYPE_CHECKING:
    from pointsman.declarations import Candidate

LAYERS: tuple[tuple[str, bool], ...] = (
    ("replica", True),
    ("replica", False),
    ("control", True),
    ("control", False),
    ("settings", True),
    ("manifest", True),
    ("settings", False),
    ("manifest", False),
)
"""The layers of explicit selections, highest first: who says it, and whether for one tenant."""

ORDER_LAYERS = frozenset({"replica", "control"})
_DEFAULT_POLICY = Policy()
_NO_LABELS: Mapping[str, str] = {}
_NO_VALUES: ProviderValues = {}
_NO_SETTINGS: Mapping[str, Any] = {}


@frozen
class Outage:
    """A candidate that fails with these settings, for this tenant where the tenant is part of it."""

    candidate: Candidate
    settings: str
    tenant: str | None


class Listed:
    """The registrations of a listing, made component by component."""

    __slots__ = ("_listing", "_source")

    def __init__(self, listing: Listing, source: Source) -> None:
        self._listing = listing
        self._source = source

    @property
    def components(self) -> Mapping[str, Collection[str]]:
        """Every domain, with its keys."""
        return self._listing.components

    def of(self, component: Component[Any]) -> tuple[Registration, ...]:
        """Return a component's candidates in their places; the sequence counts within the component."""
        candidates = dict.fromkeys(self._listing.of(component))
        return tuple(register_as(candidate, self._source, number) for number, candidate in enumerate(candidates))

    def at_hand(self) -> Iterable[Component[Any]]:
        """Return the components that may have a candidate whose factory is at hand, no reference."""
        return self._listing.at_hand()

    def __iter__(self) -> Iterator[Registration]:
        """Yield every registration, component by component."""
        for domain, keys in self.components.items():
            for key in keys:
                yield from self.of(Component(domain, key))


Group: TypeAlias = Listed | Iterable[Registration]


class Candidates:
    """Every registration, ranked, by component; shared by all catalogs that differ in selections alone.

    What is listed is ranked when its component is first asked for.

    Args:
        groups: Registrations by source, in any order.
        environment: What constraints are weighed against.
    """

    __slots__ = ("_barriers", "_environment", "_listed", "_made", "_ranked")

    def __init__(self, groups: Iterable[Group], environment: Environment) -> None:
        found: defaultdict[str, defaultdict[str, list[Registration]]] = defaultdict(lambda: defaultdict(list))
        groups = tuple(groups)
        self._environment = environment
        self._barriers: dict[Registration, str] = {}
        self._listed = tuple(group for group in groups if isinstance(group, Listed))
        self._made: dict[Component[Any], tuple[Registration, ...]] = {}
        for registration in (each for group in groups if not isinstance(group, Listed) for each in group):
            found[registration.candidate.domain][registration.candidate.key].append(registration)
            self._weigh(registration)
        self._ranked = {
            domain: {key: tuple(sorted(entries, key=_rank, reverse=True)) for key, entries in keys.items()}
            for domain, keys in found.items()
        }

    def of(self, component: Component[Any]) -> tuple[Registration, ...]:
        """Return a component's registrations, best first."""
        if self._listed:
            made = self._made.get(component)
            return self._make(component) if made is None else made
        return self._ranked.get(component[0], {}).get(component[1], ())

    def barrier(self, registration: Registration) -> str | None:
        """Return why a candidate cannot serve on this machine, or ``None``."""
        return self._barriers.get(registration) if self._barriers else None

    def at_hand(self) -> Iterator[Registration]:
        """Yield the registrations whose factory and settings model are at hand, not references."""
        domains = {domain: dict.fromkeys(keys) for domain, keys in self._ranked.items()}
        for component in (component for listed in self._listed for component in listed.at_hand()):
            domains.setdefault(component[0], {})[component[1]] = None
        for component in _sorted(domains):
            for registration in self.of(component):
                candidate = registration.candidate
                if not isinstance(candidate.factory, str) and not isinstance(candidate.settings_model, str):
                    yield registration

    def __iter__(self) -> Iterator[Component[Any]]:
        """Yield every component, sorted."""
        if not self._listed:
            yield from _sorted(self._ranked)
            return
        domains: dict[str, set[str]] = {domain: set(keys) for domain, keys in self._ranked.items()}
        for listed in self._listed:
            for domain, keys in listed.components.items():
                domains.setdefault(domain, set()).update(keys)
        yield from _sorted(domains)

    def _make(self, component: Component[Any]) -> tuple[Registration, ...]:
        """Rank a component once; two threads that ask at once get the same registrations."""
        ranked = self._ranked.get(component[0], {}).get(component[1], ())
        more = [registration for listed in self._listed for registration in listed.of(component)]
        if not more:
            return ranked
        for registration in more:
            self._weigh(registration)
        return self._made.setdefault(component, tuple(sorted((*ranked, *more), key=_rank, reverse=True)))

    def _weigh(self, registration: Registration) -> None:
        if barrier := barrier_here(registration.candidate, self._environment):
            self._barriers[registration] = barrier


def _sorted(domains: Mapping[str, Iterable[str]]) -> Iterator[Component[Any]]:
    for domain in sorted(domains):
        for key in sorted(domains[domain]):
            yield Component(domain, key)


def _rank(registration: Registration) -> tuple[int, int, int, int]:
    return registration.rank


def registrations_of(contribution: Contribution, source: Source) -> Group:
    """Put the candidates of settings or a manifest in their places, equal ones once."""
    if isinstance(contribution.candidates, Listing):
        return Listed(contribution.candidates, source)
    candidates = dict.fromkeys(contribution.candidates)
    return tuple(register_as(candidate, source, number) for number, candidate in enumerate(candidates))


@frozen
class Dangling:
    """A selection that names a provider which nobody registers."""

    layer: str
    tenant: str | None
    component: Component[Any]
    provider: str

    def __str__(self) -> str:
        where = f"{self.layer}({self.tenant})" if self.tenant else self.layer
        return f"{where} selects {self.component}={self.provider}, which nobody registers"


Named: TypeAlias = tuple[str, Selection]
"""A layer as it is printed, and its selection."""


@frozen(eq=False)
class Catalog:
    """The answer to every question of who serves.

    Attributes:
        serial: Grows with every catalog of this process.
        replica: This replica's own overrides.
        control: What operators ordered for the fleet.
        given: Provider settings above every layer, for tests.
        replaced: Components whose only candidate is the one given here, for tests.
        outages: Candidates that fail now; a policy of ``next`` walks past them.
    """

    serial: int
    candidates: Candidates
    settings: Contribution = field(default_factory=Contribution)
    manifest: Contribution = field(default_factory=Contribution)
    control: Choices = field(default_factory=Choices)
    replica: Choices = field(default_factory=Choices)
    given: ProviderValues = field(default_factory=dict)
    replaced: Mapping[Component[Any], Registration] = field(default_factory=dict)
    outages: frozenset[Outage] = frozenset()

    def choices(self, source: str) -> Choices:
        """Return the selections of one source of `LAYERS`."""
        match source:
            case "replica":
                return self.replica
            case "control":
                return self.control
            case "settings":
                return self.settings.choices
            case _:
                return self.manifest.choices

    def layers(self, component: Component[Any], tenant: str | None) -> Iterator[tuple[str, Selection | None]]:
        """Yield every layer that concerns the tenant, highest first, as printed, and what it selects."""
        for source, for_tenant in LAYERS:
            choices = self.choices(source)
            if not for_tenant:
                yield source, choices.everyone.get(component)
            elif tenant is not None:
                yield f"{source}({tenant})", choices.tenants.get(tenant, {}).get(component)

    def selection(self, component: Component[Any], tenant: str | None) -> Named | None:
        """Return the first layer that names a provider, and its selection."""
        for layer, selection in self.layers(component, tenant):
            if selection is not None:
                return layer, selection
        return None

    def policy(self, component: Component[Any]) -> Policy:
        """Return how a component is kept running; settings say it before the manifest."""
        return self.settings.policies.get(component) or self.manifest.policies.get(component) or _DEFAULT_POLICY

    def knows(self, tenant: str) -> bool:
        """Whether settings or the manifest declare this tenant."""
        return tenant in self.settings.labels or tenant in self.manifest.labels

    @property
    def declares_tenants(self) -> bool:
        """Whether settings or the manifest declare any tenant."""
        return bool(self.settings.labels or self.manifest.labels)

    def tenants(self) -> tuple[str, ...]:
        """Return every declared tenant, sorted."""
        return tuple(sorted({*self.settings.labels, *self.manifest.labels}))

    def labels(self, tenant: str) -> Mapping[str, str]:
        """Return a tenant's labels; settings say them before the manifest."""
        declared = self.manifest.labels.get(tenant, _NO_LABELS), self.settings.labels.get(tenant, _NO_LABELS)
        return {**declared[0], **declared[1]} if all(declared) else declared[1] or declared[0]

    def provider_settings(self, candidate: Candidate, tenant: str | None) -> Mapping[str, Any]:
        """Return a provider's settings for a tenant, unrendered, merged by layers, per top-level key."""
        return {key: value for values, _ in self._layers(candidate, tenant) for key, value in values.items()}

    def foreign_settings(self, candidate: Candidate, tenant: str | None) -> Mapping[str, Any]:
        """Return those of `provider_settings` that the manifest says, and no higher layer."""
        layers = self._layers(candidate, tenant)
        highest = {key: (value, foreign) for values, foreign in layers for key, value in values.items()}
        return {key: value for key, (value, foreign) in highest.items() if foreign}

    def _layers(self, candidate: Candidate, tenant: str | None) -> Iterator[tuple[Mapping[str, Any], bool]]:
        """Yield what each layer says, the lowest first, and whether it is the manifest's."""
        name = (candidate.domain, candidate.key, candidate.provider)
        sources = (self.manifest.provider_settings, True), (self.settings.provider_settings, False)
        for said, foreign in sources:
            yield said.everyone.get(name, _NO_SETTINGS), foreign
        if tenant is not None:
            for said, foreign in sources:
                yield said.tenants.get(tenant, _NO_VALUES).get(name, _NO_SETTINGS), foreign
        yield self.given.get(name, _NO_SETTINGS), False

    def dangling(self) -> tuple[Dangling, ...]:
        """Return every selection that names a provider which nobody registers, highest layer first."""
        return tuple(self._dangling())

    def _dangling(self) -> Iterator[Dangling]:
        for source in ("replica", "control", "settings", "manifest"):
            choices = self.choices(source)
            yield from self._dangling_in(source, None, choices.everyone)
            if isinstance(choices.tenants, Shared) and not self._any_dangling(source, choices.tenants):
                continue
            sound: set[int] = set()  # mappings that many tenants share, each looked at once
            for tenant, selections in choices.tenants.items():
                if id(selections) not in sound:
                    found = tuple(self._dangling_in(source, tenant, selections))
                    if not found:
                        sound.add(id(selections))
                    yield from found

    def _any_dangling(self, source: str, tenants: Shared[Selections]) -> bool:
        pairs = tenants.distinct()
        return any(True for tenant, selections in pairs for _ in self._dangling_in(source, tenant, selections))

    def _dangling_in(self, source: str, tenant: str | None, selections: Selections) -> Iterator[Dangling]:
        for component, selection in selections.items():
            registered = {registration.candidate.provider for registration in self.candidates.of(component)}
            for provider in selection.providers if isinstance(selection, Split) else (selection,):
                if provider not in registered and component not in self.replaced:
                    yield Dangling(source, tenant, component, provider)
