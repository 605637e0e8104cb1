from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest

from pointsman import Candidate, Constraints, Pointsman, Settings, Use
from pointsman.testing import serving
from tests.unit.web.admin.founding import founded

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
