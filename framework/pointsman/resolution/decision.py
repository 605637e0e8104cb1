"""Weigh every candidate for one question; `resolve` and `explain` are two readings of the same verdict.

Pure, and the only place where a winner is named. The steps, in order: filters, eligibility, explicit selection,
ranking, failover.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pointsman.declarations import UNDECLARED, Component
from pointsman.resolution.catalog import ORDER_LAYERS, Catalog, Outage
from pointsman.resolution.eligibility import barrier_for, lacking
from pointsman.resolution.precedence import Registration, deciding_rule
from pointsman.resolution.selection import Selection, Split, draw
from pointsman.values import frozen

if TYPE_CHECKING:
    from pointsman.declarations import Candidate


@frozen
class Question:
    """What is asked: which component, for whom, and what may answer.

    Attributes:
        subject: For whom a split is drawn; the tenant unless told otherwise.
    """

    component: Component[Any]
    tenant: str | None = None
    provider: str | None = None
    requires: frozenset[str] = frozenset()
    subject: str | None = None

    @property
    def drawn_for(self) -> str | None:
        """The subject of splits."""
        return self.subject if self.subject is not None else self.tenant


@frozen
class Verdict:
    """Every candidate weighed.

    Attributes:
        winner: The one that serves, or ``None``.
        eligible: Those that may serve, the selected provider's first, each group best first.
        ineligible: Those that may not, best first, each with its reason.
        rule: The name of the rule that decided.
        layer: The layer whose explicit selection decides, as printed, and what it says.
        selected: The provider that the explicit selection names for this subject.
        passed_over: What failover walked past.
    """

    question: Question
    winner: Registration | None
    eligible: tuple[Registration, ...]
    ineligible: tuple[tuple[Registration, str], ...]
    rule: str
    layer: tuple[str, Selection] | None = None
    selected: str | None = None
    passed_over: tuple[Registration, ...] = ()

    @property
    def by_order(self) -> bool:
        """Whether an operator's order decides."""
        return self.layer is not None and self.layer[0].partition("(")[0] in ORDER_LAYERS

    @property
    def depends_on_subject(self) -> bool:
        """Whether another subject might be given another provider."""
        return self.layer is not None and isinstance(self.layer[1], Split)


def weigh(catalog: Catalog, question: Question) -> Verdict:
    """Return the verdict on one question. Never raises."""
    component = question.component
    if replaced := catalog.replaced.get(component):
        return Verdict(question, replaced, (replaced,), (), "replaced for a test")
    eligible, ineligible = _sift(catalog, question)
    if question.provider is not None:
        rule = "provider asked for" if eligible else "nothing eligible"
        return _failing_over(catalog, Verdict(question, _first(eligible), eligible, ineligible, rule))
    layer = catalog.selection(component, question.tenant)
    if layer is not None:
        return _failing_over(catalog, _select(question, layer, eligible, ineligible))
    rule = deciding_rule(eligible[0], eligible[1] if len(eligible) > 1 else None) if eligible else "nothing eligible"
    return _failing_over(catalog, Verdict(question, _first(eligible), eligible, ineligible, rule))


def may_remember(catalog: Catalog, tenant: str | None) -> bool:
    """Whether answers for this tenant may be kept: not for names that whoever asks can make up without end."""
    return tenant is None or tenant == UNDECLARED or catalog.knows(tenant)


def possible_providers(catalog: Catalog, question: Question) -> tuple[str, ...]:
    """Return every provider that some subject may be given, failover aside: more than one only under a split."""
    verdict = weigh(catalog, question)
    if verdict.layer is not None and isinstance(verdict.layer[1], Split):
        return verdict.layer[1].providers
    return (verdict.winner.candidate.provider,) if verdict.winner else ()


def _sift(
    catalog: Catalog, question: Question
) -> tuple[tuple[Registration, ...], tuple[tuple[Registration, str], ...]]:
    """Part those that may serve from those that may not; a rule that cannot bar anyone here is not asked."""
    eligible: list[Registration] = []
    ineligible: list[tuple[Registration, str]] = []
    narrowed = question.provider is not None or bool(question.requires)
    barrier, tenant = catalog.candidates.barrier, question.tenant
    for registration in catalog.candidates.of(question.component):
        candidate = registration.candidate
        constraints = candidate.constraints
        reason = (_filtered(candidate, question) if narrowed else None) or barrier(registration)
        if reason is None and (constraints.tenants or constraints.not_tenants):
            reason = barrier_for(constraints, tenant)
        if reason is None:
            eligible.append(registration)
        else:
            ineligible.append((registration, reason))
    return tuple(eligible), tuple(ineligible)


def _filtered(candidate: Candidate, question: Question) -> str | None:
    if question.provider is not None and candidate.provider != question.provider:
        return f"provider {question.provider} was asked for"
    return lacking(candidate, question.requires)


def _select(
    question: Question,
    layer: tuple[str, Selection],
    eligible: tuple[Registration, ...],
    ineligible: tuple[tuple[Registration, str], ...],
) -> Verdict:
    """The first layer that names a provider decides, and no other is asked when that one cannot serve."""
    selection = layer[1]
    selected = draw(selection, question.component, question.drawn_for) if isinstance(selection, Split) else selection
    ranked = tuple(sorted(eligible, key=lambda registration: registration.candidate.provider != selected))
    winner = ranked[0] if ranked and ranked[0].candidate.provider == selected else None
    return Verdict(question, winner, ranked, ineligible, "explicit selection", layer, selected)


def _failing_over(catalog: Catalog, verdict: Verdict) -> Verdict:
    """Walk past a winner that fails now, where the component's policy says ``next``.

    An explicit selection is left only along its ``fallbacks``; another candidate of the selected provider does not
    leave it. When all fail, the first stays the winner: its own error is the honest answer.
    """
    if not catalog.outages or verdict.winner is None:
        return verdict
    tenant = verdict.question.tenant
    policy = catalog.policy(verdict.question.component)
    if policy.on_unhealthy != "next" or not is_failing(catalog, verdict.winner.candidate, tenant):
        return verdict
    others = verdict.eligible[1:]
    if verdict.selected is not None:
        others = tuple(_of_providers(others, (verdict.selected, *policy.fallbacks)))
    passed = [verdict.winner]
    for registration in others:
        if not is_failing(catalog, registration.candidate, tenant):
            rest = tuple(entry for entry in verdict.eligible if entry is not registration)
            return Verdict(
                verdict.question, registration, (registration, *rest), verdict.ineligible, "failover",
                verdict.layer, verdict.selected, tuple(passed),
            )  # fmt: skip
        passed.append(registration)
    return verdict


def _of_providers(registrations: Iterable[Registration], providers: Iterable[str]) -> Iterable[Registration]:
    by_provider: dict[str, list[Registration]] = {}
    for registration in registrations:
        by_provider.setdefault(registration.candidate.provider, []).append(registration)
    for provider in providers:
        yield from by_provider.get(provider, ())


def is_failing(catalog: Catalog, candidate: Candidate, tenant: str | None) -> bool:
    """Whether this candidate, with the settings that the tenant gives it, is in an outage."""
    return outage_of(catalog, candidate, tenant) in catalog.outages


def outage_of(catalog: Catalog, candidate: Candidate, tenant: str | None) -> Outage:
    """Return the outage that a failure of this candidate for this tenant would be."""
    settings = settings_key(catalog.provider_settings(candidate, tenant))
    return Outage(candidate, settings, tenant if candidate.lifetime != "shared" else None)


def settings_key(value: object) -> str:
    """Return one text for equal settings, whatever order they were written in; secrets stay templates."""
    match value:
        case Mapping():
            return f"{{{', '.join(sorted(f'{key!r}: {settings_key(item)}' for key, item in value.items()))}}}"
        case list() | tuple():
            return f"[{', '.join(map(settings_key, value))}]"
        case set() | frozenset():
            return f"<{', '.join(sorted(map(settings_key, value)))}>"
        case _:
            return repr(value)


def _first(registrations: tuple[Registration, ...]) -> Registration | None:
    return registrations[0] if registrations else None
