"""Replace a component by an object of the test's, for everyone and every tenant, and put back what was there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pointsman.declarations import Candidate, Component, component_of
from pointsman.resolution.contribution import Source
from pointsman.resolution.precedence import Registration, register_as
from pointsman.runtime.runtime import Runtime

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pointsman.web.application import Pointsman

T = TypeVar("T")


@overload
def override(app: Pointsman | Runtime, component: Component[T], instance: T, /) -> AbstractContextManager[None]: ...
@overload
def override(app: Pointsman | Runtime, domain: str, key: str, instance: object, /) -> AbstractContextManager[None]: ...
def override(app: Pointsman | Runtime, *names: Any) -> AbstractContextManager[None]:
    """Return a block in which a component is the given object, whatever provider is asked for.

    What stands on the component is made anew with it. The object is asked for its health, where it has one, and is
    never closed.

    Raises:
        ConfigurationError: The names are not a component's.
    """
    *component, instance = names
    runtime = app if isinstance(app, Runtime) else app.runtime
    return _replaced(runtime, component_of(*component), instance)


@contextmanager
def _replaced(runtime: Runtime, component: Component[Any], instance: object) -> Generator[None]:
    before = runtime.points.inputs.replaced.get(component)
    _put(runtime, component, _registration(component, instance))
    try:
        yield
    finally:
        _put(runtime, component, before)


def _put(runtime: Runtime, component: Component[Any], registration: Registration | None) -> None:
    replaced = {name: entry for name, entry in runtime.points.inputs.replaced.items() if name != component}
    if registration is not None:
        replaced[component] = registration
    runtime.points.change(lambda inputs: replace(inputs, replaced=replaced))


def _registration(component: Component[Any], instance: object) -> Registration:
    async def given() -> AsyncGenerator[object]:
        yield instance

    return register_as(Candidate(component.domain, component.key, "override", given), Source.CODE, 0)
