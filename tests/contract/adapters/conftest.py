"""Every provider of a category, made as the engine makes it, with what a test needs to make time pass."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import google_crc32c
import grpc
import pytest
from fakeredis import FakeAsyncRedisConnection, FakeServer
from google.cloud.secretmanager_v1 import (
    AccessSecretVersionRequest,
    AccessSecretVersionResponse,
    AddSecretVersionRequest,
    ListSecretVersionsRequest,
    ListSecretVersionsResponse,
    SecretManagerServiceClient,
    SecretPayload,
    SecretVersion,
)
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)
from redis import Redis as BlockingRedis
from redis.asyncio import BlockingConnectionPool, Redis

from pointsman.adapters.cache.memory import MemoryCacheSettings, memory_cache
from pointsman.adapters.cache.redis import RedisCacheSettings, open_pool, redis_cache
from pointsman.adapters.secrets.gcp import GcpSecretsSettings, gcp_secrets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from pointsman.adapters.cache.memory import MemoryCache
    from pointsman.adapters.cache.redis import RedisCache
    from pointsman.adapters.secrets.gcp import GcpSecrets

REAL_REDIS = "redis://127.0.0.1:6379/9"


@dataclass
class CacheUnderTest:
    """A cache, and a way to let seconds pass for everything in it."""

    cache: MemoryCache | RedisCache
    pass_seconds: Callable[[float], Awaitable[None]]


@pytest.fixture(scope="session")
def real_redis() -> str:
    client = BlockingRedis.from_url(REAL_REDIS, socket_connect_timeout=1, socket_timeout=1)
    try:
        client.ping()
    except Exception as error:
        pytest.skip(f"no Redis server at {REAL_REDIS}: {type(error).__name__}")
    finally:
        client.close()
    return REAL_REDIS


@pytest.fixture(params=["memory", "redis client, fake server", "redis"])
async def cache_under_test(request: pytest.FixtureRequest) -> AsyncIterator[CacheUnderTest]:
    match request.param:
        case "memory":
            yield _memory()
        case "redis":
            async with _redis(open_pool, request.getfixturevalue("real_redis")) as under_test:
                yield under_test
        case _:
            server = FakeServer()
            async with _redis(lambda _: _fake_pool(server)) as under_test:
                yield under_test


def _memory() -> CacheUnderTest:
    now = [1000.0]

    async def pass_seconds(seconds: float) -> None:
        now[0] += seconds

    return CacheUnderTest(memory_cache(MemoryCacheSettings(), clock=lambda: now[0]), pass_seconds)


def _fake_pool(server: FakeServer) -> BlockingConnectionPool:
    options = open_pool(RedisCacheSettings(url="redis://fake")).connection_kwargs | {"server": server}
    return BlockingConnectionPool(connection_class=FakeAsyncRedisConnection, **options)


@asynccontextmanager
async def _redis(
    pool: Callable[[RedisCacheSettings], BlockingConnectionPool], url: str = "redis://fake"
) -> AsyncIterator[CacheUnderTest]:
    prefix = f"pointsman-test-{uuid4()}:"
    settings = RedisCacheSettings(url=url, key_prefix=prefix)
    async with Redis.from_pool(pool(settings)) as raw, redis_cache(settings, pool) as cache:

        async def pass_seconds(seconds: float) -> None:
            async for key in raw.scan_iter(match=f"{prefix}*"):
                left_ms = await raw.pttl(key)
                if left_ms >= 0:
                    await raw.pexpire(key, max(0, left_ms - round(seconds * 1000)))

        yield CacheUnderTest(cache, pass_seconds)
        if keys := [key async for key in raw.scan_iter(match=f"{prefix}*")]:
            await raw.unlink(*keys)


class SecretManager:
    """Secret Manager on a local port, for the real client. Faults are asked for by the test.

    Attributes:
        calls: Names of the methods that were called.
        faults: Status codes that the next calls are answered with, first come first.
        hang: Calls get no answer until `let_go`.
        damage: Payloads arrive with another byte than their checksum says.
        bare: Payloads arrive without a checksum.
    """

    SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.faults: list[grpc.StatusCode] = []
        self.hang = False
        self.damage = False
        self.bare = False
        self.let_go = threading.Event()
        self.port = 0
        self._versions: dict[str, dict[str, SecretVersion.State]] = {}
        self._data: dict[tuple[str, str], bytes] = {}

    def add(self, name: str, data: bytes) -> str:
        versions = self._versions.setdefault(f"projects/test/secrets/{name}", {})
        number = str(len(versions) + 1)
        versions[number] = SecretVersion.State.ENABLED
        self._data[f"projects/test/secrets/{name}", number] = data
        return number

    def disable(self, name: str, number: str) -> None:
        self._versions[f"projects/test/secrets/{name}"][number] = SecretVersion.State.DISABLED

    @contextmanager
    def serving(self) -> Iterator[SecretManager]:
        server = grpc.server(ThreadPoolExecutor(4))
        handlers = {
            "AccessSecretVersion": (self._access, AccessSecretVersionRequest, AccessSecretVersionResponse),
            "ListSecretVersions": (self._list, ListSecretVersionsRequest, ListSecretVersionsResponse),
            "AddSecretVersion": (self._add, AddSecretVersionRequest, SecretVersion),
        }
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    self.SERVICE, {name: self._handler(name, *parts) for name, parts in handlers.items()}
                ),
            )
        )
        self.port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield self
        self.let_go.set()
        server.stop(None).wait()

    def secrets(self, *, timeout_s: float = 20.0) -> AbstractAsyncContextManager[GcpSecrets]:
        """Return the provider as the engine makes it, but for a channel without TLS."""
        return gcp_secrets(GcpSecretsSettings(project="test", timeout_s=timeout_s), self._connect)

    def _connect(self, _: GcpSecretsSettings) -> SecretManagerServiceClient:
        channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        return SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))

    def _handler(self, name: str, answer: Any, request: Any, response: Any) -> grpc.RpcMethodHandler:
        def handle(message: Any, context: grpc.ServicerContext) -> Any:
            self.calls.append(name)
            if self.hang:
                self.let_go.wait()
            if self.faults:
                context.abort(self.faults.pop(0), "asked for by the test")
            return answer(message, context)

        return grpc.unary_unary_rpc_method_handler(handle, request.deserialize, response.serialize)

    def _access(self, request: Any, context: Any) -> Any:
        secret, _, number = request.name.partition("/versions/")
        versions = self._versions.get(secret, {})
        number = max(versions, key=int, default="") if number == "latest" else number
        if number not in versions:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Secret Version [{request.name}] not found.")
        if versions[number] != SecretVersion.State.ENABLED:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "DISABLED state")
        data = self._data[secret, number]
        payload = SecretPayload(data=data + b"!" if self.damage else data)
        if not self.bare:
            payload.data_crc32c = google_crc32c.value(data)
        return AccessSecretVersionResponse(name=f"{secret}/versions/{number}", payload=payload)

    def _list(self, request: Any, context: Any) -> Any:
        if request.parent not in self._versions:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Secret [{request.parent}] not found.")
        assert request.filter == "state:ENABLED"
        states = self._versions[request.parent]
        numbers = [number for number in sorted(states, key=int, reverse=True) if states[number] == 1]
        start = int(request.page_token or 0)
        page, rest = numbers[start : start + 2], numbers[start + 2 :]
        return ListSecretVersionsResponse(
            versions=[SecretVersion(name=f"{request.parent}/versions/{number}") for number in page],
            next_page_token=str(start + 2) if rest else "",
        )

    def _add(self, request: Any, context: Any) -> Any:
        if request.parent not in self._versions:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Secret [{request.parent}] not found.")
        assert request.payload.data_crc32c == google_crc32c.value(request.payload.data)
        number = self.add(request.parent.rpartition("/")[2], request.payload.data)
        return SecretVersion(name=f"{request.parent}/versions/{number}")


@pytest.fixture
def secret_manager() -> Iterator[SecretManager]:
    with SecretManager().serving() as manager:
        yield manager
