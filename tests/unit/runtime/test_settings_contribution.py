"""Every name that settings write becomes a full one, or is refused with its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pointsman.declarations import Candidate, Component, Constraints
from pointsman.errors import ConfigurationError
from pointsman.resolution.contribution import Contribution, Policy
from pointsman.resolution.selection import Split
from pointsman.runtime.settings import Settings

Write = Callable[..., Path]


class Bank:
    """A factory that `provides` might have marked."""


MARK = Candidate(
    "service",
    "rates",
    "bank",
    Bank,
    priority=10,
    capabilities={"live"},
    owner="fx",
    constraints=Constraints(python=">=3"),
)


def contribution(folder: Path, environ: Mapping[str, str] | None = None, *known: Candidate) -> Contribution:
    return Settings.load(folder, environ=environ or {}).contribution({"candidates:Bank": MARK}, known=known)


def refusal(folder: Path, environ: Mapping[str, str] | None = None, *known: Candidate) -> str:
    settings = Settings.load(folder, environ=environ or {})
    with pytest.raises(ConfigurationError) as refused:
        settings.contribution({"candidates:Bank": MARK}, known=known)
    return str(refused.value)


def candidate(key: str, provider: str) -> Candidate:
    return Candidate("adapter", key, provider, "pkg.mod:Factory")


def test_selections_are_full_names_for_everyone_and_for_tenants(write: Write) -> None:
    made = contribution(
        write(
            adapters="selections: {cache: memory}",
            services="selections: {rates: {incumbent: cached, to: [[bank, 500]], salt: spring}}",
            app="domains: {payments: {selections: {card: stripe}}}",
            tenants="acme:\n  selections: {adapter/cache: redis}\n  labels: {plan: gold}\ninitech:\n",
        )
    )
    assert made.choices.everyone == {
        ("adapter", "cache"): "memory",
        ("service", "rates"): Split("cached", (("bank", 500),), "spring"),
        ("payments", "card"): "stripe",
    }
    assert made.choices.tenants == {"acme": {("adapter", "cache"): "redis"}}
    assert made.labels == {"acme": {"plan": "gold"}, "initech": {}}


def test_settings_of_providers_get_full_names(write: Write) -> None:
    made = contribution(
        write(
            adapters="provider_settings:\n  cache/redis: {url: '${env:URL}'}\n  sqlite: {path: x}\n",
            tenants="acme: {provider_settings: {adapter/cache/redis: {db: 5}}}",
        ),
        None,
        candidate("database", "sqlite"),
    )
    assert made.provider_settings.everyone == {
        ("adapter", "cache", "redis"): {"url": "${env:URL}"},
        ("adapter", "database", "sqlite"): {"path": "x"},
    }
    assert made.provider_settings.tenants == {"acme": {("adapter", "cache", "redis"): {"db": 5}}}


def test_a_bare_provider_is_found_in_selections_candidates_and_marks_too(write: Write) -> None:
    made = contribution(
        write(
            adapters="selections: {cache: redis}\nprovider_settings: {redis: {db: 1}}",
            services="""
              candidates: [{key: notes, provider: sql, factory: "notes:Sql"}]
              provider_settings: {sql: {a: 1}, bank: {b: 1}}
            """,
        )
    )
    assert set(made.provider_settings.everyone) == {
        ("adapter", "cache", "redis"),
        ("service", "notes", "sql"),
        ("service", "rates", "bank"),
    }


def test_a_bare_provider_of_several_keys_is_refused_with_their_names(write: Write) -> None:
    folder = write(adapters="provider_settings:\n  redis: {password: hunter2}\n")
    message = refusal(folder, None, candidate("cache", "redis"), candidate("queue", "redis"))
    assert message == (
        "settings/adapters.yml:2: provider_settings.redis: expected a provider of one key, found one of 2.\n"
        "  Write cache/redis or queue/redis."
    )


def test_a_bare_provider_that_nobody_registers_is_refused_with_the_nearest(write: Write) -> None:
    folder = write(adapters="provider_settings:\n  sqlit: {path: x}\n")
    message = refusal(folder, None, candidate("db", "sqlite"))
    assert message == (
        "settings/adapters.yml:2: provider_settings.sqlit: expected a provider, found a name that nobody registers.\n"
        "  Did you mean db/sqlite?"
    )


def test_a_provider_that_is_named_bare_and_in_full_in_one_source_is_refused(write: Write) -> None:
    folder = write(adapters="provider_settings:\n  cache/redis: {db: 1}\n  redis: {db: 2}\n")
    message = refusal(folder, None, candidate("cache", "redis"))
    assert message.startswith("settings/adapters.yml:3: provider_settings.redis: expected each provider once, found it")
    assert "settings/adapters.yml:2: provider_settings.cache/redis" in message


@pytest.mark.parametrize(("file", "variable"), [("cache/redis", "REDIS"), ("redis", "CACHE/REDIS")])
def test_a_variable_beats_the_file_under_either_name(write: Write, file: str, variable: str) -> None:
    folder = write(adapters=f"provider_settings: {{{file}: {{db: 1, url: x}}}}")
    made = contribution(
        folder, {f"POINTSMAN_ADAPTERS__PROVIDER_SETTINGS__{variable}__DB": "2"}, candidate("cache", "redis")
    )
    assert made.provider_settings.everyone == {("adapter", "cache", "redis"): {"db": "2", "url": "x"}}


def test_a_candidate_is_an_entry_in_the_words_of_a_manifest(write: Write) -> None:
    folder = write(
        services="""
          candidates:
            - {key: rates, provider: bank, factory: "candidates:Bank", priority: 0}
            - key: notes
              provider: sql
              factory: notes:Sql
              stack_level: -1
              lifetime: tenant
              capabilities: [search, {name: write, description: Writes.}]
              python_version: ">=3.11"
              os_platform: [linux]
              requires: ["aiosqlite>=0.20"]
              not_tenants: [initech]
              timeout_seconds: 2
              event_topics: [notes]
              metadata: {team: notes}
        """
    )
    bank, notes = contribution(folder).candidates
    assert (bank.factory, bank.priority, bank.capabilities, bank.owner) == (Bank, 0, ("live",), "fx")
    assert bank.constraints == MARK.constraints
    assert (notes.domain, notes.factory, notes.priority, notes.stack_level, notes.lifetime) == (
        "service", "notes:Sql", None, -1, "tenant",
    )  # fmt: skip
    assert notes.capabilities == ("search", "write")
    assert notes.constraints == Constraints(
        python=">=3.11", platforms=["linux"], packages=["aiosqlite>=0.20"], not_tenants=["initech"]
    )
    assert notes.metadata["team"] == "notes"
    assert (notes.metadata["timeout_seconds"], notes.metadata["event_topics"]) == (2.0, ("notes",))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{key: a, provider: b, factory: 'm:N', prioritty: 5}", "prioritty: expected a candidate's field, found an"),
        ("{key: a, provider: b, factory: 'm:N', priority: hunter2}", "priority: Expected `int | null`, got `str`."),
        ("{key: a, provider: b, factory: 'm:N', lifetime: hunter2}", "lifetime: expected another value."),
        ("{key: a, provider: b}", "Object missing required field `factory`."),
        ("{key: a/hunter2, provider: b, factory: 'm:N'}", "key: Expected `str` matching regex"),
        ("{key: a, provider: b, factory: hunter2}", "factory: expected module:name."),
        ("{key: a, provider: b, factory: 'm:N', domain: adapter}", "expected domain service, found another."),
        ("{key: a, provider: b, factory: 'm:N', sha256: aa}", "expected no artifact: artifacts are disabled."),
    ],
)
def test_a_wrong_entry_is_refused_with_its_line_and_without_its_value(write: Write, entry: str, message: str) -> None:
    folder = write(services=f"candidates:\n  - {{key: x, provider: y, factory: 'm:N'}}\n  - {entry}\n")
    found = refusal(folder)
    assert found.startswith(f"settings/services.yml:3: candidates.1: {message}")
    assert "hunter2" not in found


def test_the_nearest_field_of_an_entry_is_told(write: Write) -> None:
    folder = write(services="candidates: [{key: a, provider: b, factory: 'm:N', prioritty: 5}]")
    assert "Did you mean priority?" in refusal(folder)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"adapters": "selections:\n  adapter/cache: redis\n"},
            "settings/adapters.yml:2: selections.adapter/cache: expected a key, found a full name.\n  Write cache.",
        ),
        (
            {"adapters": "selections:\n  cache: 5\n"},
            "settings/adapters.yml:2: selections.cache: expected a provider, or a split",
        ),
        (
            {"adapters": "selections:\n  cache: {incumbent: a, to: [[a, 5]]}\n"},
            "settings/adapters.yml:2: selections.cache: expected each provider once in a split",
        ),
        (
            {"tenants": "acme:\n  selections:\n    cache: redis\n"},
            "settings/tenants.yml:3: acme.selections.cache: Expected a component as domain/key",
        ),
        (
            {"tenants": "acme:\n  provider_settings:\n    cache/redis: {a: 1}\n"},
            "settings/tenants.yml:3: acme.provider_settings.cache/redis: expected domain/key/provider.",
        ),
        (
            {"app": "components:\n  cache: {isolated: true}\n"},
            "settings/app.yml:2: components.cache: Expected a component as domain/key",
        ),
        (
            {"app": "domains:\n  adapter: {}\n"},
            "settings/app.yml:2: domains.adapter: the domain adapter has a section of its own.\n  Write it under",
        ),
        ({"app": "domains:\n  a/b: {}\n"}, "settings/app.yml:2: domains.a/b: Expected a domain of letters"),
        (
            {"adapters": "provider_settings:\n  cache/redis:\n    url: 'hunter2${evn:URL}'\n"},
            "settings/adapters.yml:2: provider_settings.cache/redis: url: expected a blank at character 8",
        ),
        (
            {"adapters": "provider_settings:\n  secrets/gcp:\n    token: '${secret:TOKEN}'\n"},
            "settings/adapters.yml:2: provider_settings.secrets/gcp: token: expected no blank but ${env:}",
        ),
        (
            {"tenants": "acme:\n  provider_settings:\n    adapter/secrets/gcp: {a: '${tenant}'}\n"},
            "settings/tenants.yml:3: acme.provider_settings.adapter/secrets/gcp: a: expected no blank but ${env:}",
        ),
    ],
)
def test_a_wrong_name_is_refused_with_its_line(write: Write, files: dict[str, str], message: str) -> None:
    found = refusal(write(**files))
    assert found.startswith(message)
    assert "hunter2" not in found


def test_policies_are_under_their_components(write: Write) -> None:
    folder = write(
        app="""
          components:
            adapter/cache: {on_unhealthy: next, fallbacks: [memory], on_stale: deny, prewarm: [acme], isolated: true}
            adapter/llm: {prewarm: true, drain_timeout_s: 5}
            adapter/http:
        """
    )
    assert contribution(folder).policies == {
        Component("adapter", "cache"): Policy("next", ("memory",), "deny", ("acme",), 30.0, isolated=True),
        Component("adapter", "llm"): Policy(prewarm=True, drain_timeout_s=5),
        Component("adapter", "http"): Policy(),
    }
