"""Rows: what a component costs that is injected, and what one request costs beside the containers of others.

Nothing here knows of HTTP: what is measured is what every request does between its headers and its handler.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

from pointsman import Candidate, Use
from pointsman.runtime.access import Asked
from pointsman.runtime.runtime import Runtime
from pointsman.runtime.settings import Settings
from pointsman.tenancy.policy import Tenancy
from pointsman.tenancy.settings import TenancySettings
from pointsman.web.assembly import Declared
from tests.bench.harness import Figures, NotMeasuredError, Row, Samples, Size

Subject = Callable[[], Awaitable[float]]
SCOPE = {"type": "http", "headers": [(b"host", b"x"), (b"accept", b"*/*"), (b"x-tenant-id", b"acme")]}


class A:
    """A component that costs nothing."""


class B:
    """Another."""


class C:
    """And another."""


PARTS: dict[str, type] = {"a": A, "b": B, "c": C}


def runtime_of() -> Runtime:
    """Return a runtime with three components, one tenant, and nobody's settings."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load(folder, environ={}, tenants={"acme": {"labels": {"plan": "gold"}}})
    parts = [Candidate("service", key, "one", made) for key, made in PARTS.items()]
    return Runtime(settings, include=parts, plugins=False)


def asked_of() -> Asked:
    """Return what a handler with three components asks for."""
    return Asked([(key, Use("service", key), False) for key in PARTS])


async def interleaved(size: Size, subjects: dict[str, Subject]) -> Samples:
    """Take samples as `harness.Interleaved` does, of what is awaited."""
    samples: Samples = {who: [] for who in subjects}
    for number in range(size.rounds + 1):
        for who, subject in subjects.items():
            taken = await subject()
            if number:
                samples[who].append(taken)
    return samples


def timed(loops: int, once: Callable[[], Awaitable[object]]) -> Subject:
    """Return a subject that awaits a function again and again; seconds each."""

    async def subject() -> float:
        numbers = range(loops)
        started = time.perf_counter()
        for _ in numbers:
            await once()
        return (time.perf_counter() - started) / loops

    return subject


def _request(size: Size) -> Figures:
    return asyncio.run(_one_request(size))


async def _one_request(size: Size) -> Figures:
    """Measure what the short way does for a handler that asks for components alone."""
    loops = size.of(20_000, 20)
    peers: dict[str, Subject] = {}
    for name, made in (("wireup", open_wireup), ("dishka", open_dishka), ("svcs", open_svcs)):
        try:
            peers[name] = timed(loops, made())
        except ModuleNotFoundError:
            continue
    if not peers:
        raise NotMeasuredError("none of wireup, dishka and svcs is installed")
    async with runtime_of() as runtime:
        tenancy, asked = Tenancy(TenancySettings(), tenants=Declared(runtime)), asked_of()

        async def once() -> None:
            asker = tenancy.at_once(SCOPE)
            assert asker is not None
            _, epoch = runtime.footing()
            bundle = epoch.hold(asker.tenant, asked)
            assert bundle is not None
            try:
                _a, _b, _c = bundle.values
            finally:
                runtime.lifecycle.epochs.release(epoch, bundle)

        async with runtime.components(tenant="acme") as its:  # the first request makes the instances
            await its.obtain_all(asked)

        samples = await interleaved(size, {"pointsman": timed(loops, once), **peers})
    return Figures(samples, "pointsman", tuple(peers), "s")


def open_wireup() -> Callable[[], Awaitable[object]]:
    import wireup

    container = wireup.create_async_container(injectables=[wireup.injectable(made) for made in (A, B, C)])

    async def once() -> None:
        async with container.enter_scope() as scope:
            await scope.get(A)
            await scope.get(B)
            await scope.get(C)

    return once


def open_dishka() -> Callable[[], Awaitable[object]]:
    import dishka

    provider = dishka.Provider(scope=dishka.Scope.APP)
    for made in (A, B, C):
        provider.provide(made)
    container = dishka.make_async_container(provider)

    async def once() -> None:
        async with container() as scope:
            await scope.get(A)
            await scope.get(B)
            await scope.get(C)

    return once


def open_svcs() -> Callable[[], Awaitable[object]]:
    import svcs

    registry = svcs.Registry()
    for made in (A, B, C):
        registry.register_value(made, made())

    async def once() -> None:
        async with svcs.Container(registry) as container:
            await container.aget(A)
            await container.aget(B)
            await container.aget(C)

    return once


def _injected(size: Size) -> Figures:
    return asyncio.run(_per_use(size))


async def _per_use(size: Size) -> Figures:
    """Measure a lease with three uses, less one with none, by three: what each use adds, its return included."""
    from dependency_injector import providers

    singletons = [providers.Singleton(made) for made in (A, B, C)]
    loops = size.of(50_000, 50)
    async with runtime_of() as runtime:
        asked = asked_of()
        its = runtime.components(tenant="acme")
        await its.obtain_all(asked)
        its.close()

        async def ours() -> float:
            numbers, clock, components = range(loops), time.perf_counter, runtime.components
            started = clock()
            for _ in numbers:
                its = components(tenant="acme")
                bundle: Any = its.at_once(asked)
                given = bundle.given
                given["a"], given["b"], given["c"]
                its.close()
            used = clock()
            for _ in numbers:
                its = components(tenant="acme")
                its.close()
            return max((used - started) - (clock() - used), 1e-12) / loops / 3

        async def theirs() -> float:
            numbers, clock = range(loops), time.perf_counter
            one, two, three = singletons
            started = clock()
            for _ in numbers:
                one(), two(), three()
            used = clock()
            for _ in numbers:
                pass
            return max((used - started) - (clock() - used), 1e-12) / loops / 3

        samples = await interleaved(size, {"pointsman": ours, "dependency-injector": theirs})
    return Figures(samples, "pointsman", ("dependency-injector",), "s")


ROWS = (
    Row(
        3,
        "a component injected into a handler, per use, lease and return included",
        "dependency-injector's Singleton call (compiled)",
        1.0,
        _injected,
    ),
    Row(
        4,
        "one request: tenancy, snapshot pinned, 3 components held and returned",
        "the fastest of wireup, dishka, svcs: open + 3 uses + close",
        0.5,
        _request,
    ),
)
