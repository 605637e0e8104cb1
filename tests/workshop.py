"""A small world for lifecycles: factories that note what becomes of their products, and time that a test turns."""

from __future__ import annotations

import asyncio
import heapq
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from pointsman.declarations import Candidate, Component, Use, parse_component
from pointsman.lifecycle.lease import Lease
from pointsman.lifecycle.limits import Limits
from pointsman.lifecycle.manager import LifecycleManager
from pointsman.lifecycle.surroundings import Surroundings
from pointsman.manifests.schema import AdoptedRelease, Audience, Control, Order
from pointsman.observability.events import Events
from pointsman.resolution.contribution import Contribution
from pointsman.resolution.decision import Question
from pointsman.resolution.eligibility import Environment
from pointsman.resolution.resolver import Resolver
from pointsman.runtime.inputs import ManifestInput
from pointsman.runtime.runtime import Runtime
from pointsman.runtime.settings import Settings

EPOCH = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
HERE = Environment("3.12.1", lambda: frozenset({"linux"}), {}.get)
CACHE = Component[Any]("adapter", "cache")
Step = Callable[["Product"], Awaitable[None]]


class Clock:
    """Seconds that pass when a test says so, and what is to be done when they have."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._due: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []
        self._numbers = count()

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.seconds)

    def later(self, delay_s: float, call: Callable[..., object], *given: object) -> None:
        heapq.heappush(self._due, (self.seconds + delay_s, next(self._numbers), call, given))

    def advance(self, seconds: float) -> None:
        end = self.seconds + seconds
        while self._due and self._due[0][0] <= end:
            self.seconds, _, call, given = heapq.heappop(self._due)
            call(*given)
        self.seconds = end


class Product:
    """What a factory of the workshop makes; it knows whether it is open, and for whom and of what it was made."""

    def __init__(self, name: str, given: Mapping[str, Any]) -> None:
        self.name = name
        self.given = given
        self.open = True

    def use(self) -> str:
        """Fail if this, or what it stands on, is closed."""
        assert self.open, f"{self.name} was closed under its user"
        for part in self.given.values():
            if isinstance(part, Product):
                part.use()
        return self.name

    def __repr__(self) -> str:
        return f"<{self.name}{'' if self.open else ', closed'}>"


class Patient(Product):
    """A product that says how it is."""

    well = True

    async def health(self) -> bool:
        return self.well


class Gate:
    """A step in a factory that lasts until the test opens it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, _product: Product) -> None:
        self.reached.set()
        await self.open.wait()


async def hang(_product: Product) -> None:
    """A step in a factory that never ends."""
    await asyncio.Event().wait()


class World:
    """A resolver, a manager and a clock; the products of all factories, in the order in which they were made.

    Attributes:
        log: ``+name`` and ``-name``, as products open and close.
        told: Events with their fields.
    """

    def __init__(self, *, surroundings: Mapping[str, Any] | None = None, **limits: Any) -> None:
        self.clock = Clock()
        self.products: list[Product] = []
        self.log: list[str] = []
        self.told: list[tuple[str, dict[str, object]]] = []
        self.resolver = Resolver(environment=HERE, stack_order="")
        world = Surroundings(
            clock=self.clock, now=self.clock.now, later=self.clock.later, tell=self._tell, environ={"HOME": "/home"}
        )
        self.manager = LifecycleManager(
            self.resolver, limits=Limits(**limits), surroundings=replace(world, **(surroundings or {}))
        )

    def factory(
        self,
        name: str,
        /,
        *,
        enter: Step | None = None,
        leave: Step | None = None,
        kind: type[Product] = Product,
        **asks: object,
    ) -> Callable[..., Any]:
        """Return a factory; ``asks`` are parameters: ``"adapter/cache"`` for a component, or any annotation."""

        async def make(**given: Any) -> AsyncGenerator[Product]:
            product = kind(name, given)
            self.products.append(product)
            try:
                if enter is not None:
                    await enter(product)
                self.log.append(f"+{name}")
                yield product
                if leave is not None:
                    await leave(product)
            finally:
                product.open = False
                self.log.append(f"-{name}")

        make.__annotations__ = {
            parameter: Annotated[object, Use(parse_component(wanted))] if isinstance(wanted, str) else wanted
            for parameter, wanted in asks.items()
        }
        make.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(parameter, inspect.Parameter.KEYWORD_ONLY) for parameter in asks]
        )
        return make

    def register(self, full: str, factory: object = None, /, **options: Any) -> Callable[[], None]:
        """Register ``adapter/cache=redis``, made by a factory of that name unless another is given."""
        component, _, provider = full.partition("=")
        made: Any = factory if factory is not None else self.factory(provider)
        return self.resolver.register(Candidate(*parse_component(component), provider, made, **options))

    def say(self, **said: Any) -> None:
        """Put settings in force: the fields of a `Contribution`."""
        settings = replace(self.resolver.catalog.settings, **said)
        self.resolver.show(replace(self.resolver.catalog, serial=self.resolver.next_serial(), settings=settings))

    def lease(self, **given: Any) -> Lease:
        return self.manager.lease({name: lambda made=made: made for name, made in given.items()})

    async def get(self, lease: Lease, component: str = "adapter/cache", tenant: str | None = None, **asked: Any) -> Any:
        return await lease.take(Question(parse_component(component), tenant, **asked))

    @property
    def open(self) -> list[str]:
        """The names of all open products."""
        return [product.name for product in self.products if product.open]

    @property
    def bound(self) -> list[str]:
        """What the current epoch binds and serves, printed."""
        return sorted(str(one) for one, instance in self.manager.epochs.current.bindings.items() if instance.usable)

    def heard(self, event: str) -> list[dict[str, object]]:
        """The fields of every event of this name."""
        return [fields for name, fields in self.told if name == event]

    async def close(self) -> None:
        """Close the manager, and see that nothing is left."""
        await self.manager.aclose()
        assert (self.open, self.manager.keeper.instances) == ([], ())

    def _tell(self, event: str, **fields: object) -> None:
        self.told.append((event, fields))


@asynccontextmanager
async def world_of(**limits: Any) -> AsyncGenerator[World]:
    """A world for the time of a block, that must be empty at its end."""
    world = World(shutdown_grace_s=0.05, **limits)
    try:
        yield world
    finally:
        await world.close()


async def until(condition: Callable[[], object], *, turns: int = 2000) -> None:
    """Let tasks run until something holds; fails where it does not in so many turns of the loop."""
    for _ in range(turns):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to pass")


async def turns(number: int = 20) -> None:
    """Let tasks run for a while."""
    for _ in range(number):
        await asyncio.sleep(0)


# --- a replica ---


def order(kind: Any, value: Any = None, *, op: str = "", tenants: Any = "*", cseq: int = 1, until: Any = None) -> Order:
    """An operator's order; ``until`` in seconds of the clock."""
    end = EPOCH + timedelta(seconds=until) if until is not None else None
    return Order(op=op or f"{kind}-{cseq}", kind=kind, tenants=tenants, cseq=cseq, value=value, until=end)


def control(cseq: int = 1, **orders: Order | tuple[Order, ...]) -> Control:
    """A control document; ``adapter_cache=`` gives the orders of ``adapter/cache``."""
    given = {name.replace("_", "/"): one if isinstance(one, tuple) else (one,) for name, one in orders.items()}
    return Control(
        spec_version=1,
        epoch=1,
        audience=Audience("notebook", "production"),
        seq=cseq,
        cseq=cseq,
        signed_at=EPOCH,
        expires=EPOCH + timedelta(days=7),
        release=AdoptedRelease(version=1, digest="0" * 64, adopted_at=EPOCH),
        orders=given,
    )


def manifest(*candidates: Candidate, version: int = 1, **said: Any) -> ManifestInput:
    """A manifest that was verified and let in; ``said`` are the fields of its `Contribution`."""
    contribution = Contribution(candidates, **said)
    return ManifestInput(contribution, version, f"{version:064}", EPOCH + timedelta(days=30))


class Replica(World):
    """A runtime in the world of the workshop; the store's time is that of its clock."""

    def __init__(self, *include: Any, plugins: bool = False, **settings: Any) -> None:
        super().__init__()
        self.events = Events()
        self.events.subscribe(lambda event: self._tell(event.name, **event.fields))
        self._include = include
        self._plugins = plugins
        self._settings = settings

    def assemble(self, *include: Any) -> Runtime:
        """Make the runtime of these parts, and of what was given before."""
        limits = {"shutdown_grace_s": 0.05, **self._settings.pop("lifecycle", {})}
        with TemporaryDirectory() as empty:
            settings = Settings.load(empty, environ={}, lifecycle=limits, **self._settings)
        self.runtime = Runtime(
            settings, include=[*self._include, *include], events=self.events, environ={"HOME": "/home"},
            plugins=self._plugins,
            surroundings=Surroundings(clock=self.clock, now=self.clock.now, later=self.clock.later),
        )  # fmt: skip
        self.runtime.points.time = self.clock.now
        self.resolver, self.manager = self.runtime.resolver, self.runtime.lifecycle
        return self.runtime

    def candidate(self, full: str, factory: object = None, /, **options: Any) -> Candidate:
        """A candidate ``adapter/cache=redis``, made by a factory of that name unless another is given."""
        component, _, provider = full.partition("=")
        made: Any = factory if factory is not None else self.factory(provider)
        return Candidate(*parse_component(component), provider, made, **options)


@asynccontextmanager
async def replica_of(*full: str, **settings: Any) -> AsyncGenerator[Replica]:
    """A started replica with these candidates, that must be empty at its end."""
    replica = Replica(**settings)
    runtime = replica.assemble(*map(replica.candidate, full))
    async with runtime:
        yield replica
    assert (replica.open, replica.manager.keeper.instances) == ([], ())
