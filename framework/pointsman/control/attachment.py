"""Attach a replica to its fleet: what settings say becomes stores, trust, a key and a `Fleet` that steers the runtime.

Reads what the image carries, once, and decides nothing. Where settings name no store there is no fleet, and the
runtime serves what the image says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from pointsman.control.clocks import StoreClock, SystemClock
from pointsman.control.fleet import Belief, Fleet
from pointsman.control.ports import Ground
from pointsman.control.sealing import Seal
from pointsman.control.settings import ControlSettings
from pointsman.control.tasks import owned_tasks
from pointsman.errors import ConfigurationError
from pointsman.manifests.admission import admit
from pointsman.manifests.contents import contribution_of
from pointsman.manifests.keys import SigningKey, load_signing_key, parse_signing_key
from pointsman.manifests.root import TrustRoot, load_root
from pointsman.manifests.schema import Audience, Manifest
from pointsman.manifests.settings import TrustSettings
from pointsman.manifests.trust import Trust, establish_trust
from pointsman.resolution.template import expand, render
from pointsman.runtime.inputs import ManifestInput
from pointsman.stores.settings import StoreSettings
from pointsman.stores.store import open_store

if TYPE_CHECKING:
    from pointsman.manifests.verification import Verified
    from pointsman.runtime.runtime import Runtime

LOCAL_REVISION = "local"


@asynccontextmanager
async def attached(runtime: Runtime, environ: Mapping[str, str]) -> AsyncGenerator[Fleet | None]:
    """Let the runtime follow its fleet for the time of the block.

    Args:
        environ: The process's environment variables; ``K_REVISION`` names what runs here.

    Raises:
        ConfigurationError: A setting, a key or the trust root is wrong.
        UntrustedRoot: The image demands a root that is not to be had.
    """
    settings = runtime.settings.section(ControlSettings)
    if not settings.store:
        yield None
        return
    async with standing(runtime) as ground:
        belief = await believe(runtime, environ)
        fleet = Fleet(ground, belief, runtime.intake)
        await fleet.check_root()
        _steer(runtime, fleet)
        async with owned_tasks() as tasks:
            await fleet.start(tasks)
            yield fleet


@asynccontextmanager
async def standing(runtime: Runtime) -> AsyncGenerator[Ground]:
    """Open the stores that the settings name, for the time of the block.

    Raises:
        ConfigurationError: A URL is wrong.
    """
    settings, of_stores = runtime.settings.section(ControlSettings), runtime.settings.section(StoreSettings)
    clock = SystemClock()
    async with AsyncExitStack() as opened:
        heads = open_store(expand(settings.store, env=runtime.environ, where="control.store"), settings=of_stores)
        opened.push_async_callback(heads.aclose)
        releases = heads
        if url := expand(settings.releases, env=runtime.environ, where="control.releases"):
            releases = open_store(url, settings=of_stores)
            opened.push_async_callback(releases.aclose)
        yield Ground(
            heads=heads,
            releases=releases,
            clock=clock,
            time=StoreClock(clock),
            random=Random(),  # noqa: S311 - spreads replicas over time, keeps no secret
            limits=settings.limits(),
            report=runtime.events.tell,
        )


async def believe(runtime: Runtime, environ: Mapping[str, str]) -> Belief:
    """Return who this replica is and what it believes, from what the image carries.

    Raises:
        ConfigurationError: The trust root is missing, malformed or for another audience; a key cannot be read.
    """
    settings, trust = runtime.settings.section(ControlSettings), runtime.settings.section(TrustSettings)
    return Belief(
        trust=await establish(runtime, environ),
        admission=admission(runtime),
        min_root=trust.min_root if trust.root is not None else 0,
        seal=Seal(await _key(runtime, settings)),
        image=await _file(settings.image_manifest),
        revision=environ.get("K_REVISION") or LOCAL_REVISION,
    )


async def establish(runtime: Runtime, environ: Mapping[str, str]) -> Trust:
    """Return what documents are judged by here.

    Raises:
        ConfigurationError: The trust root is missing, malformed or for another audience.
    """
    settings = runtime.settings.section(TrustSettings)
    audience = Audience(runtime.settings.service, runtime.settings.environment)
    return establish_trust(await _root(settings), audience, environ, settings.limits)


def admission(runtime: Runtime) -> Callable[[Verified[Manifest]], ManifestInput]:
    """Return the gate through which manifests come in: what the image grants, and nothing else."""
    marks = runtime.resolver.marks()
    gate = runtime.settings.section(TrustSettings).gate(tuple(marks))

    def admitted(verified: Verified[Manifest]) -> ManifestInput:
        manifest = verified.document
        admit(manifest, gate, runtime.points.inputs.settings.provider_settings)
        contribution = contribution_of(manifest, marks)
        return ManifestInput(contribution, manifest.version, verified.envelope_digest, manifest.expires)

    return admitted


def _steer(runtime: Runtime, fleet: Fleet) -> None:
    runtime.fleet = fleet
    runtime.intake.catalog_stands = False
    runtime.points.time = fleet.now
    runtime.is_stale = fleet.is_stale


async def _root(settings: TrustSettings) -> TrustRoot | None:
    if settings.root is None:
        return None
    data = await _file(settings.root)
    if data is None:
        raise ConfigurationError(
            f"trust.root: expected a file, found none at {settings.root}.", hint="Make one: pointsman keys root"
        )
    return load_root(data, settings.limits)


async def _key(runtime: Runtime, settings: ControlSettings) -> SigningKey | None:
    if settings.key_file is not None:
        return await asyncio.to_thread(load_signing_key, settings.key_file)
    if settings.key is None:
        return None
    text = settings.key
    env = runtime.environ
    return parse_signing_key(await render(text, env=env, secrets=runtime.secrets, tenant=None, where="control.key"))


async def _file(path: Path) -> bytes | None:
    try:
        return await asyncio.to_thread(path.read_bytes)
    except FileNotFoundError:
        return None
