"""Every listener hears every event, whatever the others do."""

from __future__ import annotations

import logging

import pytest

from pointsman.observability.events import Event, Events


def test_listeners_hear_in_order_until_they_are_taken_back() -> None:
    events, heard = Events(), list[str]()
    undo = events.subscribe(lambda event: heard.append(f"a {event.name}"))
    events.subscribe(lambda event: heard.append(f"b {event.name}"))
    events.tell("swapped", component="adapter/cache")
    undo()
    undo()
    events.tell("swapped")
    assert heard == ["a swapped", "b swapped", "b swapped"]


def test_a_listener_that_fails_is_logged_and_the_others_still_hear(caplog: pytest.LogCaptureFixture) -> None:
    events, heard = Events(), list[Event]()

    def broken(event: Event) -> None:
        raise RuntimeError(event.name)

    events.subscribe(broken)
    events.subscribe(heard.append)
    with caplog.at_level(logging.ERROR):
        events.tell("swapped", alarm=True, provider="redis")
    assert heard == [Event("swapped", alarm=True, fields={"provider": "redis"})]
    assert "A listener failed at the event swapped." in caplog.text


def test_a_listener_that_subscribes_another_does_not_disturb_the_round() -> None:
    events, heard = Events(), list[str]()

    def first(event: Event) -> None:
        heard.append("first")
        events.subscribe(lambda _: heard.append("late"))

    events.subscribe(first)
    events.tell("a")
    assert heard == ["first"]


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (Event("swapped"), logging.INFO),
        (Event("instance-closed", fields={"error": None}), logging.INFO),
        (Event("instance-closed", fields={"error": "boom"}), logging.WARNING),
        (Event("activation-failed"), logging.WARNING),
        (Event("manifest.refused"), logging.WARNING),
        (Event("lease-broken"), logging.WARNING),
        (Event("drain-overdue"), logging.WARNING),
        (Event("manifest.refused", alarm=True), logging.CRITICAL),
    ],
)
def test_how_grave_an_event_is_follows_from_its_name_and_error(event: Event, level: int) -> None:
    assert event.level == level


def test_an_event_reads_as_what_happened_to_whom() -> None:
    assert str(Event("manifest.taken", fields={"version": 5})) == "manifest.taken"
    fields = {"component": "adapter/cache", "provider": "redis", "tenant": "acme"}
    assert str(Event("instance-made", fields=fields)) == "instance-made adapter/cache=redis for acme"


def test_an_event_that_ended_badly_says_why_in_words_if_it_has_them() -> None:
    assert str(Event("control.refresh-failed", fields={"error": "no answer"})) == "control.refresh-failed: no answer"
    refused = {"error": "rollback", "why": "version 3 follows 4."}
    assert str(Event("manifest.refused", fields=refused)) == "manifest.refused: version 3 follows 4."
