"""What is believed of a tenant id."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest

from pointsman.errors import ConfigurationError, IdentityError, TenantError
from pointsman.tenancy.policy import Asker, Contradiction, Tenancy, check
from pointsman.tenancy.settings import TenancySettings


class Declared:
    def __init__(self, *tenants: str) -> None:
        self.tenants = tenants

    def known_tenant(self, tenant_id: str, /) -> bool:
        return tenant_id in self.tenants

    def edition(self) -> object:
        return self.tenants

    def declares_tenants(self) -> bool:
        return bool(self.tenants)


async def verify(token: str) -> Mapping[str, Any]:
    if token == "forged":
        raise IdentityError("The signature is not valid.")
    return {"org_id": token} if token else {}


async def verify_without_claim(token: str) -> Mapping[str, Any]:
    return {}


def scope(path: str = "/notes", **headers: str) -> dict[str, Any]:
    named = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http", "path": path, "root_path": "", "headers": named}


def tenancy(*declared: str, verify: Any = verify, **settings: Any) -> Tenancy:
    return Tenancy(TenancySettings(**settings), tenants=Declared(*declared), verify=verify)


CLAIM = {"source": "claim", "identity": "auth0", "claim": "org_id"}


async def test_a_declared_tenant_is_itself() -> None:
    assert await tenancy("acme").of(scope(x_tenant_id="acme")) == Asker("acme", vouched=False)


async def test_unknown_tenants_are_rejected_where_tenants_are_declared() -> None:
    with pytest.raises(TenantError, match="no tenant globex") as caught:
        await tenancy("acme").of(scope(x_tenant_id="globex"))
    assert caught.value.status == 404


@pytest.mark.parametrize("declared", [(), ("acme",)])
async def test_unknown_tenants_share_the_name_default_where_they_are_served(declared: tuple[str, ...]) -> None:
    policy = tenancy(*declared, unknown="default" if declared else None)
    assert (await policy.of(scope(x_tenant_id="globex"))).tenant == "default"
    assert (await policy.of(scope(x_tenant_id="initech"))).tenant == "default"


async def test_no_tenant_is_none_or_refused_where_one_is_required() -> None:
    assert (await tenancy().of(scope())).tenant is None
    with pytest.raises(TenantError, match="X-Tenant-ID") as caught:
        await tenancy(required=True).of(scope())
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("source", "message"),
    [("host", "in the host"), ("path", "path's first part"), ("tenancy_fixture:nobody", "in the request")],
)
async def test_a_refusal_says_where_the_tenant_was_expected(source: str, message: str, fixture_module: None) -> None:
    with pytest.raises(TenantError, match=message):
        await tenancy(source=source, required=True).of(scope("/"))


async def test_host_and_path_name_tenants() -> None:
    assert (await tenancy("acme", source="host").of(scope(host="acme.example.com"))).tenant == "acme"
    found = await tenancy("acme", source="path").of(scope("/acme/notes"))
    assert (found.tenant, found.root_path) == ("acme", "/acme")


@pytest.fixture
def fixture_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("tenancy_fixture")

    async def later(connection: Any) -> str | None:
        return connection["path"].strip("/") or None

    vars(module).update(now=lambda connection: connection["path"].strip("/"), later=later, nobody=lambda _: None)
    monkeypatch.setitem(sys.modules, "tenancy_fixture", module)


@pytest.mark.parametrize("source", ["tenancy_fixture:now", "tenancy_fixture:later"])
async def test_a_function_names_the_tenant_with_or_without_waiting(source: str, fixture_module: None) -> None:
    assert (await tenancy("acme", source=source).of(scope("/acme"))).tenant == "acme"


async def test_a_function_is_held_to_the_same_shape(fixture_module: None) -> None:
    with pytest.raises(TenantError, match="matches"):
        await tenancy(source="tenancy_fixture:now").of(scope("/not an id"))


async def test_a_verified_claim_names_the_tenant_and_vouches_for_it() -> None:
    assert await tenancy("acme", **CLAIM).of(scope(authorization="Bearer acme")) == Asker("acme", vouched=True)


async def test_a_forged_token_is_refused_even_where_no_tenant_is_required() -> None:
    with pytest.raises(IdentityError):
        await tenancy(**CLAIM).of(scope(authorization="Bearer forged"))


async def test_no_token_is_nobody_or_unauthenticated_where_a_tenant_is_required() -> None:
    assert (await tenancy(**CLAIM).of(scope(x_tenant_id="acme"))).tenant is None
    with pytest.raises(IdentityError, match="claim org_id"):
        await tenancy(**CLAIM, required=True).of(scope())


async def test_a_token_without_the_claim_names_nobody() -> None:
    assert (await tenancy(**CLAIM, verify=verify_without_claim).of(scope(authorization="Bearer x"))).tenant is None


@pytest.mark.parametrize("settings", [CLAIM, {**CLAIM, "source": "header", "vouched_by": "claim"}])
async def test_a_header_that_contradicts_the_claim_is_forbidden_and_audited(settings: dict[str, Any]) -> None:
    audited: list[Contradiction] = []
    policy = Tenancy(
        TenancySettings(**settings), tenants=Declared("acme", "globex"), verify=verify, audit=audited.append
    )
    assert (await policy.of(scope(authorization="Bearer acme", x_tenant_id="acme"))).tenant == "acme"
    with pytest.raises(TenantError, match="another tenant") as caught:
        await policy.of(scope(authorization="Bearer acme", x_tenant_id="globex"))
    assert caught.value.status == 403
    assert audited == [Contradiction("globex", "acme")]


async def test_a_header_that_a_claim_must_vouch_for_is_nothing_without_a_token() -> None:
    policy = tenancy("acme", source="header", vouched_by="claim", identity="auth0", claim="org_id")
    with pytest.raises(IdentityError, match="vouches"):
        await policy.of(scope(x_tenant_id="acme"))


@pytest.mark.parametrize(("said", "vouched"), [("gateway", True), ("none", False), (None, False)])
async def test_only_what_somebody_vouches_for_is_vouched(said: Any, vouched: bool) -> None:
    assert (await tenancy("acme", vouched_by=said).of(scope(x_tenant_id="acme"))).vouched is vouched


def test_a_claim_without_a_verifier_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="nothing verifies"):
        tenancy(verify=None, **CLAIM)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "cookie"}, "header, host, path, claim or module:function"),
        ({"source": "os:_exit"}, "header, host"),
        ({"source": "claim"}, r"tenancy\.identity"),
        ({"vouched_by": "claim", "claim": "org_id"}, r"tenancy\.identity"),
        ({"pattern": "["}, "no regular expression"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check(TenancySettings(**settings), {})


@pytest.mark.parametrize("settings", [{}, {"source": "path"}, {"source": "mod.sub:function"}, CLAIM])
def test_settings_that_work_are_taken(settings: dict[str, Any]) -> None:
    check(TenancySettings(**settings), {})


def test_on_cloud_run_it_must_be_said_who_vouches_when_a_header_decides() -> None:
    cloud_run = {"K_SERVICE": "notebook"}
    for source, said in (("header", "the X-Tenant-ID header"), ("host", "the host")):
        with pytest.raises(ConfigurationError, match=said) as caught:
            check(TenancySettings(source=source), cloud_run)
        assert "gateway, claim, or none" in caught.value.hint
    check(TenancySettings(vouched_by="none"), cloud_run)
    check(TenancySettings(source="path"), cloud_run)
    check(TenancySettings(**CLAIM), cloud_run)


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(TypeError):
        TenancySettings(sauce="header")  # type: ignore[call-arg]
