"""A variable is one setting, however deep; one that means nothing is refused."""

from __future__ import annotations

import pytest

from pointsman.errors import ConfigurationError
from pointsman.runtime.sources.environment import read_environment
from pointsman.runtime.sources.tree import Tree, meant

SECTIONS = frozenset({"service", "environment", "adapters", "tenancy", "tenants"})


def refusal(**environ: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        read_environment(environ, SECTIONS)
    return str(refused.value)


def test_two_underscores_lead_one_level_down_and_capitals_are_read_in_lower_case() -> None:
    tree = read_environment(
        {"POINTSMAN_TENANCY__SOURCE": "host", "POINTSMAN_ADAPTERS__SELECTIONS__CACHE": "redis", "PATH": "/bin"},
        SECTIONS,
    )
    assert tree.values == {"tenancy": {"source": "host"}, "adapters": {"selections": {"cache": "redis"}}}
    assert tree.where(("tenancy", "source")) == "POINTSMAN_TENANCY__SOURCE"
    assert tree.where(("tenancy", "source", "deeper")) == "POINTSMAN_TENANCY__SOURCE: deeper"


def test_names_that_are_not_in_capitals_and_full_names_are_kept() -> None:
    environ = {
        "POINTSMAN_TENANTS__Acme__LABELS__plan_B": "x",
        "POINTSMAN_ADAPTERS__PROVIDER_SETTINGS__CACHE/REDIS__URL": "redis://cache",
    }
    assert read_environment(environ, SECTIONS).values == {
        "tenants": {"Acme": {"labels": {"plan_B": "x"}}},
        "adapters": {"provider_settings": {"cache/redis": {"url": "redis://cache"}}},
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"cache/redis": {"url": "x", "db": 5}}', {"cache/redis": {"url": "x", "db": 5}}),
        ("[1, null, true]", [1, None, True]),
        ("5", "5"),
        ("true", "true"),
        ("", ""),
        ("[a-z0-9-]{1,40}", "[a-z0-9-]{1,40}"),
        ('{"a": NaN}', '{"a": NaN}'),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_an_object_or_array_counts_as_json_and_everything_else_is_text(text: str, value: object) -> None:
    assert read_environment({"POINTSMAN_ADAPTERS": text}, SECTIONS).values == {"adapters": value}


def test_a_deeper_variable_is_laid_over_one_that_holds_it() -> None:
    environ = {
        "POINTSMAN_ADAPTERS__SELECTIONS__CACHE": "redis",
        "POINTSMAN_ADAPTERS": '{"selections": {"cache": "memory", "database": "sqlite"}}',
    }
    tree = read_environment(environ, SECTIONS)
    assert tree.values == {"adapters": {"selections": {"cache": "redis", "database": "sqlite"}}}
    assert tree.where(("adapters", "selections", "cache")) == "POINTSMAN_ADAPTERS__SELECTIONS__CACHE"
    assert tree.where(("adapters", "selections", "database")) == "POINTSMAN_ADAPTERS: selections.database"


def test_a_deeper_variable_under_one_that_says_a_text_is_refused() -> None:
    message = refusal(POINTSMAN_TENANCY='{"source": hunter2}', POINTSMAN_TENANCY__SOURCE="host")
    assert message.startswith(
        "POINTSMAN_TENANCY__SOURCE: expected tenancy to hold names, found its whole value in POINTSMAN_TENANCY."
    )
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("POINTSMAN_TENANTCY__SOURCE", "Did you mean POINTSMAN_TENANCY__SOURCE?"),
        ("POINTSMAN_ENVIROMENT", "Did you mean POINTSMAN_ENVIRONMENT?"),
        ("POINTSMAN_SETING", "Did you mean POINTSMAN_SETTINGS?"),
        ("POINTSMAN_STACKORDER", "Did you mean POINTSMAN_STACK_ORDER?"),
        ("POINTSMAN_QQQ", "Sections: adapters, environment, service, tenancy, tenants."),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest(variable: str, hint: str) -> None:
    message = refusal(**{variable: "hunter2"})
    assert message.startswith(f"{variable}: expected a setting, found the unknown section ")
    assert hint in message
    assert "hunter2" not in message


@pytest.mark.parametrize("variable", ["POINTSMAN_", "POINTSMAN_TENANCY__", "POINTSMAN___SOURCE"])
def test_an_empty_name_in_a_variable_is_refused(variable: str) -> None:
    assert "found an empty name" in refusal(**{variable: "x"})


def test_a_name_that_stands_twice_in_an_object_is_refused() -> None:
    message = refusal(POINTSMAN_ADAPTERS='{"selections": {}, "selections": {}}')
    assert message == "POINTSMAN_ADAPTERS: expected each name once, found 'selections' twice."


def test_variables_that_are_read_elsewhere_are_no_settings() -> None:
    environ = {"POINTSMAN_SETTINGS": "x", "POINTSMAN_STACK_ORDER": "a,b", "POINTSMAN_URL": "u", "POINTSMAN_TOKEN": "t"}
    assert read_environment(environ, SECTIONS).values == {}


def test_a_place_that_nobody_wrote_is_named_by_its_path() -> None:
    assert Tree().where(("tenancy", "source")) == "tenancy.source"
    assert Tree().where(()) == "settings"


def test_the_hint_for_an_unknown_name_is_the_nearest_or_all() -> None:
    assert meant("tenantcy", SECTIONS) == "Did you mean tenancy?"
    assert meant("q", ["b", "a"]) == "Known here: a, b."
    assert meant("q", []) == "Take it out: nothing is known here."
