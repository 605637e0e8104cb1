from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from pointsman.control.clocks import Reading, StoreClock, SystemClock


class Hands:
    """A clock whose three hands a test turns."""

    def __init__(self) -> None:
        self.mono = self.boot = 0.0
        self.time = 1_000_000.0

    def monotonic(self) -> float:
        return self.mono

    def boottime(self) -> float:
        return self.boot

    def wall(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.mono += seconds


def test_age_is_what_the_oldest_clock_says():
    earlier = Reading(100.0, 100.0, 1000.0)
    assert Reading(101.0, 130.0, 1002.0).since(earlier) == 30.0
    assert Reading(101.0, 101.0, 1040.0).since(earlier) == 40.0


def test_a_wall_clock_set_back_while_suspended_makes_nothing_young():
    earlier = Reading(100.0, 100.0, 1000.0)
    assert Reading(100.0, 170.0, 900.0).since(earlier) == 70.0
    assert Reading(99.0, 99.0, 900.0).since(earlier) == 0.0


def test_the_younger_of_two_readings_is_taken_clock_by_clock():
    assert Reading(1.0, 5.0, 9.0).youngest(Reading(2.0, 4.0, 8.0)) == Reading(2.0, 5.0, 9.0)


def test_the_stores_time_is_ours_until_it_tells_its_own():
    hands = Hands()
    clock = StoreClock(hands)
    assert clock.now() == datetime.fromtimestamp(hands.time, UTC)
    clock.observe(datetime(2000, 1, 1, tzinfo=UTC))
    assert clock.now() == datetime(2000, 1, 1, tzinfo=UTC)


def test_the_stores_time_goes_on_between_replies_and_never_back():
    hands = Hands()
    clock = StoreClock(hands)
    told = datetime(2026, 1, 1, tzinfo=UTC)
    clock.observe(told)
    hands.mono += 5
    hands.boot += 90
    hands.time -= 10_000
    assert clock.now() == told + timedelta(seconds=90)
    clock.observe(told + timedelta(seconds=10))
    assert clock.now() == told + timedelta(seconds=90)
    clock.observe(told + timedelta(seconds=100))
    assert clock.now() == told + timedelta(seconds=100)


async def test_the_systems_clocks_are_the_systems():
    clock = SystemClock()
    before = Reading.of(clock)
    await clock.sleep(0)
    assert Reading.of(clock).since(before) >= 0.0
    assert clock.wall() >= before.wall or time.time() < before.wall
