"""Commands for a fleet of two, over HTTP."""

from __future__ import annotations

from typing import Any

import httpx

Replicas = tuple[httpx.AsyncClient, httpx.AsyncClient]
BODY = {"domain": "service", "key": "word", "reason": "drill"}


async def send(
    client: httpx.AsyncClient, verb: str, query: str = "", headers: dict[str, str] | None = None, **fields: Any
) -> httpx.Response:
    return await client.post(f"/admin/{verb}{query}", json={**BODY, **fields}, headers=headers or {})


async def orders(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    await client.post("/admin/refresh", json={})
    return (await client.get("/admin/control")).json().get("orders", {}).get("service/word", [])


async def test_a_command_is_202_with_what_became_of_it(replicas: Replicas) -> None:
    first, _ = replicas
    answer = await send(first, "pause")
    found = answer.json()
    assert (answer.status_code, answer.headers["etag"]) == (202, '"s1"')
    assert {name: found[name] for name in ("cseq", "local", "fleet", "bound_s")} == {
        "cseq": 1, "local": "applied", "fleet": "converging", "bound_s": 60.0,
    }  # fmt: skip
    assert (await first.get("/admin/activity")).json()[0]["reach"] == "fleet"


async def test_a_part_is_swapped_and_tried_again_after_the_rest_is_too(replicas: Replicas) -> None:
    first, second = replicas
    keyed = {"Idempotency-Key": "part-1"}
    one = await send(first, "swap", headers=keyed, provider="loud", weight_bp=500)
    again = await send(second, "swap", headers=keyed, provider="loud", weight_bp=500)
    assert (one.status_code, again.status_code) == (202, 202)
    assert one.json()["operation"] == again.json()["operation"]
    [split] = await orders(first)
    raised = await send(second, "swap", provider="loud", weight_bp=1000)
    assert raised.status_code == 202
    [after] = await orders(first)
    assert (after["value"]["salt"], after["value"]["incumbent"]) == (split["value"]["salt"], "plain")
    await send(first, "swap", provider="loud")
    late = await send(first, "swap", headers=keyed, provider="loud", weight_bp=500)
    assert (late.status_code, late.json()["cseq"]) == (202, 1)
    other = await send(first, "swap", headers=keyed, provider="loud", weight_bp=501)
    assert (other.status_code, other.json()["errors"][0]["name"]) == (422, "Idempotency-Key")


async def test_the_incumbent_of_the_fleet_is_not_this_replicas_own(replicas: Replicas) -> None:
    first, _ = replicas
    assert (await send(first, "swap", provider="loud", reach="replica")).status_code == 200
    assert (await send(first, "swap", provider="loud", weight_bp=500)).status_code == 202
    [split] = await orders(first)
    assert split["value"]["incumbent"] == "plain"
    assert (await first.get("/word")).text == "LOUD"


async def test_a_key_that_was_used_for_a_pause_is_no_split(replicas: Replicas) -> None:
    first, _ = replicas
    keyed = {"Idempotency-Key": "one"}
    await send(first, "pause", headers=keyed)
    assert (await send(first, "swap", headers=keyed, provider="loud", weight_bp=5)).status_code == 422


async def test_a_part_under_an_if_match_that_is_stale_is_412(replicas: Replicas) -> None:
    first, second = replicas
    await send(first, "swap", provider="loud", tenant="acme")
    await second.post("/admin/refresh", json={})
    stale = await send(
        second, "swap", headers={"If-Match": '"s0"'}, provider="sick", weight_bp=5, tenant="acme", force=True
    )
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")


async def test_a_rehearsal_for_the_fleet_tells_whom_it_concerns_and_writes_nothing(replicas: Replicas) -> None:
    first, _ = replicas
    await send(first, "swap", provider="loud", tenant="acme")
    found = (await send(first, "swap", "?dry_run=true", provider="loud")).json()
    assert [(one["tenant"], one["before"], one["after"]) for one in found["tenants"]] == [
        ("*", "plain", "loud"),
        ("globex", "plain", "loud"),
    ]
    assert len(await orders(first)) == 1
    part = (await send(first, "swap", "?dry_run=true", provider="loud", weight_bp=500)).json()
    assert part["tenants"][0]["after"] == "plain (split: loud 5 %)"
    drained = (await send(first, "drain", "?dry_run=true", tenant="acme")).json()
    assert drained["tenants"] == [{"tenant": "acme", "before": "active", "after": "draining"}]


async def test_what_is_denied_or_refused_is_in_the_journal_of_the_fleet(replicas: Replicas) -> None:
    first, second = replicas
    await send(first, "pause", headers={"Authorization": f"Bearer {'v' * 43}"})
    await send(first, "swap", provider="broken")
    await send(first, "pause", reach="replica")
    await send(first, "resume", "?dry_run=true")
    found = (await second.get("/admin/audit")).json()
    told = {(one["who"], one["end"]["outcome"], one["end"].get("code", "")) for one in found}
    assert told == {
        ("eyes", "refused", "forbidden"), ("ops", "refused", "activation-failed"), ("ops", "applied", ""),
    }  # fmt: skip
    for one in found:
        assert (await second.get(f"/admin/operations/{one['operation']}")).json() == one


async def test_a_lost_race_is_recorded_once(replicas: Replicas) -> None:
    first, second = replicas
    await send(first, "pause")
    stale = await send(second, "pause", headers={"If-Match": '"s0"'})
    assert stale.status_code == 412
    found = (await first.get("/admin/audit")).json()
    assert [one["end"]["outcome"] for one in found] == ["refused", "applied"]
