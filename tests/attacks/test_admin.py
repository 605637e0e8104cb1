"""Attacks 46, 48, 68 to 73, 87 and 88: ways into the operators' routes, and ways round them."""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import anyio
import httpx
import pytest
import respx
from joserfc import jwt
from joserfc.jwk import RSAKey
from pydantic import BaseModel

from pointsman import Candidate, Pointsman, Settings, Use, provides
from pointsman.adapters.identity.protocol import IDENTITY
from pointsman.errors import IdentityError
from pointsman.observability.events import Event
from pointsman.testing import serving
from tests.unit.web.admin.founding import founded

OPERATOR, VIEWER, SECRET = "o" * 43, "v" * 43, "hunter2-hunter2"
BY_CLAIM = {"source": "claim", "identity": "corporate", "claim": "email"}
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
        tenancy={"source": "path"} if admin.pop("by_path", False) else admin.pop("tenancy", {}),
        control=admin.pop("control", {}),
        services=admin.pop("services", {}),
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


# --- identities of the image ---


@pytest.fixture(scope="module")
def google_key() -> RSAKey:
    return RSAKey.generate_key(2048)


@pytest.fixture
def published(google_key: RSAKey) -> Iterator[respx.Route]:
    public = google_key.as_dict(private=False) | {"kid": "k1", "alg": "RS256", "use": "sig"}
    with respx.mock(assert_all_called=False) as router:
        yield router.get(GOOGLE).mock(return_value=httpx.Response(200, json={"keys": [public]}))


def of_google(key: RSAKey, *, key_id: str = "k1", **claims: Any) -> str:
    now = int(time.time())
    told = {
        "iss": "https://accounts.google.com", "aud": "https://words.example", "sub": "1", "iat": now - 10,
        "exp": now + 600, "email": "oncall@words.example", "email_verified": True, **claims,
    }  # fmt: skip
    return jwt.encode({"alg": "RS256", "kid": key_id}, told, key)


GOOGLE = "https://www.googleapis.com/oauth2/v3/certs"
BY_GOOGLE = {
    "identity": "google",
    "audience": "https://words.example",
    "operators": ["oncall@words.example"],
    "viewers": ["*@words.example"],
}
FORGERIES: dict[str, Callable[[RSAKey], str]] = {
    "expired": lambda key: of_google(key, exp=int(time.time()) - 60),
    "wrong audience": lambda key: of_google(key, aud="https://other.example"),
    "wrong issuer": lambda key: of_google(key, iss="https://evil.example"),
    "alg=none": lambda key: f"{NO_ALGORITHM}.{of_google(key).split('.')[1]}.",
    "signature removed": lambda key: f"{of_google(key).rpartition('.')[0]}.SIGNATURE_REMOVED_BY_GOOGLE",
    "another's key": lambda _: of_google(RSAKey.generate_key(2048)),
    "none": lambda _: "",
}
NO_ALGORITHM = urlsafe_b64encode(b'{"alg":"none","kid":"k1"}').rstrip(b"=").decode()


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a68_a_token_of_google_that_proves_nothing_is_401(
    google_key: RSAKey, published: respx.Route, forgery: str
) -> None:
    async with serving(application(authenticators=[BY_GOOGLE])) as client:
        answer = await client.post("/admin/pause", json=PAUSE, headers=bearer(FORGERIES[forgery](google_key)))
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        if forgery == "signature removed":
            assert "X-Serverless-Authorization" in answer.json()["detail"]
        genuine = bearer(of_google(google_key))
        assert (await client.post("/admin/pause", json=PAUSE, headers=genuine)).status_code == 200


async def test_a87_a_genuine_token_of_a_foreign_account_is_403(google_key: RSAKey, published: respx.Route) -> None:
    async with serving(application(authenticators=[BY_GOOGLE])) as client:
        foreign = bearer(of_google(google_key, email="bot@evil.iam.gserviceaccount.com"))
        for answer in (
            await client.post("/admin/pause", json=PAUSE, headers=foreign),
            await client.get("/admin/components", headers=foreign),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        viewer = bearer(of_google(google_key, email="intern@words.example"))
        assert (await client.post("/admin/pause", json=PAUSE, headers=viewer)).status_code == 403
        assert (await client.get("/admin/components", headers=viewer)).status_code == 200


async def test_a87_a_flood_of_unknown_keys_is_one_fetch(google_key: RSAKey, published: respx.Route) -> None:
    async with serving(application(authenticators=[BY_GOOGLE])) as client:

        async def attack(number: int) -> None:
            forged = bearer(of_google(google_key, key_id=f"forged-{number}"))
            assert (await client.get("/admin/components", headers=forged)).status_code == 401

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(attack, number)
    assert published.call_count == 1


async def test_a68_a_tenants_token_is_403() -> None:
    app = application(authenticators=[{"token_sha256": sha256(OPERATOR.encode()).hexdigest()}], tenancy=BY_CLAIM)
    async with serving(app) as client:
        tenants = bearer("genuine:user@acme.example")
        assert (await client.get("/admin/components", headers=tenants)).status_code == 403
        assert (await client.post("/admin/pause", json=PAUSE, headers=tenants)).status_code == 403
        assert (await client.get("/admin/components", headers=bearer(OPERATOR))).status_code == 200


async def test_a_pause_of_what_authenticates_locks_no_operator_out(client: httpx.AsyncClient) -> None:
    oncall = bearer("genuine:oncall@words.example")
    pause = {**PAUSE, "domain": "adapter", "key": "identity"}
    assert (await client.post("/admin/pause", json=pause, headers=oncall)).status_code == 200
    assert (await client.post("/admin/resume", json=pause, headers=oncall)).status_code == 200


# --- a fleet ---


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Two replicas of one fleet."""
    store = await founded(tmp_path)
    async with (
        serving(application(control={"store": store})) as first,
        serving(application(control={"store": store})) as second,
    ):
        for one in (first, second):
            one.headers.update(bearer(OPERATOR))
        yield first, second


FLEET_PAUSE = {**PAUSE, "reach": "fleet"}
Pair = tuple[httpx.AsyncClient, httpx.AsyncClient]


async def together(pair: Pair, body: dict[str, Any], headers: dict[str, str]) -> list[httpx.Response]:
    answers: list[httpx.Response] = []

    async def send(one: httpx.AsyncClient) -> None:
        answers.append(await one.post("/admin/pause", json=body, headers=headers))

    async with anyio.create_task_group() as tasks:
        for one in pair:
            tasks.start_soon(send, one)
    return sorted(answers, key=lambda answer: answer.status_code)


async def test_a46_of_two_operators_at_once_one_is_told_where_it_stands_now(pair: Pair) -> None:
    done, lost = await together(pair, FLEET_PAUSE, {"If-Match": '"s0"'})
    assert (done.status_code, lost.status_code, lost.json()["code"]) == (202, 412, "stale")
    assert '"s1"' in lost.json()["detail"]


async def test_a48_one_key_at_once_on_two_replicas_is_one_command(pair: Pair) -> None:
    answers = await together(pair, FLEET_PAUSE, {"Idempotency-Key": "drill-1"})
    assert [answer.status_code for answer in answers] == [202, 202]
    assert len({(answer.json()["operation"], answer.json()["cseq"]) for answer in answers}) == 1
    other = await pair[0].post("/admin/pause", json={**FLEET_PAUSE, "ttl_s": 5}, headers={"Idempotency-Key": "drill-1"})
    assert other.status_code == 422


async def test_a70_a_stale_if_match_is_412_and_changes_nothing(pair: Pair) -> None:
    first, second = pair
    await first.post("/admin/pause", json=FLEET_PAUSE)
    stale = await second.post("/admin/resume", json=FLEET_PAUSE, headers={"If-Match": '"s0"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    now = (await second.get("/admin/control")).headers["etag"]
    assert (await second.post("/admin/resume", json=FLEET_PAUSE, headers={"If-Match": now})).status_code == 202
    for wrong in ("s1, s2", 'W/"s1"', "1"):
        answer = await first.post("/admin/resume", json=FLEET_PAUSE, headers={"If-Match": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["name"]) == (422, "If-Match")


async def test_a73_done_denied_and_refused_are_in_the_journal_and_anonymous_ones_are_not(
    pair: Pair, tmp_path: Path
) -> None:
    first, second = pair
    await first.post("/admin/pause", json=FLEET_PAUSE)
    await first.post("/admin/pause", json=FLEET_PAUSE, headers=bearer(VIEWER))
    await first.post("/admin/pause", json=FLEET_PAUSE, headers=bearer("genuine:user@acme.example"))
    await first.post("/admin/pause", json={**FLEET_PAUSE, "key": "wrod"})
    await first.post("/admin/pause", content=b"domain=service", headers={"Content-Type": "text/plain"})
    records = (await second.get("/admin/audit")).json()
    assert {(one["who"], one["end"].get("code", "done")) for one in records} == {
        ("ops", "done"),
        ("eyes", "forbidden"),
        ("corporate:user@acme.example", "forbidden"),
        ("ops", "unknown-component"),
        ("ops", "unsupported-media-type"),
    }
    objects = sorted((tmp_path / "fleet").rglob("begin*"))
    for _ in range(100):
        await first.post("/admin/pause", json=FLEET_PAUSE, headers=bearer("forged:eve"))
    assert sorted((tmp_path / "fleet").rglob("begin*")) == objects


# --- secrets, and other ways ---


class Keyed(BaseModel):
    password: str


def locked(settings: Keyed) -> str:
    raise RuntimeError(f"refused: {settings.password!r}, {settings.password.encode().hex()[:0]}{settings}")


async def test_a71_a_secret_seeded_into_settings_is_seen_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WORD_PASSWORD", SECRET)
    said = {"provider_settings": {"word/locked": {"password": "${secret:WORD_PASSWORD}"}}}
    app = application(services=said)
    app.include(Candidate("service", "word", "locked", locked, priority=-5))
    async with serving(app) as client:
        client.headers.update(bearer(OPERATOR))
        heard: list[Event] = []
        app.runtime.events.subscribe(heard.append)
        answers = [
            await client.post("/admin/swap", json={**PAUSE, "provider": "locked"}),
            await client.post("/admin/swap?dry_run=true", json={**PAUSE, "provider": "locked"}),
            await client.post("/admin/pause", json={**PAUSE, "reason": f"the password is {SECRET}"}),
        ]
        looks = (
            "components", "health?probe=true", "manifest", "activity", "audit", "explain/service/word?provider=locked",
        )  # fmt: skip
        answers += [await client.get(f"/admin/{one}") for one in looks]
    assert answers[0].status_code == 422
    assert [answer.text for answer in answers if SECRET in answer.text] == []
    assert [event for event in heard if event.fields.get("error") and SECRET in str(event.fields["error"])] == []
    assert SECRET not in caplog.text


async def test_a72_behind_a_root_path_the_same_door_is_shut() -> None:
    app = application()
    async with serving(app):
        transport = httpx.ASGITransport(app, root_path="/svc")
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            for path in ("/svc/admin/components", "/admin/components", "/svc/%61dmin/components"):
                assert (await client.get(path)).status_code in {401, 404}
            assert (await client.get("/svc/admin/components", headers=bearer(OPERATOR))).status_code == 200
            for path in ("/svc//admin/components", "//svc/admin/components", "/svc/svc/admin/components"):
                answer = await client.get(f"http://testserver{path}", headers=bearer(OPERATOR))
                assert answer.status_code == 404


async def test_a88_a_page_of_nobody_is_a_foreign_page(client: httpx.AsyncClient) -> None:
    for origin in ("null", "https://testserver.evil.example", "https://testserver:8443"):
        answer = await client.get("/admin/components", headers=bearer(OPERATOR) | {"Origin": origin})
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign-origin")
