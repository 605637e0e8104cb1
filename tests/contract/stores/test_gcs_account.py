"""A container of Cloud Run reads as its service account, and asks Google's libraries for nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
import urllib3

from pointsman.errors import Forbidden, Unavailable
from pointsman.stores.blocking import Ticket
from pointsman.stores.gcs import account, light
from pointsman.stores.gcs.account import Account
from pointsman.stores.gcs.store import GoogleStore
from pointsman.stores.settings import StoreSettings
from tests.contract.stores.fakes import FakeBucket, Handler, Server, reset, status

MAX = 1 << 16
SETTINGS = StoreSettings(connect_timeout_s=5, timeout_s=20, deadline_s=30)
GOOGLES = {"Metadata_Flavor": "Google"}


class Metadata(Server):
    """The metadata server of a container: a new token at each request, and a universe."""

    def __init__(self) -> None:
        self.tokens = 0
        self.universe = "googleapis.com"
        super().__init__()

    def answer(self, handler: Handler, body: bytes) -> None:
        if handler.headers.get("Metadata-Flavor") != "Google":
            return self.reply(handler, 403)
        path = handler.path.removeprefix("/computeMetadata/v1/")
        if path == "universe/universe-domain":
            return self.reply(handler, 200 if self.universe else 404, self.universe.encode(), **GOOGLES)
        assert path.startswith("instance/service-accounts/default/token?scopes=https://www.googleapis.com/auth/devstor")
        self.tokens += 1
        said = {"access_token": f"token-{self.tokens}", "expires_in": 3600, "token_type": "Bearer"}
        return self.reply(handler, 200, json.dumps(said).encode(), **GOOGLES)


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Metadata]:
    server = Metadata()
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("K_SERVICE", "shop")
    monkeypatch.setenv("GCE_METADATA_HOST", server.url.removeprefix("http://"))
    yield server
    server.close()


@pytest.fixture
async def store(bucket: FakeBucket, metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GoogleStore]:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("API_ENDPOINT_OVERRIDE", bucket.url)
    monkeypatch.setitem(sys.modules, "google.auth", None)
    monkeypatch.delitem(sys.modules, "pointsman.stores.gcs.library", raising=False)
    bucket.store("fleet/head", b"one")
    opened = GoogleStore("gs://bucket/fleet", SETTINGS)
    yield opened
    await opened.aclose()


async def test_many_reads_share_one_token(store: GoogleStore, bucket: FakeBucket, metadata: Metadata) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(lambda: store.read("head", max_bytes=MAX))
    assert bucket.authorizations == ["Bearer token-1"] * 10
    assert metadata.tokens == 1


async def test_a_token_that_was_refused_is_renewed_once(
    store: GoogleStore, bucket: FakeBucket, metadata: Metadata
) -> None:
    bucket.faults.append(status(401))
    assert (await store.read("head", max_bytes=MAX)).body == b"one"
    assert bucket.authorizations == ["Bearer token-1", "Bearer token-2"]
    bucket.faults.extend([status(401), status(401)])
    with pytest.raises(Forbidden):
        await store.read("head", max_bytes=MAX)
    assert metadata.tokens == 3


@pytest.mark.parametrize(
    "fault",
    [
        status(404, b"", **GOOGLES),
        status(200, b"<html>", **GOOGLES),
        status(200, b'{"access_token": "a b", "expires_in": 3600}', **GOOGLES),
        status(200, b'{"access_token": "token", "expires_in": 3600}'),
        status(403, b"", **GOOGLES),
    ],
)
async def test_without_a_token_nothing_is_sent(
    store: GoogleStore, bucket: FakeBucket, metadata: Metadata, fault
) -> None:
    metadata.faults.extend([status(200, b"googleapis.com", **GOOGLES), fault])
    with pytest.raises(Unavailable, match="give the service a service account") as caught:
        await store.read("head", max_bytes=MAX)
    assert not caught.value.sent
    assert not bucket.requests
    assert (await store.read("head", max_bytes=MAX)).body == b"one"


async def test_a_metadata_server_that_falters_is_asked_again(store: GoogleStore, metadata: Metadata) -> None:
    metadata.faults.extend([status(503, b"", **GOOGLES), reset()])
    assert (await store.read("head", max_bytes=MAX)).body == b"one"


def test_a_token_is_renewed_before_it_ends(metadata: Metadata) -> None:
    now = [1000.0]
    mine = Account(urllib3.PoolManager(), urllib3.Timeout(20), lambda: now[0])
    ticket = Ticket("reading head", 20)
    told = []
    for at in (1000, 4374, 4375, 4376):
        now[0] = at
        told.append(mine.token(ticket))
    assert told == ["token-1", "token-1", "token-2", "token-2"]


def test_the_universe_is_the_metadata_servers(metadata: Metadata) -> None:
    ticket = Ticket("reading head", 20)
    metadata.universe = "example.goog"
    mine = Account(urllib3.PoolManager(), urllib3.Timeout(20))
    assert (mine.universe(ticket), mine.universe(ticket)) == ("example.goog",) * 2
    assert len(metadata.requests) == 1
    metadata.universe = ""
    assert Account(urllib3.PoolManager(), urllib3.Timeout(20)).universe(ticket) == "googleapis.com"


@pytest.mark.parametrize(
    ("more", "here"),
    [
        ({"K_SERVICE": "shop"}, True),
        ({"CLOUD_RUN_JOB": "job"}, True),
        ({}, False),
        ({"K_SERVICE": "shop", "GOOGLE_APPLICATION_CREDENTIALS": "key.json"}, False),
        ({"K_SERVICE": "shop", "GOOGLE_API_USE_CLIENT_CERTIFICATE": "true"}, False),
        ({"K_SERVICE": "shop", "NO_GCE_CHECK": "true"}, False),
    ],
)
def test_credentials_of_another_kind_are_left_to_google_auth(tmp_path: Path, more: dict[str, str], here: bool) -> None:
    environ = {"HOME": str(tmp_path), **more}
    assert account.is_here(environ) is here
    assert light.serves(environ) is here
    assert not light.serves({**environ, "https_proxy": "http://proxy"})


def test_credentials_of_a_person_are_left_to_google_auth(tmp_path: Path) -> None:
    (tmp_path / ".config" / "gcloud").mkdir(parents=True)
    (tmp_path / ".config" / "gcloud" / "application_default_credentials.json").touch()
    assert not account.is_here({"HOME": str(tmp_path), "K_SERVICE": "shop"})


def test_certificates_are_trusted_as_requests_trusts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    assert light._pool(SETTINGS).connection_pool_kw["ca_cert_dir"] == str(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "bundle.pem"))
    assert light._pool(SETTINGS).connection_pool_kw["ca_certs"] == str(tmp_path / "bundle.pem")
