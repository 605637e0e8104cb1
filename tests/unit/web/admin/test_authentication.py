from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import anyio
import pytest
from pydantic import BaseModel

from pointsman import Candidate, Runtime, Settings, Use, provides
from pointsman.adapters.identity.protocol import IDENTITY
from pointsman.errors import ConfigurationError, IdentityError, ProviderUnavailable
from pointsman.manifests.schema import Order
from pointsman.resolution.contribution import Contribution
from pointsman.runtime.inputs import ManifestInput
from pointsman.web.admin.authentication import Caller, Gatekeeper
from pointsman.web.admin.image import ImageIdentities
from pointsman.web.admin.settings import AdminSettings

TOKEN, OTHER = "o" * 43, "p" * 43
Made = Callable[..., Any]


class DirectorySettings(BaseModel, extra="forbid"):
    audience: tuple[str, ...] = ()
    down: bool = False


class Directory:
    """Believes ``genuine:<email>``, and tells everything else what a test wants to see."""

    closed = 0

    def __init__(self, settings: DirectorySettings) -> None:
        self.settings = settings

    async def verify_token(self, token: str) -> dict[str, Any]:
        if self.settings.down:
            raise ProviderUnavailable("the directory is down.")
        kind, _, rest = token.partition(":")
        match kind:
            case "genuine":
                return {"email": rest, "sub": "7", "aud": self.settings.audience, "groups": ["sre", 7]}
            case "unverified":
                return {"email": rest, "email_verified": False, "aud": list(self.settings.audience)}
            case "nameless":
                return {"groups": ["sre"], "aud": self.settings.audience}
            case "kelvin":
                return {"email": "\u212aate@other.example", "sub": "8"}
            case "unlisted":
                raise IdentityError("Another account.", status=403)
            case "slow":
                await anyio.sleep_forever()
        raise IdentityError("The signature is not theirs.", hint="Sign it.")

    async def aclose(self) -> None:
        type(self).closed += 1


def directory(provider: str = "corporate") -> Candidate:
    return Candidate(*IDENTITY, provider, Directory, settings_model=DirectorySettings)


def by_token(token: str = TOKEN, **more: Any) -> dict[str, Any]:
    return {"token_sha256": sha256(token.encode()).hexdigest(), **more}


def by_identity(**more: Any) -> dict[str, Any]:
    return {"identity": "corporate", "operators": ["oncall@*"], "viewers": ["*@words.example"], **more}


def bearer(token: str, header: str = "authorization") -> list[tuple[bytes, bytes]]:
    return [(header.encode(), f"Bearer {token}".encode("latin-1"))]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@asynccontextmanager
async def keeping(
    *authenticators: dict[str, Any], include: Any = (), seldom: Any = None, admin: Any = None, **sections: Any
) -> AsyncGenerator[tuple[Gatekeeper, Runtime]]:
    given = {"authenticators": list(authenticators), **(admin or {})}
    settings = Settings.load(environ={}, admin=given, **sections)
    runtime = Runtime(settings, include=[directory(), *include], plugins=False)
    keeper = Gatekeeper(runtime, settings.section(AdminSettings), seldom or (lambda _event, **_fields: None))
    async with runtime:
        try:
            yield keeper, runtime
        finally:
            await keeper.aclose()


async def caller_of(token: str, *authenticators: dict[str, Any], **more: Any) -> Caller:
    async with keeping(*authenticators, **more) as (keeper, _):
        return await keeper.caller(bearer(token))


# --- tokens ---


async def test_a_token_is_known_by_its_digest_and_named_by_its_place() -> None:
    assert await caller_of(OTHER, by_token(role="viewer"), by_token(OTHER)) == Caller("token-2", "operator")
    assert await caller_of(TOKEN, by_token(role="viewer", name="eyes")) == Caller("eyes", "viewer")


async def test_the_digest_of_a_password_lets_nobody_in() -> None:
    with pytest.raises(IdentityError):
        await caller_of("hunter2", by_token("hunter2"))


async def test_a_header_that_comes_twice_proves_nothing() -> None:
    async with keeping(by_token()) as (keeper, _):
        with pytest.raises(IdentityError):
            await keeper.caller(bearer(TOKEN) * 2)


async def test_a_token_without_end_proves_nothing() -> None:
    with pytest.raises(IdentityError):
        await caller_of("o" * 20_000, by_token(), by_identity())


async def test_a_digest_is_read_from_a_secret_and_again_after_its_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_TOKEN", by_token()["token_sha256"] + "\n")
    async with keeping({"token_sha256": "${secret:OPS_TOKEN}"}) as (keeper, runtime):
        assert (await keeper.caller(bearer(TOKEN))).role == "operator"
        monkeypatch.setenv("OPS_TOKEN", by_token(OTHER)["token_sha256"])
        await runtime.rotate(["OPS_TOKEN"])
        assert (await keeper.caller(bearer(OTHER))).role == "operator"
        with pytest.raises(IdentityError):
            await keeper.caller(bearer(TOKEN))


@pytest.mark.parametrize("value", [None, "no digest"])
async def test_a_digest_that_cannot_be_had_keeps_nobody_else_out(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    told: list[str] = []
    if value is not None:
        monkeypatch.setenv("OPS_TOKEN", value)
    secret = {"token_sha256": "${secret:OPS_TOKEN}"}
    async with keeping(secret, by_token(OTHER), seldom=lambda event, **_: told.append(event)) as (keeper, _):
        assert (await keeper.caller(bearer(OTHER))).role == "operator"
        assert told == []
        with pytest.raises(ProviderUnavailable) as caught:
            await keeper.caller(bearer(TOKEN))
    assert told == ["admin.authenticator-failed"]
    assert "OPS_TOKEN" not in str(caught.value)


# --- identities ---


@pytest.mark.parametrize(
    ("token", "role"),
    [
        ("genuine:oncall@words.example", "operator"),
        ("genuine:OnCall@Words.Example", "operator"),
        ("genuine:intern@words.example", "viewer"),
        ("genuine:intern@words.example.evil", None),
        ("genuine:intern@wordsxexample", None),
        ("kelvin:", None),
        ("unverified:oncall@words.example", None),
        ("unlisted:", None),
    ],
)
async def test_a_claim_is_held_against_the_lists(token: str, role: str | None) -> None:
    assert (await caller_of(token, by_identity(viewers=["*@words.example", "kate@*"]))).role == role


async def test_brackets_and_question_marks_in_a_pattern_mean_themselves() -> None:
    assert (await caller_of("genuine:a@x", by_identity(operators=["[a-z]@x", "?@x"], viewers=[]))).role is None
    assert (await caller_of("genuine:?@x", by_identity(operators=["?@x"]))).role == "operator"


async def test_a_group_lets_in_and_the_audit_names_the_person() -> None:
    found = await caller_of("genuine:eve@words.example", by_identity(claim="groups", operators=["sre"], viewers=[]))
    assert found == Caller("corporate:eve@words.example", "operator")
    nameless = await caller_of("nameless:", by_identity(claim="groups", operators=["sre"], viewers=[]))
    assert nameless == Caller("corporate:unnamed", "operator")


async def test_a_name_that_no_log_could_show_is_refused() -> None:
    with pytest.raises(IdentityError):
        await caller_of("genuine:" + "e" * 300, by_identity())
    with pytest.raises(IdentityError):
        await caller_of("genuine:eve\u00ad@x", by_identity())


async def test_a_provider_is_told_its_audience_and_the_claim_must_name_it() -> None:
    ours = by_identity(audience="https://words.example")
    theirs = by_identity(audience="https://other.example", header="X-Other")
    assert (await caller_of("genuine:oncall@x", ours, theirs)).role == "operator"
    told = {"provider_settings": {"identity/corporate": {"audience": ["https://elsewhere.example"]}}}
    with pytest.raises(IdentityError):
        await caller_of("genuine:oncall@x", ours, adapters=told)


async def test_a_provider_that_takes_no_audience_is_told_none() -> None:
    @provides(IDENTITY, "plain")
    class Plain:
        async def verify_token(self, token: str) -> dict[str, Any]:
            return {"email": token, "aud": "https://words.example"}

    plain = by_identity(identity="plain", audience="https://words.example")
    assert (await caller_of("oncall@x", plain, include=[Plain])).role == "operator"


async def test_a_token_is_read_from_its_own_header_with_or_without_bearer() -> None:
    async with keeping(by_identity(header="X-Corporate-Token")) as (keeper, _):
        for value in (b"genuine:oncall@x", b"Bearer genuine:oncall@x"):
            assert (await keeper.caller([(b"x-corporate-token", value)])).role == "operator"
        with pytest.raises(IdentityError):
            await keeper.caller(bearer("genuine:oncall@x"))


async def test_the_first_authenticator_that_knows_a_role_decides() -> None:
    viewers = by_identity(operators=[], viewers=["*"])
    assert (await caller_of("genuine:oncall@x", viewers, by_identity())).role == "viewer"
    nobody = by_identity(operators=["nobody"], viewers=[])
    assert (await caller_of("genuine:oncall@x", nobody, by_identity())).role == "operator"


async def test_the_hint_of_a_provider_reaches_whoever_is_turned_away() -> None:
    with pytest.raises(IdentityError) as caught:
        await caller_of("forged:x", by_token(), by_identity())
    assert (caught.value.status, caught.value.hint) == (401, "Sign it.")
    assert "Authorization" in str((await _refused()).value)


async def _refused() -> pytest.ExceptionInfo[IdentityError]:
    async with keeping(by_token(), by_identity()) as (keeper, _):
        with pytest.raises(IdentityError) as caught:
            await keeper.caller([])
    return caught


async def test_a_provider_that_is_down_keeps_no_token_out_and_is_503_for_others() -> None:
    down = {"provider_settings": {"identity/corporate": {"down": True}}}
    assert (await caller_of(TOKEN, by_identity(), by_token(), adapters=down)).role == "operator"
    with pytest.raises(ProviderUnavailable):
        await caller_of("genuine:oncall@x", by_identity(), by_token(), adapters=down)


async def test_a_provider_that_hangs_is_given_up() -> None:
    with pytest.raises(ProviderUnavailable):
        await caller_of("slow:", by_identity(), admin={"verify_timeout_s": 0.01})


async def test_a_tenants_genuine_token_is_somebody_without_a_role() -> None:
    tenancy = {"source": "claim", "identity": "tenants", "claim": "org"}
    found = await caller_of("genuine:user@acme", by_token(), include=[directory("tenants")], tenancy=tenancy)
    assert found == Caller("tenants:user@acme", None)
    with pytest.raises(IdentityError):
        await caller_of("forged:", by_token(), include=[directory("tenants")], tenancy=tenancy)


# --- the image alone ---


async def test_a_provider_that_nobody_registers_stops_the_start() -> None:
    with pytest.raises(ConfigurationError) as caught:
        async with keeping(by_identity(identity="corporat")):
            pass
    assert "admin.authenticators" in str(caught.value)


def evil() -> str:
    return "oncall@evil"


def manifest(*candidates: Candidate, **more: Any) -> ManifestInput:
    from datetime import UTC, datetime, timedelta

    return ManifestInput(Contribution(candidates, **more), 1, "a" * 64, datetime.now(UTC) + timedelta(days=1))


async def test_no_manifest_and_no_order_says_who_operates() -> None:
    @provides(IDENTITY, "standing")
    class Standing:
        def __init__(self, directory: Annotated[Any, Use("service", "directory")]) -> None:
            self.directory = directory

        async def verify_token(self, token: str) -> dict[str, Any]:
            return {"email": self.directory}

    include = [Standing, Candidate("service", "directory", "ours", lambda: "oncall@x")]
    async with keeping(by_identity(identity="standing"), include=include) as (keeper, runtime):
        theirs = Candidate("service", "directory", "theirs", evil, priority=100)
        forged = Candidate(*IDENTITY, "standing", evil, priority=100)
        await runtime.intake.take_manifest(manifest(theirs, forged))
        pause = Order(op="p", kind="pause", tenants="*", cseq=1)
        use = Order(op="u", kind="use", tenants="*", value="theirs", cseq=2)
        await runtime.intake.take_overrides({"adapter/identity": (pause,), "service/directory": (pause, use)})
        assert await keeper.caller(bearer("x")) == Caller("standing:oncall@x", "operator")


async def test_the_image_may_say_more_later_and_instances_are_closed_in_the_end() -> None:
    before = Directory.closed
    async with keeping(by_identity()) as (keeper, runtime):
        assert (await keeper.caller(bearer("genuine:oncall@x"))).role == "operator"
        runtime.resolver.register(Candidate("service", "more", "late", lambda: 1))
        assert (await keeper.caller(bearer("genuine:oncall@x"))).role == "operator"
    assert Directory.closed > before


async def test_an_identity_replaced_for_a_test_is_replaced_here_too() -> None:
    from pointsman.testing import override

    class Everybody:
        async def verify_token(self, _token: str) -> dict[str, Any]:
            return {"email": "oncall@x"}

    async with keeping(by_identity()) as (keeper, runtime):
        with override(runtime, IDENTITY, Everybody()):
            assert (await keeper.caller(bearer("whatever"))).role == "operator"


async def test_identities_without_a_name_are_none() -> None:
    async with keeping(by_token()) as (_, runtime):
        none = ImageIdentities(runtime, {}, 1.0)
        await none.aclose()
