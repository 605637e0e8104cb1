"""What one request, task or script may use: one tenant, one snapshot, and leases that end with it.

Everything that it is handed comes from the snapshot that was in force at its start. It never outlives its work:
asked after the end it refuses, and `Components.renew` takes new leases on the snapshot then in force.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from pointsman.declarations import Component, Tenant, Use, component_of
from pointsman.errors import PointsmanError, TenantError, Unavailable
from pointsman.lifecycle.planning import is_registered
from pointsman.resolution.decision import Question
from pointsman.resolution.resolver import explain_in
from pointsman.runtime.activity import refusal, strictest

if TYPE_CHECKING:
    from pointsman.lifecycle.identity import Plan
    from pointsman.resolution.explanation import Explanation
    from pointsman.runtime.runtime import Runtime
    from pointsman.runtime.snapshot import Snapshot

T = TypeVar("T")


class Components:
    """What one request, task or script may use: one tenant, one catalog; its leases end with it.

    Made by `Runtime.components`; whoever makes it closes it, by ``async with`` or by `close`.

    Attributes:
        refusal: The last refusal of `take`; what serves behind us may have made a 500 of it.
        vouched: Whether something vouches for the tenant's id; components marked ``isolated`` demand it.
    """

    __slots__ = ("_lease", "_runtime", "_tenant_id", "refusal", "snapshot", "subject", "vouched")

    def __init__(
        self,
        runtime: Runtime,
        tenant: str | None,
        subject: str | None = None,
        *,
        vouched: bool = True,
        connection: object = None,
    ) -> None:
        self._runtime = runtime
        self._tenant_id = tenant
        self.subject = subject
        self.vouched = vouched
        self.refusal: PointsmanError | None = None
        self.snapshot: Snapshot = runtime.points.current()
        given = {"connection": connection, "components": self}
        self._lease = runtime.lifecycle.lease(given)

    @property
    def tenant(self) -> Tenant | None:
        """Who asks, with the labels that settings or the manifest give."""
        if self._tenant_id is None:
            return None
        return Tenant(self._tenant_id, self.snapshot.catalog.labels(self._tenant_id))

    @property
    def catalog_serial(self) -> int:
        """The number of the catalog that decides here."""
        return self.snapshot.catalog.serial

    @property
    def closed(self) -> bool:
        """Whether the work has ended."""
        return self._lease.closed

    @overload
    async def get(
        self, component: Component[T], /, *, provider: str | None = None, requires: Collection[str] = ()
    ) -> T: ...
    @overload
    async def get(
        self, domain: str, key: str, /, *, provider: str | None = None, requires: Collection[str] = ()
    ) -> Any: ...
    async def get(
        self,
        component: Component[Any] | str,
        key: str | None = None,
        /,
        *,
        provider: str | None = None,
        requires: Collection[str] = (),
    ) -> Any:
        """Return the live object that serves a component here, held until the end of this work.

        Raises:
            ComponentsClosed: The work has ended.
            ResolutionError: Nothing may serve.
            LifecycleError: It is paused, draining, or cannot be made now.
            TenantError: It needs a tenant that nobody named, or that nobody vouches for.
        """
        return await self.take(self._question(component_of(component, key), provider, frozenset(requires)))

    async def obtain(self, use: Use) -> Any:
        """Return the live object that a `Use` asks for; errors as `get`."""
        return await self.take(self._question(use.component, use.provider, use.requires))

    async def obtain_optional(self, use: Use) -> Any:
        """Return the live object that a `Use` asks for, or ``None`` where nothing is registered for it."""
        return await self.obtain(use) if is_registered(self.snapshot.catalog, use.component) else None

    async def take(self, question: Question) -> Any:
        """Return the live object that answers a question; errors as `get`."""
        try:
            if self.snapshot.guarded and not self._lease.closed:
                self._pass_gates(await self._runtime.lifecycle.plan(self._lease.epoch, question))
            return await self._lease.take(question)
        except PointsmanError as error:
            self.refusal = error
            raise

    def explain(
        self, domain: str, key: str, *, provider: str | None = None, requires: Collection[str] = ()
    ) -> Explanation:
        """Return the whole ranking behind `get`. Never raises."""
        question = self._question(Component(domain, key), provider, frozenset(requires))
        return explain_in(self.snapshot.catalog, question)

    @asynccontextmanager
    async def _renewed(self) -> AsyncGenerator[Components]:
        its = self._runtime.components(tenant=self._tenant_id, subject=self.subject, vouched=self.vouched)
        try:
            yield its
        finally:
            its.close()

    def renew(self) -> AbstractAsyncContextManager[Components]:
        """Return new components of the same tenant, on the catalog then in force; works after the end, too."""
        return self._renewed()

    def resolutions(self) -> Mapping[str, str]:
        """Return ``{"adapter/cache": "redis"}`` for everything that was handed out here."""
        return {str(instance.plan.component): instance.plan.resolution.provider for instance in self._lease.held}

    def close(self) -> None:
        """Give every lease back. Synchronous, so that a ``finally`` always gets there; again does nothing."""
        self._lease.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _question(self, component: Component[Any], provider: str | None, requires: frozenset[str]) -> Question:
        return Question(component, self._tenant_id, provider, requires, self.subject)

    def _pass_gates(self, plan: Plan) -> None:
        """Refuse what is paused or draining, here or beneath; what is isolated; and what is too stale."""
        for part in plan.closure():
            if gate := strictest(self.snapshot.gates, part.component, self._tenant_id):
                raise refusal(part.component, gate, self._runtime.now())
            policy = self.snapshot.catalog.policy(part.component)
            if policy.isolated and not self.vouched:
                raise TenantError(
                    f"{part.component} is isolated by tenant, and nothing vouches for the tenant's id.", status=403
                )
            if policy.on_stale == "deny" and self._runtime.is_stale():
                raise Unavailable(
                    f"{part.component} is denied: the head was last read longer ago than the hard limit allows.",
                    sent=False,
                    retry_after_s=5.0,
                )
