from __future__ import annotations

from typing import Any

import httpx
import pytest

from pointsman import Pointsman

BODY = {"domain": "service", "key": "word", "reason": "drill", "reach": "replica"}


async def send(client: httpx.AsyncClient, verb: str, query: str = "", **fields: Any) -> httpx.Response:
    return await client.post(f"/admin/{verb}{query}", json={**BODY, **fields})


async def test_a_swap_for_this_replica_is_in_force_when_it_is_answered(client: httpx.AsyncClient) -> None:
    answer = await send(client, "swap", provider="loud")
    assert answer.status_code == 200
    assert (answer.json()["local"], answer.json()["fleet"], answer.json()["bound_s"]) == ("applied", "untouched", None)
    assert answer.json()["changes"][0]["after"]
    assert (await client.get("/word")).text == "LOUD"
    assert (await send(client, "unswap")).status_code == 200
    assert (await client.get("/word")).text == "plain"


async def test_a_swap_for_one_tenant_leaves_the_others(client: httpx.AsyncClient) -> None:
    await send(client, "swap", provider="loud", tenants=["acme"])
    assert (await client.get("/word", headers={"X-Tenant-ID": "acme"})).text == "LOUD"
    assert (await client.get("/word", headers={"X-Tenant-ID": "globex"})).text == "plain"


async def test_a_weight_makes_a_split_that_keeps_its_salt(app: Pointsman, client: httpx.AsyncClient) -> None:
    for weight in (1, 100):
        assert (await send(client, "swap", provider="loud", weight_bp=weight)).status_code == 200
    orders = app.runtime.points.inputs.overrides["service/word"]
    assert len(orders) == 1
    first = orders[0].value
    await send(client, "swap", provider="loud", weight_bp=10_000)
    second = app.runtime.points.inputs.overrides["service/word"][0].value
    assert (first.incumbent, first.salt) == (second.incumbent, second.salt) == ("plain", first.salt)  # type: ignore[union-attr]
    assert (await client.get("/word", headers={"X-Tenant-ID": "acme"})).text == "LOUD"


async def test_there_is_nothing_to_split_with_oneself(client: httpx.AsyncClient) -> None:
    answer = await send(client, "swap", provider="plain", weight_bp=5)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/weight_bp")


async def test_a_dry_run_says_what_would_change_and_changes_nothing(client: httpx.AsyncClient) -> None:
    answer = await send(client, "swap", "?dry_run=true", provider="loud")
    assert (answer.status_code, answer.json()["local"]) == (200, "untouched")
    assert [one["tenant"] for one in answer.json()["changes"]] == ["*"]
    assert (await client.get("/word")).text == "plain"


@pytest.mark.parametrize("provider", ["sick", "broken"])
async def test_a_target_that_does_not_stand_is_422_and_the_old_serves(client: httpx.AsyncClient, provider: str) -> None:
    answer = await send(client, "swap", provider=provider)
    assert (answer.status_code, answer.json()["code"]) == (
        422, {"sick": "health-check-failed", "broken": "activation-failed"}[provider],
    )  # fmt: skip
    assert (await client.get("/word")).text == "plain"


async def test_force_skips_health_and_nothing_else(client: httpx.AsyncClient) -> None:
    assert (await send(client, "swap", provider="sick", force=True)).status_code == 200
    assert (await send(client, "swap", provider="broken", force=True)).status_code == 422


async def test_what_is_unknown_is_404_and_what_is_not_eligible_422(client: httpx.AsyncClient) -> None:
    assert (await send(client, "swap", provider="nobody")).status_code == 404
    assert (await send(client, "pause", key="wrod")).status_code == 404
    closed = await send(client, "swap", provider="closed", tenant="acme")
    assert (closed.status_code, closed.json()["code"]) == (422, "no-eligible-candidate")


@pytest.mark.parametrize(("verb", "code"), [("pause", "component-paused"), ("drain", "component-draining")])
async def test_what_is_paused_or_draining_answers_503_until_it_is_resumed(
    client: httpx.AsyncClient, verb: str, code: str
) -> None:
    assert (await send(client, verb, ttl_s=600)).status_code == 200
    refused = await client.get("/word")
    assert (refused.status_code, refused.json()["code"]) == (503, code)
    assert int(refused.headers["retry-after"]) > 0
    shown = (await client.get("/admin/activity")).json()
    assert [(one["component"], one["tenant"]) for one in shown] == [("service/word", "*")]
    assert shown[0]["until"]
    await send(client, "resume")
    assert (await client.get("/word")).status_code == 200


async def test_the_fleet_is_out_of_reach_without_a_store(client: httpx.AsyncClient) -> None:
    answer = await send(client, "pause", reach="fleet")
    assert (answer.status_code, answer.json()["code"]) == (503, "read-only-replica")
    assert (await client.get("/word")).status_code == 200


async def test_each_wrong_field_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/admin/swap", json={"domain": "service", "ttl_s": -1, "colour": "red"})
    assert answer.status_code == 422
    found = {error["pointer"] for error in answer.json()["errors"]}
    assert found == {"/key", "/reason", "/provider", "/ttl_s", "/colour"}
    both = await send(client, "pause", tenant="acme", tenants=["globex"])
    assert both.json()["errors"][0]["pointer"] == "/tenants"
    bidi = await send(client, "pause", reason="safe\u202eevas")
    assert bidi.json()["errors"][0]["pointer"] == "/reason"


async def test_refresh_without_a_fleet_changes_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.post("/admin/refresh", json={})
    assert (answer.status_code, answer.json()["freshness"]) == (200, "alone")
