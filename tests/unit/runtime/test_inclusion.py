"""What include= collects."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import ModuleType

import pytest

from pointsman.declarations import Candidate, provides
from pointsman.errors import ConfigurationError
from pointsman.runtime.inclusion import ROUTER_MARK, collect


class FakeRouter:
    __pointsman_router__ = True

    def __init__(self, *parts: object) -> None:
        self.parts = parts


class FakeApplication(FakeRouter):
    __pointsman_router__ = False


def made(name: str = "made", **contents: object) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(contents)
    return module


def candidate(provider: str) -> Candidate:
    return Candidate("service", "greeting", provider, str)


def test_every_part_counts_once_and_order_is_kept() -> None:
    first, second, third = candidate("first"), candidate("second"), candidate("third")
    inner = FakeRouter(first, second)
    outer = FakeRouter(second, inner)
    collected = collect([outer, inner, third, first])
    assert collected.routers == (outer, inner)
    assert collected.candidates == (second, first, third)


def test_a_module_gives_its_routers_candidates_and_own_marked_factories() -> None:
    @provides("service", "greeting", "marked")
    class Marked: ...

    @provides("service", "greeting", "nested")
    @asynccontextmanager
    async def nested():  # type: ignore[no-untyped-def]
        yield

    @provides("service", "greeting", "foreign")
    def foreign() -> str:
        return ""

    Marked.__module__, nested.__module__, foreign.__module__ = "made", "made.sub", "madeup"
    router, plain = FakeRouter(), candidate("plain")
    module = made(a=Marked, b=nested, c=foreign, d=router, e=plain, f=FakeApplication(candidate("x")), g=42, h=Marked)
    collected = collect([module])
    assert collected.routers == (router,)
    assert [found.provider for found in collected.candidates] == ["marked", "nested", "plain"]


def test_one_factory_with_two_marks_gives_two_candidates() -> None:
    @provides("service", "greeting", "one")
    @provides("service", "greeting", "two")
    def both() -> str:
        return ""

    assert [found.provider for found in collect([both, both]).candidates] == ["two", "one"]


def test_a_router_that_includes_itself_counts_once() -> None:
    router = FakeRouter()
    router.parts = (router,)
    assert collect([router]).routers == (router,)


def unmarked() -> list[Candidate]:
    return []


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (unmarked, "nothing marks .*:unmarked"),
        (42, "found 42"),
        ([candidate("listed")], r"Unpack a collection"),
        (FakeApplication(), "takes no application"),
    ],
)
def test_what_is_no_part_is_refused_with_what_to_write(part: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        collect([part])


def test_the_mark_is_the_one_that_routers_carry() -> None:
    assert ROUTER_MARK == "__pointsman_router__"
