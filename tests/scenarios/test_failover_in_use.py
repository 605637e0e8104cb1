"""A vendor goes down while it is used: its own check is asked, and the next request is served by another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pointsman import Candidate, Pointsman, Settings, Use, components
from pointsman.errors import ProviderUnavailable
from pointsman.testing import serving
from tests.workshop import until

CACHE = Use("adapter", "cache")


class Vendor:
    """Is well when it is made, and refuses who uses it; ``stays`` is whether it says that it is well then, too.

    It answers on the loop, whose turns `until` counts: a synchronous check would run in a thread.
    """

    def __init__(self, *, stays: bool) -> None:
        self.well = True
        self.stays = stays
        self.asked = 0

    def use(self) -> str:
        self.well = self.stays
        raise ProviderUnavailable("The server refused.")

    async def health(self) -> bool:
        self.asked += 1
        return self.well


class Spare:
    def use(self) -> str:
        return "spare"


class Notes:
    def __init__(self, cache: Annotated[Any, CACHE]) -> None:
        self.use = cache.use


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def application(vendor: Vendor, **options: Any) -> Pointsman:
    vendors = [
        Candidate("adapter", "cache", "vendor", lambda: vendor, priority=2),
        Candidate("adapter", "cache", "spare", Spare),
    ]
    policy = options.pop("policy", {"on_unhealthy": "next"})
    settings = Settings.load(environ={}, components={"adapter/cache": policy})
    return Pointsman(settings, include=[*vendors, Candidate("service", "notes", "own", Notes)], **options)


def of_a_handler(vendor: Vendor) -> Pointsman:
    app = application(vendor)

    @app.get("/")
    async def used(cache: Annotated[Any, CACHE]) -> str:
        return str(cache.use())

    return app


def of_what_stands_on_it(vendor: Vendor) -> Pointsman:
    app = application(vendor)

    @app.get("/")
    async def used(notes: Annotated[Any, Use("service", "notes")]) -> str:
        return str(notes.use())

    return app


def of_an_inner_application(vendor: Vendor) -> Pointsman:
    async def used(request: Request) -> PlainTextResponse:
        return PlainTextResponse((await components(request).get("adapter", "cache")).use())

    return application(vendor, inner=Starlette(routes=[Route("/", used)]))


@pytest.mark.parametrize("made", [of_a_handler, of_what_stands_on_it, of_an_inner_application])
async def test_the_next_request_is_served_by_another(made: Callable[[Vendor], Pointsman]) -> None:
    vendor = Vendor(stays=False)
    app = made(vendor)
    async with serving(app) as client:
        assert (await client.get("/")).status_code >= 500
        await until(lambda: app.runtime.snapshot.catalog.outages)
        assert (await client.get("/")).text.strip('"') == "spare"
        explained = app.runtime.explain("adapter", "cache")
        assert explained.decided_by == "failover"


async def test_one_that_says_it_is_well_is_not_left_for_the_word_of_another() -> None:
    vendor = Vendor(stays=True)
    async with serving(app := of_a_handler(vendor)) as client:
        assert (await client.get("/")).status_code == 503
        await until(lambda: vendor.asked == 2)
        assert (await client.get("/")).status_code == 503
        assert not app.runtime.snapshot.catalog.outages


async def test_without_the_policy_nobody_is_asked() -> None:
    vendor = Vendor(stays=False)
    app = application(vendor, policy={})

    @app.get("/")
    async def used(cache: Annotated[Any, CACHE]) -> str:
        return str(cache.use())

    async with serving(app) as client:
        for _ in range(3):
            assert (await client.get("/")).status_code == 503
    assert vendor.asked == 1  # when it was made


class Pondering(Vendor):
    """Takes for ever to say how it is, once it was used."""

    given_up = False

    async def health(self) -> bool:
        self.asked += 1
        if self.asked == 1:
            return True
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up = True
        return True


async def test_however_many_ask_there_is_one_look_and_it_ends_with_the_service() -> None:
    vendor = Pondering(stays=False)
    async with serving(of_a_handler(vendor)) as client:
        for _ in range(5):
            assert (await client.get("/")).status_code == 503
        await until(lambda: vendor.asked == 2)
        assert (await client.get("/")).status_code == 503
    assert vendor.asked == 2
    assert vendor.given_up
