"""Tell a verdict: as an explanation, or as the error that a failed resolution raises.

Pure. Nothing is decided here; a sentence never says more than the verdict holds.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from pointsman.errors import NoEligibleCandidate, OrderUnavailable, PointsmanError, UnknownComponent, UnknownProvider
from pointsman.resolution.explanation import Explanation, Ranked
from pointsman.resolution.precedence import arrival, beats, standing
from pointsman.resolution.selection import Split, bucket_of

if TYPE_CHECKING:
    from pointsman.resolution.catalog import Catalog
    from pointsman.resolution.decision import Verdict
    from pointsman.resolution.precedence import Registration
    from pointsman.resolution.selection import Selection

Registered: TypeAlias = "tuple[Registration, ...]"
"""The registrations of one component, best first."""

Layers: TypeAlias = "tuple[tuple[str, Selection | None], ...]"
"""Each layer as printed, and what it selects."""


def explanation_of(catalog: Catalog, verdict: Verdict) -> Explanation:
    """Return the full story of a verdict; its words are made when they are first read.

    Only what the words need is kept until then, never the catalog: explanations outlive it in errors and logs.
    """
    question = verdict.question
    registered = catalog.candidates.of(question.component)
    layers = tuple(catalog.layers(question.component, question.tenant))
    return Explanation.when_read(partial(_told, verdict, registered, layers, catalog.serial))


def _told(verdict: Verdict, registered: Registered, layers: Layers, serial: int) -> Explanation:
    winner, question = verdict.winner, verdict.question
    positions = _positions(registered)
    losers = verdict.eligible[1:] if winner else verdict.eligible
    return Explanation(
        component=question.component,
        tenant=question.tenant,
        selected=winner.candidate if winner else None,
        why=_why(verdict, registered),
        reasons=standing(winner, positions.get(winner, 1)) if winner else (),
        shadowed=tuple(Ranked(entry.candidate, standing(entry, positions[entry])) for entry in losers),
        ineligible=tuple(Ranked(entry.candidate, (reason,)) for entry, reason in verdict.ineligible),
        decided_by=verdict.rule,
        layers=tuple(f"{name} {said or '–'}" for name, said in layers),
        catalog_serial=serial,
    )


def error_of(catalog: Catalog, verdict: Verdict) -> PointsmanError:
    """Return the error that `resolve` raises for a verdict without a winner."""
    question = verdict.question
    registered = catalog.candidates.of(question.component)
    why = _why(verdict, registered)
    if not registered:
        return UnknownComponent(why, hint=known_components(catalog, str(question.component)))
    providers = list(dict.fromkeys(entry.candidate.provider for entry in registered))
    if question.provider is not None and question.provider not in providers:
        return UnknownProvider(why, hint=f"Registered: {', '.join(providers)}.")
    if verdict.by_order and verdict.selected not in providers:
        return OrderUnavailable(why, hint=f"Registered: {', '.join(providers)}. Unswap, or publish the provider.")
    tenant = f" --tenant {question.tenant}" if question.tenant is not None else ""
    return NoEligibleCandidate(
        why, explanation=explanation_of(catalog, verdict), hint=f"pointsman explain {question.component}{tenant}"
    )


def known_components(catalog: Catalog, wanted: str) -> str:
    """Return the hint after an unknown component: what there is, and the nearest of it."""
    known = [str(component) for component in catalog.candidates]
    if not known:
        return "Nothing is registered at all: pass candidates with include=."
    from difflib import get_close_matches  # for a mistake

    near = get_close_matches(wanted, known, n=1)
    listed = ", ".join(known[:20]) + (" …" if len(known) > 20 else "")
    if not near:
        return f"Known: {listed}."
    domain, _, key = near[0].partition("/")
    return f'Known: {listed}. Write Use("{domain}", "{key}").'


def _why(verdict: Verdict, registered: Registered) -> str:
    tenant = verdict.question.tenant
    if verdict.winner is None:
        return _why_nothing(verdict, registered)
    subject = f" for {tenant}" if tenant is not None else ""
    sentence = f"{verdict.winner.candidate.provider} selected{subject}: {_reason(verdict)}"
    above = dict.fromkeys(
        entry.candidate.provider
        for entry, _ in verdict.ineligible
        if verdict.layer is None and verdict.question.provider is None and entry.rank > verdict.winner.rank
    )
    if above:
        sentence += f"; {', '.join(above)} {'is' if len(above) == 1 else 'are'} ineligible"
    return sentence


def _reason(verdict: Verdict) -> str:
    winner = verdict.winner
    assert winner is not None
    match verdict.rule:
        case "explicit selection":
            return _selected_by(verdict)
        case "failover":
            failing = ", ".join(entry.candidate.provider for entry in verdict.passed_over)
            return f"{failing} failing, {'next of its fallbacks' if verdict.layer else 'next in the ranking'}"
        case "provider asked for":
            return f"provider {verdict.question.provider} was asked for"
        case "replaced for a test":
            return "a test replaced the component"
        case _:
            runner_up = verdict.eligible[1] if len(verdict.eligible) > 1 else None
            return f"{beats(winner, runner_up)} (no explicit selection)"


def _selected_by(verdict: Verdict) -> str:
    assert verdict.layer is not None
    layer, selection = verdict.layer
    if not isinstance(selection, Split):
        return f"{layer} selects it"
    subject = verdict.question.drawn_for
    if subject is None:
        return f"{layer} splits {selection}, and there is no subject"
    bucket = bucket_of(selection.salt, verdict.question.component, subject)
    return f"{layer} splits {selection}, and {subject} has bucket {bucket} of 10000"


def _why_nothing(verdict: Verdict, registered: Registered) -> str:
    question = verdict.question
    if not registered:
        return f"nothing is registered for {question.component}."
    if question.provider is not None and all(entry.candidate.provider != question.provider for entry in registered):
        return f"no provider {question.provider} is registered for {question.component}."
    subject = f" for {question.tenant}" if question.tenant is not None else ""
    if verdict.layer is None:
        reasons = "; ".join(f"{entry.candidate.provider}: {reason}" for entry, reason in verdict.ineligible)
        return f"no candidate of {question.component} is eligible{subject} ({reasons})."
    reasons = "; ".join(reason for entry, reason in verdict.ineligible if entry.candidate.provider == verdict.selected)
    return (
        f"{verdict.layer[0]} selects {verdict.selected} for {question.component}{subject}, "
        f"and it cannot serve ({reasons or 'nobody registers it'})."
    )


def _positions(registered: Registered) -> dict[Registration, int]:
    """Return the place of each registration of a component in the order of registration, from 1."""
    return {entry: place for place, entry in enumerate(sorted(registered, key=arrival), 1)}
