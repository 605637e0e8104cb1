"""What a factory is and asks for is read from its declaration, once; what cannot be given is refused with words."""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Self

import pytest
from pydantic import BaseModel
from starlette.requests import HTTPConnection, Request
from starlette.websockets import WebSocket

from pointsman.declarations import Candidate, Component, Tenant, Use, provides
from pointsman.errors import ConfigurationError
from pointsman.lifecycle.factories import Need, Shape, call, close, entered, read_factory, shape_of
from pointsman.runtime.access import Components

CACHE = Use("adapter", "cache")
TOKEN = Component[object]("adapter", "cache")


class Settings(BaseModel):
    size: int = 1


class Plain:
    pass


class Asking:
    def __init__(self, settings: Settings, cache: Annotated[object, CACHE], limit: int = 3) -> None:
        self.given = settings, cache, limit


def function() -> Plain:
    return Plain()


async def coroutine() -> Plain:
    return Plain()


async def generator() -> AsyncGenerator[Plain]:
    yield Plain()


@asynccontextmanager
async def manager() -> AsyncGenerator[Plain]:
    yield Plain()


class Called:
    async def __call__(self, cache: Annotated[object, CACHE]) -> Plain:
        return Plain()


def candidate(factory: Any = Plain, **options: Any) -> Candidate:
    return Candidate("service", "notes", "sql", factory, **options)


def read(factory: Any, **options: Any) -> Any:
    return read_factory(candidate(factory, **options), factory)


@pytest.mark.parametrize(
    ("factory", "shape"),
    [
        (Plain, Shape.CALL),
        (function, Shape.CALL),
        (lambda: Plain(), Shape.CALL),
        (coroutine, Shape.COROUTINE),
        (functools.partial(coroutine), Shape.COROUTINE),
        (Called(), Shape.COROUTINE),
        (generator, Shape.GENERATOR),
        (functools.partial(generator), Shape.GENERATOR),
        (manager, Shape.MANAGER),
    ],
)
async def test_a_factory_is_told_apart_by_how_it_is_declared(factory: Any, shape: Shape) -> None:
    spec = read(factory)
    assert spec.shape is shape
    arguments = {need.name: None for need in spec.needs}
    async with entered(spec, arguments) as instance:
        assert isinstance(instance, Plain)


async def test_what_is_made_is_the_instance_though_it_is_a_context_manager_itself() -> None:
    class Client:
        entered = closed = False

        async def __aenter__(self) -> Self:
            self.entered = True
            return self

        async def __aexit__(self, *_: object) -> None: ...

        async def aclose(self) -> None:
            self.closed = True

    async with entered(read(Client), {}) as client:
        assert isinstance(client, Client)
        assert not client.entered
    assert client.closed


def test_a_synchronous_generator_is_refused() -> None:
    def synchronous() -> Generator[int]:
        yield 1

    with pytest.raises(ConfigurationError, match="expected an async generator, found the synchronous") as refused:
        shape_of(candidate(), synchronous)
    assert "asynccontextmanager" in refused.value.hint


def test_what_cannot_be_called_is_no_factory() -> None:
    with pytest.raises(ConfigurationError, match="service/notes=sql: expected a class or a function"):
        read_factory(candidate(), 42)


def test_each_parameter_is_given_by_its_annotation_and_any_other_keeps_its_default() -> None:
    def asking(
        settings: Settings,
        tenant: Tenant,
        cache: Annotated[object, CACHE],
        other: Annotated[object | None, Use("adapter", "queue")],
        third: Annotated[object, Use("adapter", "queue")] | None = None,
        limit: int = 5,
        *rest: int,
        **more: int,
    ) -> Plain:
        return Plain()

    spec = read(asking, lifetime="tenant")
    assert spec.needs == (
        Need("cache", CACHE, False),
        Need("other", Use("adapter", "queue"), True),
        Need("third", Use("adapter", "queue"), True),
    )
    assert (spec.settings, spec.tenant, spec.connections) == (("settings", Settings), ("tenant", False), ())


def test_the_model_that_the_candidate_names_counts_before_the_annotation() -> None:
    class Other(BaseModel): ...

    def asking(settings: Settings) -> Plain:
        return Plain()

    assert read_factory(candidate(), asking, Other).settings == ("settings", Other)


def test_a_request_is_given_to_what_lives_as_long_only() -> None:
    def asking(request: Request, websocket: WebSocket, connection: HTTPConnection, its: Components) -> Plain:
        return Plain()

    assert read(asking, lifetime="request").connections == (
        ("request", "connection"),
        ("websocket", "connection"),
        ("connection", "connection"),
        ("its", "components"),
    )
    with pytest.raises(ConfigurationError, match=r"outlives a request, but .*asking asks for one .parameter `request`"):
        read(asking)


def test_what_all_tenants_share_may_not_ask_for_the_tenant() -> None:
    def sql_notes(tenant: Tenant) -> Plain:
        return Plain()

    with pytest.raises(ConfigurationError) as refused:
        read(sql_notes)
    name = f"{sql_notes.__module__}:{sql_notes.__qualname__}"
    assert refused.value.render() == (
        f"ConfigurationError: service/notes=sql is shared by every tenant, but {name} asks for the tenant "
        '(parameter `tenant`). Say lifetime="tenant", or drop the parameter.'
    )


@pytest.mark.parametrize("lifetime", ["tenant", "request"])
def test_an_optional_tenant_is_one_all_the_same(lifetime: Any) -> None:
    def asking(tenant: Tenant | None = None) -> Plain:
        return Plain()

    assert read(asking, lifetime=lifetime).tenant == ("tenant", True)


def test_a_parameter_that_nothing_can_be_given_for_is_named_with_what_to_write() -> None:
    def asking(notes: Plain) -> Plain:
        return notes

    with pytest.raises(ConfigurationError, match="parameter `notes: Plain` is no component, no tenant") as refused:
        read(asking)
    assert 'notes: Annotated[…, Use("service", "notes")]' in refused.value.hint

    def bare(notes) -> Plain:  # type: ignore[no-untyped-def]
        return notes  # type: ignore[no-any-return]

    with pytest.raises(ConfigurationError, match="parameter `notes` is no component"):
        read(bare)


@pytest.mark.parametrize("kind", ["settings", "tenant"])
def test_what_there_is_once_may_not_be_asked_for_twice(kind: str) -> None:
    def settings(one: Settings, other: Settings) -> Plain:
        return Plain()

    def tenant(one: Tenant, other: Tenant | None) -> Plain:
        return Plain()

    factory = {"settings": settings, "tenant": tenant}[kind]
    with pytest.raises(ConfigurationError, match=f"to ask for its {kind} once, found one, other"):
        read(factory, lifetime="tenant")


@pytest.mark.parametrize("annotation", ["Absent", "not a type", "Plain.absent"])
def test_an_annotation_that_cannot_be_read_is_refused_not_passed_over(annotation: str) -> None:
    def asking(notes: object) -> Plain:
        return Plain()

    asking.__annotations__["notes"] = annotation
    with pytest.raises(ConfigurationError, match=r"an annotation of .*asking cannot be read") as refused:
        read(asking)
    assert "TYPE_CHECKING" in refused.value.hint


def test_a_class_without_a_signature_takes_nothing() -> None:
    assert read(dict).needs == ()
    assert read(Plain).needs == ()


def test_an_object_that_can_be_called_is_read_by_its_call() -> None:
    assert read(Called()).needs == (Need("cache", CACHE, False),)
    assert read(functools.partial(Asking, limit=1)).settings == ("settings", Settings)


def test_the_mark_says_the_lifetime_that_a_reference_leaves_out() -> None:
    @provides("service", "notes", "sql", lifetime="tenant")
    def marked(tenant: Tenant) -> Plain:
        return Plain()

    by_reference = Candidate("service", "notes", "sql", "module:marked")
    assert read_factory(by_reference, marked).lifetime == "tenant"
    with pytest.raises(ConfigurationError, match="shared by every tenant"):
        read_factory(Candidate("service", "notes", "sql", marked), marked)  # code says what it means
    assert read_factory(Candidate("service", "other", "sql", "module:marked", lifetime="request"), marked).lifetime == (
        "request"
    )


@pytest.mark.parametrize("closer", ["aclose", "cleanup", "close"])
async def test_the_first_closer_that_an_instance_has_is_called_once(closer: str) -> None:
    called: list[str] = []

    async def record() -> None:
        called.append(closer)

    instance = Plain()
    setattr(instance, closer, record)
    instance.close = getattr(instance, "close", lambda: called.append("too much"))  # type: ignore[attr-defined]
    await close(instance)
    assert called == [closer]
    await close(Plain())


async def test_a_synchronous_function_runs_off_the_loop_and_what_it_returns_is_awaited() -> None:
    threads: list[threading.Thread] = []

    async def answer() -> int:
        return 42

    def start() -> Any:
        threads.append(threading.current_thread())
        return answer()

    assert await call(start) == 42
    assert threads != [threading.main_thread()]
    assert await call(answer) == 42


def test_a_component_of_a_token_is_the_same_need() -> None:
    def asking(cache: Annotated[Plain, Use(TOKEN, provider="redis", requires={"ttl"})]) -> Plain:
        return cache

    (need,) = read(asking).needs
    assert need.use == Use("adapter", "cache", provider="redis", requires={"ttl"})
