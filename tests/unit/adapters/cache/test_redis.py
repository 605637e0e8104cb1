"""The client's edge: deadlines, refusals, broken connections. A scripted server on a local port; no Redis is needed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest
from pydantic import ValidationError

from pointsman.adapters.cache.redis import RedisCache, RedisCacheSettings, open_pool, redis_cache
from pointsman.errors import ProviderError, ProviderTimeout, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Script:
    """Answers by command, ``+OK`` to what is not named. ``hang`` holds back every answer to that command."""

    def __init__(self, **answers: bytes) -> None:
        self.answers = {"PING": b"+PONG\r\n", **answers}
        self.seen: list[list[str]] = []
        self.hang: str | None = None
        self.asked = anyio.Event()
        self.go_on = anyio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Script]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            self.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self
            self.go_on.set()
            self.cut()

    def cut(self) -> None:
        for writer in self.writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while head := await reader.readline():
                words = []
                for _ in range(int(head[1:])):
                    await reader.readline()
                    words.append((await reader.readline()).strip().decode())
                self.seen.append(words)
                if words[0] == self.hang:
                    self.asked.set()
                    await self.go_on.wait()
                writer.write(self.answers.get(words[0], b"+OK\r\n"))
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with Script().serving() as script:
        yield script


def settings(script: Script, **values: object) -> RedisCacheSettings:
    return RedisCacheSettings(url=script.url, **values)


def impatient(cache: RedisCache, script: Script) -> RedisCache:
    """Return the same cache with a deadline that passes at once; opening it must not hurry on a busy machine."""
    return RedisCache(cache._client, settings(script, timeout_s=0.02))


async def test_a_server_that_is_not_there_is_told_at_once_and_without_the_password() -> None:
    async with Script().serving() as gone:
        url = gone.url.replace("redis://", "redis://user:s3cret@")
    with pytest.raises(ProviderUnavailable) as caught:
        async with redis_cache(RedisCacheSettings(url=url)):
            pass
    assert caught.value.retryable
    assert "s3cret" not in f"{caught.value}{caught.value.__cause__}"


@pytest.mark.parametrize("command", ["PING", "GET", "SET", "MGET", "INCRBY", "UNLINK", "SCAN"])
async def test_no_answer_within_the_time_is_a_timeout(script: Script, command: str) -> None:
    async with redis_cache(settings(script)) as patient:
        cache = impatient(patient, script)
        calls = {
            "PING": cache.health, "GET": lambda: cache.get("a"), "SET": lambda: cache.set("a", b""),
            "MGET": lambda: cache.get_many(["a"]), "INCRBY": lambda: cache.incr("a"),
            "UNLINK": lambda: cache.delete("a"), "SCAN": cache.clear,
        }  # fmt: skip
        script.hang = command
        with pytest.raises(ProviderTimeout, match=command):
            await calls[command]()


async def test_a_server_that_takes_calls_and_never_answers_is_a_timeout_at_the_start(script: Script) -> None:
    script.hang = "PING"
    with pytest.raises(ProviderTimeout):
        async with redis_cache(settings(script, timeout_s=0.05)):
            pass


async def test_waiting_for_a_free_connection_has_the_same_deadline(script: Script) -> None:
    async with (
        redis_cache(settings(script, timeout_s=5, max_connections=1)) as cache,
        anyio.create_task_group() as tasks,
    ):
        script.hang = "GET"
        tasks.start_soon(cache.get, "a")
        await script.asked.wait()
        with pytest.raises(ProviderTimeout):
            await impatient(cache, script).get("b")
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", ProviderUnavailable),
        (b"-READONLY You can't write against a read only replica.\r\n", ProviderUnavailable),
        (b"-LOADING Redis is loading the dataset in memory\r\n", ProviderUnavailable),
        (b"-NOAUTH Authentication required.\r\n", ProviderUnavailable),
        (b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", ProviderError),
        (b"-ERR value is not an integer or out of range\r\n", ProviderError),
        (b"?what\r\n", ProviderError),
    ],
)
async def test_each_refusal_says_whether_a_retry_may_help(
    script: Script, answer: bytes, error: type[ProviderError]
) -> None:
    script.answers["INCRBY"] = answer
    async with redis_cache(settings(script)) as cache:
        with pytest.raises(ProviderError) as caught:
            await cache.incr("a")
    assert type(caught.value) is error


async def test_nothing_is_retried_so_a_lost_answer_never_counts_twice(script: Script) -> None:
    async with redis_cache(settings(script)) as cache, anyio.create_task_group() as tasks:
        script.hang = "INCRBY"

        async def cut() -> None:
            await script.asked.wait()
            script.cut()

        tasks.start_soon(cut)
        with pytest.raises(ProviderUnavailable):
            await cache.incr("a")
    assert [words[0] for words in script.seen].count("INCRBY") == 1


async def test_a_connection_that_the_server_closed_is_made_again(script: Script) -> None:
    script.answers["GET"] = b"$1\r\n1\r\n"
    async with redis_cache(settings(script)) as cache:
        assert await cache.get("a") == b"1"
        script.cut()
        for _ in range(10):  # turns of the loop, for the end to reach the other side
            await anyio.lowlevel.checkpoint()
        assert await cache.get("a") == b"1"


async def test_a_cancelled_callers_answer_is_never_handed_to_the_next(script: Script) -> None:
    script.answers |= {"GET": b"$3\r\nold\r\n", "INCRBY": b":7\r\n"}
    async with redis_cache(settings(script, max_connections=1)) as cache:
        script.hang = "GET"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cache.get, "a")
            await script.asked.wait()
            tasks.cancel_scope.cancel()
        script.go_on.set()
        assert await cache.incr("n") == 7


async def test_settings_win_over_the_url_and_its_query(script: Script) -> None:
    url = script.url.replace("redis://", "redis://them:theirs@") + "/3?decode_responses=true&socket_timeout=900"
    values = RedisCacheSettings(url=url, username="us", password="ours", timeout_s=1.5)
    options = open_pool(values).connection_kwargs
    assert (options["username"], options["password"], options["db"]) == ("us", "ours", 3)
    assert (options["socket_timeout"], options["decode_responses"]) == (1.5, False)
    async with redis_cache(values):
        assert ["AUTH", "us", "ours"] in script.seen
        assert ["SELECT", "3"] in script.seen


async def test_the_urls_own_login_is_used_where_settings_say_none(script: Script) -> None:
    async with redis_cache(RedisCacheSettings(url=script.url.replace("redis://", "redis://them:theirs@"))):
        assert ["AUTH", "them", "theirs"] in script.seen


async def test_keys_carry_the_prefix_and_the_tenant(script: Script) -> None:
    script.answers["GET"] = b"$-1\r\n"
    async with redis_cache(settings(script, key_prefix="notebook:")) as cache:
        await cache.get("a")
        await cache.for_tenant("acme").get("a")
    assert [words[1] for words in script.seen if words[0] == "GET"] == ["notebook:-:a", "notebook:4:acme:a"]


async def test_it_says_that_it_is_well(script: Script) -> None:
    async with redis_cache(settings(script)) as cache:
        assert await cache.health()


@pytest.mark.parametrize("url", ["", "127.0.0.1:6379", "http://127.0.0.1", "redis://127.0.0.1:port"])
def test_a_url_that_is_none_of_redis_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        RedisCacheSettings(url=url)


def test_no_representation_shows_a_password() -> None:
    values = RedisCacheSettings(url="redis://user:s3cret@host", password="s3cret")
    assert "s3cret" not in f"{values!r}{values}"
