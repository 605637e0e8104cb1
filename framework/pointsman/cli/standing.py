"""Stand where a replica stands, for the time of one command: its store, its trust, its key, its fleet.

What is done there is control's to do; this opens and closes.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pointsman.control.attachment import attached, believe, standing
from pointsman.control.founding import adopt_head
from pointsman.control.head import describe
from pointsman.control.ports import Ground
from pointsman.control.reading import Reader
from pointsman.control.roots import Roots
from pointsman.control.settings import ControlSettings
from pointsman.errors import ConfigurationError, NotFound, PointsmanError

if TYPE_CHECKING:
    from pointsman.control.fleet import Belief, Fleet
    from pointsman.control.reading import FleetHead
    from pointsman.manifests.schema import Release
    from pointsman.runtime.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Standpoint:
    """The ground of a replica, and what is believed on it; nothing follows the fleet."""

    ground: Ground
    belief: Belief

    @property
    def reader(self) -> Reader:
        """Reads head and release."""
        roots = Roots(self.belief.trust, self.ground.releases, min_root=self.belief.min_root)
        return Reader(self.ground, roots)

    async def adopt(self, min_seq: int) -> FleetHead:
        """Create the first head, or put a restored one in force.

        Raises:
            PointsmanError: See `adopt_head`.
        """
        return await adopt_head(self.ground, self.reader, self.belief.seal, min_seq=min_seq)

    async def head(self) -> FleetHead:
        """Return the head as it lies in the store.

        Raises:
            NotFound: There is none.
            StoreError: The store did not give it.
            ManifestError: It is refused.
        """
        head = await self.reader.head()
        if head is None:
            raise NotFound("Expected the body of the head, found none.")
        return head

    async def report(self) -> dict[str, Any]:
        """Return what lies in the store; what cannot be had, or is not believed, says why."""
        reader = self.reader
        facts: dict[str, Any] = {"store": self.ground.heads.url, "releases": self.ground.releases.url}
        try:
            found = await reader.release()
            facts["release"] = None if found is None else release_facts(found.release.document)
        except PointsmanError as error:
            facts["release"] = {"error": error.code, "message": error.message}
        try:
            facts["head"] = head_facts(await self.head())
        except PointsmanError as error:
            facts["head"] = {"error": error.code, "message": error.message}
        return facts


@asynccontextmanager
async def standpoint(runtime: Runtime) -> AsyncGenerator[Standpoint]:
    """Stand on the runtime's store, for the time of the block.

    Raises:
        ConfigurationError: Settings name no store, or the trust root or the key is wrong.
    """
    _control(runtime)
    async with standing(runtime) as ground:
        yield Standpoint(ground, await believe(runtime, os.environ))


@asynccontextmanager
async def fleet_of(runtime: Runtime) -> AsyncGenerator[Fleet]:
    """Follow the fleet as a replica does, for the time of the block: head and manifest are taken, or refused.

    Raises:
        ConfigurationError: Settings name no store, or the trust root or the key is wrong.
    """
    _control(runtime)
    async with attached(runtime, os.environ) as fleet:
        if fleet is None:
            raise _no_store()
        try:
            yield fleet
        finally:
            await runtime.stop()


def head_facts(head: FleetHead) -> dict[str, Any]:
    """Return what a head says, in JSON types."""
    control = head.control.document
    return {
        "epoch": control.epoch,
        "seq": control.seq,
        "cseq": control.cseq,
        "signed_at": control.signed_at.isoformat(),
        "expires": control.expires.isoformat(),
        "freshness": str(head.control.freshness),
        "written_at": head.stamp.isoformat(),
        "release": release_facts(head.release.document),
        "good": [good.version for good in control.good],
        "bad": [{"digest": bad.digest, "revision": bad.revision, "rule": bad.rule} for bad in control.bad],
        "orders": [
            {
                "component": component,
                "tenants": "*" if isinstance(order.tenants, str) else list(order.tenants),
                "order": describe(order),
                "cseq": order.cseq,
                "operation": order.op,
            }
            for component, orders in sorted(control.orders.items())
            for order in orders
        ],
    }


def release_facts(release: Release) -> dict[str, Any]:
    """Return what a release says, in JSON types."""
    versions = {entry.digest: entry.version for entry in release.approved}
    return {
        "epoch": release.epoch,
        "version": release.version,
        "expires": release.expires.isoformat(),
        "current": {"version": versions[release.current], "digest": release.current},
        "approved": [entry.version for entry in release.approved],
        "floor": release.floor,
        "root": release.root,
    }


def _control(runtime: Runtime) -> ControlSettings:
    settings = runtime.settings.section(ControlSettings)
    if not settings.store:
        raise _no_store()
    return settings


def _no_store() -> ConfigurationError:
    return ConfigurationError(
        "Expected a store on which the fleet agrees, found none in the settings.",
        hint="Set control.store, or POINTSMAN_CONTROL__STORE=gs://bucket/prefix; or ask a running service: --url",
    )
