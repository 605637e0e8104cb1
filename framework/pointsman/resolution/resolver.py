"""Ask which candidate serves a component, and register candidates in code.

A `Resolver` owns what code and plugins registered and shows one catalog at a time; questions are synchronous,
lock-free, and answered from tables that each catalog makes once. It makes no instance.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypedDict, Unpack

from pointsman.declarations import Component, distinct
from pointsman.resolution.catalog import Candidates, Catalog, registrations_of
from pointsman.resolution.contribution import Contribution, Source, merged
from pointsman.resolution.decision import Question, Verdict, may_remember, weigh
from pointsman.resolution.eligibility import Environment, barrier_here, this_environment
from pointsman.resolution.explanation import Explanation, Resolution
from pointsman.resolution.precedence import (
    STACK_ORDER_VARIABLE,
    Registration,
    infer_priority,
    parse_stack_order,
    register_as,
)

if TYPE_CHECKING:
    from pointsman.declarations import Candidate


Answers: TypeAlias = dict[str, dict[str, Resolution]]
"""Domain → key → who serves."""


class Asked(TypedDict, total=False):
    """Narrows a resolution: only this provider, only candidates that can do this, and for whom a split is drawn."""

    provider: str | None
    requires: Collection[str]
    subject: str | None


class Contributes(Protocol):
    """Settings, as far as resolution needs them."""

    def contribution(self, marks: Mapping[str, Candidate] = ..., /) -> Contribution:
        """Return what the settings bring to the catalog."""
        ...


def question_of(domain: str, key: str, tenant: str | None, asked: Asked) -> Question:
    """Return the question that the arguments of `Resolver.resolve` ask.

    Raises:
        TypeError: An argument is none of `Asked`.
        ConfigurationError: ``requires`` is no collection of strings.
    """
    if unknown := asked.keys() - Asked.__optional_keys__:
        raise TypeError(f"Expected provider, requires or subject, found {', '.join(sorted(unknown))}.")
    requires = frozenset(distinct("requires", asked.get("requires") or ()))
    return Question(Component(domain, key), tenant, asked.get("provider"), requires, asked.get("subject"))


def resolve_in(catalog: Catalog, question: Question) -> Resolution:
    """Return which candidate serves, in one catalog.

    Raises:
        UnknownComponent: Nothing is registered for the component.
        UnknownProvider: ``provider`` names none of its candidates.
        NoEligibleCandidate: None may serve; its ``explanation`` says why.
        OrderUnavailable: An operator's order names a provider that is gone.
    """
    return resolution_of(catalog, weigh(catalog, question))


def explain_in(catalog: Catalog, question: Question) -> Explanation:
    """Return the whole ranking, in one catalog. Never raises."""
    from pointsman.resolution.narration import explanation_of

    return explanation_of(catalog, weigh(catalog, question))


def resolution_of(catalog: Catalog, verdict: Verdict) -> Resolution:
    """Return the winner of a verdict as a resolution.

    Raises:
        ResolutionError: There is none; which class says why.
        OrderUnavailable: An operator's order names a provider that is gone.
    """
    if verdict.winner is None:
        from pointsman.resolution.narration import error_of

        raise error_of(catalog, verdict)
    candidate = verdict.winner.candidate
    return Resolution(
        verdict.question.component, candidate.provider, candidate, verdict.rule, verdict.question.tenant, catalog.serial
    )


class Resolver:
    """Names the candidate that serves a component, and why.

    Args:
        settings: Selections and candidates of settings files; a runtime hands in its own.
        environment: What constraints are weighed against; this process unless told otherwise.
        stack_order: Priorities of packages by name, as ``POINTSMAN_STACK_ORDER`` writes them.

    Raises:
        ConfigurationError: ``stack_order`` cannot be read.
    """

    def __init__(
        self,
        settings: Contributes | None = None,
        *,
        environment: Environment | None = None,
        stack_order: str | None = None,
    ) -> None:
        text = os.environ.get(STACK_ORDER_VARIABLE, "") if stack_order is None else stack_order
        self._stack_order = parse_stack_order(text)
        self._settings = settings
        self.environment = environment or this_environment()
        self._registered: dict[tuple[Candidate, Source, int], Registration] = {}
        self._registering = threading.RLock()  # questions take it only when the tables must be made anew
        self._sequence = 0
        self._serial = 0
        self._catalog: Catalog | None = None
        self._tables: _Tables | None = None
        self._everyone: Answers = {}  # the tables' own, at hand: a question asks no more than three dictionaries
        self._tenants: dict[str | None, Answers] = {}
        self._watchers: list[Callable[[], None]] = []

    def register(self, candidate: Candidate) -> Callable[[], None]:
        """Register a candidate in code; one equal to an earlier one keeps that one's place.

        Returns:
            A function that takes this registration back; calling it again does nothing.

        Raises:
            ConfigurationError: A constraint of the candidate cannot be read.
        """
        return self._add(candidate, Source.CODE, None)

    def register_from_pkg(
        self, package_name: str, path: str, candidates: Iterable[Candidate], priority: int | None = None
    ) -> None:
        """Register what a package brings; where a candidate states no priority, its name or place implies one.

        Args:
            package_name: Looked up in ``POINTSMAN_STACK_ORDER``.
            path: The package's place; words such as ``adapters`` in it count.
            candidates: In order; the last of equals wins.
            priority: Replaces the inferred priority.

        Raises:
            ConfigurationError: A constraint of a candidate cannot be read.
        """
        inferred = infer_priority(package_name, path, self._stack_order) if priority is None else priority
        for candidate in candidates:
            self._add(candidate, Source.CODE, inferred)

    def register_plugin(self, package_name: str, candidates: Iterable[Candidate]) -> None:
        """Register what an installed entry point brings."""
        inferred = infer_priority(package_name, None, self._stack_order)
        for candidate in candidates:
            self._add(candidate, Source.PLUGIN, inferred)

    def resolve(self, domain: str, key: str, tenant: str | None = None, **asked: Unpack[Asked]) -> Resolution:
        """Return which candidate serves; nothing is made, and nothing is awaited.

        Raises:
            UnknownComponent: Nothing is registered for the component.
            UnknownProvider: ``provider`` names none of its candidates.
            NoEligibleCandidate: None may serve; its ``explanation`` says why.
            OrderUnavailable: An operator's order names a provider that is gone.
        """
        try:
            if tenant is None and not asked:
                return self._everyone[domain][key]
            if not asked:
                return self._tenants[tenant][domain][key]
        except KeyError:
            pass
        return (self._tables or self._show()).resolve(question_of(domain, key, tenant, asked))

    def explain(self, domain: str, key: str, tenant: str | None = None, **asked: Unpack[Asked]) -> Explanation:
        """Return the whole ranking behind `resolve`, with every candidate that lost and why.

        Never raises a `ResolutionError`: where `resolve` would, nothing is selected, and ``why`` is its message.
        """
        return explain_in(self.catalog, question_of(domain, key, tenant, asked))

    @property
    def catalog(self) -> Catalog:
        """The catalog in force."""
        return (self._tables or self._show()).catalog

    @property
    def registrations(self) -> tuple[Registration, ...]:
        """What code and plugins registered, in order."""
        return tuple(self._registered.values())

    def next_serial(self) -> int:
        """Return the number of the next catalog."""
        self._serial += 1
        return self._serial

    def show(self, catalog: Catalog) -> None:
        """Answer from this catalog until the next one."""
        self._catalog = catalog
        self._answer_from(_Tables(catalog))

    def add_settings(self, said: Contribution) -> None:
        """Add what a part of the settings says to what the others said; later words count before earlier ones."""
        with self._registering:
            self._catalog = replace(self.catalog, settings=merged(self.catalog.settings, said))
            self._changed()

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call the watcher after each change of registrations; returns the undo."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher) if watcher in self._watchers else None

    def marks(self) -> dict[str, Candidate]:
        """Return what code registered, by the reference that a file would write for its factory."""
        return {reference_of(entry.candidate.factory): entry.candidate for entry in self._registered.values()}

    def _add(self, candidate: Candidate, source: Source, inferred: int | None) -> Callable[[], None]:
        barrier_here(candidate, self.environment)  # what cannot be read is refused here, not at the first question
        with self._registering:
            registration = register_as(candidate, source, self._sequence + 1, inferred)
            place = candidate, source, registration.priority
            if place in self._registered:
                registration = self._registered[place]
            else:
                self._sequence += 1
                self._registered[place] = registration
                try:
                    self._changed()
                except BaseException:  # who watches refused it
                    del self._registered[place]
                    self._answer_from(None)
                    raise
        return lambda: self._remove(registration)

    def _remove(self, registration: Registration) -> None:
        with self._registering:
            place = registration.candidate, registration.source, registration.priority
            if self._registered.get(place) is registration:
                del self._registered[place]
                self._changed()

    def _answer_from(self, tables: _Tables | None) -> None:
        self._tables = tables
        self._everyone, self._tenants = (tables.everyone, tables.tenants) if tables is not None else ({}, {})

    def _changed(self) -> None:
        self._answer_from(None)
        for watcher in tuple(self._watchers):
            watcher()

    def _show(self) -> _Tables:
        """Make the catalog anew from what is registered; whatever else decided stays."""
        with self._registering:
            old = self._catalog
            settings = old.settings if old else self._contribution()
            manifest = old.manifest if old else Contribution()
            groups = (
                self.registrations,
                registrations_of(settings, Source.SETTINGS),
                registrations_of(manifest, Source.MANIFEST),
            )
            candidates = Candidates(groups, self.environment)
            serial = self.next_serial()
            base = old or Catalog(serial, candidates, settings, manifest)
            self._catalog = replace(base, serial=serial, candidates=candidates)
            tables = _Tables(self._catalog)
            self._answer_from(tables)
            return tables

    def _contribution(self) -> Contribution:
        return self._settings.contribution(self.marks()) if self._settings is not None else Contribution()


class _Tables:
    """The answers of one catalog, nested by domain and key, for everyone and for each active tenant.

    Made on the first miss. Unknown tenants are never remembered, nor what depends on a subject; past `MAX_TENANTS`
    active ones the tables are made anew.
    """

    MAX_TENANTS = 10_000

    __slots__ = ("catalog", "everyone", "tenants")

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.everyone: Answers = {}
        self.tenants: dict[str | None, Answers] = {}

    def resolve(self, question: Question) -> Resolution:
        verdict = weigh(self.catalog, question)
        resolution = resolution_of(self.catalog, verdict)
        plain = question.provider is None and not question.requires and question.subject is None
        if plain and may_remember(self.catalog, question.tenant):
            domain, key = question.component
            self._answers_for(question.tenant).setdefault(domain, {})[key] = resolution
        return resolution

    def _answers_for(self, tenant: str | None) -> Answers:
        if tenant is None:
            return self.everyone
        if tenant not in self.tenants and len(self.tenants) >= self.MAX_TENANTS:
            self.tenants.clear()
        return self.tenants.setdefault(tenant, {})


def reference_of(factory: object) -> str:
    """Return the reference that a settings file or a manifest would write for a factory."""
    if isinstance(factory, str):
        return factory
    return f"{getattr(factory, '__module__', '')}:{getattr(factory, '__qualname__', '')}"
