from __future__ import annotations

from typing import Any

import httpx
import pytest

from pointsman import Candidate, Pointsman, Runtime
from pointsman.control.commands import Command, Outcome
from pointsman.errors import (
    ComponentsClosed,
    ConfigurationError,
    ManifestPending,
    NoCatalog,
    NotFound,
    OutcomeUnknown,
    Stale,
    TenantError,
    Unavailable,
)
from pointsman.observability.events import Event
from pointsman.testing import serving
from pointsman.web.admin.application import Admin
from pointsman.web.admin.operator import Alone
from pointsman.web.admin.settings import AdminSettings

BODY = {"domain": "service", "key": "word", "reason": "drill"}
OPERATOR, VIEWER = "o" * 43, "v" * 43


class Stub(Alone):
    """A fleet that answers what a test says."""

    def __init__(self, runtime: Runtime, answer: Exception | Outcome) -> None:
        super().__init__(runtime)
        self.answer = answer
        self.ran: list[Command] = []
        self.refreshed = 0

    async def run(self, command: Command) -> Outcome:
        self.ran.append(command)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def refresh(self, *, hint: bool = False) -> None:
        self.refreshed += 1


def client_of(admin: Any, token: str = OPERATOR) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(admin, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers)


def stubbed(app: Pointsman, answer: Exception | Outcome) -> tuple[Stub, httpx.AsyncClient]:
    stub = Stub(app.runtime, answer)
    section = app.runtime.settings.section(AdminSettings)
    return stub, client_of(Admin(app.runtime, section, fleet=lambda: stub))  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("error", "status", "code", "retry"),
    [
        (Stale("moved"), 412, "stale", None),
        (ManifestPending("other manifest"), 503, "manifest-pending", "5"),
        (Unavailable("Nothing changed, nothing was sent.", sent=False), 503, "store-unavailable", "1"),
        (OutcomeUnknown("may be"), 503, "outcome-unknown", "1"),
        (ConfigurationError("settings do not fit"), 422, "configuration", None),
        (TenantError("needs a tenant"), 422, "tenant", None),
        (NoCatalog("starting"), 503, "no-catalog", "1"),
        (ComponentsClosed("stopping"), 500, "components-closed", None),
    ],
)
async def test_every_refusal_has_its_problem(
    app: Pointsman, error: Exception, status: int, code: str, retry: str | None
) -> None:
    stub, client = stubbed(app, error)
    answer = await client.post("/swap", json={**BODY, "provider": "loud"}, headers={"If-Match": '"s3"'})
    found = answer.json()
    assert (answer.status_code, found["code"], answer.headers.get("retry-after")) == (status, code, retry)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (found["instance"], "detail" in found) == ("/swap", True)
    assert stub.ran[0].if_match == '"s3"'


async def test_who_sent_no_condition_lost_a_race(app: Pointsman) -> None:
    _, client = stubbed(app, Stale("moved"))
    answer = await client.post("/swap", json={**BODY, "provider": "loud", "weight_bp": 5})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_a_misspelt_rehearsal_is_no_command(app: Pointsman, client: httpx.AsyncClient) -> None:
    for query in ("dryrun=true", "dry_run=treu", "dry_run=true&dry_run=false"):
        answer = await client.post(f"/admin/pause?{query}", json={**BODY, "reach": "replica"})
        assert (answer.status_code, answer.json()["errors"][0]["in"]) == (422, "query")
    assert (await client.get("/word")).status_code == 200
    assert (await client.get("/admin/explain/service/word?tennant=acme")).status_code == 422


async def test_a_rehearsed_refresh_looks_and_does_nothing(app: Pointsman) -> None:
    stub, client = stubbed(app, NotFound("none"))
    assert (await client.post("/refresh?dry_run=true", json={})).status_code == 200
    assert stub.refreshed == 0
    assert (await client.post("/refresh", json={"reason": "a push was lost"})).status_code == 200
    assert stub.refreshed == 1
    assert (await client.post("/refresh", json={"colour": "red"})).status_code == 422


async def test_every_answer_is_labelled_and_kept_by_nobody(client: httpx.AsyncClient) -> None:
    for answer in (await client.get("/admin/components"), await client.get("/admin/nowhere")):
        assert answer.headers["x-pointsman-catalog"] == "0.0"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_answer_is_plain_ascii(client: httpx.AsyncClient) -> None:
    answer = await client.get("/admin/explain/service/word", params={"tenant": "a\u202eb\x1b[2J"})
    assert answer.content.isascii()
    assert b"\x1b" not in answer.content
    assert answer.json()["tenant"] == "a\u202eb\x1b[2J"


async def test_without_a_lifespan_an_operators_request_starts_the_runtime(app: Pointsman) -> None:
    client = client_of(app)
    assert app.runtime.state == "starting"
    assert (await client.get("/admin/components")).status_code == 200
    assert app.runtime.state == "serving"
    await app._life.stop()


async def test_a_start_that_fails_tells_the_public_nothing(app: Pointsman) -> None:
    async def failing() -> None:
        raise ConfigurationError("adapters.yml, line 3: a mistake", hint="Mend it.")

    section = app.runtime.settings.section(AdminSettings)
    client = client_of(Admin(app.runtime, section, fleet=lambda: None, prompt=failing))
    answer = await client.get("/components")
    assert answer.status_code == 500
    assert "line 3" not in answer.text


async def test_a_fault_of_ours_is_an_alarm_and_tells_nothing(app: Pointsman) -> None:
    heard: list[Event] = []
    app.runtime.events.subscribe(heard.append)
    _, client = stubbed(app, RuntimeError("an accident"))
    answer = await client.post("/pause", json=BODY)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert "accident" not in answer.text
    assert [event.alarm for event in heard if event.name == "admin.failed"] == [True]


async def test_a_websocket_is_closed(app: Pointsman) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    admin = Admin(app.runtime, app.runtime.settings.section(AdminSettings), fleet=lambda: None)
    await admin({"type": "websocket", "path": "/admin"}, None, send)  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]
    await admin.aclose()


async def test_a_client_that_goes_away_in_the_middle_of_a_body_changes_nothing(app: Pointsman) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {OPERATOR}".encode()), (b"content-type", b"application/json")]
    scope = {
        "type": "http", "method": "POST", "path": "/admin/pause", "raw_path": b"/admin/pause", "root_path": "/admin",
        "query_string": b"", "headers": headers,
    }  # fmt: skip
    admin = Admin(app.runtime, app.runtime.settings.section(AdminSettings), fleet=lambda: None)
    await admin(scope, receive, send)
    assert (sent, app.runtime.points.inputs.overrides) == ([], {})


@pytest.mark.parametrize("operation", ["..", "a.b", "x" * 65, "-/end"])
async def test_a_name_that_is_no_operation_reads_nothing(app: Pointsman, operation: str) -> None:
    stub, client = stubbed(app, NotFound("none"))
    assert (await client.get(f"/operations/{operation.replace('/', '%2F')}")).status_code == 404
    assert stub.ran == []


async def test_the_record_of_a_command_for_this_replica_is_shown(client: httpx.AsyncClient) -> None:
    done = await client.post("/admin/pause", json={**BODY, "reach": "replica"}, headers={"Idempotency-Key": "k"})
    again = await client.post("/admin/pause", json={**BODY, "reach": "replica"}, headers={"Idempotency-Key": "k"})
    assert done.json()["operation"] == again.json()["operation"]
    await client.post("/admin/pause", content=b"[", headers={"Content-Type": "application/json"})
    malformed, applied = (await client.get("/admin/audit")).json()
    assert (applied["operation"], applied["who"], applied["reason"]) == (done.json()["operation"], "ops", "drill")
    assert (applied["end"]["outcome"], malformed["end"]["code"]) == ("applied", "invalid-input")
    assert (await client.get(f"/admin/operations/{applied['operation']}")).json() == applied
    assert len((await client.get("/admin/audit?limit=1")).json()) == 1


async def test_what_could_not_be_made_is_shown_as_failed(app: Pointsman, client: httpx.AsyncClient) -> None:
    app.runtime.resolver.register(Candidate("service", "other", "bad", _raising))
    with pytest.raises(Exception, match="no way"):
        await app.runtime.lifecycle.activate("service", "other")
    health = (await client.get("/admin/health?domain=service&key=other")).json()
    assert [(one["identity"], one["state"], one["provider"]) for one in health["components"]] == [
        ("service/other=bad", "failed", "bad")
    ]
    assert health["degraded"]
    assert (await client.get("/admin/health?key=word")).json()["components"] == []


def _raising() -> str:
    raise RuntimeError("no way")


async def test_a_drain_is_over_when_nobody_uses_it(app: Pointsman, client: httpx.AsyncClient) -> None:
    async def shown() -> str:
        return str((await client.get("/admin/activity")).json()[0]["activity"])

    async with app.runtime.components() as its:
        await its.get("service", "word")
        await client.post("/admin/drain", json={**BODY, "reach": "replica"})
        assert await shown() == "draining"
    assert await shown() == "drained"


async def test_one_split_stands_for_tenants_of_one_incumbent(client: httpx.AsyncClient) -> None:
    part = {**BODY, "reach": "replica", "provider": "sick", "weight_bp": 5, "force": True}
    await client.post("/admin/swap", json={**BODY, "reach": "replica", "provider": "loud", "tenant": "acme"})
    several = await client.post("/admin/swap", json={**part, "tenants": ["acme", "globex"]})
    assert (several.status_code, several.json()["errors"][0]["code"]) == (422, "several")
    assert "acme: loud" in several.json()["detail"]
    assert (await client.post("/admin/swap", json={**part, "key": "wrod"})).status_code == 404
    one = await client.post("/admin/swap", json={**part, "tenants": ["acme"]})
    assert one.json()["changes"][0]["after"].startswith("use loud (split: sick")


async def test_a_part_of_what_nothing_may_serve_is_422(app: Pointsman, client: httpx.AsyncClient) -> None:
    from pointsman import Constraints

    app.runtime.resolver.register(Candidate("service", "none", "one", str, constraints=Constraints(tenants=["acme"])))
    body = {**BODY, "key": "none", "provider": "two", "weight_bp": 5, "reach": "replica"}
    answer = await client.post("/admin/swap", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "no-eligible-candidate")


async def test_a_viewer_looks_and_a_stranger_does_not(app: Pointsman) -> None:
    async with serving(app) as client:
        client.headers["Authorization"] = f"Bearer {VIEWER}"
        assert (await client.get("/admin/health?probe=true")).status_code == 200
        answer = await client.post("/admin/refresh", json={})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_rehearsal_before_any_head_concerns_nobody(app: Pointsman) -> None:
    outcome = Outcome(operation="rehearsal", cseq=0, local="untouched", fleet="untouched", bound_s=None)
    _, client = stubbed(app, outcome)
    answer = await client.post("/pause?dry_run=true", json=BODY)
    assert (answer.status_code, answer.json()["tenants"], answer.headers["etag"]) == (200, [], '"s0"')
