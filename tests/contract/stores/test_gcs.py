"""Google Cloud Storage when the network is honest, slow, broken, or hostile; against a bucket on this machine."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path

import anyio
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pointsman.errors import (
    ConfigurationError,
    Forbidden,
    NotFound,
    PreconditionFailed,
    StoreError,
    TooLarge,
    Unavailable,
)
from pointsman.stores.gcs.store import GoogleStore
from pointsman.stores.settings import StoreSettings
from tests.contract.stores.fakes import (
    FakeBucket,
    Fault,
    WebFolder,
    applied_then_reset,
    bomb,
    cut,
    endless,
    reset,
    silent,
    status,
)

MAX = 1 << 16
PATIENT = StoreSettings(connect_timeout_s=5, timeout_s=20, deadline_s=30)
HASTY = StoreSettings(connect_timeout_s=5, timeout_s=0.3, deadline_s=0.5)
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(params=["light", "library"])
async def store(bucket: FakeBucket, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """A store, read in each way; a proxy, here for HTTPS alone, is what the light one leaves to Google's library."""
    monkeypatch.setenv("HTTPS_PROXY", NOWHERE if request.param == "library" else "")
    opened = GoogleStore("gs://bucket/fleet", PATIENT, clock=lambda: LONG_AGO)
    yield opened
    await opened.aclose()


@pytest.fixture
async def hasty(bucket: FakeBucket):
    opened = GoogleStore("gs://bucket/fleet", HASTY)
    yield opened
    await opened.aclose()


async def test_a_cold_read_is_one_request_and_a_poll_another_on_the_same_connection(
    store: GoogleStore, bucket: FakeBucket
) -> None:
    bucket.store("fleet/head", b"one")
    read = await store.read("head", max_bytes=MAX)
    assert len(bucket.requests) == 1

    unchanged = await store.read("head", max_bytes=MAX, unless=read.generation)
    assert unchanged.body is None
    assert len(bucket.requests) == 2
    assert f"ifGenerationNotMatch={read.generation}" in bucket.requests[1]
    assert bucket.connections == 1


async def test_the_first_of_many_readers_makes_the_client_for_all(store: GoogleStore, bucket: FakeBucket) -> None:
    bucket.store("fleet/head", b"one")
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(lambda: store.read("head", max_bytes=MAX))
    assert len(bucket.requests) == 20


async def test_a_write_is_one_request_that_forbids_caches_to_keep_it(store: GoogleStore, bucket: FakeBucket) -> None:
    await store.create("head", b"one")
    assert len(bucket.requests) == 1
    assert "ifGenerationMatch=0" in bucket.requests[0]
    assert bucket.objects["fleet/head"]["resource"]["cacheControl"] == "no-store"


async def test_the_clock_is_the_stores_own_where_it_tells_one(store: GoogleStore, bucket: FakeBucket) -> None:
    bucket.store("fleet/head", b"one")
    bucket.faults.append(status(200, b"one", x_goog_generation="7", Date="Tue, 29 Feb 2028 12:00:00 GMT"))
    assert (await store.read("head", max_bytes=MAX)).now == datetime(2028, 2, 29, 12, tzinfo=UTC)
    bucket.faults.append(status(200, b"one", x_goog_generation="7", Date="soon"))
    read = await store.read("head", max_bytes=MAX)
    assert read.now == LONG_AGO
    assert read.stamp is None


async def test_an_answer_that_does_not_say_its_generation_is_refused(store: GoogleStore, bucket: FakeBucket) -> None:
    bucket.faults.append(status(200, b"one"))
    with pytest.raises(StoreError, match="x-goog-generation"):
        await store.read("head", max_bytes=MAX)


async def test_an_unchanged_answer_that_nobody_asked_for_is_refused(store: GoogleStore, bucket: FakeBucket) -> None:
    bucket.faults.append(status(304, b""))
    with pytest.raises(StoreError, match="304"):
        await store.read("head", max_bytes=MAX)


async def test_a_missing_bucket_is_not_an_empty_one(bucket: FakeBucket) -> None:
    store = GoogleStore("gs://other-bucket", PATIENT)
    with pytest.raises(NotFound, match="bucket does not exist"):
        await store.read("head", max_bytes=MAX)
    with pytest.raises(NotFound):
        await store.list("")
    with pytest.raises(NotFound):
        await store.create("head", b"")
    await store.aclose()


@pytest.mark.parametrize(
    ("code", "error"),
    [(400, StoreError), (401, Forbidden), (403, Forbidden), (404, NotFound), (408, Unavailable),
     (412, PreconditionFailed), (429, Unavailable), (500, Unavailable), (502, Unavailable), (503, Unavailable)],
)  # fmt: skip
async def test_each_status_is_one_of_our_errors(
    store: GoogleStore, bucket: FakeBucket, code: int, error: type[StoreError]
) -> None:
    said = json.dumps({"error": {"message": "sa@example.com does not have storage.objects.get access"}}).encode()
    calls = (
        lambda: store.read("head", max_bytes=MAX),
        lambda: store.create("head", b""),
        lambda: store.list(""),
    )
    for call in calls:
        bucket.faults.append(status(code, said))
        with pytest.raises(error, match="sa@example") as caught:
            await call()
        assert type(caught.value) is error


async def test_a_store_that_is_asked_too_often_says_when_to_come_back(store: GoogleStore, bucket: FakeBucket) -> None:
    bucket.faults.append(status(429, b"slow down", Retry_After="7"))
    with pytest.raises(Unavailable) as caught:
        await store.write("head", b"", expect="1")
    assert caught.value.retry_after_s == 7
    assert caught.value.sent


async def test_nothing_is_tried_again(store: GoogleStore, bucket: FakeBucket) -> None:
    for fault in (status(503), reset(), cut()):
        bucket.requests.clear()
        bucket.faults.append(fault)
        with pytest.raises(Unavailable):
            await store.read("head", max_bytes=MAX)
        bucket.faults.append(fault)
        with pytest.raises(Unavailable):
            await store.create("head", b"")
        bucket.faults.append(fault)
        with pytest.raises(Unavailable):
            await store.list("")
        assert len(bucket.requests) == 3


async def test_a_write_whose_answer_was_lost_may_have_been_sent_and_was(store: GoogleStore, bucket: FakeBucket) -> None:
    bucket.faults.append(applied_then_reset())
    with pytest.raises(Unavailable) as caught:
        await store.create("head", b"one")
    assert caught.value.sent
    assert (await store.read("head", max_bytes=MAX)).body == b"one"


async def test_a_write_without_an_answer_in_time_may_have_been_sent(hasty: GoogleStore, bucket: FakeBucket) -> None:
    bucket.faults.append(silent())
    with pytest.raises(Unavailable) as caught:
        await hasty.create("head", b"one")
    assert caught.value.sent


@pytest.mark.parametrize("where", [NOWHERE, "http://bucket.invalid"])
async def test_a_write_without_a_connection_was_not_sent(
    where: str, bucket: FakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", where)
    store = GoogleStore("gs://bucket", PATIENT)
    with pytest.raises(Unavailable) as caught:
        await store.create("head", b"one")
    assert not caught.value.sent
    await store.aclose()


async def test_a_write_that_found_no_free_thread_was_not_sent_and_never_lands(bucket: FakeBucket) -> None:
    store = GoogleStore("gs://bucket", StoreSettings(timeout_s=0.3, deadline_s=20, max_threads=1))
    bucket.faults.append(endless(chunk=b".", pause_s=0.01, x_goog_generation="1"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: store.read("slow", max_bytes=MAX))
        while not bucket.requests:
            await anyio.lowlevel.checkpoint()
        with pytest.raises(Unavailable) as caught:
            await store.create("head", b"one")
        assert not caught.value.sent
        tasks.cancel_scope.cancel()
    bucket.stopping.set()
    with pytest.raises(NotFound):
        await store.read("head", max_bytes=MAX)
    await store.aclose()


async def test_without_credentials_nothing_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    (tmp_path / "empty.json").write_text("{}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "empty.json"))
    store = GoogleStore("gs://bucket", PATIENT)
    with pytest.raises(Unavailable, match="gcloud auth") as caught:
        await store.create("head", b"one")
    assert not caught.value.sent
    await store.aclose()


@pytest.mark.parametrize("store", ["light"], indirect=True)
async def test_what_only_reads_never_loads_googles_libraries(
    store: GoogleStore, bucket: FakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.store("fleet/head", b"one")
    monkeypatch.setitem(sys.modules, "google.auth", None)
    monkeypatch.delitem(sys.modules, "pointsman.stores.gcs.library", raising=False)
    assert (await store.read("head", max_bytes=MAX)).body == b"one"
    with pytest.raises(ImportError):
        await store.list("")


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        ("crc32c=KpSy6Q==", True),
        ("crc32c=AAAAAA==", False),
        ("crc32c=AAAAAA==, md5=+XxbYNKVkOtLkqJDLDuCxQ==", False),
        ("md5=AAAAAAAAAAAAAAAAAAAAAA==", False),
        ("sha1=new", True),
        ("", True),
    ],
)
async def test_a_body_is_held_against_every_checksum_that_is_known(
    store: GoogleStore, bucket: FakeBucket, said: str, whole: bool
) -> None:
    bucket.faults.append(status(200, b"one", x_goog_generation="7", **({"x_goog_hash": said} if said else {})))
    if whole:
        assert (await store.read("head", max_bytes=MAX)).body == b"one"
    else:
        with pytest.raises(Unavailable) as caught:
            await store.read("head", max_bytes=MAX)
        assert caught.value.sent


@pytest.fixture
def account(tmp_path: Path, web: WebFolder, monkeypatch: pytest.MonkeyPatch) -> WebFolder:
    """Be a service account whose tokens come from a server on this machine; the store is told by the endpoint."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    named = {"type": "service_account", "client_email": "sa@example.com", "token_uri": f"{web.url}/token"}
    (tmp_path / "account.json").write_text(json.dumps({**named, "private_key": pem, "project_id": "test"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    return web


def token(name: str) -> Fault:
    return status(200, json.dumps({"access_token": name, "expires_in": 3600}).encode(), Content_Type="application/json")


async def test_a_service_account_is_asked_for_one_token_and_a_refused_token_is_renewed(
    account: WebFolder, bucket: FakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("API_ENDPOINT_OVERRIDE", bucket.url)
    bucket.store("head", b"one")
    account.faults.extend([token("first"), token("second")])
    store = GoogleStore("gs://bucket", PATIENT)
    await store.read("head", max_bytes=MAX)
    await store.list("")
    assert bucket.authorizations == ["Bearer first"] * 2

    bucket.faults.append(status(401))
    assert (await store.read("head", max_bytes=MAX)).body == b"one"
    assert bucket.authorizations[2:] == ["Bearer first", "Bearer second"]
    assert len(account.requests) == 2
    await store.aclose()


async def test_without_a_token_nothing_was_sent(
    account: WebFolder, bucket: FakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("API_ENDPOINT_OVERRIDE", bucket.url)
    account.faults.append(status(400, b'{"error": "invalid_grant"}', Content_Type="application/json"))
    store = GoogleStore("gs://bucket", PATIENT)
    with pytest.raises(Unavailable, match="RefreshError") as caught:
        await store.create("head", b"one")
    assert not caught.value.sent
    assert not bucket.requests
    await store.aclose()


async def test_a_redirect_is_not_followed(store: GoogleStore, bucket: FakeBucket) -> None:
    bucket.faults.append(status(302, b"", Location=f"{bucket.url}/elsewhere"))
    with pytest.raises(StoreError, match=r"TooManyRedirects|found status 302"):
        await store.read("head", max_bytes=MAX)
    assert len(bucket.requests) == 1


async def test_bytes_that_do_not_match_their_checksum_are_refused(store: GoogleStore, bucket: FakeBucket) -> None:
    wrong = "md5=AAAAAAAAAAAAAAAAAAAAAA==,crc32c=AAAAAA=="
    bucket.faults.append(status(200, b"one", x_goog_generation="7", x_goog_hash=wrong))
    with pytest.raises(Unavailable, match="not what its checksum says"):
        await store.read("head", max_bytes=MAX)


async def test_an_object_that_is_stored_packed_is_given_as_it_is_stored(store: GoogleStore, bucket: FakeBucket) -> None:
    packed = gzip.compress(b"one")
    bucket.store("fleet/head", packed, contentEncoding="gzip")
    assert (await store.read("head", max_bytes=MAX)).body == packed


async def test_an_object_that_was_packed_on_the_way_is_unpacked(store: GoogleStore, bucket: FakeBucket) -> None:
    headers = {"Content_Encoding": "gzip", "x_goog_stored_content_encoding": "identity", "x_goog_generation": "7"}
    checksum = f"md5={base64.b64encode(md5(b'one', usedforsecurity=False).digest()).decode()}"
    bucket.faults.append(status(200, gzip.compress(b"one"), x_goog_hash=checksum, **headers))
    assert (await store.read("head", max_bytes=MAX)).body == b"one"
    bucket.faults.append(status(200, bomb(64 << 20), **headers))
    with pytest.raises(TooLarge):
        await store.read("head", max_bytes=MAX)


async def test_a_list_that_unpacks_to_more_than_the_cap_is_refused(store: GoogleStore, bucket: FakeBucket) -> None:
    bucket.faults.append(status(200, bomb(64 << 20), Content_Encoding="gzip", Content_Type="application/json"))
    with pytest.raises(TooLarge):
        await store.list("")


async def test_packed_json_is_understood(store: GoogleStore, bucket: FakeBucket) -> None:
    page = json.dumps(
        {"items": [{"name": "fleet/head", "generation": "7", "size": "3", "timeCreated": "2026-01-01T00:00:00Z"}]}
    ).encode()
    bucket.faults.append(status(200, gzip.compress(page), Content_Encoding="gzip", Content_Type="application/json"))
    assert [entry.name for entry in await store.list("")] == ["head"]


async def test_a_list_that_is_no_json_is_refused(store: GoogleStore, bucket: FakeBucket) -> None:
    bucket.faults.append(status(200, b"<html>", Content_Type="application/json"))
    with pytest.raises(Unavailable):
        await store.list("")


async def test_the_error_text_of_a_store_is_cut(store: GoogleStore, bucket: FakeBucket) -> None:
    bucket.faults.append(endless(503))
    with pytest.raises(Unavailable) as caught:
        await store.read("head", max_bytes=MAX)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "url",
    ["gs://", "gs:///prefix", "gs://Bucket", "gs://b", "gs://bucket/../x", "gs://bucket/a b", "gs://bucket?x=1",
     "gs://user:secret@bucket", "gs://bucket/.hidden", "gs://buck_et!/x"],
)  # fmt: skip
def test_a_malformed_url_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ConfigurationError, match="gs://bucket/prefix") as caught:
        GoogleStore(url, PATIENT)
    assert "secret" not in str(caught.value)
