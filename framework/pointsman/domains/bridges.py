"""Bridges: the components of one domain, as handles under a lease, for code that runs outside of a request.

A bridge resolves and leases; it makes nothing by itself and keeps no state of its own.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Generator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast, overload

from pointsman.declarations import Component
from pointsman.errors import UnknownComponent
from pointsman.resolution.decision import Question
from pointsman.runtime.requirements import check_settings_selections
from pointsman.runtime.settings import Settings
from pointsman.runtime.settings_models import DOMAIN_OF, DomainSettings

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pointsman.lifecycle.lease import Lease
    from pointsman.lifecycle.manager import LifecycleManager
    from pointsman.resolution.resolver import Resolver

T = TypeVar("T")


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Handle(Generic[T]):
    """An instance under a lease, with its settings and metadata."""

    domain: str
    key: str
    provider: str
    instance: T
    settings: BaseModel | None
    metadata: Mapping[str, Any]


class Using(Awaitable[Handle[T]], AbstractAsyncContextManager[Handle[T]]):
    """``async with`` returns the lease at the end; ``await`` keeps it until the handle is garbage."""

    def __init__(self, lifecycle: LifecycleManager, question: Question) -> None:
        self._lifecycle = lifecycle
        self._question = question
        self._lease: Lease | None = None

    def __await__(self) -> Generator[Any, None, Handle[T]]:
        return self._kept().__await__()

    async def __aenter__(self) -> Handle[T]:
        self._lease = self._lifecycle.lease()
        try:
            return await self._handle(self._lease)
        except BaseException:
            self._lease.close()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._lease is not None:
            self._lease.close()

    async def _kept(self) -> Handle[T]:
        handle = await self.__aenter__()
        assert self._lease is not None
        weakref.finalize(handle, _give_back, self._lease, asyncio.get_running_loop())
        return handle

    async def _handle(self, lease: Lease) -> Handle[T]:
        instance = await lease.take(self._question)
        (held,) = lease.held
        candidate = held.plan.resolution.candidate
        return Handle(
            candidate.domain, candidate.key, candidate.provider, cast("T", instance),
            cast("BaseModel | None", held.settings), candidate.metadata,
        )  # fmt: skip


def _give_back(lease: Lease, loop: asyncio.AbstractEventLoop) -> None:
    """Return a lease from wherever garbage is collected; a loop that is closed has closed its instances."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(lease.close)


class _Bridge:
    """The components of one domain.

    Args:
        resolver: Says which candidate serves.
        lifecycle: Makes instances and holds leases.
        settings: Selections and provider settings of the domain; they count as settings of the resolver.

    Raises:
        ConfigurationError: A name, a selection or a blank in the settings is wrong; a provider that is selected must
            be registered by now.
    """

    domain: ClassVar[str]

    def __init__(self, *, resolver: Resolver, lifecycle: LifecycleManager, settings: DomainSettings) -> None:
        self._resolver = resolver
        self._lifecycle = lifecycle
        if settings.selections or settings.provider_settings or settings.candidates:
            section = next(name for name, domain in DOMAIN_OF.items() if domain == self.domain)
            known = [registration.candidate for registration in resolver.registrations]
            given: dict[str, Any] = {section: settings}
            said = replace(Settings(), **given).contribution(resolver.marks(), known=known)
            resolver.add_settings(said)
            check_settings_selections(resolver.catalog)

    @overload
    def use(
        self, component: Component[T], /, *, tenant: str | None = None, provider: str | None = None
    ) -> Using[T]: ...
    @overload
    def use(self, key: str, /, *, tenant: str | None = None, provider: str | None = None) -> Using[Any]: ...
    def use(
        self, component: Component[Any] | str, /, *, tenant: str | None = None, provider: str | None = None
    ) -> Using[Any]:
        """Return what takes a handle on a component, by ``async with`` or by ``await``.

        Raises:
            UnknownComponent: The token is of another domain.
        """
        asked = component if isinstance(component, Component) else Component(self.domain, component)
        if asked.domain != self.domain:
            raise UnknownComponent(
                f"{asked} is no component of the domain {self.domain}.", hint=f"Use the bridge of {asked.domain}."
            )
        return Using(self._lifecycle, Question(asked, tenant, provider))


class AdapterBridge(_Bridge):
    """Handles on adapters."""

    domain = "adapter"


class ServiceBridge(_Bridge):
    """Handles on services."""

    domain = "service"


class TaskBridge(_Bridge):
    """Handles on tasks."""

    domain = "task"


class EventBridge(_Bridge):
    """Handles on event handlers."""

    domain = "event"


class WorkflowBridge(_Bridge):
    """Handles on workflows."""

    domain = "workflow"


class ActionBridge(_Bridge):
    """Handles on actions."""

    domain = "action"
