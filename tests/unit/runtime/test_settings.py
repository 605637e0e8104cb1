"""Files, then environment, then arguments; a mistake stops the start and tells where it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

from pointsman.errors import ConfigurationError
from pointsman.runtime.settings import DomainSettings, Settings
from pointsman.runtime.sources.environment import read_environment
from pointsman.runtime.sources.reading import Asked, read_sources
from pointsman.runtime.sources.tree import Rank, Tree

Write = Callable[..., Path]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str = ""
    rights: tuple[Literal["view", "operate"], ...] = ()


class AdminSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    renders_blanks: ClassVar[bool] = True

    path: str = "/admin"
    token: SecretStr | None = None
    authenticators: tuple[Part, ...] = ()
    fallback: Part | None = None


@dataclass(frozen=True)
class Caps:
    bytes: int = 1


class One(BaseModel):
    model_config = ConfigDict(extra="forbid")

    alpha: int
    b: int = 0


class Two(BaseModel):
    model_config = ConfigDict(extra="forbid")

    a: int
    b: int


class TenancySettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["header", "host"] = "header"
    required: bool = False
    limit: int = 5
    caps: Caps = Caps()
    choice: One | Two | None = None
    suffix: str = ""

    @field_validator("suffix")
    @classmethod
    def _short(cls, value: str) -> str:
        if len(value) > 10:
            raise ValueError(f"expected a short one, found {value[8:20]}")
        return value

    @field_validator("limit")
    @classmethod
    def _small(cls, value: int) -> int:
        if value > 1000:
            raise ValueError(f"at most 1000, not {value}")
        return value


class TrustSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    min_root: int = 1
    roots: str = ""


SECTIONS: Mapping[str, type[BaseModel]] = {"admin": AdminSettings, "tenancy": TenancySettings}


def load(folder: Path | None = None, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    return Settings.load(folder, sections=SECTIONS, environ=environ or {}, **overrides)


def refusal(folder: Path | None = None, environ: Mapping[str, str] | None = None, **overrides: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(folder, environ, **overrides)
    assert refused.value.__cause__ is None
    return str(refused.value)


def test_without_any_file_every_setting_has_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.load(environ={})
    assert settings == Settings()
    assert settings.folder is None
    assert settings.section(TenancySettings) == TenancySettings()
    assert settings.adapters == DomainSettings()


def test_the_folder_is_the_argument_then_the_variable_then_settings(write: Write, tmp_path: Path) -> None:
    write(app="service: usual")
    other = tmp_path / "other"
    other.mkdir()
    (other / "app.yml").write_text("service: other")
    assert load().service == "usual"
    assert load(None, {"POINTSMAN_SETTINGS": str(other)}).service == "other"
    assert load(Path("settings"), {"POINTSMAN_SETTINGS": str(other)}).folder == Path("settings")


def test_a_folder_that_is_named_and_not_there_is_refused(write: Write) -> None:
    write()
    assert refusal(Path("nowhere")).startswith("nowhere: expected a folder of settings")
    assert refusal(None, {"POINTSMAN_SETTINGS": "gone"}).startswith("gone: expected a folder of settings")


def test_arguments_beat_variables_and_variables_beat_files(write: Write) -> None:
    folder = write(app="service: file\nenvironment: file\ntenancy: {source: host, required: true}")
    settings = load(folder, {"POINTSMAN_SERVICE": "env", "POINTSMAN_ENVIRONMENT": "env"}, environment="argument")
    assert (settings.service, settings.environment) == ("env", "argument")
    settings = load(folder, {"POINTSMAN_TENANCY__REQUIRED": "false"})
    assert settings.section(TenancySettings) == TenancySettings(source="host", required=False)


def test_the_constructor_reads_neither_variables_nor_files(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(app="service: file", adapters="selections: {cache: file}")
    monkeypatch.setenv("POINTSMAN_SERVICE", "env")
    monkeypatch.setenv("SERVICE", "env")
    monkeypatch.setenv("POINTSMAN_ADAPTERS__SELECTIONS__DATABASE", "env")
    monkeypatch.setenv("POINTSMAN_TYPO", "env")
    said = DomainSettings(selections={"cache": "redis"})
    settings = Settings(adapters=said)
    assert settings.service == ""
    assert settings.folder is None
    assert settings.contribution().choices.everyone == {("adapter", "cache"): "redis"}
    with pytest.raises(TypeError, match="adapter"):
        Settings(adapter=said)  # type: ignore[call-arg]


class Free(BaseModel):
    model_config = ConfigDict(extra="allow")


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings")


values = st.recursive(st.sampled_from(["1", "2"]), lambda inner: st.dictionaries(st.sampled_from("ab"), inner))
sections = st.dictionaries(st.sampled_from("ab"), values)


@given(sections, sections, sections)
def test_pydantic_settings_lays_sources_over_one_another_as_trees_do(
    free: Path, argument: dict[str, Any], env: dict[str, Any], file: dict[str, Any]
) -> None:
    (free / "app.yml").write_text(json.dumps({"free": file}))
    environ = {"POINTSMAN_FREE": json.dumps(env)}
    settings = Settings.load(free, sections={"free": Free}, environ=environ, free=argument)
    read = read_sources(Asked(free, environ, {"free": argument}, frozenset({"free"}), {}))
    assert settings._sources.tree == read.folded().tree


paths = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3).map(lambda parts: ("adapters", *parts))
sayings = st.lists(st.tuples(paths, st.sampled_from(["1", "2"])), max_size=5)


@given(sayings, sayings)
def test_whatever_variables_say_stands_and_files_say_the_rest(
    file: list[tuple[tuple[str, ...], str]], env: list[tuple[tuple[str, ...], str]]
) -> None:
    higher = {}
    for path, value in env:
        if not any(path[: len(other)] == other or other[: len(path)] == path for other in higher):
            higher[path] = value
    lower = Tree()
    for path, value in file:
        nested: Any = value
        for part in reversed(path):
            nested = {part: nested}
        lower = Tree(nested).over(lower)
    variables = {"POINTSMAN_" + "__".join(path).upper(): value for path, value in higher.items()}
    merged = read_environment(variables, {"adapters"}).over(lower)
    for path, value in higher.items():
        assert _at(merged.values, path) == value
        origin = merged.origin(path)
        assert origin is not None
        assert origin.rank is Rank.ENVIRONMENT
    for path, _ in file:
        if not any(path[: len(other)] == other or other[: len(path)] == path for other in higher):
            assert _at(merged.values, path) == _at(lower.values, path)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def test_an_argument_may_be_a_model_and_hides_only_what_it_says(write: Write) -> None:
    folder = write(app="admin: {path: /ops}", adapters="selections: {cache: redis, database: sqlite}")
    settings = load(folder, admin=AdminSettings(fallback=Part(role="x")), adapters={"selections": {"cache": "memory"}})
    assert settings.section(AdminSettings) == AdminSettings(path="/ops", fallback=Part(role="x"))
    assert settings.adapters.selections == {"cache": "memory", "database": "sqlite"}


def test_a_section_is_read_though_its_model_comes_later(write: Write) -> None:
    folder = write(app="tenancy: {source: host}\nadmin: {pth: x}")
    settings = Settings.load(folder, environ={})
    assert settings.section(TenancySettings).source == "host"
    with pytest.raises(ConfigurationError, match=r"settings/app\.yml:2: admin\.pth: expected a setting") as refused:
        settings.section(AdminSettings)
    assert refused.value.hint == "Did you mean path?"


def test_a_model_that_is_no_section_is_refused(write: Write) -> None:
    with pytest.raises(ConfigurationError, match="Part: expected the model of a section") as refused:
        load(write()).section(Part)
    assert "sections={'part': Part}" in refused.value.hint
    settings = Settings.load(write(app="shop: {role: x}"), sections={"shop": Part}, environ={})
    assert settings.section(Part).role == "x"


@pytest.mark.parametrize(
    ("files", "where", "nearest"),
    [
        (
            {"tenants": "acme:\n  labels: {}\n  selection: {service/notes: sql}\n"},
            "settings/tenants.yml:3: acme.selection",
            "selections",
        ),
        ({"adapters": "selctions: {}\n"}, "settings/adapters.yml:1: selctions", "selections"),
        (
            {"app": "service: x\ncomponents:\n  adapter/cache:\n    on_unhealty: next\n"},
            "settings/app.yml:4: components.adapter/cache.on_unhealty",
            "on_unhealthy",
        ),
        (
            {"app": "domains:\n  payments:\n    selection: {}\n"},
            "settings/app.yml:3: domains.payments.selection",
            "selections",
        ),
        (
            {"app": "admin:\n  authenticators:\n    - role: x\n    - roles: y\n"},
            "settings/app.yml:4: admin.authenticators.1.roles",
            "role",
        ),
        ({"app": "admin:\n  fallback:\n    rol: x\n"}, "settings/app.yml:3: admin.fallback.rol", "role"),
        ({"app": "tenancy: {caps: {bytse: 5}}\n"}, "settings/app.yml:1: tenancy.caps.bytse", "bytes"),
        ({"app": "logging: {levle: INFO}\n"}, "settings/app.yml:1: logging.levle", "level"),
    ],
)
def test_an_unknown_name_anywhere_is_refused_with_line_and_nearest(
    write: Write, files: dict[str, str], where: str, nearest: str
) -> None:
    expected = f"{where}: expected a setting, found an unknown name.\n  Did you mean {nearest}?"
    assert refusal(write(**files)) == expected


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tenants": "acme: hunter2\n"}, "settings/tenants.yml:1: acme: "),
        ({"adapters": "\nselections: hunter2\n"}, "settings/adapters.yml:2: selections: "),
        ({"adapters": "provider_settings:\n  cache/redis: hunter2\n"}, "settings/adapters.yml:2: provider_settings."),
        ({"app": "service: x\nenvironment: [hunter2]\n"}, "settings/app.yml:2: environment: "),
        ({"app": "tenancy:\n  required: hunter2\n"}, "settings/app.yml:2: tenancy.required: "),
        ({"app": "tenancy:\n  source: hunter2\n"}, "settings/app.yml:2: tenancy.source: Input should be 'header'"),
        ({"app": "tenancy:\n  limit: 31337\n"}, "settings/app.yml:2: tenancy.limit: expected another value [value"),
        ({"app": "admin:\n  token: [hunter2]\n"}, "settings/app.yml:2: admin.token: "),
        (
            {"app": "admin:\n  fallback:\n    rights: [view, hunter2]\n"},
            "settings/app.yml:3: admin.fallback.rights.1: ",
        ),
        (
            {"app": "components:\n  adapter/cache:\n    prewarm: 5\n"},
            "settings/app.yml:3: components.adapter/cache.pre",
        ),
        (
            {"app": "components:\n  a/b: {drain_timeout_s: -1}\n"},
            "settings/app.yml:2: components.a/b.drain_timeout_s: ",
        ),
        ({"tenants": "acme:\n  labels: {plan: 31337}\n"}, "settings/tenants.yml:2: acme.labels.plan: "),
    ],
)
def test_a_value_of_another_shape_is_refused_with_its_line_and_never_shown(
    write: Write, files: dict[str, str], message: str
) -> None:
    found = refusal(write(**files))
    assert found.startswith(message)
    assert "hunter2" not in found
    assert "31337" not in found


def test_a_sentence_with_a_part_of_the_input_in_it_is_left_out(write: Write) -> None:
    message = refusal(write(app="tenancy:\n  suffix: https://user:hunter2@host"))
    assert message == "settings/app.yml:2: tenancy.suffix: expected another value [value_error]"


def test_a_value_that_is_missing_is_named_where_its_section_is(write: Write) -> None:
    message = refusal(write(app="tenancy:\n  choice: {a: 1}\n"))
    assert "settings/app.yml:2: tenancy.choice.Two.b: expected a value, found none." in message
    assert "settings/app.yml:2: tenancy.choice" in message


def test_an_unknown_name_in_one_of_several_models_is_told(write: Write) -> None:
    message = refusal(write(app="tenancy:\n  choice: {alpha: 1, bb: 2}\n"))
    assert "tenancy.choice.One.bb: expected a setting, found an unknown name. Did you mean b?" in message


def test_of_very_many_faults_the_first_are_told(write: Write) -> None:
    lines = refusal(write(tenants="".join(f"t{number}: {{a: 1}}\n" for number in range(30)))).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "… and 10 more."


def test_all_faults_of_a_model_are_told_at_once(write: Write) -> None:
    lines = refusal(write(app="service: []\nlogging: {level: x}", tenants="acme: {selection: {}}")).splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "settings/app.yml:1",
        "settings/tenants.yml:1",
        "settings/app.yml:2",
    ]


def test_a_fault_in_a_variable_or_an_argument_names_it(write: Write) -> None:
    write()
    assert refusal(None, {"POINTSMAN_TENANCY__SOURCE": "hunter2"}).startswith("POINTSMAN_TENANCY__SOURCE: Input should")
    message = refusal(None, {"POINTSMAN_TENANCY": '{"sorce": "host"}'})
    assert message.startswith("POINTSMAN_TENANCY: sorce: expected a setting")
    assert refusal(tenancy={"sorce": "host"}).startswith("argument: tenancy.sorce: expected a setting")
    assert refusal(tenncy={}) == "argument: tenncy: expected a section, found an unknown name.\n  Did you mean tenancy?"


def test_what_is_written_without_anything_in_it_counts_as_empty(write: Write) -> None:
    settings = load(write(app="tenancy:\ncomponents:\n", adapters="selections:\n", tenants="acme:\n"))
    assert settings.adapters == DomainSettings()
    assert list(settings.tenants) == ["acme"]
    assert settings.section(TenancySettings) == TenancySettings()


def test_variables_are_filled_in_everywhere_but_in_settings_of_providers(write: Write) -> None:
    folder = write(
        app="""
          service: ${env:NAME}
          domains: {pay: {provider_settings: {a/b: {c: "${tenant}"}}}}
          tenancy: {source: "${env:S}"}
        """,
        adapters="selections: {cache: '${env:NAME}'}\nprovider_settings: {cache/redis: {url: '${env:URL}'}}",
        tenants="acme: {labels: {n: '${env:NAME}'}, provider_settings: {a/b/c: {d: '${secret:X}'}}}",
        trust="roots: ${env:NAME}",
    )
    settings = load(folder, {"NAME": "shop", "S": "host"})
    assert settings.service == "shop"
    assert settings.adapters.selections == {"cache": "shop"}
    assert settings.adapters.provider_settings == {"cache/redis": {"url": "${env:URL}"}}
    assert settings.domains["pay"].provider_settings == {"a/b": {"c": "${tenant}"}}
    assert settings.tenants["acme"].labels == {"n": "shop"}
    assert settings.tenants["acme"].provider_settings == {"a/b/c": {"d": "${secret:X}"}}
    assert settings.section(TenancySettings).source == "host"
    assert settings.section(TrustSettings).roots == "shop"


def test_a_variable_that_is_not_set_is_refused_with_its_line(write: Write) -> None:
    message = refusal(write(app="service: x\ntenancy:\n  source: ${env:SOURCE}\n"))
    assert message.startswith("settings/app.yml:3: tenancy.source: expected environment variable SOURCE")


def test_only_a_section_that_renders_blanks_may_name_a_secret(write: Write) -> None:
    folder = write(app="admin: {token: '${secret:TOKEN}', path: '${env:P}'}", trust="roots: ${secret:TOKEN}")
    settings = load(folder)
    assert settings.section(AdminSettings).token == SecretStr("${secret:TOKEN}")
    assert settings.section(AdminSettings).path == "${env:P}"
    with pytest.raises(ConfigurationError, match=r"settings/trust\.yml:1: roots: expected no blank but \$\{env:\}"):
        settings.section(TrustSettings)


@pytest.mark.parametrize(("said", "effective"), [("1", 3), ("3", 3), ("4", 4)])
def test_a_variable_may_only_raise_the_lowest_root(write: Write, said: str, effective: int) -> None:
    settings = load(write(trust="min_root: 3"), {"POINTSMAN_TRUST__MIN_ROOT": said})
    assert settings.section(TrustSettings).min_root == effective


@pytest.mark.parametrize(
    "environ", [{"POINTSMAN_TRUST__ROOTS": "hunter2"}, {"POINTSMAN_TRUST": '{"roots": "hunter2"}'}]
)
def test_a_variable_says_nothing_else_about_trust(write: Write, environ: dict[str, str]) -> None:
    message = refusal(write(trust="min_root: 3"), environ)
    assert message.startswith("POINTSMAN_TRUST")
    assert "trust comes with the image, and a variable may only raise trust.min_root" in message
    assert "${env:NAME} in trust.yml" in message
    assert "hunter2" not in message


def test_a_root_number_that_is_no_number_is_refused_where_it_was_said(write: Write) -> None:
    settings = load(write(trust="min_root: 3"), {"POINTSMAN_TRUST__MIN_ROOT": "x"})
    with pytest.raises(ConfigurationError, match=r"POINTSMAN_TRUST__MIN_ROOT: Input should be a valid integer"):
        settings.section(TrustSettings)


def test_development_is_refused_on_cloud_run(write: Write) -> None:
    folder = write(app="service: x\nenvironment: development")
    assert load(folder).environment == "development"
    assert refusal(folder, {"K_SERVICE": "shop"}).startswith("settings/app.yml:2: environment: development accepts")
    assert load(folder, {"K_SERVICE": "shop", "POINTSMAN_ENVIRONMENT": "production"}).environment == "production"


def test_no_value_of_a_provider_is_in_the_representation(write: Write) -> None:
    folder = write(adapters="provider_settings: {cache/redis: {password: hunter2}}")
    settings = load(folder, {"POINTSMAN_TENANTS": '{"acme": {"provider_settings": {"a/b/c": {"d": "hunter2"}}}}'})
    assert settings.tenants["acme"].provider_settings
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)


def test_a_domain_is_found_by_its_name(write: Write) -> None:
    settings = load(write(services="selections: {notes: sql}", app="domains: {pay: {selections: {card: stripe}}}"))
    assert settings.domain("service").selections == {"notes": "sql"}
    assert settings.domain("pay").selections == {"card": "stripe"}
    assert settings.domain("unheard") == DomainSettings()
