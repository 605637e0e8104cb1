"""What every store promises, tried on each by one suite."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from pointsman.errors import NotFound, PreconditionFailed, StoreError, TooLarge
from pointsman.stores.store import Entry, Written
from tests.contract.stores.conftest import WRITABLE, Bench

RACERS = 12
MAX = 1 << 20
SECOND = timedelta(seconds=1)
NO_NAMES = (
    "", "/", "/etc/passwd", "../head", "a/../../b", "a//b", "a/", ".hidden", "a/.b", "a\\b", "é", "a b", "a\n", "a?b",
    "a%2e%2e", "-a", "x" * 513, "a/" + "x" * 201,
)  # fmt: skip


async def test_what_was_put_is_read_with_generation_stamp_and_clock(readable: Bench) -> None:
    before = datetime.now(UTC) - SECOND
    put = await readable.put("head", b'{"seq": 1}')
    read = await readable.store.read("head", max_bytes=MAX)

    assert read.body == b'{"seq": 1}'
    assert read.generation == put.generation != ""
    assert read.stamp is not None
    assert before - SECOND <= read.stamp <= read.now + SECOND
    assert read.now.utcoffset() == read.stamp.utcoffset() == timedelta(0)
    assert read.now <= datetime.now(UTC) + SECOND


async def test_any_bytes_come_back_as_they_were(readable: Bench) -> None:
    body = bytes(range(256)) + b"\r\n--\x1f\x8b\x00"
    assert (await readable.put("roots/1", body)).body == body


async def test_an_empty_object_is_not_an_absent_one(readable: Bench) -> None:
    assert (await readable.put("empty", b"")).body == b""


async def test_an_unchanged_object_is_not_sent_again(readable: Bench) -> None:
    put = await readable.put("head", b"one")
    read = await readable.store.read("head", max_bytes=MAX, unless=put.generation)
    assert read.body is None
    assert read.generation == put.generation
    assert read.stamp is None or read.stamp == put.stamp


async def test_an_object_of_another_generation_is_sent(readable: Bench) -> None:
    await readable.put("head", b"one")
    read = await readable.store.read("head", max_bytes=MAX, unless='"no-such-generation"')
    assert read.body == b"one"


async def test_an_absent_object_is_not_found_whatever_generation_was_known(readable: Bench) -> None:
    put = await readable.put("head", b"one")
    for unless in (None, put.generation):
        with pytest.raises(NotFound):
            await readable.store.read("release", max_bytes=MAX, unless=unless)


async def test_a_body_over_the_cap_is_refused_and_one_at_the_cap_is_not(readable: Bench) -> None:
    await readable.put("head", b"x" * 1000)
    assert (await readable.store.read("head", max_bytes=1000)).body == b"x" * 1000
    with pytest.raises(TooLarge):
        await readable.store.read("head", max_bytes=999)


@pytest.mark.parametrize("kind", [*WRITABLE, "https"])
async def test_a_name_that_climbs_or_hides_is_refused_before_anything_is_sent(
    kind: str, open_bench: Callable[[str], Bench]
) -> None:
    store = open_bench(kind).store
    for name in NO_NAMES:
        with pytest.raises(StoreError, match="object's name"):
            await store.read(name, max_bytes=MAX)
        if store.writable:
            with pytest.raises(StoreError, match="object's name"):
                await store.create(name, b"")
            with pytest.raises(StoreError, match="object's name"):
                await store.write(name, b"", expect="1")
    for prefix in ("../", "/", ".x", "a//") if store.writable else ():
        with pytest.raises(StoreError, match="object's name"):
            await store.list(prefix)
    await store.aclose()


async def test_the_url_names_the_place_in_one_form(readable: Bench) -> None:
    assert "://" in readable.store.url
    assert not readable.store.url.endswith("/")


async def test_a_write_replaces_exactly_the_generation_it_names(bench: Bench) -> None:
    first = await bench.store.create("head", b"one")
    second = await bench.store.write("head", b"two", expect=first.generation)
    assert second.generation != first.generation
    assert second.stamp >= first.stamp
    read = await bench.store.read("head", max_bytes=MAX)
    assert (read.body, read.generation) == (b"two", second.generation)
    assert read.stamp is not None
    assert abs(read.stamp - second.stamp) < SECOND


async def test_a_write_that_expects_another_generation_changes_nothing(bench: Bench) -> None:
    first = await bench.store.create("head", b"one")
    second = await bench.store.write("head", b"two", expect=first.generation)
    for stale in (first.generation, "0", "12345678", "nonsense", ""):
        with pytest.raises(PreconditionFailed):
            await bench.store.write("head", b"three", expect=stale)
    read = await bench.store.read("head", max_bytes=MAX)
    assert (read.body, read.generation) == (b"two", second.generation)


async def test_a_write_to_what_does_not_exist_makes_nothing(bench: Bench) -> None:
    first = await bench.store.create("head", b"one")
    for expect in (first.generation, "0"):
        with pytest.raises(PreconditionFailed):
            await bench.store.write("release", b"two", expect=expect)
    with pytest.raises(NotFound):
        await bench.store.read("release", max_bytes=MAX)


async def test_what_exists_is_not_created_again(bench: Bench) -> None:
    first = await bench.store.create("ops/4f1c/begin", b"mine")
    with pytest.raises(PreconditionFailed):
        await bench.store.create("ops/4f1c/begin", b"mine")
    read = await bench.store.read("ops/4f1c/begin", max_bytes=MAX)
    assert (read.body, read.generation) == (b"mine", first.generation)


async def test_the_same_bytes_again_are_a_new_generation(bench: Bench) -> None:
    first = await bench.store.create("head", b"one")
    second = await bench.store.write("head", b"one", expect=first.generation)
    assert second.generation != first.generation
    assert (await bench.store.read("head", max_bytes=MAX, unless=first.generation)).body == b"one"


async def test_objects_are_listed_by_prefix_sorted_and_with_their_sizes(bench: Bench) -> None:
    written = {name: await bench.store.create(name, name.encode()) for name in ("ops/b/end", "ops/a/begin", "head")}
    assert [entry.name for entry in await bench.store.list("")] == ["head", "ops/a/begin", "ops/b/end"]
    assert [entry.name for entry in await bench.store.list("ops/b")] == ["ops/b/end"]
    assert await bench.store.list("opsx") == []
    assert await bench.store.list("status/") == []
    assert await bench.store.list("head/") == []
    [entry] = await bench.store.list("ops/a/")
    assert entry == Entry("ops/a/begin", written["ops/a/begin"].generation, written["ops/a/begin"].stamp, 11)


async def test_a_list_over_the_cap_is_refused_not_shortened(bench: Bench) -> None:
    for number in range(1, 6):
        await bench.store.create(f"roots/{number}", b"")
    assert len(await bench.store.list("roots/")) == 5
    await bench.store.create("roots/6", b"")
    with pytest.raises(TooLarge):
        await bench.store.list("roots/")


async def test_of_many_who_swap_at_once_exactly_one_wins(bench: Bench) -> None:
    first = await bench.store.create("head", b"start")
    won: list[tuple[bytes, Written]] = []

    async def swap(number: int) -> None:
        body = f"racer {number}".encode()
        try:
            won.append((body, await bench.store.write("head", body, expect=first.generation)))
        except PreconditionFailed:
            return

    async with anyio.create_task_group() as tasks:
        for number in range(RACERS):
            tasks.start_soon(swap, number)

    [(body, written)] = won
    read = await bench.store.read("head", max_bytes=MAX)
    assert (read.body, read.generation) == (body, written.generation)


async def test_of_many_who_create_at_once_exactly_one_wins(bench: Bench) -> None:
    won: list[bytes] = []

    async def create(number: int) -> None:
        body = f"racer {number}".encode()
        try:
            await bench.store.create("ops/one/begin", body)
        except PreconditionFailed:
            return
        won.append(body)

    async with anyio.create_task_group() as tasks:
        for number in range(RACERS):
            tasks.start_soon(create, number)

    assert [(await bench.store.read("ops/one/begin", max_bytes=MAX)).body] == won


async def test_body_and_generation_belong_together_while_others_write(bench: Bench) -> None:
    written = await bench.store.create("head", b"body 0")
    bodies = {written.generation: b"body 0"}
    reads = []

    async def write() -> None:
        expect = written.generation
        for number in range(1, 8):
            body = f"body {number}".encode() * number
            expect = (await bench.store.write("head", body, expect=expect)).generation
            bodies[expect] = body
        tasks.cancel_scope.cancel()

    async def read() -> None:
        while True:
            reads.append(await bench.store.read("head", max_bytes=MAX))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        tasks.start_soon(read)
        tasks.start_soon(read)

    assert reads
    assert all(bodies[read.generation] == read.body for read in reads if read.generation in bodies)


async def test_a_cancelled_caller_leaves_a_whole_object_and_no_lock(bench: Bench) -> None:
    first = await bench.store.create("head", b"one")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await bench.store.write("head", b"two", expect=first.generation)
    with anyio.move_on_after(0.0005):
        await bench.store.write("head", b"two", expect=first.generation)

    read = await bench.store.read("head", max_bytes=MAX)
    assert read.body in {b"one", b"two"}
    try:
        await bench.store.write("head", b"three", expect=read.generation)
    except PreconditionFailed:  # the cancelled write landed meanwhile
        assert (await bench.store.read("head", max_bytes=MAX)).body == b"two"


async def test_closing_twice_is_no_error(readable: Bench) -> None:
    await readable.put("head", b"one")
    await readable.store.aclose()
    await readable.store.aclose()
