"""A plan is the whole tree of what must be made; two tenants share an identity exactly when nothing could differ."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from pointsman.declarations import Candidate, Component, Tenant, Use, parse_component
from pointsman.errors import (
    ConfigurationError,
    FactoryForbidden,
    NoEligibleCandidate,
    TenantError,
    UnknownComponent,
)
from pointsman.lifecycle.identity import Plan
from pointsman.lifecycle.planning import NotLoaded, Planner, is_registered
from pointsman.resolution.catalog import Catalog
from pointsman.resolution.contribution import Layered
from pointsman.resolution.decision import Question
from pointsman.resolution.reference import GatedReference
from pointsman.resolution.selection import Choices, Split
from tests.workshop import CACHE, World

TENANTS: Mapping[str, Mapping[str, str]] = {"acme": {"plan": "gold"}, "globex": {"plan": "gold"}, "initech": {}}


class Settings(BaseModel):
    url: str = ""


def plan(world: World, component: str = "adapter/cache", tenant: str | None = None, **asked: Any) -> Plan:
    return world.manager.planner.plan_now(world.resolver.catalog, Question(parse_component(component), tenant, **asked))


def settings_of(everyone: Mapping[str, object] = {}, **tenants: Mapping[str, object]) -> dict[str, Any]:
    name = ("adapter", "cache", "redis")
    layered = Layered({name: everyone}, {tenant: {name: values} for tenant, values in tenants.items()})
    return {"labels": TENANTS, "provider_settings": layered}


# --- who shares ---


def test_tenants_with_equal_settings_share_one(world: World) -> None:
    world.register("adapter/cache=redis", world.factory("redis", settings=Settings))
    world.say(**settings_of({"url": "one", "size": 1}, initech={"url": "two"}, globex={"size": 1, "url": "one"}))
    acme, globex, initech, nobody = (
        plan(world, tenant=tenant).identity for tenant in ("acme", "globex", "initech", None)
    )
    assert acme == globex == nobody
    assert hash(acme) == hash(globex)
    assert initech != acme
    assert acme.tenant is initech.tenant is None
    assert str(acme) == "adapter/cache=redis"


def test_a79_equal_settings_but_a_dependency_that_knows_the_tenant_make_two(world: World) -> None:
    world.register("adapter/cache=redis", lifetime="tenant")
    world.register("service/notes=sql", world.factory("sql", cache="adapter/cache"), lifetime="tenant")
    world.register("service/top=plain", world.factory("plain", notes="service/notes"), lifetime="tenant")
    acme, globex = (plan(world, "service/top", tenant) for tenant in ("acme", "globex"))
    assert acme.identity != globex.identity
    assert [str(part) for part in acme.closure()] == [
        "adapter/cache=redis for acme",
        "service/notes=sql for acme",
        "service/top=plain for acme",
    ]


def test_a79_another_selection_beneath_makes_two(world: World) -> None:
    world.register("adapter/cache=redis")
    world.register("adapter/cache=memory", priority=5)
    world.register("service/notes=sql", world.factory("sql", cache="adapter/cache"))
    world.say(labels=TENANTS, choices=Choices({}, {"acme": {CACHE: "redis"}, "globex": {CACHE: "redis"}}))
    identities = {tenant: plan(world, "service/notes", tenant).identity for tenant in TENANTS}
    assert identities["acme"] == identities["globex"] != identities["initech"]
    assert plan(world, "service/notes").identity == identities["initech"]


def test_a_view_of_a_shared_client_counts_as_shared_and_its_tenant_enters_what_stands_on_it(world: World) -> None:
    world.register("adapter/cache=redis", metadata={"facade": "tenant"})
    world.register("service/notes=sql", world.factory("sql", cache="adapter/cache"))
    caches = {plan(world, tenant=tenant).identity for tenant in (None, "acme", "globex")}
    notes = [plan(world, "service/notes", tenant).identity.tenant for tenant in (None, "acme", "globex")]
    assert len(caches) == 1
    assert notes == [None, "acme", "globex"]


def test_settings_that_name_the_tenant_make_one_for_each_and_none_for_nobody(world: World) -> None:
    world.register("adapter/cache=redis", world.factory("redis", settings=Settings))
    world.say(**settings_of({"url": "redis://${tenant}"}))
    acme, globex = (plan(world, tenant=tenant) for tenant in ("acme", "globex"))
    assert acme.settings == {"url": "redis://acme"}
    assert acme.identity != globex.identity
    assert acme.identity.tenant == "acme"
    with pytest.raises(TenantError, match="adapter/cache=redis is made for one tenant, and nobody said which"):
        plan(world)


def test_a_tenants_labels_count_where_the_factory_is_given_the_tenant(world: World) -> None:
    world.register("service/rates=contract", world.factory("contract", tenant=Tenant), lifetime="tenant")
    world.say(labels=TENANTS)
    before = plan(world, "service/rates", "acme")
    assert before.tenant == Tenant("acme", {"plan": "gold"})
    world.say(labels={**TENANTS, "acme": {"plan": "silver"}})
    assert plan(world, "service/rates", "acme").identity != before.identity


def test_ranking_and_words_are_no_part_of_an_identity(world: World) -> None:
    factory = world.factory("redis")
    undo = world.register("adapter/cache=redis", factory, priority=1, description="one", owner="me")
    before = plan(world).identity
    undo()
    world.register("adapter/cache=redis", factory, priority=2, description="two", stack_level=3)
    assert plan(world).identity == before


def test_a_rotation_of_a_secret_that_the_settings_name_makes_another(world: World) -> None:
    epochs = {"TOKEN": 0, "OTHER": 7}
    planner = Planner(epochs.__getitem__)
    world.register("adapter/cache=redis", world.factory("redis", settings=Settings))
    world.register("service/notes=sql", world.factory("sql", cache="adapter/cache"))
    world.say(**settings_of({"url": "redis://:${secret:TOKEN}@host"}))
    question = Question(parse_component("service/notes"))
    before = planner.plan_now(world.resolver.catalog, question).identity
    epochs["OTHER"] = 8
    assert planner.plan_now(world.resolver.catalog, question).identity == before
    epochs["TOKEN"] = 1
    after = planner.plan_now(world.resolver.catalog, question).identity
    assert after != before
    (beneath,) = after.needs
    assert beneath is not None
    assert beneath.secrets == (("TOKEN", 1),)
    assert "TOKEN}" in beneath.settings  # the template, never the value


def test_what_stands_on_a_split_is_drawn_for_the_same_subject(world: World) -> None:
    world.register("adapter/cache=redis")
    world.register("adapter/cache=memory")
    world.register("service/notes=sql", world.factory("sql", cache="adapter/cache"))
    world.say(choices=Choices({CACHE: Split("redis", (("memory", 5_000),))}))
    beneath = {
        str(need.identity)
        for subject in map(str, range(40))
        for _, need in plan(world, "service/notes", subject=subject).needs
        if need is not None
    }
    assert beneath == {"adapter/cache=redis", "adapter/cache=memory"}
    assert plan(world, "service/notes", subject="1").by_subject
    assert plan(world, "service/notes", tenant=None, provider="sql").needs[0][1] is not None


# --- what is refused ---


def test_nothing_may_stand_on_what_lives_shorter(world: World) -> None:
    world.register("adapter/cache=redis", lifetime="tenant")
    world.register("adapter/session=own", lifetime="request")
    world.register("service/notes=sql", world.factory("sql", cache="adapter/cache"))
    world.register("service/cart=sql", world.factory("sql", session="adapter/session"), lifetime="tenant")
    with pytest.raises(ConfigurationError) as refused:
        plan(world, "service/notes", "acme")
    assert refused.value.message == (
        "service/notes=sql lives as 'shared', but stands on adapter/cache=redis, which lives as 'tenant' "
        '(parameter `cache`). Say lifetime="tenant", or drop the parameter.'
    )
    with pytest.raises(ConfigurationError, match="lives as 'tenant', but stands on adapter/session=own"):
        plan(world, "service/cart", "acme")


def test_a_cycle_is_refused_with_its_path(world: World) -> None:
    world.register("service/a=one", world.factory("a", b="service/b"))
    world.register("service/b=one", world.factory("b", c="service/c"))
    world.register("service/c=one", world.factory("c", a="service/a"))
    with pytest.raises(ConfigurationError) as refused:
        plan(world, "service/a")
    assert refused.value.message == (
        "A component stands on itself: service/a=one → service/b=one → service/c=one → service/a=one."
    )


def test_a_component_may_stand_on_another_provider_of_its_own_name(world: World) -> None:
    world.register("adapter/cache=redis")
    world.register(
        "adapter/cache=tiers",
        world.factory("tiers", below=Annotated[object, Use("adapter", "cache", provider="redis")]),
        priority=1,
    )
    assert [str(part) for part in plan(world).closure()] == ["adapter/cache=redis", "adapter/cache=tiers"]


def test_what_is_optional_may_be_absent_but_not_what_it_stands_on(world: World) -> None:
    optional = Annotated[object | None, Use("adapter", "queue")]
    world.register("service/notes=sql", world.factory("sql", queue=optional))
    assert plan(world, "service/notes").needs == (("queue", None),)
    world.register("adapter/queue=redis", world.factory("redis", cache="adapter/cache"))
    with pytest.raises(UnknownComponent, match="adapter/cache"):
        plan(world, "service/notes")


def test_what_is_optional_and_may_serve_nobody_is_an_error_not_an_absence(world: World) -> None:
    world.register("service/notes=sql", world.factory("sql", queue=Annotated[object | None, Use("adapter", "queue")]))
    world.register("adapter/queue=redis")
    world.say(choices=Choices({Component("adapter", "queue"): "gone"}))
    with pytest.raises(NoEligibleCandidate):
        plan(world, "service/notes")


@pytest.mark.parametrize(("wanted", "lifetime"), [(Tenant, "request"), (None, "tenant")])
def test_what_is_made_for_a_tenant_needs_one(world: World, wanted: Any, lifetime: Any) -> None:
    asks = {"tenant": wanted} if wanted else {}
    world.register("service/notes=sql", world.factory("sql", **asks), lifetime=lifetime)
    with pytest.raises(TenantError) as refused:
        plan(world, "service/notes")
    assert refused.value.status == 400


def test_a_request_component_that_can_do_without_a_tenant_does(world: World) -> None:
    world.register("service/notes=sql", world.factory("sql", tenant=Tenant | None), lifetime="request")
    assert plan(world, "service/notes").tenant is None


# --- references ---


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType("warehouse")
    monkeypatch.setitem(sys.modules, "warehouse", made)
    return made


async def test_a_reference_is_loaded_when_it_is_chosen_and_read_once(world: World, module: ModuleType) -> None:
    module.Redis = type("Redis", (), {"__init__": lambda self, settings: None})  # type: ignore[attr-defined]
    module.Redis.__init__.__annotations__["settings"] = BaseModel
    module.Settings = Settings  # type: ignore[attr-defined]
    world.register("adapter/cache=redis", "warehouse:Redis", settings_model="warehouse:Settings")
    with pytest.raises(NotLoaded, match="adapter/cache=redis"):
        plan(world)
    planned = await world.manager.planner.plan(world.resolver.catalog, Question(CACHE))
    assert planned.spec.settings == ("settings", Settings)
    assert plan(world).spec is planned.spec


@pytest.mark.parametrize(
    ("reference", "expected"),
    [("warehouse:Gone", "expected Gone in module warehouse"), ("gone.away:Redis", "expected a module gone.away")],
)
async def test_a_reference_to_nothing_is_a_mistake_in_the_declaration(
    world: World, module: ModuleType, reference: str, expected: str
) -> None:
    world.register("adapter/cache=redis", reference)
    with pytest.raises(ConfigurationError, match=expected):
        await world.manager.planner.plan(world.resolver.catalog, Question(CACHE))


async def test_a_module_that_raises_when_it_is_imported_is_told_as_ours(
    world: World, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "explosive.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.syspath_prepend(str(tmp_path))
    world.register("adapter/cache=redis", "explosive:Redis")
    with pytest.raises(ConfigurationError, match="explosive:Redis cannot be imported: RuntimeError: no licence"):
        await world.manager.planner.plan(world.resolver.catalog, Question(CACHE))


async def test_a_refusal_of_the_gate_stays_what_it_is(world: World, module: ModuleType) -> None:
    module.path = __import__("os").path  # type: ignore[attr-defined]
    world.register("adapter/cache=redis", GatedReference("warehouse:path"))
    with pytest.raises(FactoryForbidden):
        await world.manager.planner.plan(world.resolver.catalog, Question(CACHE))


async def test_a_refresh_leaves_nothing_of_the_factories_that_are_gone(world: World) -> None:
    for number in range(50):
        undo = world.register("adapter/cache=redis", priority=number)
        plan(world)
        undo()
        world.register("adapter/cache=memory")
        world.manager.follow()
    assert plan(world).resolution.provider == "memory"
    assert len(world.manager.planner._specs) == 1


def test_a_component_is_registered_also_by_a_replacement(world: World) -> None:
    catalog: Catalog = world.resolver.catalog
    assert not is_registered(catalog, CACHE)
    candidate = Candidate(*CACHE, "override", lambda: None)
    undo = world.resolver.register(candidate)
    (registration,) = world.resolver.registrations
    undo()
    assert is_registered(replace(catalog, replaced={CACHE: registration}), CACHE)
