"""A cache on a Redis server, shared by every replica that names the same server and prefix.

Nothing is retried: `incr` twice is not `incr` once, and the caller knows best whether to ask again. A connection that
a failure or a cancelled caller leaves behind is dropped, never handed on with an answer still in it.
"""

import re
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Annotated, Any, cast

import anyio
from pydantic import AfterValidator, BaseModel, Field, SecretStr
from redis import exceptions as faults
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pointsman.adapters.cache.protocol import Cache
from pointsman.adapters.facade import tenant_space
from pointsman.errors import ProviderError, ProviderTimeout, ProviderUnavailable

_UNAVAILABLE = (faults.ConnectionError, faults.ReadOnlyError, faults.MasterDownError, faults.OutOfMemoryError)
"""What another try, or another server, may mend; a refused login is a connection error too."""
_GLOB = re.compile(r"([\\*?\[])")
_SCAN_COUNT = 500
_LONGEST_TTL_MS = 2**53


def _readable(url: str) -> str:
    parse_url(url)  # a ValueError here is a settings error, told without the value
    return url


class RedisCacheSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of ``cache/redis``.

    Attributes:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``; kept out of representations, since it may hold a
            password. Its query may say more of the connection, but nothing that is said here.
        username: In place of the one in ``url``.
        password: In place of the one in ``url``.
        key_prefix: Before every key; services that share a server need different ones.
        timeout_s: For one command, with all that it waits for: a free connection, a connect, the answer.
        max_connections: Of this replica; commands beyond it wait.
    """

    url: Annotated[str, Field(repr=False), AfterValidator(_readable)]
    username: str | None = None
    password: SecretStr | None = None
    key_prefix: Annotated[str, Field(max_length=100)] = "pointsman:"
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    max_connections: Annotated[int, Field(ge=1, le=1000)] = 50


@contextmanager
def _translated(command: str, timeout_s: float) -> Iterator[None]:
    """Bound one command, and turn the client's errors into ours."""
    asked = f"adapter/cache=redis: expected an answer to {command} within {timeout_s:g} s"
    try:
        with anyio.fail_after(timeout_s):
            yield
    except (TimeoutError, faults.TimeoutError) as error:
        raise ProviderTimeout(f"{asked}, found none.", hint="Look at the server's load and at timeout_s.") from error
    except _UNAVAILABLE as error:
        raise ProviderUnavailable(
            f"{asked}, found {type(error).__name__}.",
            hint="Look at url, username and password in provider_settings cache/redis, and whether the server runs.",
        ) from error
    except faults.RedisError as error:
        raise ProviderError(f"adapter/cache=redis: the server refused {command}: {error}") from error


class RedisCache(Cache):
    """One tenant's view of the server; made by `redis_cache` and by `for_tenant`."""

    __slots__ = ("_client", "_prefix", "_settings")

    def __init__(self, client: Redis, settings: RedisCacheSettings, tenant_id: str | None = None) -> None:
        self._client = client
        self._settings = settings
        self._prefix = settings.key_prefix + tenant_space(tenant_id)

    def for_tenant(self, tenant_id: str | None) -> "RedisCache":
        """Return the view of one tenant over the same connections."""
        return RedisCache(self._client, self._settings, tenant_id)

    async def get(self, key: str) -> bytes | None:
        """Return the value, or ``None`` when it is absent or expired."""
        with self._asking("GET"):
            return cast("bytes | None", await self._client.get(self._prefix + key))

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return those of the keys that are present, in one round trip."""
        if not keys:
            return {}
        with self._asking("MGET"):
            values = cast("list[bytes | None]", await self._client.mget([self._prefix + key for key in keys]))
        return {key: value for key, value in zip(keys, values, strict=True) if value is not None}

    async def set(self, key: str, value: bytes, *, ttl_s: float | None = None) -> None:
        """Keep a value; its time to live is rounded to milliseconds, up to one."""
        if ttl_s is not None and ttl_s <= 0:
            await self.delete(key)
            return
        ttl_ms = None if ttl_s is None else max(1, round(min(ttl_s * 1000, _LONGEST_TTL_MS)))
        with self._asking("SET"):
            await self._client.set(self._prefix + key, bytes(value), px=ttl_ms)

    async def delete(self, key: str) -> None:
        """Forget a key."""
        with self._asking("UNLINK"):
            await self._client.unlink(self._prefix + key)

    async def incr(self, key: str, by: int = 1) -> int:
        """Add to a decimal integer on the server.

        Raises:
            ProviderError: The value is no decimal integer, or the sum leaves 64 bits.
        """
        with self._asking("INCRBY"):
            return await self._client.incrby(self._prefix + key, by)

    async def clear(self) -> None:
        """Forget every key of this tenant, a few hundred at a time; keys set meanwhile may stay."""
        pattern = _GLOB.sub(r"\\\1", self._prefix) + "*"
        cursor = -1
        while cursor:
            with self._asking("SCAN"):
                cursor, keys = await self._client.scan(max(cursor, 0), match=pattern, count=_SCAN_COUNT)
            if keys:
                with self._asking("UNLINK"):
                    await self._client.unlink(*keys)

    async def health(self) -> bool:
        """Ask the server whether it answers.

        Raises:
            ProviderUnavailable: It refused, or was not reachable.
            ProviderTimeout: It did not answer within ``timeout_s``.
        """
        with self._asking("PING"):
            await self._client.ping()
        return True

    def _asking(self, command: str) -> AbstractContextManager[None]:
        return _translated(command, self._settings.timeout_s)


def open_pool(settings: RedisCacheSettings) -> BlockingConnectionPool:
    """Make a pool that waits for a free connection; what settings say wins over the URL's query."""
    options: dict[str, Any] = dict(parse_url(settings.url))
    options |= {"username": settings.username} if settings.username is not None else {}
    options |= {"password": settings.password.get_secret_value()} if settings.password is not None else {}
    options |= {
        "max_connections": settings.max_connections,
        "timeout": settings.timeout_s,
        "socket_timeout": settings.timeout_s,
        "socket_connect_timeout": settings.timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "decode_responses": False,
        "encoding_errors": "surrogatepass",  # any text is a key
    }
    return BlockingConnectionPool(**options)


@asynccontextmanager
async def redis_cache(
    settings: RedisCacheSettings, pool: Callable[[RedisCacheSettings], BlockingConnectionPool] = open_pool
) -> AsyncGenerator[RedisCache]:
    """Open the pool, prove that the server answers, and close it at the end.

    Raises:
        ProviderUnavailable: The server refused, or was not reachable.
        ProviderTimeout: The server did not answer within ``timeout_s``.
    """
    client = Redis.from_pool(pool(settings))
    try:
        cache = RedisCache(client, settings)
        await cache.health()
        yield cache
    finally:
        await client.aclose()
