"""What one request, task or script may use: one tenant, one snapshot, and leases that end with it.

Everything that it is handed comes from the snapshot that was in force at its start. It never outlives its work:
asked after the end it refuses, and `Components.renew` takes new leases on the snapshot then in force.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache, partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from pointsman.declarations import Component, Tenant, Use, component_of
from pointsman.errors import PointsmanError, TenantError, Unavailable
from pointsman.lifecycle.bundle import NO_BUNDLES, bundled
from pointsman.lifecycle.lease import Lease
from pointsman.lifecycle.planning import is_registered
from pointsman.resolution.decision import Question, may_remember
from pointsman.resolution.resolver import explain_in
from pointsman.runtime.activity import refusal, strictest

if TYPE_CHECKING:
    from pointsman.lifecycle.epoch import Epoch
    from pointsman.lifecycle.factories import Given
    from pointsman.lifecycle.identity import Plan
    from pointsman.lifecycle.instance import Instance
    from pointsman.resolution.explanation import Explanation
    from pointsman.runtime.runtime import Runtime
    from pointsman.runtime.snapshot import Snapshot

T = TypeVar("T")
_ALONE = ""
"""The name in a bundle of one, which nobody asked for by a name."""


class Asked:
    """What one handler asks for together; equal to itself alone.

    Args:
        needs: Name, use, and whether nothing will do where nothing is registered.
        tenants: Names that are given the tenant, and whether nothing will do where nobody said which.

    Attributes:
        names: Of all that is given, in the order in which it is.
    """

    __slots__ = ("names", "needs", "tenants")

    def __init__(self, needs: Iterable[tuple[str, Use, bool]] = (), tenants: Iterable[tuple[str, bool]] = ()) -> None:
        self.needs = tuple(needs)
        self.tenants = tuple(tenants)
        self.names = (*(name for name, _ in self.tenants), *(name for name, _, _ in self.needs))


class Components(Lease):
    """What one request, task or script may use: one tenant, one catalog; its leases end with it.

    Made by `Runtime.components`; whoever makes it closes it, by ``async with`` or by `close`.

    Args:
        snapshot: What decides; as `Runtime.footing` says, like the epoch.
        connection: What makes the request, and what that is called with.

    Attributes:
        refusal: The last refusal of `take`; what serves behind us may have made a 500 of it.
        vouched: Whether something vouches for the tenant's id; components marked ``isolated`` demand it.
    """

    __slots__ = ("_runtime", "_tenant_id", "refusal", "snapshot", "subject", "vouched")

    def __init__(
        self,
        runtime: Runtime,
        snapshot: Snapshot,
        epoch: Epoch,
        tenant: str | None,
        subject: str | None = None,
        vouched: bool = True,
        connection: tuple[Callable[..., object], *tuple[object, ...]] | None = None,
    ) -> None:
        # what Lease.__init__ and Epochs.pin do, without two more frames: every request pays for each line
        self._manager = runtime.lifecycle
        self.epoch = epoch
        epoch.pins += 1
        self._given = connection
        self._bundles = ()
        self._single = None
        self._shelf = epoch.shelves.get(tenant, NO_BUNDLES) if subject is None else NO_BUNDLES
        self._runtime = runtime
        self._tenant_id = tenant
        self.subject = subject
        self.vouched = vouched
        self.refusal: PointsmanError | None = None
        self.snapshot: Snapshot = snapshot

    @property
    def tenant_id(self) -> str | None:
        """The id of who asks."""
        return self._tenant_id

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
    def given(self) -> Given:
        """What the factories of ``request`` components may ask for; all are given the same connection."""
        if not isinstance(self._given, dict):
            made = {} if self._given is None else {"connection": cache(partial(*self._given))}
            self._given = {**made, "components": lambda: self}
        return self._given

    def suspect(self) -> None:
        """Have all that was taken looked at whose policy walks on to the next: a provider cannot be reached."""
        policy = self.snapshot.catalog.policy
        parts = (part for instance in self.held for part in instance.closure())
        self._manager.breaker.suspect(part for part in parts if policy(part.plan.component).on_unhealthy == "next")

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
        if provider is None and not requires:
            try:
                found = self.at_once(component if key is None else (component, key))
            except TypeError:  # not hashable, so no component: told below
                found = None
            if found is not None:
                return found.values[0]
        return await self.obtain(Use(component_of(component, key), provider=provider, requires=requires))

    async def obtain(self, use: Use) -> Any:
        """Return the live object that a `Use` asks for; errors as `get`."""
        filtered = use.provider is not None or use.requires
        asking = (use.component, use.provider, use.requires) if filtered else use.component
        found = self.at_once(asking)
        if found is not None:
            return found.values[0]
        instance = await self._hold(use)
        return self._bundle(asking, {_ALONE: instance.hand_out(self._tenant_id)}, [instance])[_ALONE]

    async def obtain_all(self, asked: Asked) -> Mapping[str, object]:
        """Return everything that a handler asks for, by name; errors as `get`."""
        found = self.at_once(asked)
        if found is not None:
            return found.given
        instances: list[Instance] = []
        given: dict[str, object] = {}
        for name, optional in asked.tenants:
            if self._tenant_id is None and not optional:
                raise TenantError("Expected a tenant: this route serves tenants only.")
            given[name] = self.tenant
        for name, use, optional in asked.needs:
            given[name] = None
            if not optional or is_registered(self.snapshot.catalog, use.component):
                instance = await self._hold(use)
                instances.append(instance)
                given[name] = instance.hand_out(self._tenant_id)
        return self._bundle(asked, given, instances)

    async def obtain_optional(self, use: Use) -> Any:
        """Return the live object that a `Use` asks for, or ``None`` where nothing is registered for it."""
        return await self.obtain(use) if is_registered(self.snapshot.catalog, use.component) else None

    async def hold(self, question: Question) -> Instance:
        """Return the instance that answers a question, past all gates; errors as `get`."""
        try:
            if self.snapshot.guarded and not self.closed:
                self._pass_gates(await self._manager.plan(self.epoch, question))
            return await super().hold(question)
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
        return {str(instance.plan.component): instance.plan.resolution.provider for instance in self.held}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def _hold(self, use: Use) -> Instance:
        return await self.hold(self._question(use.component, use.provider, use.requires))

    def _bundle(
        self, asking: Hashable, given: Mapping[str, object], instances: Sequence[Instance]
    ) -> Mapping[str, object]:
        """Keep what was taken one by one for whoever asks the same for this tenant next; returns what is given."""
        if (
            self.subject is None
            and not self.closed
            and may_remember(self.epoch.catalog, self._tenant_id)
            and (bundle := bundled(given, instances, self.epoch)) is not None
        ):
            self.epoch.shelve(self._tenant_id, asking, bundle)
        return given

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
