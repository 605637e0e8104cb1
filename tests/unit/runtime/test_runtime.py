"""One replica: joined once, started once, changed at any time, stopped with nothing left."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from pointsman.declarations import Component, Use, provides
from pointsman.errors import (
    ActivationFailed,
    ConfigurationError,
    ReadOnlyReplica,
    UnknownComponent,
    UnknownProvider,
)
from pointsman.runtime.runtime import Runtime
from pointsman.runtime.settings import Settings
from tests.workshop import CACHE, EPOCH, Product, Replica, manifest, replica_of, until


class Size(BaseModel):
    size: int = 0


@provides("adapter", "cache", "marked", priority=3)
def marked(settings: Size) -> Size:
    return settings


# --- the start ---


async def test_settings_that_select_what_nobody_registers_stop_the_start() -> None:
    replica = Replica(adapters={"selections": {"cache": "gone"}})
    with pytest.raises(ConfigurationError, match="settings selects adapter/cache=gone, which nobody registers"):
        replica.assemble()


async def test_what_handlers_require_must_resolve_at_the_start_and_under_every_manifest() -> None:
    replica = Replica()
    runtime = replica.assemble()
    runtime.require([(Use("service", "notes"), "handlers.notes:create, parameter notes")])
    for _ in range(2):
        with pytest.raises(UnknownComponent) as refused:
            await runtime.start_once()
        assert "handlers.notes:create" in refused.value.hint
        assert runtime.state == "starting"
    undo = runtime.resolver.register(replica.candidate("service/notes=sql"))
    async with runtime:
        assert runtime.state == "serving"
        await runtime.start_once()
        undo()
        with pytest.raises(Exception, match="service/notes"):
            await runtime.intake.take_manifest(manifest())
        await runtime.intake.take_manifest(manifest(replica.candidate("service/notes=brought")))
    assert runtime.state == "stopping"


async def test_prewarming_comes_before_the_first_request_and_its_failure_stops_the_start() -> None:
    failing = True

    async def fail(_product: Product) -> None:
        if failing:
            raise OSError("down")

    replica = Replica(components={"adapter/cache": {"prewarm": True}, "service/notes": {"prewarm": ["acme"]}},
                      tenants={"acme": {}})  # fmt: skip
    runtime = replica.assemble(
        replica.candidate("adapter/cache=own", replica.factory("own", enter=fail)),
        replica.candidate("service/notes=sql", replica.factory("sql", cache="adapter/cache"), lifetime="tenant"),
    )
    with pytest.raises(ActivationFailed, match="OSError: down"):
        await runtime.start_once()
    await until(lambda: not runtime.lifecycle.keeper.instances)
    failing = False
    async with runtime:
        assert replica.bound == ["adapter/cache=own", "service/notes=sql for acme"]


async def test_starts_at_once_are_one_start() -> None:
    replica = Replica(components={"adapter/cache": {"prewarm": True}})
    runtime = replica.assemble(replica.candidate("adapter/cache=own"))
    await asyncio.gather(*(runtime.start_once() for _ in range(5)))
    assert replica.log == ["+own"]
    await runtime.stop()
    await runtime.stop()


async def test_a_folder_of_settings_is_loaded_and_variables_are_the_given_ones(tmp_path: Any) -> None:
    (tmp_path / "adapters.yml").write_text("provider_settings:\n  cache/marked: {size: '${env:SIZE}'}\n")
    async with Runtime(tmp_path, include=[marked], environ={"SIZE": "7"}, plugins=False) as runtime:
        assert isinstance(runtime.settings, Settings)
        async with runtime.components() as its:
            assert await its.get(CACHE) == Size(size=7)


# --- registration at any time ---


async def test_a_candidate_is_registered_at_any_time_and_taken_back() -> None:
    async with replica_of("adapter/cache=old") as replica:
        runtime = replica.runtime
        await runtime.lifecycle.activate("adapter", "cache")
        undo = runtime.resolver.register(replica.candidate("adapter/cache=new", priority=5))
        during = runtime.components()
        assert (await during.get(CACHE)).use() == "new"
        undo()
        undo()
        async with runtime.components() as its:
            assert (await its.get(CACHE)).use() == "old"
        assert (await during.get(CACHE)).use() == "new"
        during.close()
        await until(lambda: replica.open == ["old"])
        assert runtime.snapshot.catalog is runtime.resolver.catalog


async def test_registering_lets_what_is_unchanged_live() -> None:
    async with replica_of("adapter/cache=own") as replica:
        own = await replica.manager.activate("adapter", "cache")
        for number in range(20):
            undo = replica.resolver.register(replica.candidate(f"adapter/queue=q{number}"))
            undo()
        assert await replica.manager.activate("adapter", "cache") is own
        assert len(list(replica.manager.epochs.chain())) == 1


async def test_what_is_taken_back_for_good_is_unknown_to_whoever_asks() -> None:
    async with replica_of("adapter/cache=own") as replica:
        undo = replica.resolver.register(replica.candidate("service/notes=sql"))
        notes = await replica.manager.activate("service", "notes")
        undo()
        with pytest.raises(UnknownComponent):
            await replica.manager.activate("service", "notes")
        await until(lambda: not notes.open)


# --- changes ---


async def test_a_swap_without_a_fleet_reaches_this_replica_only_if_it_is_asked_for() -> None:
    async with replica_of("adapter/cache=new", "adapter/cache=old") as replica:
        runtime = replica.runtime
        with pytest.raises(ReadOnlyReplica) as refused:
            await runtime.swap("adapter", "cache", "new", reason="vendor is down")
        assert refused.value.hint == 'Say reach="replica".'
        await runtime.swap("adapter", "cache", "new", reason="vendor is down", reach="replica")
        assert runtime.explain("adapter", "cache").selected.provider == "new"  # type: ignore[union-attr]
        with pytest.raises(UnknownProvider):
            await runtime.swap("adapter", "cache", "newer", reason="why not", reach="replica")
        assert replica.bound == ["adapter/cache=new"]


async def test_a_swap_with_a_fleet_is_the_fleets() -> None:
    class Fleet:
        async def swap(self, component: Component[Any], provider: str, **said: Any) -> None:
            orders.append({"component": component, "provider": provider, **said})

    orders: list[dict[str, Any]] = []
    async with replica_of("adapter/cache=old") as replica:
        replica.runtime.fleet = Fleet()
        await replica.runtime.swap("adapter", "cache", "old", reason="tired", tenant="acme")
        await replica.runtime.swap(
            "adapter", "cache", "old", reason="here", reach="replica"
        )  # no affair of the fleet's
    assert orders == [{"component": CACHE, "provider": "old", "reason": "tired", "tenant": "acme", "reach": "fleet"}]


async def test_it_tells_what_decides_now() -> None:
    replica = Replica()
    runtime = replica.assemble(
        replica.candidate("service/notes=sql", replica.factory("sql", cache=Annotated[object, Use(CACHE)])),
    )
    async with runtime:
        assert runtime.label == "0.0"
        assert runtime.now() == EPOCH
        assert runtime.catalog_stands
        assert runtime.explain("service", "notes", tenant="acme", provider="sql").selected is not None
        assert runtime.explain("service", "gone").selected is None
        assert not runtime.is_stale()
