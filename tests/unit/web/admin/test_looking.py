from __future__ import annotations

import httpx
import pytest

from pointsman import Pointsman


async def test_an_explanation_over_http_is_the_one_of_python(app: Pointsman, client: httpx.AsyncClient) -> None:
    answer = await client.get("/admin/explain/service/word?tenant=acme")
    assert answer.status_code == 200
    assert answer.json() == app.runtime.explain("service", "word", tenant="acme").as_dict()
    assert answer.json()["why"].startswith("plain selected for acme: priority 3 beats loud's 0")


async def test_an_explanation_is_narrowed_as_a_resolution_is(client: httpx.AsyncClient) -> None:
    asked = await client.get("/admin/explain/service/word?provider=loud&subject=x")
    assert asked.json()["selected"] == "loud"
    assert (await client.get("/admin/explain/service/word?requires=flying,swimming")).json()["selected"] is None


async def test_an_unknown_component_is_404_with_the_nearest_name(client: httpx.AsyncClient) -> None:
    answer = await client.get("/admin/explain/service/wrod")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-component")
    assert 'Use("service", "word")' in answer.json()["detail"]
    assert (await client.get("/admin/explain/service/w%20d")).status_code == 422


async def test_components_tenants_and_activity_are_shown(client: httpx.AsyncClient) -> None:
    shown = {one["component"]: one for one in (await client.get("/admin/components")).json()}
    assert shown["service/word"]["selected"] == "plain"
    assert [one["provider"] for one in shown["service/word"]["candidates"]][:2] == ["plain", "loud"]
    tenant = (await client.get("/admin/tenants/acme")).json()
    assert (tenant["labels"], tenant["components"]["service/word"]) == ({"plan": "gold"}, "plain")
    assert (await client.get("/admin/tenants/nobody")).status_code == 404
    assert (await client.get("/admin/activity")).json() == []


@pytest.mark.parametrize("probe", ["", "?probe=true", "?probe=true&domain=service&key=word"])
async def test_health_tells_every_live_instance(client: httpx.AsyncClient, probe: str) -> None:
    await client.get("/word")
    health = (await client.get(f"/admin/health{probe}")).json()
    assert (health["alive"], health["ready"], health["fresh"], health["degraded"]) == (True, True, True, False)
    assert [one["identity"] for one in health["components"]] == ["service/word=plain"]
    assert (await client.get("/admin/health?domain=adapter")).json()["components"] == []


async def test_without_a_fleet_there_is_no_control_document_and_no_audit(client: httpx.AsyncClient) -> None:
    assert (await client.get("/admin/control")).status_code == 404
    assert (await client.get("/admin/audit")).json() == []
    assert (await client.get("/admin/operations/4f1c")).status_code == 404
    manifest = (await client.get("/admin/manifest")).json()
    assert (manifest["in_force"], manifest["freshness"]) == (None, "alone")


@pytest.mark.parametrize("limit", ["0", "many", "501"])
async def test_a_wrong_limit_is_named(client: httpx.AsyncClient, limit: str) -> None:
    answer = await client.get(f"/admin/audit?limit={limit}")
    assert (answer.status_code, answer.json()["errors"][0]["name"]) == (422, "limit")
