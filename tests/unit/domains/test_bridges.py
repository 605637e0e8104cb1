"""A bridge gives handles under leases: until the end of a block, or until the handle is garbage."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from pydantic import BaseModel

from pointsman.declarations import Component
from pointsman.domains.bridges import (
    ActionBridge,
    AdapterBridge,
    EventBridge,
    ServiceBridge,
    TaskBridge,
    WorkflowBridge,
    _give_back,
)
from pointsman.errors import ActivationFailed, ConfigurationError, UnknownComponent
from pointsman.runtime.settings import Settings
from pointsman.runtime.settings_models import DomainSettings
from tests.workshop import World, turns, until, world_of

NOTES = Component[Any]("service", "notes")


class Size(BaseModel):
    size: int = 0


def bridge(world: World, kind: Any = ServiceBridge, **settings: Any) -> Any:
    section = DomainSettings(**settings)
    return kind(resolver=world.resolver, lifecycle=world.manager, settings=section)


@pytest.mark.parametrize(
    ("kind", "domain"),
    [
        (AdapterBridge, "adapter"),
        (ServiceBridge, "service"),
        (TaskBridge, "task"),
        (EventBridge, "event"),
        (WorkflowBridge, "workflow"),
        (ActionBridge, "action"),
    ],
)
async def test_each_domain_has_its_bridge(kind: Any, domain: str) -> None:
    async with world_of() as world:
        world.register(f"{domain}/one=own", world.factory("own", settings=Size), metadata={"any": 1})
        async with bridge(world, kind).use("one") as handle:
            assert (handle.domain, handle.key, handle.provider) == (domain, "one", "own")
            assert handle.instance.use() == "own"
            assert (handle.settings, handle.metadata) == (Size(), {"any": 1})


async def test_the_end_of_the_block_returns_the_lease_also_when_it_fails() -> None:
    async with world_of() as world:
        world.register("service/notes=sql")
        services = bridge(world)
        async with services.use(NOTES) as handle:
            (instance,) = world.manager.keeper.instances
            assert instance.leases == 1
            assert handle.instance.use() == "sql"
        assert instance.leases == 0
        failing = pytest.raises(OSError, match="lost")
        with failing:
            async with services.use("notes"):
                raise OSError("lost")
        assert (instance.leases, world.manager.epochs.current.pins) == (0, 1)


async def test_a_failure_leaves_no_pin() -> None:
    async def fail(_: object) -> None:
        raise OSError("down")

    async with world_of() as world:
        world.register("service/notes=sql", world.factory("sql", enter=fail))
        with pytest.raises(ActivationFailed):
            await bridge(world).use("notes")
        assert world.manager.epochs.current.pins == 1


async def test_a_handle_that_was_awaited_is_held_until_it_is_garbage() -> None:
    async with world_of() as world:
        world.register("service/notes=old", priority=1)
        world.register("service/notes=new")
        handle = await bridge(world).use("notes")
        await world.manager.swap("service", "notes", provider="new")
        await turns()
        assert handle.instance.use() == "old"
        del handle
        gc.collect()
        await until(lambda: world.open == ["new"])


async def test_garbage_after_the_loop_harms_nobody() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    async with world_of() as world:
        lease = world.lease()
        _give_back(lease, loop)
        assert not lease.closed
        lease.close()


async def test_a_tenant_gets_its_own() -> None:
    async with world_of() as world:
        world.register("service/notes=sql", lifetime="tenant")
        services = bridge(world)
        async with services.use("notes", tenant="acme") as one, services.use("notes", tenant="globex") as other:
            assert one.instance is not other.instance


async def test_a_token_of_another_domain_is_refused() -> None:
    async with world_of() as world:
        with pytest.raises(UnknownComponent, match="adapter/cache is no component of the domain service") as refused:
            bridge(world).use(Component("adapter", "cache"))
        assert refused.value.hint == "Use the bridge of adapter."


async def test_its_settings_count_as_settings_of_the_resolver() -> None:
    async with world_of() as world:
        world.register("service/notes=sql", world.factory("sql", settings=Size))
        world.register("service/notes=other", priority=5)
        services = bridge(world, selections={"notes": "sql"}, provider_settings={"notes/sql": {"size": 3}})
        bridge(world, AdapterBridge)
        async with services.use("notes") as handle:
            assert (handle.provider, handle.settings) == ("sql", Size(size=3))
        assert world.resolver.explain("service", "notes").decided_by == "explicit selection"


async def test_a_selection_of_what_nobody_registers_is_refused_when_it_arrives() -> None:
    async with world_of() as world:
        world.register("service/notes=sql")
        with pytest.raises(ConfigurationError, match="settings selects service/notes=gone, which nobody registers"):
            bridge(world, selections={"notes": "gone"})


async def test_settings_as_they_were_loaded_are_taken() -> None:
    async with world_of() as world:
        world.register("service/notes=sql")
        services = ServiceBridge(resolver=world.resolver, lifecycle=world.manager, settings=Settings().services)
        assert (await services.use("notes")).instance.use() == "sql"
        gc.collect()
        await turns()
