"""Blanks in settings are filled in once, and no message shows a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import ConfigurationError
from pointsman.resolution.template import (
    Kind,
    Reference,
    Template,
    bind_tenant,
    check_references,
    expand,
    parse_template,
    references,
    render,
)

URL = Reference(Kind.ENV, "URL")
TOKEN = Reference(Kind.SECRET, "TOKEN")
TENANT = Reference(Kind.TENANT)

literals = st.text(st.sampled_from("ab${}:env"), max_size=8)
blanks = st.sampled_from([URL, TOKEN, TENANT, Reference(Kind.SECRET, "projects/p/secrets/s-1/versions/3")])


class Vault:
    """A source of secrets that counts its reads."""

    def __init__(self, **secrets: str) -> None:
        self.secrets = secrets
        self.reads: list[str] = []

    async def get(self, name: str) -> str:
        self.reads.append(name)
        return self.secrets[name]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("plain", ("plain",)),
        ("${env:URL}", (URL,)),
        ("redis://${env:URL}/${tenant}", ("redis://", URL, "/", TENANT)),
        ("${secret:TOKEN}${env:URL}", (TOKEN, URL)),
        ("pa$$word $5 {x}", ("pa$$word $5 {x}",)),
        ("${$}{tenant}", ("${tenant}",)),
        ("$${env:URL}", ("$", URL)),
        ("a${$}b", ("a$b",)),
    ],
)
def test_a_text_is_read_as_literals_and_blanks(text: str, parts: tuple[object, ...]) -> None:
    assert parse_template(text).parts == parts


@given(st.lists(st.one_of(literals, blanks), max_size=6))
def test_the_canonical_form_parses_to_an_equal_template(parts: list[str | Reference]) -> None:
    text = "".join(str(part) if isinstance(part, Reference) else part.replace("$", "${$}") for part in parts)
    template = parse_template(text)
    assert parse_template(str(template)) == template


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("xx ${sercet:hunter2}", "Did you mean ${secret:NAME}?"),
        ("xx ${tenat} hunter2", "Did you mean ${tenant}?"),
        ("xx ${env:} hunter2", "Did you mean ${env:NAME}?"),
        ("xx ${hunter2", "${$}{ writes a literal ${"),
        ("xx ${env:URL hunter2", "Did you mean ${env:NAME}?"),
    ],
)
def test_an_unknown_blank_is_refused_with_its_position_and_without_the_text(text: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_template(text, "adapter/cache/redis: url")
    assert refused.value.message == "adapter/cache/redis: url: expected a blank at character 4, found an unknown one."
    assert hint in refused.value.hint
    assert "hunter2" not in str(refused.value)


def test_the_blanks_of_a_value_are_found_however_deep_and_each_once() -> None:
    value = {"a": ["${env:URL}", {"b": ("${secret:TOKEN}", "${env:URL}")}], "${tenant}": 1}
    assert references(value) == (URL, TOKEN)


async def test_every_blank_is_filled_in_and_the_shape_is_kept() -> None:
    vault = Vault(TOKEN="t0ken")
    value = {"url": "redis://${env:URL}", "keys": ["${secret:TOKEN}", ("${secret:TOKEN}!", 5)], "prefix": "${tenant}:"}
    made = await render(value, env={"URL": "cache"}, secrets=vault, tenant="acme", where="adapter/cache/redis")
    assert made == {"url": "redis://cache", "keys": ["t0ken", ("t0ken!", 5)], "prefix": "acme:"}
    assert vault.reads == ["TOKEN"]


@given(st.text(st.sampled_from("${}envtanURL:$"), max_size=12))
async def test_what_was_filled_in_is_not_read_again(filling: str) -> None:
    vault = Vault(TOKEN=filling)
    value = "$${env:URL}{x}${tenant}{env:URL}${secret:TOKEN}"
    made = await render(value, env={"URL": filling}, secrets=vault, tenant=filling)
    assert made == f"${filling}{{x}}{filling}{{env:URL}}{filling}"


@given(st.text(st.sampled_from("${}envtanURL:$"), min_size=1, max_size=12))
async def test_a_tenant_that_was_bound_is_quoted(tenant: str) -> None:
    bound = bind_tenant({"a": "${tenant}{env:URL}", "b": "${env:URL}"}, tenant)
    assert bound["b"] == "${env:URL}"
    assert await render(bound, env={"URL": "u"}, secrets=None, tenant=None) == {"a": f"{tenant}{{env:URL}}", "b": "u"}


def test_a_value_without_the_tenant_is_bound_to_none() -> None:
    value = {"a": "${secret:TOKEN}"}
    assert bind_tenant(value, None) is value
    with pytest.raises(ConfigurationError, match=r"adapter/cache/redis: expected a tenant"):
        bind_tenant({"a": "${tenant}"}, None, where="adapter/cache/redis")


async def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"adapter/cache/redis: expected environment variable URL") as refused:
        await render(["${env:URL}"], env={}, secrets=None, tenant=None, where="adapter/cache/redis")
    assert "Set URL" in refused.value.hint


async def test_a_secret_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"adapter/llm/openai: expected secret TOKEN"):
        await render("${secret:TOKEN}", env={}, secrets=Vault(), tenant=None, where="adapter/llm/openai")


async def test_a_secret_is_refused_where_there_is_no_source() -> None:
    with pytest.raises(ConfigurationError, match=r"expected no blank but \$\{env:\}, found \$\{secret:TOKEN\}"):
        await render("${secret:TOKEN}", env={}, secrets=None, tenant=None)


def test_only_the_environment_is_expanded_where_nothing_else_is_allowed() -> None:
    assert expand({"roots": ["${env:URL}"]}, env={"URL": "${tenant}"}) == {"roots": ["${tenant}"]}
    with pytest.raises(ConfigurationError, match=r"trust: roots\.0: expected no blank but \$\{env:\}"):
        expand({"roots": ["${secret:TOKEN}"]}, env={}, where="trust")


def test_blanks_of_another_kind_are_refused_with_their_place() -> None:
    check_references({"a": "${env:URL}"}, allowed=(Kind.ENV, Kind.TENANT), where="x")
    with pytest.raises(ConfigurationError, match=r"x: a\.b: expected no blank but \$\{env:\}, \$\{tenant\}, found"):
        check_references({"a": {"b": "${secret:TOKEN}"}}, allowed=(Kind.ENV, Kind.TENANT), where="x")


def test_a_blank_that_is_the_whole_text_is_told_apart() -> None:
    assert parse_template("${secret:TOKEN}").whole == TOKEN
    assert parse_template("x${secret:TOKEN}").whole is None
    assert Template().whole is None
