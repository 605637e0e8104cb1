"""The store for tests: its clock, its clients, its pace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pointsman.errors import ConfigurationError, Unavailable
from pointsman.stores.memory import MemoryStore

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


async def test_stamp_is_the_time_of_the_write_and_now_that_of_the_reply() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock)
    first = await store.create("head", b"one")
    clock.now += timedelta(hours=1)
    read = await store.read("head", max_bytes=10)
    assert (read.stamp, read.now) == (START, START + timedelta(hours=1))
    assert (await store.read("head", max_bytes=10, unless=first.generation)).stamp == START


async def test_clients_share_objects_and_two_stores_do_not() -> None:
    store, other = MemoryStore("memory://a"), MemoryStore("memory://a")
    await store.connect().create("head", b"one")
    assert (await store.read("head", max_bytes=10)).body == b"one"
    assert await other.list("") == []


async def test_a_paced_store_bears_one_write_a_second_and_object() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock, paced=True)
    client = store.connect()
    assert client.paced
    first = await client.create("head", b"one")
    await client.create("release", b"one")
    clock.now += timedelta(seconds=0.9)
    with pytest.raises(Unavailable) as caught:
        await client.write("head", b"two", expect=first.generation)
    assert caught.value.retry_after_s == 1
    clock.now += timedelta(seconds=0.1)
    await client.write("head", b"two", expect=first.generation)


def test_a_url_with_a_secret_is_refused_without_telling_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        MemoryStore("memory://user:secret@name")
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        MemoryStore("memory://[")
