"""The ranking that the predecessor's users know, candidate for candidate; the vectors were recorded from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointsman.declarations import Candidate, Component, parse_component
from pointsman.resolution.contribution import Contribution
from pointsman.resolution.resolver import Resolver
from pointsman.resolution.selection import Choices

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("ranking.json").read_text("utf-8"))
COMPONENTS: dict[str, Component[Any]] = {name: parse_component(text) for name, text in VECTORS["components"].items()}


class Selected:
    """Settings that select providers for everyone, and bring nothing else."""

    def __init__(self, selections: Mapping[Component[Any], str]) -> None:
        self._contribution = Contribution(choices=Choices(everyone=selections))

    def contribution(self, _marks: Mapping[str, Candidate] | None = None, /) -> Contribution:
        return self._contribution


def candidate(said: list[Any], number: int) -> Candidate:
    name, provider, priority, level = said
    domain, key = COMPONENTS[name]
    return Candidate(domain, key, provider, f"rates:f{number}", priority=priority, stack_level=level or 0)


def replayed(case: dict[str, Any]) -> tuple[Resolver, list[Candidate]]:
    """Register what a case registered; returns the candidates by number."""
    selections = {COMPONENTS[name]: provider for name, provider in case["select"].items()}
    resolver = Resolver(Selected(selections), stack_order=case["order"])
    registered: list[Candidate] = []
    for step in case["steps"]:
        if step[0] == "package":
            _, package, path, priority, said = step
            candidates = [candidate(each, len(registered) + place) for place, each in enumerate(said)]
            resolver.register_from_pkg(package, path, iter(candidates), priority)
            registered += candidates
        else:
            registered.append(candidate(step, len(registered)))
            resolver.register(registered[-1])
    return resolver, registered


def outcome(case: dict[str, Any]) -> tuple[list[int], dict[str, list[int]]]:
    """Return the priorities that counted and every ranking, as the vectors write them."""
    resolver, registered = replayed(case)
    rankings = {}
    for name in case["ranking"]:
        explanation = resolver.explain(*COMPONENTS[name])
        assert explanation.selected is not None
        assert resolver.resolve(*COMPONENTS[name]).candidate is explanation.selected
        assert explanation.ineligible == ()
        ranking = [explanation.selected, *(entry.candidate for entry in explanation.shadowed)]
        rankings[name] = [registered.index(each) for each in ranking]
    return [registration.priority for registration in resolver.registrations], rankings


def test_every_recorded_case_is_ranked_as_the_predecessor_ranked_it() -> None:
    differing = [
        {**case, "found": found}
        for case in VECTORS["cases"]
        if (found := outcome(case)) != (case["priorities"], case["ranking"])
    ]
    assert differing[:3] == []


def test_the_vectors_hold_what_they_promise() -> None:
    cases = VECTORS["cases"]
    assert len(cases) == 1_500
    assert sum(bool(case["select"]) for case in cases) > 300
    assert sum(bool(case["order"]) for case in cases) > 1_000
    assert max(len(ranking) for case in cases for ranking in case["ranking"].values()) > 8
