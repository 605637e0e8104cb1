from __future__ import annotations

from typing import Any

import pytest

from pointsman import Runtime, Settings
from pointsman.control.commands import Command
from pointsman.declarations import Component
from pointsman.errors import IdentityError, UnknownProvider
from pointsman.observability.events import Event
from pointsman.web.admin.authentication import Caller
from pointsman.web.admin.records import Budget, Records, Seldom

EYES = Caller("eyes", "viewer")


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def world(clock: Clock, **sections: Any) -> tuple[Records, list[Event]]:
    runtime = Runtime(Settings.load(environ={}, **sections), plugins=False)
    heard: list[Event] = []
    runtime.events.subscribe(heard.append)
    return Records(runtime, clock), heard


def test_each_kind_of_event_is_told_seldom_and_counted(clock: Clock) -> None:
    told: list[tuple[str, int]] = []
    seldom = Seldom(lambda event, *, left_out: told.append((event, left_out)), clock)
    for event in ("a", "a", "b", "a"):
        seldom(event)
    clock.seconds = 1.0
    seldom("a")
    assert told == [("a", 0), ("b", 0), ("a", 2)]


def test_a_budget_fills_up_again_and_not_further(clock: Clock) -> None:
    budget = Budget(clock, burst=2, per_s=1)
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    clock.seconds = 1.0
    assert [budget.spend() for _ in range(2)] == [True, False]
    clock.seconds = 1000.0
    assert [budget.spend() for _ in range(3)] == [True, True, False]


async def test_a88_ten_thousand_anonymous_denials_write_no_object(clock: Clock, store: str, tmp_path: Any) -> None:
    records, heard = world(clock, control={"store": store}, service="words", environment="development")
    before = sorted((tmp_path / "fleet").rglob("*"))
    for _ in range(10_000):
        records.anonymous("/admin/pause", IdentityError("Expected a token."))
    assert (records.kept(500), len(heard), heard[0].name) == ((), 1, "admin.denied")
    assert sorted((tmp_path / "fleet").rglob("*")) == before


async def test_denials_of_whom_we_know_are_kept_within_a_budget(clock: Clock) -> None:
    records, heard = world(clock)
    for _ in range(150):
        await records.denied(EYES, "pause", "forbidden", "eyes may look, and change nothing.")
    assert len(heard) == 150
    assert len(records.kept(500)) == 100
    newest = records.kept(1)[0]
    assert records.find(newest.operation) is newest
    assert records.find("none") is None
    assert (newest.begin.command, newest.end and newest.end.code) == ({"verb": "pause"}, "forbidden")


async def test_a_store_that_cannot_be_had_keeps_records_here(clock: Clock) -> None:
    records, heard = world(clock, control={"store": "nowhere://at/all"})
    await records.denied(EYES, "pause", "forbidden", "no")
    assert [event.name for event in heard] == ["admin.refused", "admin.record-failed"]
    assert len(records.kept(10)) == 1
    await records.aclose()


async def test_a_rehearsal_that_is_refused_leaves_a_line_and_no_record(clock: Clock) -> None:
    records, heard = world(clock)
    command = Command(kind="use", component=Component("a", "b"), value="c", reason="why", who="ops", dry_run=True)
    await records.refused(Caller("ops", "operator"), "swap", command, UnknownProvider("no c."))
    assert ([event.fields["code"] for event in heard], records.kept(10)) == (["unknown-provider"], ())
