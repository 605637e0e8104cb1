from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.control import pacing
from pointsman.control.pacing import Limits

LIMITS = Limits()


@given(st.integers())
def test_reads_are_due_between_eight_tenths_and_the_whole_soft_limit(seed):
    random = Random(seed)
    assert 8.0 <= pacing.next_read(LIMITS, random) <= 10.0
    assert 0.0 <= pacing.first_phase(LIMITS, random) <= 10.0


@given(st.integers(), st.integers(1, 10_000))
def test_backoff_is_full_jitter_under_a_ceiling_of_half_a_second_to_fifteen(seed, failures):
    assert 0.0 <= pacing.backoff(failures, Random(seed)) <= min(15.0, 0.5 * 2 ** (min(failures, 40) - 1))
    assert pacing.backoff(failures, Random(seed), pacing.REFUSED_MOST_S) <= 60.0


@pytest.mark.parametrize(
    ("age_s", "silence_s", "since_failure_s", "waits"),
    [
        (11.0, 1.0, float("inf"), 0.0),
        (11.0, 11.0, float("inf"), 0.25),
        (61.0, 1.0, float("inf"), 1.0),
        (61.0, 61.0, float("inf"), 1.0),
        (61.0, 61.0, 10.0, 0.0),
        (61.0, 61.0, 10.1, 1.0),
        (11.0, 11.0, 3.0, 0.0),
    ],
)
def test_a_request_waits_after_a_silence_or_past_hard_but_not_after_a_failure(age_s, silence_s, since_failure_s, waits):
    assert pacing.patience(LIMITS, age_s=age_s, silence_s=silence_s, since_failure_s=since_failure_s) == waits


@given(st.integers(), st.integers(0, 100))
def test_a_paced_object_waits_a_second_and_who_lost_goes_earlier(seed, losses):
    from datetime import UTC, datetime

    stamp = datetime(2026, 1, 1, tzinfo=UTC)
    gap = pacing.write_not_before(stamp, losses, Random(seed)) - stamp
    assert timedelta(seconds=1) <= gap <= timedelta(seconds=1 + 0.5 / (1 + losses))


@given(st.integers(), st.integers(0, 100))
def test_an_unpaced_store_is_not_hammered_after_a_loss(seed, losses):
    assert 0.0 <= pacing.retry_gap(losses, Random(seed)) <= 0.5
