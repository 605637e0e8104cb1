"""The store that is only read: what is sent, what is believed, what is refused."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import respx

from pointsman.errors import ConfigurationError, Forbidden, NotFound, ReadOnlyReplica, StoreError, Unavailable
from pointsman.stores.https import HttpsStore
from pointsman.stores.settings import StoreSettings
from tests.contract.stores.fakes import WebFolder, status

MAX = 1 << 16
HEAD = "https://example.com/fleet/head"
DATE = "Tue, 29 Feb 2028 12:00:00 GMT"
NOON = datetime(2028, 2, 29, 12, tzinfo=UTC)
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


@pytest.fixture
async def store():
    opened = HttpsStore("https://example.com/fleet/", StoreSettings(), clock=lambda: LONG_AGO)
    yield opened
    await opened.aclose()


@respx.mock
async def test_a_read_asks_for_what_changed_and_identifies_nobody(store: HttpsStore) -> None:
    route = respx.get(HEAD).respond(200, content=b"one", headers={"ETag": '"1"', "Date": DATE})
    await store.read("head", max_bytes=MAX)
    await store.read("head", max_bytes=MAX, unless='W/"0"')
    first, second = (call.request.headers for call in route.calls)
    assert "if-none-match" not in first
    assert second["if-none-match"] == 'W/"0"'
    assert first["accept-encoding"] == "gzip"
    assert first["user-agent"] == "pointsman"
    assert not {"cookie", "authorization"} & {*first, *second}


@respx.mock
async def test_generation_stamp_and_clock_come_from_the_headers(store: HttpsStore) -> None:
    headers = {"ETag": '"1"', "Date": DATE, "Last-Modified": "Tue, 29 Feb 2028 11:00:00 GMT", "Age": "60"}
    respx.get(HEAD).respond(200, content=b"one", headers=headers)
    read = await store.read("head", max_bytes=MAX)
    assert (read.generation, read.stamp, read.now) == (
        '"1"',
        NOON - timedelta(hours=1),
        NOON + timedelta(minutes=1),
    )


@respx.mock
async def test_without_any_header_the_digest_is_the_generation(store: HttpsStore) -> None:
    route = respx.get(HEAD).respond(200, content=b"one")
    read = await store.read("head", max_bytes=MAX)
    assert read.generation.startswith("sha256:")
    assert (read.stamp, read.now) == (None, LONG_AGO)

    unchanged = await store.read("head", max_bytes=MAX, unless=read.generation)
    assert unchanged.body is None
    assert unchanged.generation == read.generation
    assert "if-none-match" not in route.calls.last.request.headers

    respx.get(HEAD).respond(200, content=b"two")
    assert (await store.read("head", max_bytes=MAX, unless=read.generation)).body == b"two"


@respx.mock
async def test_a_server_that_ignores_conditions_is_understood(store: HttpsStore) -> None:
    respx.get(HEAD).respond(200, content=b"one", headers={"ETag": '"1"'})
    assert (await store.read("head", max_bytes=MAX, unless='"1"')).body is None


@pytest.mark.parametrize(
    ("code", "error"),
    [(201, StoreError), (204, StoreError), (206, StoreError), (301, Unavailable), (302, Unavailable),
     (304, Unavailable), (307, Unavailable), (400, StoreError), (401, Forbidden), (403, Forbidden), (404, NotFound),
     (410, StoreError), (429, Unavailable), (500, Unavailable), (503, Unavailable)],
)  # fmt: skip
@respx.mock
async def test_each_status_is_one_of_our_errors(store: HttpsStore, code: int, error: type[StoreError]) -> None:
    respx.get(HEAD).respond(code, content=b"no" * 1000, headers={"Location": "https://example.com/other"})
    with pytest.raises(error) as caught:
        await store.read("head", max_bytes=MAX)
    assert type(caught.value) is error
    assert len(str(caught.value)) < 600
    assert len(respx.calls) == 1


@pytest.mark.parametrize(
    ("raised", "sent"),
    [(httpx.ConnectError, False), (httpx.ConnectTimeout, False), (httpx.PoolTimeout, False), (httpx.ReadTimeout, True),
     (httpx.ReadError, True), (httpx.WriteError, True), (httpx.RemoteProtocolError, True)],
)  # fmt: skip
@respx.mock
async def test_each_failure_of_the_network_says_whether_anything_was_sent(
    store: HttpsStore, raised: type[httpx.HTTPError], sent: bool
) -> None:
    respx.get(HEAD).mock(side_effect=raised)
    with pytest.raises(Unavailable, match=raised.__name__) as caught:
        await store.read("head", max_bytes=MAX)
    assert caught.value.sent is sent


async def test_a_packed_answer_is_unpacked(web: WebFolder) -> None:
    store = HttpsStore(web.url, StoreSettings())
    web.faults.append(status(200, gzip.compress(b"one"), Content_Encoding="gzip"))
    assert (await store.read("head", max_bytes=MAX)).body == b"one"
    await store.aclose()


@pytest.mark.parametrize(
    ("code", "body", "encoding", "error"),
    [
        (200, gzip.compress(b"one")[:-4], "gzip", Unavailable),
        (200, gzip.compress(b"one") * 2, "gzip", Unavailable),
        (200, b"one" * 10, "gzip", Unavailable),
        (200, b"one", "br", StoreError),
        (503, gzip.compress(b"no"), "gzip", Unavailable),
    ],
    ids=["cut", "twice", "not-gzip", "brotli", "refusal"],
)
async def test_a_packing_that_is_broken_or_unknown_is_refused(
    web: WebFolder, code: int, body: bytes, encoding: str, error: type[StoreError]
) -> None:
    store = HttpsStore(web.url, StoreSettings())
    web.faults.append(status(code, body, Content_Encoding=encoding))
    with pytest.raises(error) as caught:
        await store.read("head", max_bytes=MAX)
    assert type(caught.value) is error
    await store.aclose()


async def test_nothing_is_written_and_nothing_sent(store: HttpsStore) -> None:
    assert not store.writable
    with respx.mock:
        for call in (store.write("head", b"", expect='"1"'), store.create("head", b""), store.list("ops/")):
            with pytest.raises(ReadOnlyReplica, match="only be read"):
                await call
        assert not respx.calls


@pytest.mark.parametrize("url", [
    "https://", "https:///head", "http://example.com/x", "http://10.0.0.1/x", "http://localhost.example.com",
    "http://127.0.0.1.example.com", "https://user:secret@example.com", "https://example.com?token=secret",
    "https://example.com/#secret", "https://example.com/../x", "https://example.com:port/", "https://ex ample.com",
    "https://é\u200b.com", "http://0.0.0.0/x",
])  # fmt: skip
def test_a_url_that_leaves_this_machine_unencrypted_or_carries_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="https") as caught:
        HttpsStore(url, StoreSettings())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [("https://Example.com/fleet/", "https://example.com/fleet"), ("https://example.com", "https://example.com"),
     ("https://example.com:8443/a/b", "https://example.com:8443/a/b"), ("http://localhost:8000", "http://localhost:8000"),
     ("http://[::1]:8000/x", "http://[::1]:8000/x"), ("http://127.9.9.9/", "http://127.9.9.9")],
)  # fmt: skip
async def test_the_url_is_shown_in_one_form(url: str, shown: str) -> None:
    store = HttpsStore(url, StoreSettings())
    assert store.url == shown
    await store.aclose()
