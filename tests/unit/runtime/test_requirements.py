"""What must resolve is checked before anything serves, and the refusal says who asks."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import pytest
from pydantic import BaseModel

from pointsman.declarations import Component, Constraints, Tenant, Use
from pointsman.errors import (
    ConfigurationError,
    DanglingSelection,
    NoEligibleCandidate,
    UnknownComponent,
    UnknownProvider,
)
from pointsman.resolution.contribution import Contribution, Layered
from pointsman.resolution.selection import Choices
from pointsman.runtime.requirements import Requirements, check_manifest_selections, check_settings_selections
from tests.workshop import CACHE, World, world_of

CREATE = "handlers.notes:create, parameter cache"


class Settings(BaseModel):
    url: str


def requirements(world: World, *uses: tuple[Use, str]) -> Requirements:
    made = Requirements(world.manager.planner)
    made.add(uses)
    return made


def check(world: World, *uses: tuple[Use, str]) -> None:
    requirements(world, *uses).check(world.resolver.catalog)


async def test_a_use_for_which_nothing_is_registered_names_who_asks_and_what_there_is() -> None:
    async with world_of() as world:
        for name in ("cache", "database"):
            world.register(f"adapter/{name}=own")
        with pytest.raises(UnknownComponent) as refused:
            check(world, (Use("adapter", "cahe"), CREATE))
        assert refused.value.render() == (
            "UnknownComponent [unknown-component]: nothing is registered for adapter/cahe.\n"
            "  asked by handlers.notes:create, parameter cache. Known: adapter/cache, adapter/database. "
            'Write Use("adapter", "cache").'
        )


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (Use(CACHE, requires={"teleport"}), NoEligibleCandidate),
        (Use(CACHE, provider="gone"), UnknownProvider),
        (Use("adapter", "foreign"), NoEligibleCandidate),
    ],
)
async def test_a_use_that_resolves_for_nobody_is_refused_by_who_asks(use: Use, error: type[Exception]) -> None:
    async with world_of() as world:
        world.register("adapter/cache=redis")
        world.register("adapter/foreign=own", constraints=Constraints(platforms=["mars"]))
        with pytest.raises(error, match=f"Asked by {CREATE}"):
            check(world, (use, CREATE))


async def test_a_use_that_resolves_for_one_tenant_is_enough() -> None:
    async with world_of() as world:
        world.register("adapter/cache=own", constraints=Constraints(tenants=["acme"]))
        with pytest.raises(NoEligibleCandidate):
            check(world, (Use(CACHE), CREATE))
        world.say(labels={"acme": {}, "globex": {}})
        check(world, (Use(CACHE), CREATE))


async def test_what_a_loaded_factory_asks_for_is_required_unless_it_is_optional() -> None:
    async with world_of() as world:
        optional = Annotated[object | None, Use("adapter", "queue")]
        world.register("service/notes=sql", world.factory("sql", queue=optional))
        world.register("service/late=own", "not.loaded:Factory")
        check(world)
        world.register("service/cart=sql", world.factory("sql", cache="adapter/cache"))
        with pytest.raises(UnknownComponent) as refused:
            check(world)
        assert "asked by service/cart=sql, parameter cache" in refused.value.hint


async def test_a_declaration_that_cannot_be_read_or_stands_on_itself_is_refused() -> None:
    async with world_of() as world:
        undo = world.register("service/notes=bad", lambda what: what)
        with pytest.raises(ConfigurationError, match="parameter `what` is no component"):
            check(world)
        undo()
        world.register("service/a=one", world.factory("a", b="service/b"))
        world.register("service/b=one", world.factory("b", a="service/a"))
        with pytest.raises(ConfigurationError, match="service/a=one → service/b=one → service/a=one"):
            check(world)


async def test_what_is_made_for_one_tenant_or_not_loaded_yet_keeps_nobody_from_starting() -> None:
    async with world_of() as world:
        world.register("service/notes=sql", world.factory("sql", tenant=Tenant), lifetime="tenant")
        world.register("service/top=own", world.factory("own", late="adapter/late"))
        world.register("adapter/late=own", "not.loaded:Factory")
        world.register("adapter/cache=redis", world.factory("redis", settings=Settings))
        world.say(provider_settings=Layered({("adapter", "cache", "redis"): {"url": "redis://${tenant}"}}))
        check(world)


async def test_a_selection_of_settings_that_dangles_is_named_with_what_is_registered() -> None:
    async with world_of() as world:
        world.register("adapter/cache=redis")
        world.register("adapter/cache=memory")
        world.say(choices=Choices({CACHE: "redis", Component("adapter", "queue"): "nats"}))
        with pytest.raises(ConfigurationError) as refused:
            check_settings_selections(world.resolver.catalog)
        assert str(refused.value) == (
            "settings selects adapter/queue=nats, which nobody registers.\n  Registered for adapter/queue: nothing."
        )
        world.say(choices=Choices({CACHE: "gone"}))
        with pytest.raises(ConfigurationError) as refused:
            check_settings_selections(world.resolver.catalog)
        assert refused.value.hint == "Registered for adapter/cache: memory, redis."
        world.say(choices=Choices({CACHE: "redis"}))
        check_settings_selections(world.resolver.catalog)


async def test_under_a_manifest_no_layer_may_dangle_and_by_fallback_orders_may() -> None:
    async with world_of() as world:
        world.register("adapter/cache=redis")
        gone = Choices({CACHE: "gone"})
        base = world.resolver.catalog
        for changed in ({"control": gone}, {"replica": gone}):
            catalog = replace(base, **changed)
            with pytest.raises(DanglingSelection, match="selects adapter/cache=gone"):
                check_manifest_selections(catalog)
            check_manifest_selections(catalog, by_fallback=True)
            check_settings_selections(catalog)
        for changed in ({"settings": Contribution(choices=gone)}, {"manifest": Contribution(choices=gone)}):
            with pytest.raises(DanglingSelection):
                check_manifest_selections(replace(base, **changed), by_fallback=True)
