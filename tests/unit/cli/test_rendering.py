"""Documents of the admin API as a terminal shows them."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman.cli.rendering import (
    activity_text,
    explanation_text,
    health_text,
    outcome_text,
    plugins_text,
    status_text,
)
from pointsman.declarations import Candidate, Constraints
from pointsman.errors import ProviderError
from pointsman.resolution.resolver import Resolver


def test_an_explanation_from_another_process_reads_the_same() -> None:
    resolver = Resolver()
    resolver.register(Candidate("service", "rates", "bank", lambda: None, priority=10))
    resolver.register(
        Candidate("service", "rates", "exchange", lambda: None, constraints=Constraints(tenants={"acme"}))
    )
    for asked in ({}, {"provider": "bank"}, {"provider": "nobody"}):
        for tenant in (None, "acme", "globex"):
            explanation = resolver.explain("service", "rates", tenant, **asked)  # type: ignore[arg-type]
            assert explanation_text(explanation.as_dict()) == str(explanation)


@pytest.mark.parametrize("facts", [{}, {"component": "x"}, {"component": None}])
def test_what_is_no_explanation_is_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(ProviderError):
        explanation_text(facts)


def test_health_says_what_is_sick_and_why() -> None:
    row = {
        "component": "adapter/cache", "provider": "redis", "tenant": None, "state": "failed", "leases": 2,
        "health": False, "last_error": "no line",
    }  # fmt: skip
    text = health_text({"ready": True, "fresh": False, "degraded": True, "components": [row]})
    assert text == "ready, stale, degraded\n  adapter/cache  redis  –  failed  2 leases  not well  no line"


def test_status_says_what_is_in_force_and_what_was_refused() -> None:
    facts = {
        "in_force": {"version": 3, "digest": "a" * 64, "expires": "2026-01-01"},
        "head": {"seq": 5, "cseq": 2},
        "freshness": "fresh",
        "refusals": [{"version": 4, "error": "rollback", "message": "too old"}],
        "problems": ["no key"],
        "ready": True, "fresh": True, "degraded": False, "components": [],
    }  # fmt: skip
    text = status_text(facts)
    assert "manifest  3 (aaaaaaaaaaaa), until 2026-01-01" in text
    assert "head      5 (s2), fresh" in text
    assert "refused   manifest 4: [rollback] too old" in text
    assert "problem   no key" in text


def test_gates_and_outcomes_are_lines() -> None:
    gate = {"component": "a/b", "tenant": "acme", "activity": "paused", "operation": "op1", "until": None}
    assert activity_text([gate]) == "a/b  paused  acme  until resumed  op1"
    change = {"component": "a/b", "tenant": "*", "before": None, "after": "use x"}
    facts = {"cseq": 4, "operation": "op1", "local": "applied", "bound_s": 60.0, "changes": [change]}
    assert outcome_text(facts, dry_run=False) == (
        "a/b for everyone: – → use x\ns4, applied here, every replica within 60 s; operation op1"
    )


def test_a_plugin_shows_what_it_brought_or_why_it_could_not() -> None:
    row = {"group": "g", "name": "n", "package": "p", "reference": "m:f", "candidates": ["a/b=c"], "error": None}
    assert plugins_text([row]) == "g  n  p  m:f  a/b=c"
    assert plugins_text([{**row, "error": "no module"}]).endswith("no module")
    assert plugins_text([]) == "No installed package brings candidates."
