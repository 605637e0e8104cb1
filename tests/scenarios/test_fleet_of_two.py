"""A signed manifest in a store, two replicas, an operator's swap and pause: the main job, end to end, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from handlers import notes, summarizers
from handlers.summarizers import SUMMARIZER
from pointsman import Pointsman
from pointsman.control.commands import Command
from pointsman.control.founding import adopt_head
from pointsman.control.publishing import Publisher
from pointsman.control.reading import Reader
from pointsman.control.roots import Roots
from pointsman.control.sealing import Seal
from pointsman.declarations import Component
from pointsman.manifests.keys import save_signing_key
from pointsman.manifests.root import load_root
from pointsman.manifests.schema import Audience, CandidateEntry, Manifest, Release, TenantEntry
from pointsman.manifests.trust import Trust, establish_trust
from pointsman.runtime.settings import Settings
from pointsman.stores.store import open_store
from pointsman.testing import serving
from tests.fleet.ground import ground_on
from tests.forge import Forge

AUDIENCE = Audience("notebook", "test")
NOW = datetime.now(UTC).replace(microsecond=0)
SUMMARIZER_NAME = "service/summarizer"
TOKEN = "t" * 43
OPS = {"Authorization": f"Bearer {TOKEN}"}
PAUSE = {"domain": "service", "key": "summarizer", "reason": "drill"}
NOTE = {"title": "Rails", "text": "Points move. Trains follow points. Signals protect trains."}


def manifest(version: int, **changes: object) -> Manifest:
    return Manifest(
        spec_version=1,
        epoch=1,
        version=version,
        issued_at=NOW - timedelta(hours=1),
        expires=NOW + timedelta(days=30),
        audience=AUDIENCE,
        tenants={
            "acme": TenantEntry(selections={SUMMARIZER_NAME: "keywords"}),
            "globex": TenantEntry(provider_settings={"service/summarizer/lead": {"sentences": 1}}),
            "initech": TenantEntry(),
        },
        **changes,  # type: ignore[arg-type]
    )


class Publishing:
    """A publisher with its keys, and the fleet's store."""

    def __init__(self, folder: Path) -> None:
        self.forge = Forge(audience=AUDIENCE)
        self.folder = folder
        self.url = f"file://{folder / 'fleet'}"
        self.root = self.forge.sealed(
            self.forge.root(issued_at=NOW - timedelta(hours=2), expires=NOW + timedelta(days=300))
        )
        (folder / "root.json").write_bytes(self.root)
        save_signing_key(folder / "control.key", self.forge.holders["control"][0])
        self.sent: list[bytes] = []

    @property
    def trust(self) -> Trust:
        return establish_trust(load_root(self.root), AUDIENCE, {})

    async def publish(self, *versions: Manifest, release: int) -> None:
        envelopes = [self.forge.sealed(one) for one in versions]
        approved = tuple(self.forge.approved(data, one.version) for data, one in zip(envelopes, versions, strict=True))
        document = Release(
            spec_version=1,
            epoch=1,
            version=release,
            issued_at=NOW - timedelta(minutes=30),
            expires=NOW + timedelta(days=20),
            audience=AUDIENCE,
            floor=1,
            current=approved[0].digest,
            approved=approved,
            root=1,
            min_control_seq=0,
        )
        store = open_store(self.url)
        publisher = Publisher(store, self.trust, lambda: datetime.now(UTC))
        await publisher.publish(self.forge.sealed(document), manifests=envelopes)
        await store.aclose()

    async def found(self) -> None:
        store = open_store(self.url)
        ground = ground_on(store)
        reader = Reader(ground, Roots(self.trust, store))
        await adopt_head(ground, reader, Seal(self.forge.holders["control"][0]))
        await store.aclose()

    def replica(self) -> Pointsman:
        settings = Settings.load(
            Path("settings"),
            environment="test",
            control={"store": self.url, "key_file": str(self.folder / "control.key")},
            trust={"root": str(self.folder / "root.json"), "factories": ["handlers.**:*", "pointsman.adapters.**:*"]},
            admin={"authenticators": [{"token_sha256": sha256(TOKEN.encode()).hexdigest(), "name": "ops"}]},
        )
        return Pointsman(settings, include=[notes, summarizers])


@pytest.fixture
async def publishing(tmp_path: Path) -> Publishing:
    found = Publishing(tmp_path)
    await found.publish(manifest(1), release=1)
    await found.found()
    return found


@pytest.fixture
async def replicas(publishing: Publishing, tmp_path: Path) -> AsyncIterator[list[tuple[Pointsman, httpx.AsyncClient]]]:
    one, other = publishing.replica(), publishing.replica()
    given = {"adapter/database/sqlite": {"path": str(tmp_path / "notes.db")}}
    async with (
        serving(one, tenant="acme", provider_settings=given) as first,
        serving(other, tenant="acme", provider_settings=given) as second,
    ):
        yield [(one, first), (other, second)]


Replicas = list[tuple[Pointsman, httpx.AsyncClient]]


def order(kind: str, **fields: object) -> Command:
    return Command(kind=kind, component=Component(*SUMMARIZER), reason="drill", who="ops", **fields)  # type: ignore[arg-type]


async def test_a_swap_on_one_replica_reaches_the_other(replicas: Replicas) -> None:
    (one, first), (other, second) = replicas
    made = await first.post("/notes", json=NOTE)
    assert made.status_code == 201, made.text
    assert made.headers["x-pointsman-catalog"] == "1.0"
    path = f"/notes/{made.json()['id']}/summary"
    assert (await second.get(path)).json()["terms"]
    outcome = await one.assembly.fleet.run(order("use", value="lead"))  # type: ignore[union-attr]
    assert (outcome.local, outcome.fleet, outcome.cseq) == ("applied", "converging", 1)
    assert (await first.get(path)).json()["terms"] == []
    await other.assembly.fleet.refresh()  # type: ignore[union-attr]
    swapped = await second.get(path)
    assert (swapped.json()["terms"], swapped.headers["x-pointsman-catalog"]) == ([], "1.1")
    why = other.runtime.explain(*SUMMARIZER, tenant="acme")
    assert why.why == "lead selected for acme: control selects it"


async def test_a_pause_answers_503_everywhere_and_a_resume_takes_exactly_it_back(replicas: Replicas) -> None:
    (one, first), (other, second) = replicas
    note = (await first.post("/notes", json=NOTE)).json()
    path = f"/notes/{note['id']}/summary"
    await one.assembly.fleet.run(order("pause"))  # type: ignore[union-attr]
    await other.assembly.fleet.refresh()  # type: ignore[union-attr]
    for client in (first, second):
        paused = await client.get(path)
        assert (paused.status_code, paused.json()["code"]) == (503, "component-paused")
        assert int(paused.headers["retry-after"]) > 0
        assert (await client.get("/notes")).status_code == 200
    await other.assembly.fleet.run(order("gate", clear=True))  # type: ignore[union-attr]
    await one.assembly.fleet.refresh()  # type: ignore[union-attr]
    for client in (first, second):
        assert (await client.get(path)).status_code == 200


async def test_a_new_release_is_adopted_and_a_bad_one_leaves_the_good_serving(
    publishing: Publishing, replicas: Replicas
) -> None:
    (one, first), _ = replicas
    better = manifest(2, selections={SUMMARIZER_NAME: "lead"})
    await publishing.publish(better, manifest(1), release=2)
    await one.assembly.fleet.refresh()  # type: ignore[union-attr]
    assert (await first.get("/notes")).headers["x-pointsman-catalog"] == "2.0"
    evil = CandidateEntry(domain="service", key="summarizer", provider="evil", factory="os:system")
    await publishing.publish(manifest(3, candidates=(evil,)), better, release=3)
    await one.assembly.fleet.refresh()  # type: ignore[union-attr]
    served = await first.get("/notes")
    assert (served.status_code, served.headers["x-pointsman-catalog"]) == (200, "2.0")
    status = str(one.assembly.fleet.status())  # type: ignore[union-attr]
    assert "factory-forbidden" in status


async def test_a_command_over_http_is_answered_202_and_known_by_its_operation(replicas: Replicas) -> None:
    (_, first), (_, second) = replicas
    swap = {**PAUSE, "provider": "lead", "tenant": "acme"}
    answer = await first.post("/admin/swap", json=swap, headers=OPS)
    assert answer.status_code == 202
    body = answer.json()
    assert (body["cseq"], body["local"], body["fleet"], body["bound_s"]) == (1, "applied", "converging", 60.0)
    assert answer.headers["etag"] == '"s1"'
    record = (await second.get(f"/admin/operations/{body['operation']}", headers=OPS)).json()
    assert (record["who"], record["reason"], record["end"]["outcome"]) == ("ops", "drill", "applied")
    assert [one["operation"] for one in (await second.get("/admin/audit", headers=OPS)).json()] == [body["operation"]]
    await second.post("/admin/refresh", json={}, headers=OPS)
    control = await second.get("/admin/control", headers=OPS)
    assert (control.headers["etag"], control.json()["cseq"]) == ('"s1"', 1)
    assert list(control.json()["orders"]) == ["service/summarizer"]


async def test_one_idempotency_key_is_one_command_on_every_replica(replicas: Replicas) -> None:
    (_, first), (_, second) = replicas
    keyed = {**OPS, "Idempotency-Key": "drill-1"}
    one = await first.post("/admin/pause", json=PAUSE, headers=keyed)
    again = await second.post("/admin/pause", json=PAUSE, headers=keyed)
    assert (one.status_code, again.status_code) == (202, 202)
    assert {one.json()["operation"], again.json()["operation"]} == {one.json()["operation"]}
    assert (one.json()["cseq"], again.json()["cseq"]) == (1, 1)
    other = await second.post("/admin/pause", json={**PAUSE, "reason": "another"}, headers=keyed)
    assert other.status_code == 422


async def test_a_stale_if_match_is_412_and_a_star_insists(replicas: Replicas) -> None:
    (_, first), (_, second) = replicas
    await first.post("/admin/pause", json=PAUSE, headers=OPS)
    stale = await second.post("/admin/resume", json=PAUSE, headers={**OPS, "If-Match": '"s0"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    other = {**PAUSE, "key": "notes"}
    untouched = await second.post("/admin/pause", json=other, headers={**OPS, "If-Match": '"s0"'})
    assert untouched.status_code == 202
    insisted = await second.post("/admin/resume", json=PAUSE, headers={**OPS, "If-Match": "*"})
    assert insisted.status_code == 202


async def test_a_manifest_is_shown_with_what_was_refused(publishing: Publishing, replicas: Replicas) -> None:
    (_, first), _ = replicas
    evil = CandidateEntry(domain="service", key="summarizer", provider="evil", factory="os:system")
    await publishing.publish(manifest(2, candidates=(evil,)), manifest(1), release=2)
    await first.post("/admin/refresh", json={}, headers=OPS)
    shown = (await first.get("/admin/manifest", headers=OPS)).json()
    assert (shown["in_force"]["version"], shown["freshness"]) == (1, "fresh")
    assert "factory-forbidden" in str(shown["refusals"] or shown["problems"])
