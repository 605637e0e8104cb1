"""Attacks 68 to 73 and 88: ways into the operators' routes, and ways round them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest

from pointsman import Candidate, Pointsman, Settings, Use, provides
from pointsman.adapters.identity.protocol import IDENTITY
from pointsman.errors import IdentityError
from pointsman.observability.events import Event
from pointsman.testing import serving

OPERATOR, VIEWER, SECRET = "o" * 43, "v" * 43, "hunter2-hunter2"
PAUSE = {"domain": "service", "key": "word", "reason": "drill", "reach": "replica"}


@provides(IDENTITY, "corporate")
class Corporate:
    async def verify_token(self, token: str) -> dict[str, Any]:
        if not token.startswith("genuine:"):
            raise IdentityError("The signature is not theirs.")
        return {"email": token.partition(":")[2], "aud": "https://words.example", "groups": ["sre"]}


def leaking() -> str:
    raise RuntimeError(f"cannot log in with {SECRET}")


def application(**admin: Any) -> Pointsman:
    digests = {token: sha256(token.encode()).hexdigest() for token in (OPERATOR, VIEWER)}
    settings = Settings.load(
        service="words",
        environment="development",
        tenancy={"source": "path"} if admin.pop("by_path", False) else {},
        admin={
            "authenticators": [
                {"token_sha256": digests[OPERATOR], "name": "ops"},
                {"token_sha256": digests[VIEWER], "role": "viewer", "name": "eyes"},
                {
                    "identity": "corporate",
                    "audience": "https://words.example",
                    "operators": ["oncall@*"],
                    "viewers": ["*@words.example"],
                },
            ],
            **admin,
        },
    )
    app = Pointsman(settings, include=[Corporate, Candidate("service", "word", "plain", lambda: "word")])
    app.include(Candidate("service", "word", "leaking", leaking, priority=-1))

    @app.get("/word")
    async def word(its: Annotated[str, Use("service", "word")]) -> str:
        return its

    return app


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def app() -> Pointsman:
    return application(allowed_hosts=["testserver"], allowed_origins=["https://console.words.example"])


@pytest.fixture
async def client(app: Pointsman) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(app) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": f"Basic {OPERATOR}"},
        bearer(""),
        bearer(OPERATOR[:-1]),
        bearer(f"{OPERATOR}o"),
        bearer(sha256(OPERATOR.encode()).hexdigest()),
        bearer("forged:oncall@words.example"),
    ],
)
async def test_a68_whoever_proves_nothing_is_401(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    for answer in (
        await client.get("/admin/components", headers=headers),
        await client.post("/admin/pause", json=PAUSE, headers=headers),
    ):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert (await client.get("/word")).status_code == 200


@pytest.mark.parametrize("token", [VIEWER, "genuine:intern@words.example", "genuine:stranger@other.example"])
async def test_a68_who_may_not_change_is_403(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.post("/admin/pause", json=PAUSE, headers=bearer(token))
    assert answer.status_code == 403
    assert (await client.get("/word")).status_code == 200


async def test_a68_an_identity_of_the_image_lets_its_operators_in(client: httpx.AsyncClient) -> None:
    answer = await client.post("/admin/pause", json=PAUSE, headers=bearer("genuine:oncall@words.example"))
    assert answer.status_code == 200
    seen = await client.get("/admin/components", headers=bearer("genuine:intern@words.example"))
    assert seen.status_code == 200


async def test_a69_looking_never_changes_and_a_form_is_no_command(client: httpx.AsyncClient) -> None:
    for verb in ("pause", "resume", "drain", "swap", "unswap", "refresh"):
        answer = await client.get(f"/admin/{verb}", headers=bearer(OPERATOR))
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    plain = bearer(OPERATOR) | {"Content-Type": "text/plain"}
    answer = await client.post("/admin/pause", content=b'{"domain": "service"}', headers=plain)
    assert answer.status_code == 415
    answer = await client.post("/admin/pause", data={"domain": "service"}, headers=bearer(OPERATOR))
    assert answer.status_code == 415


async def test_a71_no_secret_is_in_an_answer_or_an_event(app: Pointsman, client: httpx.AsyncClient) -> None:
    heard: list[Event] = []
    app.runtime.events.subscribe(heard.append)
    app.runtime.scrubber.remember(SECRET)
    swap = {**PAUSE, "provider": "leaking"}
    answer = await client.post("/admin/swap", json=swap, headers=bearer(OPERATOR))
    assert answer.status_code == 422
    looked = ("components", "health?probe=true", "manifest", "explain/service/word", "activity")
    pages = [answer.text, *[(await client.get(f"/admin/{one}", headers=bearer(OPERATOR))).text for one in looked]]
    assert heard
    assert SECRET not in "".join(pages) + str(heard)


@pytest.mark.parametrize("path", ["//admin/components", "/admin//components", "/ADMIN/components", "/x/../admin"])
async def test_a72_there_is_no_way_round_by_another_spelling(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"http://testserver{path}")
    assert answer.status_code in {401, 404}
    escaped = await client.get("http://testserver/%61dmin/components")
    assert escaped.status_code == 401


async def test_a72_a_tenant_in_the_path_opens_no_door() -> None:
    async with serving(application(by_path=True)) as client:
        assert (await client.get("/acme/admin/components")).status_code == 404
        assert (await client.get("/admin/components")).status_code == 401
        assert (await client.get("/acme/word")).status_code == 200


async def test_a73_every_command_leaves_a_record_done_or_denied(app: Pointsman, client: httpx.AsyncClient) -> None:
    heard: list[Event] = []
    app.runtime.events.subscribe(heard.append)
    await client.post("/admin/pause", json=PAUSE, headers=bearer(OPERATOR))
    await client.post("/admin/pause", json={**PAUSE, "key": "wrod"}, headers=bearer(OPERATOR))
    await client.post("/admin/pause", json=PAUSE, headers=bearer(VIEWER))
    commands = [(event.name, event.fields.get("who")) for event in heard if event.name.startswith(("control", "admin"))]
    assert ("control.command", "ops") in commands
    assert ("admin.refused", "ops") in commands
    assert ("admin.refused", "eyes") in commands


async def test_a88_a_foreign_page_or_a_rebound_name_cannot_use_a_token(client: httpx.AsyncClient) -> None:
    foreign = bearer(OPERATOR) | {"Origin": "https://evil.example"}
    assert (await client.post("/admin/pause", json=PAUSE, headers=foreign)).status_code == 403
    for origin in ("http://testserver", "https://console.words.example"):
        answer = await client.post("/admin/resume", json=PAUSE, headers=bearer(OPERATOR) | {"Origin": origin})
        assert answer.status_code == 200
    rebound = bearer(OPERATOR) | {"Host": "evil.example"}
    assert (await client.get("/admin/components", headers=rebound)).status_code == 421


async def test_a88_ten_thousand_anonymous_denials_are_one_line(app: Pointsman, client: httpx.AsyncClient) -> None:
    heard: list[Event] = []
    app.runtime.events.subscribe(heard.append)
    for _ in range(300):
        assert (await client.get("/admin/components")).status_code == 401
    assert len([event for event in heard if event.name == "admin.denied"]) <= 3


async def test_without_an_authenticator_nothing_is_mounted() -> None:
    async with serving(application(authenticators=[])) as client:
        assert (await client.get("/admin/components", headers=bearer(OPERATOR))).status_code == 404


async def test_a_body_over_its_cap_is_413(client: httpx.AsyncClient) -> None:
    answer = await client.post("/admin/pause", json={**PAUSE, "reason": "x" * 70_000}, headers=bearer(OPERATOR))
    assert answer.status_code == 413
