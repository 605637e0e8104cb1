from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from pointsman.control.pacing import Limits
from pointsman.control.settings import ControlSettings


def test_the_limits_are_those_of_the_protocol_unless_told_otherwise():
    assert ControlSettings().limits() == Limits(soft_s=10.0, hard_s=60.0, release_s=60.0)
    said = ControlSettings(soft_limit_s=5, hard_limit_s=30, release_interval_s=120)
    assert said.limits() == Limits(5.0, 30.0, 120.0)


@pytest.mark.parametrize(
    "given",
    [{"soft_limit_s": 60, "hard_limit_s": 60}, {"key": "x", "key_file": "y"}, {"hard": 1}, {"soft_limit_s": 0.1}],
)
def test_what_contradicts_itself_is_refused(given):
    with pytest.raises(ValidationError):
        TypeAdapter(ControlSettings).validate_python(given)


def test_a_key_is_not_shown():
    assert "seed" not in repr(ControlSettings(key="ed25519-seed:00"))
