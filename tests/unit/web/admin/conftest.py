from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Annotated, Any

import httpx
import pytest

from pointsman import Candidate, Constraints, Pointsman, Settings, Use
from pointsman.control.clocks import StoreClock, SystemClock
from pointsman.control.founding import adopt_head
from pointsman.control.pacing import Limits
from pointsman.control.ports import Ground
from pointsman.control.publishing import Publisher
from pointsman.control.reading import Reader
from pointsman.control.roots import Roots
from pointsman.control.sealing import Seal
from pointsman.manifests.canonical import encode
from pointsman.manifests.schema import Approved, Audience, Manifest, Release
from pointsman.manifests.trust import establish_trust
from pointsman.stores.store import open_store
from pointsman.testing import serving

OPERATOR, VIEWER, SEED = "o" * 43, "v" * 43, "seeded-secret-value"
WORD = ("service", "word")


class Sick:
    async def health(self) -> bool:
        return False


def broken() -> str:
    raise RuntimeError("the vendor said no")


CANDIDATES = [
    Candidate(*WORD, "plain", lambda: "plain", priority=3),
    Candidate(*WORD, "loud", lambda: "LOUD"),
    Candidate(*WORD, "sick", Sick, priority=-1),
    Candidate(*WORD, "broken", broken, priority=-2),
    Candidate(*WORD, "closed", lambda: "", priority=-3, constraints=Constraints(not_tenants=["acme"])),
]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def settings(**changes: Any) -> Settings:
    return Settings.load(
        service="words",
        environment="development",
        tenants={"acme": {"labels": {"plan": "gold"}}, "globex": {}},
        admin={
            "authenticators": [
                {"token_sha256": sha256(OPERATOR.encode()).hexdigest(), "role": "operator", "name": "ops"},
                {"token_sha256": sha256(VIEWER.encode()).hexdigest(), "role": "viewer", "name": "eyes"},
            ],
            **changes.pop("admin", {}),
        },
        **changes,
    )


def application(of: Settings) -> Pointsman:
    app = Pointsman(of, include=CANDIDATES)

    @app.get("/word")
    async def word(its: Annotated[object, Use(*WORD)]) -> str:
        return str(its)

    return app


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def app() -> Pointsman:
    return application(settings())


@pytest.fixture
async def client(app: Pointsman) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(app) as client:
        client.headers.update(bearer(OPERATOR))
        yield client


# --- a fleet in a folder, unsigned as in development ---


async def founded(folder: Path) -> str:
    """Publish an empty manifest and found a head; return the store's URL."""
    url = f"file://{folder / 'fleet'}"
    now, audience = datetime.now(UTC).replace(microsecond=0), Audience("words", "development")
    times = {"issued_at": now - timedelta(hours=1), "expires": now + timedelta(days=30)}
    manifest = encode(Manifest(spec_version=1, epoch=1, version=1, audience=audience, **times))
    approved = Approved(digest=sha256(manifest).hexdigest(), length=len(manifest), version=1)
    release = Release(
        spec_version=1, epoch=1, version=1, audience=audience, floor=0, current=approved.digest,
        approved=(approved,), root=1, min_control_seq=0, **times,
    )  # fmt: skip
    store, clock = open_store(url), SystemClock()
    trust = establish_trust(None, audience, {})
    await Publisher(store, trust, lambda: datetime.now(UTC)).publish(encode(release), manifests=[manifest])
    ground = Ground(
        heads=store, releases=store, clock=clock, time=StoreClock(clock), random=Random(1),
        limits=Limits(10.0, 60.0, 60.0), report=lambda _event, **_fields: None,
    )  # fmt: skip
    await adopt_head(ground, Reader(ground, Roots(trust, store)), Seal())
    await store.aclose()
    return url


@pytest.fixture
async def store(tmp_path: Path) -> str:
    return await founded(tmp_path)


@pytest.fixture
async def replicas(store: str) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Two replicas of one fleet, each with an operator's client."""
    one, other = (application(settings(control={"store": store})) for _ in range(2))
    async with serving(one) as first, serving(other) as second:
        for client in (first, second):
            client.headers.update(bearer(OPERATOR))
        yield first, second
