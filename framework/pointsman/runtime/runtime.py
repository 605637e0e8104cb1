"""Everything that one replica serves with; lives as long as the process.

Joins settings, candidates, resolver, lifecycle and the points, in this order, and adds nothing to what they decide.
It works without control, and knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeAlias, Unpack

from pointsman.adapters.candidates import SHIPPED
from pointsman.declarations import Component, Use
from pointsman.errors import ReadOnlyReplica
from pointsman.lifecycle.lease import stopping
from pointsman.lifecycle.manager import LifecycleManager
from pointsman.lifecycle.settings import LifecycleSettings
from pointsman.lifecycle.surroundings import Surroundings
from pointsman.observability.events import Events
from pointsman.observability.scrubbing import Scrubber
from pointsman.resolution.resolver import Asked, Resolver, explain_in, question_of
from pointsman.runtime.access import Components
from pointsman.runtime.inclusion import collect
from pointsman.runtime.inputs import Inputs
from pointsman.runtime.intake import Intake, to_prewarm
from pointsman.runtime.plugins import Plugin, installed_plugins
from pointsman.runtime.points import Points
from pointsman.runtime.requirements import Requirements, check_settings_selections
from pointsman.runtime.secrets import SecretReader
from pointsman.runtime.settings import Settings

if TYPE_CHECKING:
    from pointsman.lifecycle.epoch import Epoch
    from pointsman.resolution.contribution import Contribution
    from pointsman.resolution.explanation import Explanation
    from pointsman.runtime.snapshot import Snapshot

StrPath: TypeAlias = str | PathLike[str]
RunState: TypeAlias = Literal["starting", "serving", "stopping"]
Reach: TypeAlias = Literal["fleet", "replica"]


class Fleet(Protocol):
    """What carries an operator's command to every replica; control provides it."""

    async def swap(
        self, component: Component[Any], provider: str, *, reason: str, tenant: str | None, reach: Reach
    ) -> None:
        """Order a component's provider."""
        ...


class Runtime:
    """Everything that one replica serves with.

    Args:
        settings: Loaded settings, the folder of their files, or ``None`` for ``settings/`` if there is one.
        include: Modules, routers, candidates and marked factories.
        events: Whose listeners hear of instances, swaps and refusals.
        environ: Variables for ``${env:}``; the process's own unless told otherwise.
        plugins: Whether entry points of installed packages are read.
        surroundings: Clocks and timers; what is told and kept secret is the runtime's own.

    Raises:
        ConfigurationError: A setting, a declaration or a selection is wrong.

    Attributes:
        points: Where inputs and snapshot change.
        intake: The door through which control steers this replica.
        fleet: Carries commands to every replica, where control is attached.
        is_stale: Whether the head was last read longer ago than the hard limit allows.
    """

    settings: Settings
    resolver: Resolver
    lifecycle: LifecycleManager

    def __init__(
        self,
        settings: Settings | StrPath | None = None,
        *,
        include: Iterable[Any] = (),
        events: Events | None = None,
        environ: Mapping[str, str] | None = None,
        plugins: bool = True,
        surroundings: Surroundings | None = None,
    ) -> None:
        around = surroundings or Surroundings()
        self.environ = os.environ if environ is None else environ
        self.settings = settings if isinstance(settings, Settings) else Settings.load(settings)
        self.state: RunState = "starting"
        self.fleet: Fleet | None = None
        self.is_stale: Callable[[], bool] = lambda: False
        self.events = events or Events()
        self.scrubber = Scrubber()
        self.secrets = SecretReader(self.scrubber.remember, around.clock)
        self.plugins: tuple[Plugin, ...] = installed_plugins() if plugins else ()
        self.resolver = self._registered(include)
        self.points = Points(self.resolver, Inputs(self.resolver.registrations, self._contribution()))
        check_settings_selections(self.snapshot.catalog)
        self.lifecycle = self._manager(around)
        self.points.join(self.lifecycle)
        self.requirements = Requirements(self.lifecycle.planner)
        self.intake = Intake(self.points, self.requirements)
        self.resolver.watch(self._registrations_changed)
        self._starting = asyncio.Lock()
        self._rotating = asyncio.Lock()

    # --- life ---

    async def __aenter__(self) -> Self:
        await self.start_once()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start_once(self) -> None:
        """Check what must hold, and make what must be there before the first request; again does nothing.

        Raises:
            ConfigurationError: A component stands on itself, or a declaration cannot be read.
            ResolutionError: A required component resolves for nobody.
            LifecycleError: What is to be prewarmed cannot be made.
        """
        async with self._starting:
            if self.state != "starting":
                return
            if self.catalog_stands:  # else what makes it stand is checked, and warmed, as it is taken
                catalog = self.snapshot.catalog
                self.requirements.check(catalog)
                if questions := to_prewarm(catalog):
                    await self.points.take(lambda inputs: inputs, strict=True, prove=lambda _: questions)
            self.state = "serving"

    async def stop(self) -> None:
        """Take no new work, and close every instance once its leases have ended."""
        self.state = "stopping"
        await self.lifecycle.aclose()

    def require(self, uses: Iterable[tuple[Use, str]]) -> None:
        """Add uses, each with who asks, that must resolve at the start and under every manifest."""
        self.requirements.add(uses)

    # --- what decides ---

    @property
    def snapshot(self) -> Snapshot:
        """What decides about the next request."""
        return self.points.snapshot

    def components(
        self,
        *,
        tenant: str | None = None,
        subject: str | None = None,
        vouched: bool = True,
        connection: Callable[[], object] | None = None,
    ) -> Components:
        """Return what one request, task or script may use; it pins the snapshot until it is closed.

        Args:
            tenant: Who asks.
            subject: For whom splits are drawn; the tenant unless told otherwise.
            vouched: Whether something vouches for the tenant's id.
            connection: Makes the request, for factories of ``request`` components that ask for it.

        Raises:
            ComponentsClosed: The process is stopping.
        """
        snapshot, epoch = self.footing()
        made = None if connection is None else (connection,)
        return Components(self, snapshot, epoch, tenant, subject, vouched, made)

    def footing(self) -> tuple[Snapshot, Epoch]:
        """Return what decides about work that begins now; the epoch is pinned with no await between.

        Raises:
            ComponentsClosed: The process is stopping.
        """
        manager, points = self.lifecycle, self.points
        if manager.closed:
            raise stopping()
        snapshot = points.snapshot
        if snapshot.valid_until is not None:
            snapshot = points.current()
        epoch = manager.epochs.current
        if epoch.guarded is not snapshot.guarded:
            epoch.guard(snapshot.guarded)
        return snapshot, epoch

    def explain(self, domain: str, key: str, *, tenant: str | None = None, **asked: Unpack[Asked]) -> Explanation:
        """Return the whole ranking for a component, as the next request would meet it. Never raises."""
        return explain_in(self.points.current().catalog, question_of(domain, key, tenant, asked))

    def now(self) -> datetime:
        """Return the store's time as far as it is known, else this machine's; aware UTC."""
        return self.points.time()

    @property
    def catalog_stands(self) -> bool:
        """Whether routes may be served."""
        return self.intake.catalog_stands

    @property
    def label(self) -> str:
        """``<manifest version>.<cseq>`` of what decides about the next request."""
        return self.snapshot.label

    # --- changes ---

    async def swap(
        self, domain: str, key: str, provider: str, *, reason: str, tenant: str | None = None, reach: Reach = "fleet"
    ) -> None:
        """Order a component's provider, for the fleet or for this replica, once it has proved healthy here.

        Raises:
            ReadOnlyReplica: The fleet is out of reach: no control is attached.
            PointsmanError: The target cannot serve, or the command was refused; nothing changed.
        """
        if reach == "replica":  # beside the orders that stand here already, whoever gave them
            await self.lifecycle.swap(domain, key, provider=provider, tenant=tenant)
        elif self.fleet is not None:
            await self.fleet.swap(Component(domain, key), provider, reason=reason, tenant=tenant, reach=reach)
        else:
            raise ReadOnlyReplica("No control is attached, so the fleet is out of reach.", hint='Say reach="replica".')

    async def rotate(self, secrets: Iterable[str]) -> None:
        """Make anew everything that stands on these secrets, and bind it once it is well.

        Raises:
            LifecycleError: Something live cannot be made with the new value; the old serves on.
        """
        async with self._rotating:
            with self.secrets.rotating(secrets):
                await self.points.take(lambda inputs: replace(inputs, settings=replace(inputs.settings)), strict=True)

    # --- within ---

    def _registered(self, include: Iterable[Any]) -> Resolver:
        resolver = Resolver()
        for candidate in (*SHIPPED, *collect(include).candidates):
            resolver.register(candidate)
        for plugin in self.plugins:
            resolver.register_plugin(plugin.package, plugin.candidates)
        return resolver

    def _contribution(self) -> Contribution:
        known = [registration.candidate for registration in self.resolver.registrations]
        return self.settings.contribution(self.resolver.marks(), known=known)

    async def _look_again(self, values: Mapping[str, Any], where: str) -> None:
        """Refuse settings of a manifest that lead to a place which the image did not grant, now that names resolve."""
        from pointsman.manifests.lookup import check_addresses  # most manifests leave settings to the image
        from pointsman.manifests.settings import TrustSettings

        granted = self.settings.section(TrustSettings).gate().private_destinations
        await check_addresses(values, granted, where)

    def _manager(self, around: Surroundings) -> LifecycleManager:
        surroundings = replace(
            around,
            secrets=self.secrets,
            secret_epoch=self.secrets.epoch,
            scrub=self.scrubber.scrub,
            environ=self.environ,
            tell=self.events.tell,
            look_again=self._look_again,
        )
        limits = self.settings.section(LifecycleSettings).limits()
        manager = LifecycleManager(self.resolver, limits=limits, surroundings=surroundings)
        self.secrets.lifecycle = manager
        return manager

    def _registrations_changed(self) -> None:
        settings, registrations = self._contribution(), self.resolver.registrations
        self.points.change(lambda inputs: replace(inputs, registrations=registrations, settings=settings))
