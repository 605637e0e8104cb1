from __future__ import annotations

import pytest

from pointsman.errors import ConfigurationError
from pointsman.manifests.factories import SHIPPED, gated, is_granted, named_references, parse_factory_pattern
from pointsman.resolution.reference import GatedReference


@pytest.mark.parametrize(
    ("pattern", "granted", "refused"),
    [
        ("acme.rates:Bank", ["acme.rates:Bank"], ["acme.rates:Other", "acme.rates.more:Bank", "acme:Bank"]),
        ("acme.rates:*", ["acme.rates:Bank", "acme.rates:bank"], ["acme.rates.more:Bank", "acme.rates:_bank"]),
        ("acme.**:*", ["acme.rates:Bank", "acme.rates.more:Bank"], ["acme:Bank", "acmeX.rates:Bank", "acme._x:Bank"]),
        (SHIPPED, ["pointsman.adapters.cache.redis:redis_cache"], ["pointsman.web.application:Pointsman"]),
    ],
)
def test_a_pattern_grants_what_it_says(pattern: str, granted: list[str], refused: list[str]) -> None:
    patterns = [parse_factory_pattern(pattern)]
    assert all(is_granted(one, patterns) for one in granted)
    assert not any(is_granted(one, patterns) for one in refused)


@pytest.mark.parametrize(
    "text", ["", "acme", "acme:", ":x", "*:*", "**:*", "acme.*:x", "acme.**:Bank", "acme._x:*", "acme:a.b", "acmé:x"]
)
def test_a_pattern_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="factory pattern"):
        parse_factory_pattern(text)


def test_fields_that_name_code_are_found_however_deep_and_marked() -> None:
    section = {
        "nodes": [
            {"id": "a", "task": "acme.tasks:extract", "payload": {"at": "10:30"}},
            {"id": "b", "task": "extract"},
        ],
        "hooks": {"before": ["acme.hooks:check"], "after": "acme.hooks:tell"},
        "note": "acme.notes:read",
    }
    found = ["acme.tasks:extract", "acme.hooks:check", "acme.hooks:tell"]
    assert list(named_references(section)) == found
    marked = gated(section)
    assert marked == section
    assert isinstance(marked, dict)
    assert isinstance(marked["nodes"][0]["task"], GatedReference)
    assert isinstance(marked["hooks"]["before"][0], GatedReference)
    assert not isinstance(marked["note"], GatedReference)
