"""An answer that cannot be had is a no; one that declares no check is well."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pointsman.declarations import Candidate
from pointsman.lifecycle.health import answer, check


class Instance:
    def __init__(self, says: object = True) -> None:
        self.says = says

    async def health(self) -> bool:
        if isinstance(self.says, Exception):
            raise self.says
        return bool(self.says)


def candidate(health: Any = None) -> Candidate:
    return Candidate("adapter", "cache", "redis", Instance, health=health)


@pytest.mark.parametrize(
    ("instance", "health", "expected"),
    [
        (object(), None, None),
        (Instance(), None, True),
        (Instance(says=False), None, False),
        (Instance(says=OSError("down")), None, False),
        (object(), lambda: True, True),
        (Instance(), lambda: False, False),
        (Instance(says=False), lambda: True, False),
        (Instance(), lambda: 1 / 0, False),
    ],
)
async def test_every_declared_check_must_say_yes(instance: object, health: Any, expected: bool | None) -> None:
    assert await answer(instance, candidate(health), 1.0) is expected
    assert await check(instance, candidate(health), 1.0) is (expected is not False)


async def test_a_check_in_a_thread_that_hangs_is_a_no_in_time() -> None:
    stuck = threading.Event()
    assert await answer(object(), candidate(lambda: stuck.wait(10)), 0.01) is False
    stuck.set()
