"""What was taken once is given at once to whoever asks the same next, and counts as much as if it were taken anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from pointsman.declarations import Component, Tenant, Use
from pointsman.errors import ComponentPaused, ComponentsClosed, TenantError
from pointsman.lifecycle import epoch as epochs
from pointsman.runtime.access import Asked, Components
from tests.workshop import CACHE, Replica, control, order, replica_of, until

NOTES = Component[Any]("service", "notes")
BOTH = Asked([("cache", Use(CACHE), False), ("notes", Use(NOTES), False)])
ACME = {"acme": {"labels": {"plan": "gold"}}}


@contextmanager
def asking(replica: Replica, tenant: str | None = None, **who: Any) -> Iterator[Components]:
    with closing(replica.runtime.components(tenant=tenant, **who)) as its:
        yield its


def leases(replica: Replica) -> list[int]:
    return [instance.leases for instance in replica.manager.keeper.instances]


async def test_the_second_who_asks_is_given_the_same_at_once_and_holds_all_of_it() -> None:
    async with replica_of("adapter/cache=own", "service/notes=sql") as replica:
        with asking(replica) as its:
            assert its.at_once(BOTH) is None
            given = await its.obtain_all(BOTH)
        with asking(replica) as its:
            for _ in range(2):
                bundle = its.at_once(BOTH)
                assert bundle is not None
                assert (bundle.given, bundle.values) == (given, tuple(given[name] for name in BOTH.names))
            assert leases(replica) == [1, 1]
            assert its.resolutions() == {"adapter/cache": "own", "service/notes": "sql"}
        assert leases(replica) == [0, 0]
        assert its.at_once(BOTH) is None
        with pytest.raises(ComponentsClosed):
            await its.obtain_all(BOTH)


async def test_one_component_is_given_at_once_too_by_token_by_name_and_by_use() -> None:
    async with replica_of("adapter/cache=own") as replica:
        with asking(replica) as its:
            own = await its.get(CACHE)
        with asking(replica) as its:
            assert [await its.get("adapter", "cache"), await its.obtain(Use(CACHE))] == [own, own]
            assert await its.get(CACHE, provider="own") is own
            assert its.at_once(CACHE) is not None
            with pytest.raises(Exception, match="Expected a component"):
                await its.get(["adapter", "cache"])  # type: ignore[call-overload]


async def test_what_a_bundle_holds_is_not_closed_under_who_holds_it_and_given_to_nobody_else() -> None:
    async with replica_of("adapter/cache=new", "adapter/cache=old", "service/notes=sql") as replica:
        with asking(replica) as its:
            await its.obtain_all(BOTH)
        with asking(replica) as its:
            bundle = its.at_once(BOTH)
            await replica.manager.swap("adapter", "cache", provider="new")
            replica.clock.advance(31)
            assert bundle is not None
            assert bundle.given["cache"].use() == "old"  # type: ignore[attr-defined]
            with asking(replica) as other:
                assert other.at_once(BOTH) is None
                assert (await other.get(CACHE)).use() == "new"
        await until(lambda: sorted(replica.open) == ["new", "sql"])


async def test_an_instance_that_is_lost_takes_its_bundles_with_it() -> None:
    async with replica_of("adapter/cache=own", "service/notes=sql") as replica:
        with asking(replica) as its:
            await its.obtain_all(BOTH)
            (cache, _) = its.held
        cache.became_closed()
        with asking(replica) as its:
            assert its.at_once(BOTH) is None


async def test_nothing_is_bundled_that_another_might_not_be_given() -> None:
    replica = Replica(tenants=ACME)
    own = replica.candidate("service/notes=sql", lifetime="request")
    replica.assemble(replica.candidate("adapter/cache=own"), own)
    async with replica.runtime:
        for who in ({"tenant": "acme"}, {"tenant": "mallory"}, {"tenant": "acme", "subject": "somebody"}):
            for _ in range(2):
                with asking(replica, **who) as its:
                    assert its.at_once(BOTH) is None
                    await its.obtain_all(BOTH)
                    await its.get(CACHE)
        assert {tenant: set(shelf) for tenant, shelf in replica.manager.epochs.current.shelves.items()} == {
            "acme": {CACHE}
        }


def pause(replica: Replica, **more: Any) -> None:
    replica.runtime.points.change(lambda inputs: replace(inputs, gating=control(service_notes=order("pause", **more))))


def resume(replica: Replica) -> None:
    replica.runtime.points.change(lambda inputs: replace(inputs, gating=control()))


async def test_a_gate_is_passed_by_who_stands_on_what_it_guards_and_all_others_go_on_at_once() -> None:
    async with replica_of("adapter/cache=own", "service/notes=sql") as replica:
        with asking(replica) as its:
            await its.obtain_all(BOTH)
        pause(replica)
        for _ in range(2):
            with asking(replica) as its:
                assert its.at_once(BOTH) is None
                with pytest.raises(ComponentPaused):
                    await its.obtain_all(BOTH)
                assert its.refusal is not None
                await its.get(CACHE)
        with asking(replica) as its:
            assert its.at_once(CACHE) is not None
        resume(replica)
        with asking(replica) as its:
            await its.obtain_all(BOTH)
        with asking(replica) as its:
            assert its.at_once(BOTH) is not None


async def test_a_gate_beneath_keeps_what_stands_on_it_out_of_every_bundle() -> None:
    replica = Replica(tenants=ACME)
    stands = replica.candidate("adapter/cache=own", replica.factory("own", notes="service/notes"))
    replica.assemble(replica.candidate("service/notes=sql"), stands)
    async with replica.runtime:
        with asking(replica) as its:
            await its.get(CACHE)
        pause(replica, tenants=("acme",))
        for _ in range(2):
            with asking(replica) as its:
                assert its.at_once(CACHE) is None
                await its.get(CACHE)
            with asking(replica, "acme") as its, pytest.raises(ComponentPaused):
                await its.get(CACHE)


async def test_who_began_before_a_gate_bundles_nothing_for_those_after_it() -> None:
    async with replica_of("adapter/cache=own", "service/notes=sql") as replica:
        with asking(replica) as early:
            pause(replica)
            with asking(replica) as late, pytest.raises(ComponentPaused):
                await late.obtain_all(BOTH)
            await early.obtain_all(BOTH)
        with asking(replica) as its:
            assert its.at_once(BOTH) is None


async def test_a_bundle_that_is_forgotten_is_given_to_nobody_who_began_before() -> None:
    async with replica_of("adapter/cache=own", "service/notes=sql") as replica:
        with asking(replica) as its:
            await its.obtain_all(BOTH)
        with asking(replica) as early:
            replica.manager.epochs.current.clear_shelves()
            assert early.at_once(BOTH) is None
            await early.obtain_all(BOTH)
            assert leases(replica) == [1, 1]


async def test_the_tenant_is_given_with_the_rest_and_missed_where_it_is_needed() -> None:
    asked = Asked([("cache", Use(CACHE), False), ("queue", Use("adapter", "queue"), True)], [("tenant", False)])
    async with replica_of("adapter/cache=own", tenants=ACME) as replica:
        for _ in range(2):
            with asking(replica, "acme") as its:
                given = await its.obtain_all(asked)
                assert (given["tenant"], given["queue"]) == (Tenant("acme", {"plan": "gold"}), None)
            with asking(replica) as its, pytest.raises(TenantError, match="serves tenants only"):
                await its.obtain_all(asked)


async def test_a_tenants_instance_is_idle_since_its_last_bundle_was_let_go() -> None:
    replica = Replica(tenants=ACME, lifecycle={"tenant_idle_s": 100})
    replica.assemble(replica.candidate("adapter/cache=own", lifetime="tenant"))
    async with replica.runtime:
        with asking(replica, "acme") as its:
            await its.get(CACHE)
        replica.clock.advance(90)
        with asking(replica, "acme") as its:
            assert its.at_once(CACHE) is not None
        replica.clock.advance(90)
        assert replica.open == ["own"]
        replica.clock.advance(11)
        await until(lambda: replica.open == [])


async def test_past_the_cap_bundles_are_made_anew_and_those_that_are_held_still_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(epochs, "MAX_BUNDLES", 2)
    async with replica_of("adapter/cache=own", tenants=ACME) as replica:
        with asking(replica) as its:
            await its.get(CACHE)
        with asking(replica) as its, asking(replica, "acme") as other:
            assert its.at_once(CACHE) is not None
            await other.get(CACHE)
            await other.get(CACHE, provider="own")
            assert set(replica.manager.epochs.current.shelves) == {"acme"}
            assert leases(replica) == [2]
        assert leases(replica) == [0]


async def test_an_epoch_that_is_let_go_leaves_no_bundle_behind() -> None:
    async with replica_of("adapter/cache=new", "adapter/cache=old", "service/notes=sql") as replica:
        for provider in ("new", "old", "new"):
            with asking(replica) as its:
                await its.get(NOTES)
                (notes,) = its.held
            await replica.manager.swap("adapter", "cache", provider=provider)
        assert notes.bundles == {}
