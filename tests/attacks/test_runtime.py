"""Attacks on one replica: who shares, who is never handed to whom, and what a catalog may not do behind a request."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from pointsman.declarations import Candidate, Component, Constraints, Tenant
from pointsman.errors import (
    ActivationFailed,
    NoEligibleCandidate,
    PointsmanError,
    PreflightFailed,
    ProviderUnavailable,
)
from pointsman.manifests.schema import Split
from pointsman.resolution.contribution import Layered
from pointsman.runtime.inputs import ManifestInput
from pointsman.runtime.runtime import Runtime
from pointsman.runtime.settings import Settings
from tests.workshop import CACHE, Gate, Product, Replica, control, manifest, order, replica_of, turns, until

NOTES = Component[Any]("service", "notes")
TENANTS: dict[str, Any] = {"acme": {}, "globex": {}}


def names(replica: Replica) -> set[str]:
    return {str(instance.plan) for instance in replica.manager.keeper.instances}


async def test_a62_a_thousand_refreshes_of_one_manifest_leave_a_replica_as_after_the_first() -> None:
    async with replica_of("adapter/cache=own") as replica:
        runtime = replica.runtime

        async def refresh(version: int = 1) -> None:
            brought = Candidate("service", "notes", "sql", notes, priority=3)
            await runtime.intake.take_manifest(manifest(brought, version=version, labels={"acme": {}}))
            async with runtime.components(tenant="acme") as its:
                await its.get(NOTES)

        def size() -> tuple[int, ...]:
            manager = runtime.lifecycle
            return (
                len(manager.keeper.instances), len(manager.planner._specs), len(manager.epochs.current.plans),
                len(manager.board.as_dict()), len(list(manager.epochs.chain())), len(runtime.points.snapshot.expired),
                len(list(runtime.snapshot.catalog.candidates)),
            )  # fmt: skip

        notes = replica.factory("sql", cache="adapter/cache")
        for _ in range(2):
            await refresh()
        await turns()
        first = size()
        for _ in range(1_000):
            await refresh()
        await turns()
        assert size() == first
        assert replica.log.count("+sql") == 1
        await runtime.intake.take_manifest(manifest(version=2))
        await until(lambda: replica.open == ["own"])
        assert not [part for part in runtime.snapshot.catalog.candidates if part == NOTES]


async def test_a63_what_explain_says_is_what_is_handed_out_for_every_tenant_and_subject() -> None:
    replica = Replica(
        tenants={"acme": {"selections": {"adapter/cache": "two"}}, "globex": {}},
        adapters={"selections": {"cache": {"incumbent": "one", "to": [["three", 5_000]], "salt": "s"}}},
    )
    runtime = replica.assemble(*(replica.candidate(f"adapter/cache={name}") for name in ("one", "two", "three")))
    async with runtime:
        for tenant in (None, "acme", "globex", "stranger"):
            for subject in (None, *map(str, range(12))):
                async with runtime.components(tenant=tenant, subject=subject) as its:
                    handed = (await its.get(CACHE)).use()
                    told = runtime.explain("adapter", "cache", tenant=tenant, subject=subject)
                    assert told.selected is not None
                    assert handed == told.selected.provider == its.resolutions()["adapter/cache"]


async def test_a66_the_tenants_of_a_growing_split_are_nested_and_shrink_to_what_they_were() -> None:
    subjects = [f"tenant-{number}" for number in range(200)]
    async with replica_of("adapter/cache=new", "adapter/cache=old") as replica:

        async def those_on_the_new(weight: int, cseq: int) -> set[str]:
            split = Split(incumbent="old", to=(("new", weight),), salt="spring")
            await replica.runtime.intake.take_control(control(cseq, adapter_cache=order("split", split, cseq=cseq)))
            found = set()
            for subject in subjects:
                async with replica.runtime.components(subject=subject) as its:
                    if (await its.get(CACHE)).use() == "new":
                        found.add(subject)
            return found

        sets = [await those_on_the_new(weight, cseq) for cseq, weight in enumerate((100, 2_500, 10_000, 2_500, 100), 1)]
        assert sets[0] < sets[1] < sets[2] == set(subjects)
        assert (sets[3], sets[4]) == (sets[1], sets[0])


# --- who shares what ---


async def test_a79_equal_settings_but_a_tenant_beneath_or_another_selection_make_two_instances() -> None:
    tenants: dict[str, Any] = {**TENANTS, "initech": {"selections": {"adapter/queue": "kafka"}}}
    replica = Replica(tenants=tenants)
    runtime = replica.assemble(
        replica.candidate("adapter/session=own", replica.factory("session", tenant=Tenant), lifetime="tenant"),
        replica.candidate("service/cart=sql", replica.factory("cart", session="adapter/session"), lifetime="tenant"),
        replica.candidate("adapter/queue=kafka"),
        replica.candidate("adapter/queue=nats"),
        replica.candidate("service/mail=smtp", replica.factory("mail", queue="adapter/queue")),
    )
    async with runtime:
        carts, mails = {}, {}
        for tenant in tenants:
            async with runtime.components(tenant=tenant) as its:
                carts[tenant] = await its.get("service", "cart")
                mails[tenant] = await its.get("service", "mail")
                assert carts[tenant].given["session"].given["tenant"].id == tenant
        assert len({id(cart) for cart in carts.values()}) == 3
        assert mails["acme"] is mails["globex"]
        assert mails["initech"] is not mails["acme"]


async def test_a79_one_key_of_two_tenants_is_two_values_also_beneath_a_shared_service() -> None:
    class Counter:
        def __init__(self, cache: Any) -> None:
            self._cache = cache

        async def count(self) -> int:
            total: int = await self._cache.incr("count")
            return total

    replica = Replica(adapters={"selections": {"cache": "memory"}}, tenants=TENANTS)
    made: list[Counter] = []

    async def enter(product: Product) -> None:
        made.append(Counter(product.given["cache"]))

    runtime = replica.assemble(
        replica.candidate("service/counter=own", replica.factory("counter", enter=enter, cache="adapter/cache"))
    )
    async with runtime:
        for tenant in (*TENANTS, None):
            async with runtime.components(tenant=tenant) as its:
                await its.get("service", "counter")
        assert [await counter.count() for counter in (*made, *made)] == [1, 1, 1, 2, 2, 2]
        caches = {name for name in names(replica) if "cache" in name}
        assert caches == {"adapter/cache=memory"}


async def down(_product: Product) -> None:
    raise ProviderUnavailable("the vendor is down")


@pytest.mark.parametrize("policy", [{}, {"on_unhealthy": "next"}, {"on_unhealthy": "fail", "fallbacks": ["other"]}])
async def test_a80_a_selected_provider_that_is_down_is_a_503_never_another_vendor(policy: dict[str, Any]) -> None:
    replica = Replica(adapters={"selections": {"cache": "vendor"}}, components={"adapter/cache": policy})
    runtime = replica.assemble(
        replica.candidate("adapter/cache=vendor", replica.factory("vendor", enter=down)),
        replica.candidate("adapter/cache=other", priority=9),
    )
    async with runtime:
        for _ in range(3):
            async with runtime.components() as its:
                with pytest.raises(ActivationFailed) as refused:
                    await its.get(CACHE)
                assert refused.value.retry_after_s is not None
        assert replica.open == []


async def test_a80_a_selected_provider_that_is_ineligible_is_an_error_never_the_next_layer() -> None:
    replica = Replica(
        adapters={"selections": {"cache": "other"}}, tenants={"acme": {"selections": {"adapter/cache": "foreign"}}}
    )
    runtime = replica.assemble(
        replica.candidate("adapter/cache=foreign", constraints=Constraints(platforms=["mars"])),
        replica.candidate("adapter/cache=other"),
    )
    async with runtime:
        async with runtime.components(tenant="acme") as its:
            with pytest.raises(NoEligibleCandidate):
                await its.get(CACHE)
        async with runtime.components() as its:
            assert (await its.get(CACHE)).use() == "other"


# --- the runtime ---


async def test_a89_task_groups_of_many_tenants_are_left_by_the_tasks_that_entered_them() -> None:
    closed: list[str] = []

    @asynccontextmanager
    async def pool(tenant: Tenant) -> AsyncGenerator[str]:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            yield tenant.id
            group.cancel_scope.cancel()
        closed.append(tenant.id)

    replica = Replica(tenants={f"t{number}": {} for number in range(20)})
    runtime = replica.assemble(Candidate("service", "pool", "own", pool, lifetime="tenant"))
    async with runtime:

        async def request(tenant: str) -> None:
            async with runtime.components(tenant=tenant) as its:
                assert await its.get("service", "pool") == tenant

        await asyncio.gather(*(request(f"t{number % 20}") for number in range(60)))
    assert sorted(closed) == sorted(f"t{number}" for number in range(20))


async def test_a89_every_caller_but_the_last_goes_away_while_it_is_made() -> None:
    gate = Gate()
    replica = Replica()
    runtime = replica.assemble(replica.candidate("adapter/cache=own", replica.factory("own", enter=gate)))
    async with runtime:

        async def request() -> str:
            async with runtime.components() as its:
                product: Product = await its.get(CACHE)
                return product.use()

        callers = [asyncio.ensure_future(request()) for _ in range(10)]
        await gate.reached.wait()
        for caller in callers[:-1]:
            caller.cancel()
        await turns()
        gate.open.set()
        results = await asyncio.gather(*callers, return_exceptions=True)
        assert results[-1] == "own"
        assert {type(result) for result in results[:-1]} == {asyncio.CancelledError}
        assert replica.log == ["+own"]


async def test_a90_a_request_pinned_before_a_swap_uses_the_component_first_after_it() -> None:
    async with replica_of("adapter/cache=new", "adapter/cache=old") as replica:
        pinned = replica.runtime.components()
        cold = replica.runtime.components()
        await replica.manager.activate("adapter", "cache")
        await replica.manager.swap("adapter", "cache", provider="new")
        assert (await pinned.get(CACHE)).use() == "old"
        await replica.manager.swap("adapter", "cache", provider="old")
        assert (await cold.get(CACHE)).use() == "old"
        assert len(replica.products) == 3
        pinned.close()
        cold.close()
        await until(lambda: replica.open == ["old"])


async def test_a90_streams_that_never_used_a_component_keep_none_of_its_instances_for_ever() -> None:
    replica = Replica()
    runtime = replica.assemble(
        replica.candidate("adapter/cache=new"), replica.candidate("adapter/cache=old"), replica.candidate("adapter/x=x")
    )
    async with runtime:
        streams = []
        for number in range(20):
            await runtime.lifecycle.swap("adapter", "cache", provider=("new", "old")[number % 2])
            streams.append(runtime.components())
            await streams[-1].get("adapter", "x")
        replica.clock.advance(30)
        await until(lambda: sorted(replica.open) == ["old", "x"])
        assert {(await stream.get(CACHE)).use() for stream in streams} == {"old"}
        for stream in streams:
            stream.close()
        assert len(list(runtime.lifecycle.epochs.chain())) == 1


async def test_a91_no_number_of_slow_warms_delays_a_pause() -> None:
    gate = Gate()
    async with replica_of("adapter/cache=old", "adapter/queue=old") as replica:
        runtime = replica.runtime
        for key in ("cache", "queue"):
            slow = replica.candidate(f"adapter/{key}=slow", replica.factory(key, enter=gate), priority=-1)
            runtime.resolver.register(slow)
            await runtime.lifecycle.activate("adapter", key)
        brought = replica.candidate("adapter/queue=brought", replica.factory("brought", enter=gate), priority=9)
        warming = [
            asyncio.ensure_future(runtime.lifecycle.swap("adapter", "cache", provider="slow")),
            asyncio.ensure_future(runtime.intake.take_manifest(manifest(brought))),
        ]
        await gate.reached.wait()
        await turns()
        taken = runtime.intake.take_control(control(1, adapter_cache=order("pause"), adapter_queue=order("drain")))
        for key in ("cache", "queue"):
            async with runtime.components() as its:
                with pytest.raises(PointsmanError, match="by operation"):
                    await its.get("adapter", key)
        await taken
        gate.open.set()
        await asyncio.gather(*warming)
        assert [gates.keys() for gates in runtime.snapshot.gates] == [{CACHE, Component("adapter", "queue")}]


async def test_a94_overrides_of_every_kind_are_gone_at_their_time_though_no_one_changes_anything() -> None:
    async with replica_of("adapter/cache=new", "adapter/cache=old") as replica:
        runtime = replica.runtime
        split = Split(incumbent="old", to=(("new", 10_000),), salt="s")
        await runtime.intake.take_control(
            control(
                1,
                adapter_cache=(
                    order("use", "new", cseq=1, tenants=("acme",), until=10),
                    order("split", split, cseq=2, until=20),
                ),
            )
        )
        await runtime.intake.take_overrides({"adapter/cache": (order("pause", cseq=3, until=30),)})

        async def seen(tenant: str | None, subject: str | None = None) -> str:
            async with runtime.components(tenant=tenant, subject=subject) as its:
                try:
                    return str((await its.get(CACHE)).use())
                except PointsmanError as error:
                    return error.code

        assert await seen(None) == "component-paused"
        replica.clock.advance(10)
        assert runtime.explain("adapter", "cache", tenant="acme").layers
        assert runtime.explain("adapter", "cache", subject="x").selected.provider == "new"  # type: ignore[union-attr]
        replica.clock.advance(10)
        assert runtime.explain("adapter", "cache", subject="x").selected.provider == "old"  # type: ignore[union-attr]
        replica.clock.advance(10)
        assert [await seen(tenant, "x") for tenant in (None, "acme")] == ["old", "old"]
        assert runtime.snapshot.expired == {"use-1", "split-2", "pause-3"}
        replica.clock.seconds = 0
        runtime.points.change(lambda inputs: replace(inputs, settings=replace(inputs.settings)))
        assert await seen("acme", "x") == "old"


class Bank(BaseModel):
    base_url: str = "https://image.example.com"


def answering(monkeypatch: pytest.MonkeyPatch, address: str) -> list[str]:
    """Have every name resolve to one address; returns the names that are asked."""
    asked: list[str] = []

    def getaddrinfo(host: str, *_of: object, **_more: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def banking(made: list[str]) -> Runtime:
    def bank(settings: Bank) -> str:
        made.append(settings.base_url)
        return settings.base_url

    return Runtime(Settings(), include=[Candidate("service", "rates", "bank", bank)], plugins=False)


def leading_to(url: str, version: int = 1) -> ManifestInput:
    said = Layered({("service", "rates", "bank"): {"base_url": url}})
    return manifest(version=version, provider_settings=said)


async def test_a78_a_name_that_resolves_to_loopback_is_refused_and_no_packet_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, made = answering(monkeypatch, "127.0.0.1"), list[str]()
    async with banking(made) as runtime:
        await runtime.intake.take_manifest(leading_to("https://rates.example.com"))
        async with runtime.components() as its:
            with pytest.raises(ActivationFailed, match=r"rates\.example\.com to lead out of this network"):
                await its.get("service", "rates")
        assert (made, asked) == ([], ["rates.example.com"])


async def test_a78_what_serves_goes_on_where_a_new_manifest_leads_it_into_this_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    async with banking(made) as runtime:
        async with runtime.components() as its:
            assert await its.get("service", "rates") == "https://image.example.com"  # which nobody looks at
        answering(monkeypatch, "169.254.169.254")
        with pytest.raises(PreflightFailed, match="to lead out of this network"):
            await runtime.intake.take_manifest(leading_to("https://rates.example.com"))
        async with runtime.components() as its:
            assert await its.get("service", "rates") == "https://image.example.com"
        answering(monkeypatch, "93.184.215.14")
        await runtime.intake.take_manifest(leading_to("https://fx.example.com", version=2))
        async with runtime.components() as its:
            assert await its.get("service", "rates") == "https://fx.example.com"
    assert made == ["https://image.example.com", "https://fx.example.com"]
