"""What one request may use: one tenant, one snapshot, gates before everything, and an end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any

import pytest

from pointsman.declarations import Component, Tenant, Use
from pointsman.errors import (
    ComponentDraining,
    ComponentPaused,
    ComponentsClosed,
    NoEligibleCandidate,
    TenantError,
    Unavailable,
    UnknownComponent,
)
from tests.workshop import CACHE, Replica, control, order, replica_of, until

NOTES = Component[Any]("service", "notes")


async def pause(replica: Replica, **orders: Any) -> None:
    replica.runtime.points.change(lambda inputs: replace(inputs, gating=control(**orders)))


async def with_notes(**settings: Any) -> Replica:
    replica = Replica(**settings)
    replica.assemble(
        replica.candidate("adapter/cache=own"),
        replica.candidate("adapter/cache=other"),
        replica.candidate("service/notes=sql", replica.factory("sql", cache="adapter/cache")),
    )
    return replica


async def test_a_component_is_asked_for_by_token_by_name_or_by_use() -> None:
    async with replica_of("adapter/cache=own") as replica, replica.runtime.components() as its:
        own = await its.get(CACHE)
        assert await its.get("adapter", "cache") is own
        assert await its.get(CACHE, provider="own") is own
        assert await its.obtain(Use(CACHE)) is own
        assert await its.obtain_optional(Use(CACHE)) is own
        assert its.resolutions() == {"adapter/cache": "own"}
        assert its.explain("adapter", "cache").selected.provider == "own"  # type: ignore[union-attr]
        with pytest.raises(NoEligibleCandidate):
            await its.get(CACHE, requires={"teleport"})


async def test_it_knows_who_asks_with_labels_and_the_number_of_its_catalog() -> None:
    async with replica_of("adapter/cache=own", tenants={"acme": {"labels": {"plan": "gold"}}}) as replica:
        async with replica.runtime.components(tenant="acme") as its:
            assert its.tenant == Tenant("acme", {"plan": "gold"})
            assert its.catalog_serial == replica.runtime.snapshot.catalog.serial
        async with replica.runtime.components() as its:
            assert its.tenant is None


async def test_what_is_optional_is_none_only_where_nothing_is_registered() -> None:
    replica = Replica()
    replica.assemble(replica.candidate("service/notes=sql", replica.factory("sql", late="service/late")),
                     replica.candidate("service/late=own", "tests.workshop:missing"))  # fmt: skip
    async with replica.runtime as runtime, runtime.components() as its:
        assert await its.obtain_optional(Use("adapter", "queue")) is None
        undo = replica.resolver.register(
            replica.candidate("adapter/queue=nats", replica.factory("nats", gone=Annotated[object, Use("a", "gone")]))
        )
        async with runtime.components() as own:
            with pytest.raises(UnknownComponent, match="a/gone"):
                await own.obtain_optional(Use("adapter", "queue"))
        undo()


async def test_everything_comes_from_the_snapshot_of_the_start() -> None:
    async with replica_of("adapter/cache=new", "adapter/cache=old") as replica:
        async with replica.runtime.components() as its:
            await replica.manager.swap("adapter", "cache", provider="new")
            assert (await its.get(CACHE)).use() == "old"
            assert its.explain(*CACHE).selected.provider == "old"  # type: ignore[union-attr]
            async with its.renew() as own:
                assert (await own.get(CACHE)).use() == "new"
        await until(lambda: replica.open == ["new"])


async def test_after_the_end_nothing_is_given_but_renewed_leases() -> None:
    async with replica_of("adapter/cache=own") as replica:
        async with replica.runtime.components(tenant="acme", subject="somebody", vouched=False) as its:
            assert not its.closed
        assert its.closed
        its.close()
        with pytest.raises(ComponentsClosed, match="adapter/cache was asked for after the request had ended"):
            await its.get(CACHE)
        async with its.renew() as own:
            assert (await own.get(CACHE)).use() == "own"
            assert (own.tenant, own.subject, own.vouched) == (Tenant("acme"), "somebody", False)
        assert own.closed


async def test_a_renewed_lease_is_returned_when_its_work_fails() -> None:
    async with replica_of("adapter/cache=own") as replica:
        its = replica.runtime.components()

        async def work() -> None:
            async with its.renew() as own:
                await own.get(CACHE)
                raise OSError("lost")

        with pytest.raises(OSError, match="lost"):
            await work()
        its.close()
        assert [instance.leases for instance in replica.manager.keeper.instances] == [0]


async def test_nothing_is_pinned_once_the_process_stops() -> None:
    async with replica_of("adapter/cache=own") as replica:
        await replica.runtime.stop()
        with pytest.raises(ComponentsClosed):
            replica.runtime.components()


# --- gates ---


@pytest.mark.parametrize(("kind", "error"), [("pause", ComponentPaused), ("drain", ComponentDraining)])
async def test_a_gate_refuses_new_work_here_and_on_all_that_stands_on_it_and_lets_the_rest_go_on(
    kind: str, error: type[Exception]
) -> None:
    replica = await with_notes()
    async with replica.runtime as runtime:
        before = runtime.components()
        await pause(replica, adapter_cache=order(kind, until=20))
        async with runtime.components() as its:
            for component in (CACHE, NOTES):
                with pytest.raises(error, match=r"adapter/cache is .* by operation") as refused:
                    await its.get(component)
                assert refused.value.retry_after_s == 20  # type: ignore[attr-defined]
        assert (await before.get(NOTES)).use() == "sql"
        before.close()
        await pause(replica)
        async with runtime.components() as its:
            assert (await its.get(NOTES)).use() == "sql"


async def test_a_gate_for_one_tenant_is_no_others() -> None:
    replica = await with_notes()
    async with replica.runtime as runtime:
        await pause(replica, adapter_cache=order("pause", tenants=("acme",)))
        async with runtime.components(tenant="acme") as its, runtime.components(tenant="globex") as others:
            with pytest.raises(ComponentPaused):
                await its.get(NOTES)
            assert (await others.get(NOTES)).use() == "sql"


async def test_a_gate_of_what_is_not_used_refuses_nobody() -> None:
    replica = await with_notes()
    async with replica.runtime as runtime:
        await pause(replica, service_notes=order("pause"))
        async with runtime.components() as its:
            assert (await its.get(CACHE)).use() == "other"


async def test_a60_a_gate_that_is_taken_back_is_gone_and_the_strictest_of_two_wins() -> None:
    replica = await with_notes()
    async with replica.runtime as runtime:
        own = {"adapter/cache": (order("drain", cseq=2),)}
        await pause(replica, adapter_cache=order("pause", cseq=1))
        await runtime.intake.take_overrides(own)
        with pytest.raises(ComponentDraining):
            async with runtime.components() as its:
                await its.get(CACHE)
        await runtime.intake.take_overrides({})
        with pytest.raises(ComponentPaused):
            async with runtime.components() as its:
                await its.get(CACHE)
        await pause(replica)
        async with runtime.components() as its:
            assert (await its.get(CACHE)).use() == "other"


async def test_what_is_isolated_needs_a_tenant_that_somebody_vouches_for() -> None:
    replica = await with_notes(components={"adapter/cache": {"isolated": True}})
    async with replica.runtime as runtime:
        async with runtime.components(tenant="acme", vouched=False) as its:
            with pytest.raises(TenantError, match="nothing vouches for the tenant's id") as refused:
                await its.get(NOTES)
            assert refused.value.status == 403
        async with runtime.components(tenant="acme") as its:
            assert (await its.get(NOTES)).use() == "sql"


async def test_what_is_denied_when_stale_is_unavailable_while_the_head_is_too_old() -> None:
    replica = await with_notes(components={"adapter/cache": {"on_stale": "deny"}})
    async with replica.runtime as runtime:
        runtime.is_stale = lambda: True
        async with runtime.components() as its:
            with pytest.raises(Unavailable, match="adapter/cache is denied") as refused:
                await its.get(NOTES)
            assert (refused.value.sent, refused.value.retry_after_s) == (False, 5.0)
        runtime.is_stale = lambda: False
        async with runtime.components() as its:
            assert (await its.get(NOTES)).use() == "sql"


async def test_a_gate_does_not_speak_to_whom_the_request_has_ended() -> None:
    replica = await with_notes()
    async with replica.runtime as runtime:
        await pause(replica, adapter_cache=order("pause"))
        its = runtime.components()
        its.close()
        with pytest.raises(ComponentsClosed):
            await its.get(CACHE)


# --- who lives how long ---


async def test_equal_keys_of_two_tenants_never_meet() -> None:
    async with replica_of(adapters={"selections": {"cache": "memory"}}) as replica:
        values = {}
        for tenant in ("acme", "globex", None):
            async with replica.runtime.components(tenant=tenant) as its:
                await (await its.get(CACHE)).set("key", str(tenant).encode())
        for tenant in ("acme", "globex", None):
            async with replica.runtime.components(tenant=tenant) as its:
                values[tenant] = await (await its.get(CACHE)).get("key")
        assert values == {"acme": b"acme", "globex": b"globex", None: b"None"}
        assert len(replica.manager.keeper.instances) == 1


async def test_a_background_task_uses_what_its_request_may_and_a_detached_one_its_own() -> None:
    async with replica_of("adapter/cache=new", "adapter/cache=old") as replica:
        its = replica.runtime.components()
        used: list[str] = []

        async def background() -> None:
            used.append((await its.get(CACHE)).use())

        async def detached() -> None:
            async with its.renew() as own:
                used.append((await own.get(CACHE)).use())

        await replica.manager.swap("adapter", "cache", provider="new")
        await asyncio.create_task(background())
        its.close()
        await asyncio.create_task(detached())
        assert used == ["old", "new"]
