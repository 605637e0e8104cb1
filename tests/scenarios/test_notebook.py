"""The reference service, served in memory: three tenants, one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.main import app
from handlers.notes import Draft, Note, summary
from handlers.summarizers import SUMMARIZER, Lead, LeadSettings, Summary
from pointsman.testing import override, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

IN_MEMORY = {"adapter/database/sqlite": {"path": ":memory:"}}  # above every layer, tenants' own too
NOTE = {"title": "Rails", "text": "Points move. Trains follow points. Signals protect trains."}
GLOBEX = {"X-Tenant-ID": "globex"}
INITECH = {"X-Tenant-ID": "initech"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(app, tenant="acme", provider_settings=IN_MEMORY) as client:
        yield client


class Canned:
    async def summarize(self, text: str) -> Summary:
        return Summary(sentences=["canned"])


class OneNote:
    async def add(self, draft: Draft) -> Note:
        raise NotImplementedError

    async def find(self, note_id: int) -> Note | None:
        return Note(id=note_id, title="Rails", text="Points move. Trains follow.")

    async def latest(self, limit: int) -> list[Note]:
        return []


async def test_a_note_is_kept_found_and_listed(client: httpx.AsyncClient) -> None:
    answer = await client.post("/notes", json=NOTE)
    assert answer.status_code == 201
    note = answer.json()
    assert note == {"id": note["id"], **NOTE}
    assert (await client.get(f"/notes/{note['id']}")).json() == note
    assert (await client.get("/notes")).json() == [note]


async def test_each_tenant_gets_the_summarizer_it_chose(client: httpx.AsyncClient) -> None:
    note = (await client.post("/notes", json=NOTE)).json()
    acme = (await client.get(f"/notes/{note['id']}/summary")).json()
    assert acme["terms"][:2] == ["points", "trains"]
    assert len(acme["terms"]) == 3

    note = (await client.post("/notes", json=NOTE, headers=GLOBEX)).json()
    globex = (await client.get(f"/notes/{note['id']}/summary", headers=GLOBEX)).json()
    assert globex == {"sentences": ["Points move."], "terms": []}

    note = (await client.post("/notes", json=NOTE, headers=INITECH)).json()
    initech = (await client.get(f"/notes/{note['id']}/summary", headers=INITECH)).json()
    assert initech == {"sentences": ["Points move.", "Trains follow points."], "terms": []}


@pytest.mark.parametrize("other", [GLOBEX, INITECH], ids=["another database", "the same database"])
async def test_no_tenant_sees_anothers_notes(client: httpx.AsyncClient, other: dict[str, str]) -> None:
    note = (await client.post("/notes", json=NOTE)).json()
    await client.get(f"/notes/{note['id']}")
    for path in (f"/notes/{note['id']}", f"/notes/{note['id']}/summary"):
        answer = await client.get(path, headers=other)
        assert (answer.status_code, answer.json()["title"]) == (404, "Not Found")
    assert (await client.get("/notes", headers=other)).json() == []


async def test_wrong_input_names_each_field(client: httpx.AsyncClient) -> None:
    answer = await client.post("/notes", json={"title": ""})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/title", "/text"}
    answer = await client.get("/notes?limit=many")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["in"] == "query"
    assert answer.json()["errors"][0]["name"] == "limit"
    assert (await client.get("/notes?limit=0")).status_code == 422
    answer = await client.get(f"/notes/{2**63}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["in"] == "path"
    assert answer.json()["errors"][0]["name"] == "note_id"


async def test_who_asks_without_a_tenant_or_as_a_stranger_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/notes", headers={"X-Tenant-ID": "nobody"})).status_code == 404
    del client.headers["X-Tenant-ID"]
    assert (await client.get("/notes")).status_code == 400


async def test_every_response_says_which_provider_served(client: httpx.AsyncClient) -> None:
    note = (await client.post("/notes", json=NOTE)).json()
    served = (await client.get(f"/notes/{note['id']}/summary")).headers["X-Pointsman-Resolution"]
    assert "service/summarizer=keywords" in served
    assert "service/notes=sql" in served


async def test_a_component_is_replaced_for_a_test(client: httpx.AsyncClient) -> None:
    note = (await client.post("/notes", json=NOTE)).json()
    with override(app, SUMMARIZER, Canned()):
        assert (await client.get(f"/notes/{note['id']}/summary")).json()["sentences"] == ["canned"]
    assert (await client.get(f"/notes/{note['id']}/summary")).json()["sentences"] != ["canned"]


async def test_a_handler_is_a_plain_function() -> None:
    answer = await summary(7, notes=OneNote(), summarizer=Lead(LeadSettings(sentences=1)))
    assert answer.sentences == ["Points move."]
