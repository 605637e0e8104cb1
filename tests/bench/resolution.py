"""Rows: a warm resolution, for everyone and for tenants, against a method that looks up a tuple in a dict."""

from __future__ import annotations

import contextlib
import io
import timeit
from collections.abc import Callable
from functools import cache

from pointsman import Candidate, Component, Resolver
from pointsman.resolution.contribution import Contribution
from pointsman.resolution.selection import Choices
from tests.bench.harness import Figures, Interleaved, NotMeasuredError, Row, Size

KEYS = tuple(f"part{number}" for number in range(10))
PROVIDERS = tuple(f"p{number}" for number in range(5))


class Floor:
    """A method that looks up a tuple key in a dict."""

    def __init__(self, table: dict[tuple[str, str], object]) -> None:
        self._table = table

    def resolve(self, domain: str, key: str) -> object:
        return self._table[domain, key]


def make() -> object:
    """Stands for a factory."""
    return object()


@cache
def resolver_of(tenants: int) -> Resolver:
    """Return a resolver that knows so many tenants, each with 3 overrides, drawn from some 5 000 distinct sets."""
    resolver = Resolver()
    for key in KEYS:
        for provider in PROVIDERS:
            resolver.register(Candidate("service", key, provider, make))
    if tenants:
        overrides = {
            f"tenant-{number}": {
                Component("service", KEYS[(number + step) % len(KEYS)]): PROVIDERS[(number // 10**step) % 5]
                for step in range(3)
            }
            for number in range(tenants)
        }
        resolver.add_settings(Contribution(choices=Choices(tenants=overrides), labels={name: {} for name in overrides}))
    return resolver


def timed(loops: int, statement: str, **names: object) -> Callable[[], float]:
    """Return a subject that times a statement, seconds each."""
    timer = timeit.Timer(statement, globals=names)
    return lambda: timer.timeit(loops) / loops


def _warm(size: Size) -> Figures:
    resolver = resolver_of(0)
    floor = Floor({("service", key): resolver.resolve("service", key) for key in KEYS})
    loops = size.of(500_000)
    subjects = {
        "pointsman": timed(loops, "it.resolve('service', 'part3')", it=resolver),
        "dict in a method": timed(loops, "it.resolve('service', 'part3')", it=floor),
    }
    with contextlib.suppress(ModuleNotFoundError):  # a peer for information
        subjects |= {"oneiric": timed(size.of(100_000), "it.resolve('service', 'part3')", it=_oneiric())}
    return Figures(Interleaved(size).run(subjects), "pointsman", ("dict in a method",), "s")


def _oneiric() -> object:
    from oneiric.core.resolution import Candidate as Theirs
    from oneiric.core.resolution import Resolver as Predecessor

    resolver = Predecessor()
    with contextlib.redirect_stdout(io.StringIO()):  # it logs every registration
        for key in KEYS:
            for provider in PROVIDERS:
                resolver.register(Theirs(domain="service", key=key, provider=provider, factory=make))
    return resolver


def _over_tenants(size: Size, it: object, *, tenant: bool, active: list[str]) -> Callable[[], float]:
    asked = "it.resolve('service', 'part3', tenant)" if tenant else "it.resolve('service', 'part3')"
    loops = size.of(500)
    timer = timeit.Timer(f"for tenant in active: {asked}", globals={"it": it, "active": active})
    return lambda: timer.timeit(loops) / loops / len(active)


def _tenants(size: Size) -> Figures:
    many = size.of(100_000, 2_000)
    resolver = resolver_of(many)
    floor = Floor({("service", key): resolver.resolve("service", key) for key in KEYS})
    active = [f"tenant-{number * (many // 1_000)}" for number in range(1_000)]
    subjects = {
        "pointsman": _over_tenants(size, resolver, tenant=True, active=active),
        "dict in a method": _over_tenants(size, floor, tenant=False, active=active),
    }
    return Figures(Interleaved(size).run(subjects), "pointsman", ("dict in a method",), "s")


def _many_against_few(size: Size) -> Figures:
    many = size.of(100_000, 2_000)
    active = [f"tenant-{number * (many // 1_000)}" for number in range(1_000)]
    subjects = {
        "many known": _over_tenants(size, resolver_of(many), tenant=True, active=active),
        "1 000 known": _over_tenants(
            size, resolver_of(1_000), tenant=True, active=[f"tenant-{number}" for number in range(1_000)]
        ),
    }
    return Figures(Interleaved(size).run(subjects), "many known", ("1 000 known",), "s")


def _explain(size: Size) -> Figures:
    try:
        from oneiric.core.resolution import Candidate as Theirs
        from oneiric.core.resolution import Resolver as Predecessor
    except ModuleNotFoundError as missing:
        raise NotMeasuredError("oneiric is not installed") from missing
    ours, theirs = Resolver(), Predecessor()
    for number in range(50):
        ours.register(Candidate("service", "pay", f"p{number}", make, priority=number % 7))
        with contextlib.redirect_stdout(io.StringIO()):
            theirs.register(
                Theirs(domain="service", key="pay", provider=f"p{number}", factory=make, priority=number % 7)
            )
    loops = size.of(300)
    subjects = {
        "pointsman": timed(loops, "it.explain('service', 'pay')", it=ours),
        "oneiric": timed(loops, "it.explain('service', 'pay')", it=theirs),
        "pointsman, as a dict": timed(loops, "it.explain('service', 'pay').as_dict()", it=ours),
        "oneiric, as a dict": timed(loops, "it.explain('service', 'pay').as_dict()", it=theirs),
    }
    return Figures(Interleaved(size).run(subjects), "pointsman", ("oneiric",), "s")


ROWS = (
    Row(1, "`resolver.resolve(domain, key)` warm", "a method that looks up a tuple key in a dict", 1.2, _warm),
    Row(2, "the same with a tenant, 100 000 known with 3 overrides each, 1 000 active", "same", 2.0, _tenants),
    Row(2.1, "the same, 100 000 tenants known", "with 1 000 known", 1.1, _many_against_few),
    Row(17, "`explain`, 50 candidates", "the predecessor (oneiric 0.2.1)", 0.3, _explain),
)
