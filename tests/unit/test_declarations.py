from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import FrozenInstanceError, asdict, replace
from typing import Annotated, Any, Protocol, get_type_hints

import pytest

from pointsman.declarations import (
    MARK,
    Candidate,
    Component,
    Constraints,
    Tenant,
    Use,
    component_of,
    distinct,
    marks_of,
    parse_component,
    provides,
)
from pointsman.errors import ConfigurationError


class Cache(Protocol):
    """Anything; a type to name."""


CACHE = Component[Cache]("adapter", "cache")
AGAIN = [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
BAD_NAMES = ["", " ", "a b", "a/b", "a=b", "é", "a\n", "a\x00", "\u0661", "🚂"]
GOOD_NAMES = ["a", "A-z_0.9", "..", "-", "0"]


# --- Component ---


def test_a_component_is_the_plain_pair_and_reads_as_one_name() -> None:
    assert CACHE == ("adapter", "cache")
    assert hash(CACHE) == hash(("adapter", "cache"))
    assert {("adapter", "cache"): 1}[CACHE] == 1
    assert str(CACHE) == f"{CACHE}" == "adapter/cache"
    domain, key = CACHE
    assert (domain, key) == (CACHE.domain, CACHE.key)
    assert Component("adapter", "cache") == CACHE


@pytest.mark.parametrize("again", AGAIN)
def test_components_are_copied_and_pickled(again: Callable[[Any], Any]) -> None:
    twin = again(CACHE)
    assert type(twin) is Component
    assert (twin, str(twin)) == (CACHE, "adapter/cache")


@pytest.mark.parametrize("given", [CACHE, ("adapter", "cache")])
def test_a_component_is_taken_as_a_token_or_a_pair(given: object) -> None:
    assert component_of(given) == CACHE
    assert type(component_of(given)) is Component


def test_a_component_is_taken_as_two_names() -> None:
    assert component_of("adapter", "cache") == CACHE
    assert parse_component("adapter/cache") == CACHE


@pytest.mark.parametrize(
    "given", ["adapter", "adapter/cache", None, 7, (), ("a",), ("a", "b", "c"), ("a", 1), ["a", "b"]]
)
def test_anything_else_is_no_component(given: object) -> None:
    with pytest.raises(ConfigurationError, match="Expected a component, found") as refused:
        component_of(given)
    assert refused.value.hint == 'Write "adapter", "cache".'


@pytest.mark.parametrize("key", [1, CACHE, ("a", "b")])
def test_a_key_is_text(key: object) -> None:
    with pytest.raises(ConfigurationError, match="Expected a component, found"):
        component_of("adapter", key)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_are_letters_digits_dots_underscores_and_hyphens(name: str) -> None:
    for make in (
        lambda: component_of(name, "cache"),
        lambda: component_of("adapter", name),
        lambda: Use("adapter", name),
        lambda: parse_component(f"adapter/{name}"),
        lambda: Candidate(name, "cache", "redis", "m:f"),
        lambda: Candidate("adapter", name, "redis", "m:f"),
        lambda: Candidate("adapter", "cache", name, "m:f"),
        lambda: provides(CACHE, name)(lambda: None),
    ):
        with pytest.raises(ConfigurationError, match=r"letters, digits, '\.', '_' and '-', found"):
            make()


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_names_of_these_characters_are_taken(name: str) -> None:
    assert component_of(name, name) == (name, name)
    assert Candidate(name, name, name, "m:f").component == (name, name)


@pytest.mark.parametrize("text", ["", "adapter", "adapter=cache"])
def test_a_component_as_text_has_a_slash(text: str) -> None:
    with pytest.raises(ConfigurationError, match="Expected a component as domain/key") as refused:
        parse_component(text)
    assert refused.value.hint == "Write adapter/cache."


def test_a_component_as_text_has_one_slash() -> None:
    with pytest.raises(ConfigurationError, match="a component's key"):
        parse_component("adapter/cache/redis")


# --- Constraints and Candidate ---


def test_collections_of_names_are_sorted_and_each_counts_once() -> None:
    constraints = Constraints(tenants=["b", "a", "b"], not_tenants={"z", "y"}, platforms=iter(("linux",)), packages=())
    assert (constraints.tenants, constraints.not_tenants) == (("a", "b"), ("y", "z"))
    assert (constraints.platforms, constraints.packages) == (("linux",), ())
    assert constraints == Constraints(tenants=("a", "b"), not_tenants=("y", "z"), platforms={"linux"})
    assert Candidate("a", "b", "c", "m:f", capabilities=["y", "x", "y"]).capabilities == ("x", "y")


@pytest.mark.parametrize("field", ["platforms", "packages", "tenants", "not_tenants"])
def test_a_lone_string_is_no_collection_of_names(field: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{field} to be a collection of strings, found 'acme'"):
        Constraints(**{field: "acme"})


def test_capabilities_and_requirements_are_collections_of_strings() -> None:
    for wrong in ("live", [1], ["a", None]):
        broken: Any = wrong
        with pytest.raises(ConfigurationError, match="capabilities to be a collection of strings"):
            Candidate("a", "b", "c", "m:f", capabilities=broken)
        with pytest.raises(ConfigurationError, match="requires to be a collection of strings") as refused:
            Use("a", "b", requires=broken)
        assert refused.value.hint
        with pytest.raises(ConfigurationError, match="x to be a collection of strings"):
            distinct("x", broken)


def test_a_candidate_is_ranked_by_integers() -> None:
    for options in ({"priority": "5"}, {"priority": 1.5}, {"stack_level": None}, {"stack_level": "1"}):
        broken: Any = options
        with pytest.raises(ConfigurationError, match=r"a/b=c: expected (priority|stack_level) to be an integer"):
            Candidate("a", "b", "c", "m:f", **broken)
    assert Candidate("a", "b", "c", "m:f", priority=-(10**9), stack_level=10**9).priority == -(10**9)


def test_a_lifetime_is_one_of_three() -> None:
    for lifetime in ("shared", "tenant", "request"):
        known: Any = lifetime
        assert Candidate("a", "b", "c", "m:f", lifetime=known).lifetime == lifetime
    wrong: Any = "singleton"
    with pytest.raises(
        ConfigurationError, match="a/b=c: expected lifetime shared, tenant or request, found 'singleton'"
    ):
        Candidate("a", "b", "c", "m:f", lifetime=wrong)


def test_equal_candidates_are_equal_and_hash_alike_whatever_they_carry() -> None:
    def make(**options: Any) -> Candidate:
        return Candidate("adapter", "cache", "redis", "m:f", **{"metadata": {"a": [1]}, **options})

    assert make() == make()
    assert hash(make()) == hash(make())
    assert len({make(), make(), make(priority=1)}) == 2
    assert make() != make(capabilities=["x"])
    assert make() != make(metadata={"a": [2]})
    assert make() != replace(make(), factory="m:g")


def test_a_candidate_reads_as_component_and_provider() -> None:
    redis = Candidate("adapter", "cache", "redis", "m:f")
    assert str(redis) == "adapter/cache=redis"
    assert redis.component == CACHE


def test_candidates_cannot_be_changed_and_take_only_four_values_by_place() -> None:
    redis: Any = Candidate("adapter", "cache", "redis", "m:f")
    with pytest.raises(FrozenInstanceError):
        redis.priority = 3
    too_many: Any = Candidate
    with pytest.raises(TypeError):
        too_many("adapter", "cache", "redis", "m:f", 3)


@pytest.mark.parametrize("again", AGAIN)
def test_candidates_and_tenants_are_copied_and_pickled(again: Callable[[Any], Any]) -> None:
    redis = Candidate("adapter", "cache", "redis", "m:f", constraints=Constraints(python=">=3.12"), priority=3)
    for value in (redis, Tenant("acme"), Tenant("acme", {"plan": "gold"}), Constraints(), Use(CACHE)):
        assert again(value) == value
    assert asdict(redis)["metadata"] == {}


def test_defaults_of_two_candidates_are_not_one_object_that_one_might_change() -> None:
    one, other = Candidate("a", "b", "c", "m:f"), Candidate("a", "b", "c", "m:f")
    assert one.metadata is not other.metadata
    assert Tenant("a").labels is not Tenant("a").labels


# --- Use ---


def test_a_use_says_what_it_asks_for() -> None:
    use = Use(CACHE, provider="redis", requires=["ttl", "incr", "ttl"])
    assert (use.component, use.provider, use.requires) == (CACHE, "redis", frozenset({"ttl", "incr"}))
    assert repr(use) == "Use(\"adapter\", \"cache\", provider='redis', requires=['incr', 'ttl'])"
    assert repr(Use("adapter", "cache")) == 'Use("adapter", "cache")'


def test_uses_are_equal_by_what_they_ask_for() -> None:
    assert Use(CACHE) == Use("adapter", "cache")
    assert hash(Use(CACHE, requires=["a", "b"])) == hash(Use("adapter", "cache", requires=("b", "a")))
    assert len({Use(CACHE), Use(CACHE, provider="redis"), Use(CACHE, requires=["x"]), Use("a", "b"), Use(CACHE)}) == 4
    assert Use(CACHE) != CACHE
    assert Use(CACHE) != "adapter/cache"


def test_a_use_is_found_on_the_parameter_that_it_marks() -> None:
    def handler(cache: Annotated[Cache, Use(CACHE)]) -> None: ...

    hint = get_type_hints(handler, include_extras=True)["cache"]
    assert hint.__metadata__ == (Use("adapter", "cache"),)


# --- provides ---


def test_provides_marks_registers_nothing_and_leaves_the_thing_what_it_was() -> None:
    def make(size: int = 3) -> int:
        return size

    assert provides(CACHE, "redis", priority=3)(make) is make
    assert make(4) == 4
    assert marks_of(make) == (Candidate("adapter", "cache", "redis", make, priority=3),)


def test_provides_takes_names_as_well_as_a_token() -> None:
    by_token, by_name = provides(CACHE, "redis"), provides("adapter", "cache", "redis")

    class Redis: ...

    assert by_token(Redis) is Redis
    assert marks_of(by_name(Redis)) == (Candidate("adapter", "cache", "redis", Redis),) * 2


def test_one_factory_may_provide_several_components_in_the_order_of_application() -> None:
    @provides("service", "rates", "second")
    @provides(CACHE, "first")
    def make() -> None: ...

    assert [str(candidate) for candidate in marks_of(make)] == ["adapter/cache=first", "service/rates=second"]
    assert all(candidate.factory is make for candidate in marks_of(make))


def test_a_subclass_inherits_no_mark() -> None:
    @provides(CACHE, "base")
    class Base: ...

    class Derived(Base): ...

    assert marks_of(Derived) == ()
    assert hasattr(Derived, MARK)
    provides(CACHE, "derived")(Derived)
    assert [candidate.provider for candidate in marks_of(Derived)] == ["derived"]
    assert [candidate.provider for candidate in marks_of(Base)] == ["base"]


def test_asynchronous_context_managers_are_marked_on_either_side_of_their_decorator() -> None:
    async def make() -> AsyncIterator[int]:
        yield 1

    inside = asynccontextmanager(provides(CACHE, "inside")(make))
    assert [candidate.provider for candidate in marks_of(inside)] == ["inside"]

    outside = provides(CACHE, "outside")(asynccontextmanager(make))
    assert marks_of(outside)[-1].factory is outside


def test_a_partial_may_be_a_factory() -> None:
    made = provides(CACHE, "redis")(functools.partial(dict, a=1))
    assert [candidate.provider for candidate in marks_of(made)] == ["redis"]


@pytest.mark.parametrize("thing", [None, 3, "m:f", object(), len, Cache, Candidate("a", "b", "c", "m:f")])
def test_most_things_carry_no_mark(thing: object) -> None:
    assert marks_of(thing) == ()


def test_provides_wants_a_component_and_a_provider() -> None:
    loose: Any = provides
    with pytest.raises(ConfigurationError, match="Expected a component, found 'adapter'"):
        loose("adapter", "cache")
    with pytest.raises(TypeError):
        loose("adapter", "cache", "redis", "extra")
    with pytest.raises(TypeError):
        loose(CACHE, "redis", proirity=3)(lambda: None)
