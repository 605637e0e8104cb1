"""Threads whose callers go away."""

from __future__ import annotations

import threading

import anyio
import pytest

from pointsman.errors import Unavailable
from pointsman.stores.blocking import Threads, Ticket


async def test_a_thread_whose_caller_was_told_that_nothing_was_sent_sends_nothing() -> None:
    go, outcome = threading.Event(), []
    ticket = Ticket("writing head", 0.05)

    def work(ticket: Ticket) -> None:
        go.wait()
        try:
            ticket.commit()
        except Unavailable as exc:
            outcome.append(exc.sent)
        finished.set()

    finished = threading.Event()
    with pytest.raises(Unavailable, match="Writing head was not done") as caught:
        await Threads(1).run(work, ticket)
    assert not caught.value.sent
    go.set()
    await anyio.to_thread.run_sync(finished.wait)
    assert outcome == [False]


async def test_a_thread_that_had_committed_is_told_of_as_sent() -> None:
    go = threading.Event()

    def work(ticket: Ticket) -> None:
        ticket.commit()
        go.wait()

    with pytest.raises(Unavailable) as caught:
        await Threads(1).run(work, Ticket("writing head", 0.5))
    assert caught.value.sent
    go.set()


async def test_a_cancelled_caller_stops_its_thread_at_the_next_check() -> None:
    started, go, finished, outcome = anyio.Event(), threading.Event(), threading.Event(), []
    token = anyio.lowlevel.current_token()

    def work(ticket: Ticket) -> None:
        anyio.from_thread.run_sync(started.set, token=token)
        go.wait()
        try:
            ticket.check()
        except Unavailable as exc:
            outcome.append(exc)
        finished.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: Threads(1).run(work, Ticket("listing", 60)))
        await started.wait()
        tasks.cancel_scope.cancel()
    go.set()
    await anyio.to_thread.run_sync(finished.wait)
    assert len(outcome) == 1


async def test_what_the_work_raises_is_raised() -> None:
    def work(_: Ticket) -> None:
        raise TimeoutError("the work's own")

    with pytest.raises(TimeoutError, match="own"):
        await Threads(1).run(work, Ticket("reading", 60))
