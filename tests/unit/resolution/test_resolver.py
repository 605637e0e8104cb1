from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from pointsman.declarations import Candidate, Component, Constraints
from pointsman.errors import ConfigurationError, NoEligibleCandidate, UnknownComponent, UnknownProvider
from pointsman.resolution.catalog import Catalog
from pointsman.resolution.contribution import Contribution, Layered
from pointsman.resolution.eligibility import Environment
from pointsman.resolution.precedence import STACK_ORDER_VARIABLE
from pointsman.resolution.resolver import Resolver, _Tables, reference_of
from pointsman.resolution.selection import Choices

Make = Callable[..., Candidate]
CACHE = Component[Any]("adapter", "cache")


class Settings:
    """Settings as far as resolution sees them; counts how often they are read."""

    def __init__(self, contribution: Contribution) -> None:
        self._contribution = contribution
        self.read: list[dict[str, Candidate]] = []

    def contribution(self, marks: Mapping[str, Candidate] | None = None, /) -> Contribution:
        self.read.append(dict(marks or {}))
        return self._contribution


@pytest.fixture
def resolver(environment: Environment) -> Resolver:
    return Resolver(environment=environment, stack_order="")


def ranking(resolver: Resolver, component: Component[Any] = CACHE) -> list[str]:
    explanation = resolver.explain(*component)
    assert explanation.selected is not None
    return [explanation.selected.provider, *(entry.candidate.provider for entry in explanation.shadowed)]


# --- registering ---


def test_the_last_of_equals_wins_and_a_repeat_keeps_its_place(resolver: Resolver, candidate: Make) -> None:
    for provider in ("redis", "memory", "redis"):
        resolver.register(candidate(provider))
    assert ranking(resolver) == ["memory", "redis"]
    assert [entry.candidate.provider for entry in resolver.registrations] == ["redis", "memory"]


def test_candidates_of_one_provider_that_differ_live_side_by_side(resolver: Resolver, candidate: Make) -> None:
    resolver.register(candidate("redis", priority=1))
    resolver.register(candidate("redis", priority=2))
    resolver.register(candidate("redis", priority=2, metadata={"zone": "b"}))
    assert ranking(resolver) == ["redis", "redis", "redis"]
    assert resolver.resolve(*CACHE).candidate.metadata == {"zone": "b"}


def test_a_package_that_says_another_priority_registers_another_candidate(resolver: Resolver, candidate: Make) -> None:
    resolver.register_from_pkg("acme", "/srv/acme", [candidate("redis")])
    resolver.register(candidate("memory", priority=5))
    resolver.register_from_pkg("acme", "/srv/acme", [candidate("redis")], priority=50)
    resolver.register_from_pkg("acme", "/srv/acme", [candidate("redis")], priority=50)
    assert [(entry.candidate.provider, entry.priority) for entry in resolver.registrations] == [
        ("redis", 0), ("memory", 5), ("redis", 50),
    ]  # fmt: skip
    assert ranking(resolver) == ["redis", "memory", "redis"]


def test_the_answer_of_register_takes_it_back_once(resolver: Resolver, candidate: Make) -> None:
    resolver.register(candidate("memory"))
    undo = resolver.register(candidate("redis"))
    assert resolver.resolve(*CACHE).provider == "redis"
    undo()
    assert resolver.resolve(*CACHE).provider == "memory"
    undo()
    again = resolver.register(candidate("redis"))
    undo()  # a new registration is not the old one's to take back
    assert resolver.resolve(*CACHE).provider == "redis"
    again()
    assert ranking(resolver) == ["memory"]


def test_what_was_taken_back_and_registered_again_is_the_newest(resolver: Resolver, candidate: Make) -> None:
    undo = resolver.register(candidate("redis"))
    resolver.register(candidate("memory"))
    undo()
    resolver.register(candidate("redis"))
    assert ranking(resolver) == ["redis", "memory"]


def test_taking_the_last_candidate_back_makes_the_component_unknown_again(resolver: Resolver, candidate: Make) -> None:
    undo = resolver.register(candidate("redis"))
    assert resolver.resolve(*CACHE).provider == "redis"
    undo()
    with pytest.raises(UnknownComponent):
        resolver.resolve(*CACHE)


def test_a_package_is_ranked_by_its_name_and_else_by_its_place(environment: Environment, candidate: Make) -> None:
    resolver = Resolver(environment=environment, stack_order="acme:100")
    resolver.register_from_pkg("acme", "/srv/adapters", [candidate("named")])
    resolver.register_from_pkg("other", "/srv/adapters", [candidate("placed")])
    resolver.register_from_pkg("other", "/srv/other", [candidate("neither")])
    resolver.register_from_pkg(
        "acme", "/srv/adapters", [candidate("stated", priority=99), candidate("zero", priority=0)]
    )
    resolver.register_from_pkg("acme", "/srv/adapters", [candidate("replaced")], priority=3)
    resolver.register_plugin("acme", [candidate("plugin")])
    resolver.register_plugin("adapters", [candidate("stranger")])
    assert [(entry.candidate.provider, entry.priority) for entry in resolver.catalog.candidates.of(CACHE)] == [
        ("plugin", 100), ("named", 100), ("stated", 99), ("placed", 77),
        ("replaced", 3), ("stranger", 0), ("zero", 0), ("neither", 0),
    ]  # fmt: skip


def test_sources_break_the_last_tie_before_the_order_of_registration(environment: Environment, candidate: Make) -> None:
    settings = Settings(Contribution((candidate("from-settings"),)))
    resolver = Resolver(settings, environment=environment, stack_order="")
    resolver.register_plugin("acme", [candidate("from-plugin")])
    resolver.register(candidate("from-code"))
    catalog = resolver.catalog
    assert ranking(resolver) == ["from-settings", "from-plugin", "from-code"]
    assert catalog.settings.candidates == (candidate("from-settings"),)


def test_an_equal_candidate_of_another_source_is_another_registration(resolver: Resolver, candidate: Make) -> None:
    undo = resolver.register(candidate("redis"))
    resolver.register_plugin("acme", [candidate("redis")])
    assert ranking(resolver) == ["redis", "redis"]
    undo()
    assert ranking(resolver) == ["redis"]


@pytest.mark.parametrize(
    "constraints", [Constraints(python="three"), Constraints(packages=["redis >> 5"])], ids=["python", "package"]
)
def test_a_constraint_that_cannot_be_read_is_refused_when_it_arrives_and_changes_nothing(
    resolver: Resolver, candidate: Make, constraints: Constraints
) -> None:
    for register in (
        lambda: resolver.register(candidate("redis", constraints=constraints)),
        lambda: resolver.register_from_pkg("p", "/", [candidate("redis", constraints=constraints)]),
        lambda: resolver.register_plugin("p", [candidate("redis", constraints=constraints)]),
    ):
        with pytest.raises(ConfigurationError, match="adapter/cache=redis"):
            register()
    assert resolver.registrations == ()
    assert resolver.explain(*CACHE).selected is None


def test_watchers_hear_of_every_change_and_of_nothing_else(resolver: Resolver, candidate: Make) -> None:
    heard: list[list[str]] = []

    def watcher() -> None:
        heard.append([entry.candidate.provider for entry in resolver.registrations])

    stop = resolver.watch(watcher)
    undo = resolver.register(candidate("redis"))
    resolver.register(candidate("redis"))
    resolver.register_plugin("acme", [candidate("memory")])
    undo()
    undo()
    resolver.resolve(*CACHE)
    stop()
    stop()
    resolver.register(candidate("disk"))
    assert heard == [["redis"], ["redis", "memory"], ["memory"]]


def test_what_a_watcher_refuses_is_not_registered(resolver: Resolver, candidate: Make) -> None:
    def refuse() -> None:
        raise ConfigurationError("No.")

    stop = resolver.watch(refuse)
    with pytest.raises(ConfigurationError, match="No"):
        resolver.register(candidate("redis"))
    assert resolver.registrations == ()
    with pytest.raises(UnknownComponent):
        resolver.resolve(*CACHE)
    stop()
    resolver.register(candidate("redis"))
    assert resolver.resolve(*CACHE).provider == "redis"


def test_a_watcher_may_stop_watching_while_it_is_told(resolver: Resolver, candidate: Make) -> None:
    heard: list[str] = []
    stops: list[Callable[[], None]] = []

    def once() -> None:
        heard.append("once")
        stops[0]()

    stops.append(resolver.watch(once))
    resolver.watch(lambda: heard.append("always"))
    resolver.register(candidate("redis"))
    resolver.register(candidate("memory"))
    assert heard == ["once", "always", "always"]


def test_registering_from_many_threads_while_others_ask_loses_nothing(resolver: Resolver) -> None:
    start, failures = threading.Barrier(6), []

    def register(thread: int) -> None:
        start.wait()
        for number in range(60):
            resolver.register(Candidate("adapter", "cache", f"p{thread}-{number}", "m:f", priority=number))

    def ask() -> None:
        start.wait()
        try:
            for _ in range(60):
                resolver.explain("adapter", "cache")
        except Exception as error:
            failures.append(error)

    threads = [*(threading.Thread(target=register, args=(number,)) for number in range(4)),
               *(threading.Thread(target=ask) for _ in range(2))]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(ranking(resolver)) == 240
    assert len({entry.sequence for entry in resolver.registrations}) == 240


def test_a_registration_during_the_making_of_a_catalog_is_in_the_next_answer(candidate: Make) -> None:
    late: list[Callable[[], object]] = []

    def version_of(_name: str) -> str | None:
        if late:
            thread = threading.Thread(target=late.pop())
            threads.append(thread)
            thread.start()
        return "1.0"

    threads: list[threading.Thread] = []
    resolver = Resolver(environment=Environment("3.12", lambda: frozenset(), version_of), stack_order="")
    resolver.register(candidate("redis", constraints=Constraints(packages=["redis"])))
    late.append(lambda: resolver.register(candidate("memory")))
    assert resolver.resolve(*CACHE).provider == "redis"
    for thread in threads:
        thread.join()
    assert resolver.resolve(*CACHE).provider == "memory"


# --- the stack order ---


@pytest.fixture
def stack_order_in_the_environment() -> Iterator[Callable[[str], None]]:
    before = os.environ.pop(STACK_ORDER_VARIABLE, None)
    yield lambda text: os.environ.__setitem__(STACK_ORDER_VARIABLE, text)
    os.environ.pop(STACK_ORDER_VARIABLE, None)
    if before is not None:
        os.environ[STACK_ORDER_VARIABLE] = before


def test_the_stack_order_is_read_from_the_environment_once_and_an_argument_replaces_it(
    stack_order_in_the_environment: Callable[[str], None], candidate: Make
) -> None:
    stack_order_in_the_environment("acme:7")
    resolver = Resolver()
    stack_order_in_the_environment("acme:8")
    resolver.register_from_pkg("acme", "", [candidate("redis")])
    assert [entry.priority for entry in resolver.registrations] == [7]
    told = Resolver(stack_order="acme:9")
    told.register_from_pkg("acme", "", [candidate("redis")])
    silent = Resolver(stack_order="")
    silent.register_from_pkg("acme", "", [candidate("redis")])
    assert [told.registrations[0].priority, silent.registrations[0].priority] == [9, 0]


def test_a_malformed_stack_order_stops_the_start(stack_order_in_the_environment: Callable[[str], None]) -> None:
    stack_order_in_the_environment("acme:high")
    with pytest.raises(ConfigurationError, match="'acme:high'"):
        Resolver()


# --- asking ---


def test_the_errors_of_resolve_are_the_nothings_of_explain(resolver: Resolver, candidate: Make) -> None:
    resolver.register(candidate("redis", capabilities={"ttl"}))
    for words, expected in (
        ({"key": "cahe"}, UnknownComponent),
        ({"key": "cache", "provider": "memory"}, UnknownProvider),
        ({"key": "cache", "requires": {"scan"}}, NoEligibleCandidate),
    ):
        with pytest.raises(expected) as refused:
            resolver.resolve("adapter", **words)
        explained = resolver.explain("adapter", **words)
        assert explained.selected is None
        assert explained.why == refused.value.message


def test_requires_may_be_any_collection_and_empty_ones_ask_for_nothing(resolver: Resolver, candidate: Make) -> None:
    resolver.register(candidate("redis", capabilities={"ttl", "scan"}))
    for requires in ((), [], set(), frozenset(), ["ttl"], ("ttl", "scan"), {"scan": 1}.keys()):
        assert resolver.resolve(*CACHE, requires=requires).provider == "redis"
    assert resolver.resolve(*CACHE, provider=None, requires=(), subject=None) == resolver.resolve(*CACHE)


def test_a_lone_string_is_no_collection_of_capabilities(resolver: Resolver, candidate: Make) -> None:
    resolver.register(candidate("redis"))
    for asking in (resolver.resolve, resolver.explain):
        with pytest.raises(ConfigurationError, match="requires to be a collection of strings, found 'ttl'"):
            asking(*CACHE, requires="ttl")


def test_a_misspelt_argument_is_an_error_and_never_an_unfiltered_answer(resolver: Resolver, candidate: Make) -> None:
    resolver.register(candidate("redis"))
    for asking in (resolver.resolve, resolver.explain):
        unchecked: Any = asking
        with pytest.raises(TypeError, match="Expected provider, requires or subject, found providr"):
            unchecked(*CACHE, providr="memory")


def test_a_name_that_no_component_can_have_is_an_unknown_component(resolver: Resolver, candidate: Make) -> None:
    resolver.register(candidate("redis"))
    for key in ("", "cache ", "ca/che", "🚂"):
        with pytest.raises(UnknownComponent):
            resolver.resolve("adapter", key)


def test_settings_are_read_once_with_what_code_registered(environment: Environment) -> None:
    def made() -> None: ...

    settings = Settings(Contribution(choices=Choices({CACHE: "lazy"})))
    resolver = Resolver(settings, environment=environment, stack_order="")
    lazy = Candidate("adapter", "cache", "lazy", "caches:Lazy")
    eager = Candidate("adapter", "cache", "eager", made, priority=9)
    resolver.register(lazy)
    resolver.register(eager)
    assert resolver.resolve(*CACHE).provider == "lazy"
    resolver.register(Candidate("adapter", "cache", "later", "caches:Later", priority=99))
    assert resolver.resolve(*CACHE).provider == "lazy"
    assert settings.read == [{"caches:Lazy": lazy, reference_of(made): eager}]
    assert reference_of(made).endswith(":test_settings_are_read_once_with_what_code_registered.<locals>.made")


def test_a_selection_of_settings_that_nobody_registers_is_refused_not_ignored(
    environment: Environment, candidate: Make
) -> None:
    settings = Settings(Contribution(choices=Choices({CACHE: "redis"})))
    resolver = Resolver(settings, environment=environment, stack_order="")
    resolver.register(candidate("memory"))
    with pytest.raises(NoEligibleCandidate, match="settings selects redis"):
        resolver.resolve(*CACHE)
    assert [each.provider for each in resolver.catalog.dangling()] == ["redis"]


def test_a_further_part_of_the_settings_joins_the_others_and_is_the_one_that_counts(
    environment: Environment, candidate: Make
) -> None:
    queue = Component[Any]("adapter", "queue")
    settings = Settings(Contribution(choices=Choices({CACHE: "redis", queue: "nats"})))
    resolver = Resolver(settings, environment=environment, stack_order="")
    heard: list[str] = []
    resolver.watch(lambda: heard.append("changed"))
    resolver.register(candidate("redis"))
    before = resolver.catalog
    resolver.add_settings(Contribution((candidate("memory"),), Choices({CACHE: "memory"})))
    assert heard == ["changed", "changed"]
    assert resolver.resolve(*CACHE).provider == "memory"
    assert resolver.catalog.selection(queue, None) == ("settings", "nats")
    assert resolver.catalog.serial > before.serial
    assert before.settings.candidates == ()


# --- catalogs and tables ---


def test_serials_grow_with_every_catalog_and_with_nothing_else(resolver: Resolver, candidate: Make) -> None:
    resolver.register(candidate("redis"))
    resolver.register(candidate("memory"))
    assert resolver.resolve(*CACHE).catalog_serial == resolver.catalog.serial == 1
    resolver.register(candidate("redis"))
    assert resolver.resolve(*CACHE).catalog_serial == 1
    resolver.register(candidate("disk"))
    assert resolver.explain(*CACHE).catalog_serial == resolver.resolve(*CACHE).catalog_serial == 2
    assert resolver.next_serial() == 3


def test_a_shown_catalog_answers_until_the_next_and_what_it_selects_survives_registrations(
    resolver: Resolver, candidate: Make
) -> None:
    resolver.register(candidate("redis"))
    resolver.register(candidate("memory"))
    inputs: dict[str, Any] = {
        "control": Choices({CACHE: "redis"}),
        "settings": Contribution(provider_settings=Layered({("adapter", "cache", "redis"): {"url": "x"}})),
        "manifest": Contribution((candidate("disk"),), labels={"acme": {}}),
    }
    shown = replace(resolver.catalog, serial=resolver.next_serial(), **inputs)
    resolver.show(shown)
    assert resolver.catalog is shown
    assert resolver.resolve(*CACHE).provider == "redis"
    resolver.register(candidate("late", priority=9))
    catalog = resolver.catalog
    assert catalog is not shown
    assert {name: getattr(catalog, name) for name in inputs} == inputs
    assert [entry.candidate.provider for entry in catalog.candidates.of(CACHE)] == ["late", "disk", "memory", "redis"]
    assert resolver.resolve(*CACHE).provider == "redis"


def known(resolver: Resolver) -> dict[str | None, dict[str, dict[str, Any]]]:
    tables = resolver._tables
    assert tables is not None
    return {None: tables.everyone, **tables.tenants} if tables.everyone else {**tables.tenants}


@pytest.fixture
def tenants(resolver: Resolver, candidate: Make) -> Resolver:
    resolver.register(candidate("redis"))
    labels = {f"t{number}": {} for number in range(40)}
    resolver.show(replace(resolver.catalog, settings=Contribution(labels=labels)))
    return resolver


def test_a_warm_answer_is_the_same_object_and_asks_no_rule(tenants: Resolver) -> None:
    first = tenants.resolve(*CACHE, "t1")
    assert tenants.resolve(*CACHE, "t1") is first
    assert tenants.resolve(*CACHE) is tenants.resolve(*CACHE)
    assert known(tenants) == {
        "t1": {"adapter": {"cache": first}},
        None: {"adapter": {"cache": tenants.resolve(*CACHE)}},
    }


def test_unknown_tenants_are_answered_and_never_remembered(tenants: Resolver) -> None:
    for number in range(500):
        assert tenants.resolve(*CACHE, f"stranger-{number}").tenant == f"stranger-{number}"
    assert known(tenants) == {}


def test_narrowed_questions_and_failures_are_never_remembered(tenants: Resolver) -> None:
    tenants.resolve(*CACHE, "t1", provider="redis")
    tenants.resolve(*CACHE, "t1", subject="u1")
    tenants.resolve(*CACHE, "t1", subject="")
    with pytest.raises(NoEligibleCandidate):
        tenants.resolve(*CACHE, "t1", requires={"scan"})
    with pytest.raises(UnknownComponent):
        tenants.resolve("adapter", "queue", "t1")
    assert known(tenants) == {}


def test_past_the_cap_the_tables_are_made_anew(resolver: Resolver, candidate: Make) -> None:
    resolver.register(candidate("redis"))
    names = [f"t{number}" for number in range(_Tables.MAX_TENANTS + 50)]
    resolver.show(replace(resolver.catalog, settings=Contribution(labels={name: {} for name in names})))
    most = 0
    for name in names:
        assert resolver.resolve(*CACHE, name).tenant == name
        most = max(most, len(known(resolver)))
    assert most == _Tables.MAX_TENANTS
    assert len(known(resolver)) == 50
    assert resolver.resolve(*CACHE, "t0").tenant == "t0"


def test_two_catalogs_of_one_resolver_share_what_did_not_change(resolver: Resolver, candidate: Make) -> None:
    resolver.register(candidate("redis"))
    resolver.show(replace(resolver.catalog, manifest=Contribution(labels={"acme": {}})))
    before = resolver.catalog
    resolver.register(candidate("memory"))
    after: Catalog = resolver.catalog
    assert after.manifest is before.manifest
    assert after.settings is before.settings
    assert after.control is before.control


def test_references_read_as_a_file_would_write_them() -> None:
    assert reference_of("caches:Redis") == "caches:Redis"
    assert reference_of(Candidate) == "pointsman.declarations:Candidate"


# --- imports ---


@pytest.mark.parametrize("module", ["pointsman.declarations", "pointsman.resolution.resolver"])
def test_importing_it_loads_no_third_party_package(module: str) -> None:
    allowed = f"{{{'pointsman'!r}, '__main__', *sys.stdlib_module_names}}"
    program = (
        f"import sys; before = set(sys.modules); import {module}; "
        f"print(sorted({{name.partition('.')[0] for name in set(sys.modules) - before}} - {allowed}))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=_path())
    assert found.stdout.strip() == "[]"


def test_resolving_with_no_constraints_loads_no_third_party_package() -> None:
    program = (
        "import sys; from pointsman.declarations import Candidate; from pointsman.resolution.resolver import Resolver; "
        "r = Resolver(); r.register(Candidate('a', 'b', 'c', 'm:f')); r.resolve('a', 'b'); str(r.explain('a', 'b')); "
        "print([name for name in ('packaging', 'msgspec', 'pydantic', 'starlette', 'anyio') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=_path())
    assert found.stdout.strip() == "[]"


def _path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
