"""Attacks and faults on the way to a store: what is fetched, how much of it, for how long, and what is told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import anyio
import anyio.lowlevel
import pytest

from pointsman.errors import Forbidden, NotFound, PointsmanError, PreconditionFailed, TooLarge, Unavailable
from pointsman.stores.gate import Gate
from pointsman.stores.memory import MemoryStore
from pointsman.stores.settings import StoreSettings
from pointsman.stores.store import Store, open_store
from tests.contract.stores.fakes import (
    FakeBucket,
    Fault,
    Server,
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
HASTY = StoreSettings(connect_timeout_s=5, timeout_s=0.5, deadline_s=0.8)
PATIENT = StoreSettings(connect_timeout_s=5, timeout_s=20, deadline_s=30)


@pytest.fixture(params=["gs", "https"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A bucket and a web server that have a head, and do what a test orders."""
    made: Server
    if request.param == "gs":
        made = bucket = FakeBucket()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", made.url)
        bucket.store("head", b"good")
    else:
        made = folder = WebFolder()
        folder.put("head", b"good")
    yield made
    made.close()


@pytest.fixture
async def opened(server: Server) -> AsyncIterator[Callable[[StoreSettings], Store]]:
    stores: list[Store] = []

    def of(settings: StoreSettings) -> Store:
        stores.append(open_store("gs://bucket" if isinstance(server, FakeBucket) else server.url, settings=settings))
        return stores[-1]

    yield of
    server.stopping.set()
    for store in stores:
        await store.aclose()


Opened = Callable[[StoreSettings], Store]


@pytest.mark.parametrize(
    "fault",
    [endless(x_goog_generation="7"), status(200, b"x" * (MAX + 1), x_goog_generation="7")],
    ids=["without-length", "with-length"],
)
async def test_a17_a_body_over_the_cap_is_stopped_at_the_cap(server: Server, opened: Opened, fault: Fault) -> None:
    store = opened(PATIENT)
    server.faults.append(fault)
    with pytest.raises(TooLarge):
        await store.read("head", max_bytes=MAX)
    assert (await store.read("head", max_bytes=MAX)).body == b"good"


async def test_a17_a_gzip_bomb_is_not_unpacked_beyond_the_cap(server: Server, opened: Opened) -> None:
    store = opened(PATIENT)
    packed = bomb(32 << 20)
    server.faults.append(status(200, packed, Content_Encoding="gzip", x_goog_generation="7"))
    if isinstance(server, FakeBucket):  # objects are taken as they are stored
        assert (await store.read("head", max_bytes=MAX)).body == packed
        return
    with pytest.raises(TooLarge):
        await store.read("head", max_bytes=MAX)


async def test_a17_an_endless_refusal_is_cut(server: Server, opened: Opened) -> None:
    store = opened(PATIENT)
    server.faults.append(endless(404))
    with pytest.raises(NotFound) as caught:
        await store.read("head", max_bytes=MAX)
    assert len(str(caught.value)) < 600


async def test_a18_a_byte_at_a_time_ends_at_the_total_deadline_and_others_go_on(server: Server, opened: Opened) -> None:
    slow, other = opened(HASTY), opened(PATIENT)
    server.faults.append(endless(chunk=b".", pause_s=0.02, x_goog_generation="7"))
    told: list[Unavailable] = []

    async def read() -> None:
        with pytest.raises(Unavailable) as caught:
            await slow.read("head", max_bytes=MAX)
        told.append(caught.value)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        while not server.requests:
            await anyio.lowlevel.checkpoint()
        assert (await other.read("head", max_bytes=MAX)).body == b"good"
    assert len(told) == 1


async def test_a18_a_refusal_a_byte_at_a_time_ends_as_well(server: Server, opened: Opened) -> None:
    store = opened(HASTY)
    server.faults.append(endless(503, chunk=b".", pause_s=0.02))
    with pytest.raises(Unavailable):
        await store.read("head", max_bytes=MAX)


@pytest.mark.parametrize(
    "fault",
    [status(429, Retry_After="3"), status(500), status(503), reset(), cut(x_goog_generation="7")],
    ids=["429", "500", "503", "reset", "cut"],
)
async def test_a35_a_store_that_fails_is_unavailable_and_recovers_by_itself(
    server: Server, opened: Opened, fault: Fault
) -> None:
    store = opened(PATIENT)
    server.faults.extend([fault, fault])
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            await store.read("head", max_bytes=MAX)
        assert caught.value.retryable
    assert (await store.read("head", max_bytes=MAX)).body == b"good"


async def test_a35_a_store_that_never_answers_is_unavailable_and_recovers_by_itself(
    server: Server, opened: Opened
) -> None:
    store = opened(HASTY)
    server.faults.append(silent())
    with pytest.raises(Unavailable):
        await store.read("head", max_bytes=MAX)
    assert (await store.read("head", max_bytes=MAX)).body == b"good"


@pytest.mark.parametrize("url", ["https://pointsman.invalid/x", "http://127.0.0.1:9/x"])
async def test_a35_a_name_that_does_not_resolve_or_a_closed_port_is_unavailable_and_nothing_was_sent(url: str) -> None:
    store = open_store(url, settings=PATIENT)
    with pytest.raises(Unavailable) as caught:
        await store.read("head", max_bytes=MAX)
    assert not caught.value.sent
    await store.aclose()


async def test_a37_an_unchanged_answer_without_an_etag_counts_after_an_error_too(
    server: Server, opened: Opened
) -> None:
    store = opened(PATIENT)
    known = await store.read("head", max_bytes=MAX)
    server.faults.extend([status(503), status(304, b"")])
    with pytest.raises(Unavailable):
        await store.read("head", max_bytes=MAX, unless=known.generation)
    read = await store.read("head", max_bytes=MAX, unless=known.generation)
    assert read.body is None
    assert read.generation == known.generation
    assert read.now >= known.now


async def test_a38_the_same_bytes_under_a_new_generation_are_told_as_both(server: Server, opened: Opened) -> None:
    store = opened(PATIENT)
    known = await store.read("head", max_bytes=MAX)
    server.faults.append(status(200, b"good", x_goog_generation="42", ETag='"42"'))
    read = await store.read("head", max_bytes=MAX, unless=known.generation)
    assert read.body == known.body
    assert read.generation != known.generation


@pytest.mark.parametrize(("code", "error"), [(404, NotFound), (403, Forbidden), (401, Forbidden)])
async def test_a39_an_absent_or_forbidden_head_is_an_error_never_an_empty_head(
    server: Server, opened: Opened, code: int, error: type[PointsmanError]
) -> None:
    store = opened(PATIENT)
    known = await store.read("head", max_bytes=MAX)
    for unless in (None, known.generation):
        server.faults.append(status(code, b""))
        with pytest.raises(error) as caught:
            await store.read("head", max_bytes=MAX, unless=unless)
        assert not caught.value.retryable


async def test_a46_of_two_operators_who_write_at_once_one_is_told_that_it_lost() -> None:
    store, gate = MemoryStore(), Gate()
    first, second = store.connect(gate), store
    known = await store.create("head", b"0")
    flight = gate.hold("write", "head")
    outcome: list[type[PointsmanError]] = []

    async def slow() -> None:
        try:
            await first.write("head", b"1", expect=known.generation)
        except PreconditionFailed as exc:
            outcome.append(type(exc))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow)
        await flight.departed()
        await second.write("head", b"2", expect=known.generation)
        flight.answer()
    assert outcome == [PreconditionFailed]
    assert (await store.read("head", max_bytes=MAX)).body == b"2"


async def test_a47_a_write_whose_answer_was_lost_is_never_told_as_not_sent(
    bucket_store: tuple[FakeBucket, Store],
) -> None:
    bucket, store = bucket_store
    known = await store.read("head", max_bytes=MAX)
    bucket.faults.append(applied_then_reset())
    with pytest.raises(Unavailable) as caught:
        await store.write("head", b"mine", expect=known.generation)
    assert caught.value.sent
    with pytest.raises(PreconditionFailed):
        await store.write("head", b"mine", expect=known.generation)
    assert (await store.read("head", max_bytes=MAX)).body == b"mine"


async def test_a49_a_write_too_soon_after_another_says_when_to_come_back_and_changes_nothing(
    bucket_store: tuple[FakeBucket, Store],
) -> None:
    bucket, store = bucket_store
    known = await store.read("head", max_bytes=MAX)
    bucket.faults.append(status(429, Retry_After="1"))
    with pytest.raises(Unavailable) as caught:
        await store.write("head", b"mine", expect=known.generation)
    assert caught.value.retry_after_s == 1
    assert (await store.write("head", b"mine", expect=known.generation)).generation != known.generation


@pytest.fixture
async def bucket_store(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[FakeBucket, Store]]:
    bucket = FakeBucket()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.url)
    bucket.store("head", b"good")
    store = open_store("gs://bucket", settings=PATIENT)
    yield bucket, store
    await store.aclose()
    bucket.close()


async def test_a54_rights_that_are_revoked_while_running_are_told_as_such_and_may_come_back(
    server: Server, opened: Opened
) -> None:
    store = opened(PATIENT)
    known = await store.read("head", max_bytes=MAX)
    server.faults.extend([status(403)] * 3)
    for _ in range(3):
        with pytest.raises(Forbidden):
            await store.read("head", max_bytes=MAX, unless=known.generation)
    assert (await store.read("head", max_bytes=MAX, unless=known.generation)).body is None
