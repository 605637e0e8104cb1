"""Hooks are called in the order in which they were added, each in its time, and are taken back by their undo."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pointsman.lifecycle.hooks import Hooks, Swapping
from tests.workshop import CACHE

SWAPPING = Swapping(CACHE, None, "redis", None, None)


async def test_hooks_of_a_moment_run_in_order_async_ones_here_and_others_in_a_thread() -> None:
    hooks, seen = Hooks(), []

    async def first(swapping: Swapping) -> None:
        seen.append(("first", swapping, threading.current_thread() is threading.main_thread()))

    def second(swapping: Swapping) -> None:
        seen.append(("second", swapping, threading.current_thread() is threading.main_thread()))

    undo = hooks.add("pre_swap", first)
    hooks.add("pre_swap", second)
    hooks.add("post_swap", first)
    await hooks.run("pre_swap", SWAPPING, 1.0)
    assert seen == [("first", SWAPPING, True), ("second", SWAPPING, False)]
    undo()
    undo()
    await hooks.run("pre_swap", SWAPPING, 1.0)
    assert [name for name, *_ in seen] == ["first", "second", "second"]


async def test_one_that_hangs_is_cut_off_and_the_rest_not_called() -> None:
    hooks, seen = Hooks(), []

    async def never(_: Swapping) -> None:
        await asyncio.Event().wait()

    hooks.add("pre_swap", never)
    hooks.add("pre_swap", seen.append)
    with pytest.raises(TimeoutError):
        await hooks.run("pre_swap", SWAPPING, 0.01)
    assert seen == []
