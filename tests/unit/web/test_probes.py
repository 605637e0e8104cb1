"""What the probes tell."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from pointsman.errors import NoCatalog
from pointsman.web.probes import Condition, Probes
from tests.unit.web import asgi


class Replica:
    def __init__(self, condition: Condition = "ok", *, started: bool = True, fails: bool = False) -> None:
        self.condition, self.started, self.fails = condition, started, fails
        self.prompted = 0
        self.app = Probes(
            PlainTextResponse("behind"),
            started=lambda: self.started,
            condition=lambda: self.condition,
            prompt=self.prompt,
        )

    async def prompt(self) -> None:
        self.prompted += 1
        if self.fails:
            raise NoCatalog("The service is starting.")

    async def ask(self, path: str, **scope: Any) -> tuple[int, str]:
        sent = (await asgi.played(self.app, asgi.http(path, **scope))).sent
        return sent[0]["status"], json.loads(sent[1]["body"])["status"]


@pytest.mark.parametrize(
    ("replica", "startup", "live", "ready"),
    [
        (Replica(), "ok", "ok", "ok"),
        (Replica("degraded"), "ok", "ok", "degraded"),
        (Replica("unavailable"), "ok", "ok", "unavailable"),
        (Replica("unavailable", started=False), "unavailable", "ok", "unavailable"),
        (Replica(fails=True), "unavailable", "ok", "unavailable"),
    ],
)
async def test_each_probe_tells_its_own(replica: Replica, startup: str, live: str, ready: str) -> None:
    for path, told in (("startup", startup), ("live", live), ("ready", ready)):
        assert await replica.ask(f"/health/{path}") == (503 if told == "unavailable" else 200, told)
    assert replica.prompted == 3


async def test_probes_answer_below_a_root_path() -> None:
    assert await Replica().ask("/api/health/live", root_path="/api") == (200, "ok")


async def test_head_is_answered_and_other_methods_are_refused() -> None:
    replica = Replica()
    assert (await asgi.played(replica.app, asgi.http("/health/live", "HEAD"))).sent[0]["status"] == 200
    refused = (await asgi.played(replica.app, asgi.http("/health/live", "POST"))).sent[0]
    assert refused["status"] == 405
    assert (b"allow", b"GET, HEAD") in refused["headers"]


@pytest.mark.parametrize("path", ["/", "/health", "/health/", "/health/live/", "//health/live", "/notes"])
async def test_everything_else_is_handed_on(path: str) -> None:
    assert (await asgi.played(Replica().app, asgi.http(path))).sent[1]["body"] == b"behind"


async def test_a_websocket_is_no_probe() -> None:
    exchange = await asgi.played(Replica().app, asgi.websocket("/health/live"))
    assert exchange.types == ["websocket.http.response.start", "websocket.http.response.body"]
