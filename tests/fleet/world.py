"""A fleet on one memory store, whose clocks, wires, keys and replicas a test plays by hand.

Nothing waits for real time: `Hands.turn` moves the clocks and wakes sleepers, and `quiet` returns when every task waits
for something that the test has not done yet.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from pointsman.control.clocks import StoreClock
from pointsman.control.commands import Command, Outcome
from pointsman.control.fleet import Belief, Fleet
from pointsman.control.founding import adopt_head
from pointsman.control.pacing import Limits
from pointsman.control.ports import Ground
from pointsman.control.publishing import Publisher
from pointsman.control.reading import FleetHead, Reader
from pointsman.control.roots import Roots
from pointsman.control.sealing import Seal
from pointsman.declarations import Component
from pointsman.errors import (
    DanglingSelection,
    HealthCheckFailed,
    ManifestError,
    PointsmanError,
    PreflightFailed,
    UnknownComponent,
    UnknownProvider,
)
from pointsman.manifests.envelope import digest_of, sign_document
from pointsman.manifests.keys import SigningKey
from pointsman.manifests.root import load_root
from pointsman.manifests.schema import Approved, Audience, Control, Manifest, Order, Release, Role, RoleName, Root
from pointsman.manifests.trust import Trust
from pointsman.manifests.verification import Verified, decode_head, encode_head, verify_head
from pointsman.resolution.contribution import Contribution
from pointsman.resolution.selection import Selection
from pointsman.runtime.inputs import ManifestInput, Orders
from pointsman.stores.gate import Gate
from pointsman.stores.memory import MemoryStore
from pointsman.stores.store import Store

BIRTH = datetime(2026, 1, 1, tzinfo=UTC)
AUDIENCE = Audience("shop", "production")
CACHE = Component("adapter", "cache")


def key(name: str) -> SigningKey:
    """The same name is the same key, so that no two runs differ."""
    return SigningKey(digest_of(name.encode()).encode()[:32])


class Hands:
    """The clocks of one machine; a test turns them."""

    def __init__(self, wall: datetime = BIRTH) -> None:
        self.mono = self.boot = 1_000.0
        self.time = wall.timestamp()
        self._sleepers: list[tuple[float, anyio.Event]] = []

    def monotonic(self) -> float:
        return self.mono

    def boottime(self) -> float:
        return self.boot

    def wall(self) -> float:
        return self.time

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    async def sleep(self, seconds: float) -> None:
        woken = anyio.Event()
        self._sleepers.append((self.boot + seconds, woken))
        await woken.wait()

    def turn(self, seconds: float, *, suspended: bool = False) -> None:
        """Let time pass; suspended, the monotonic clock stands still."""
        self.mono += 0.0 if suspended else seconds
        self.boot += seconds
        self.time += seconds
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self.boot]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self.boot]
        for _, woken in due:
            woken.set()


class Plane:
    """A data plane of the same shape as the runtime, that does as the test says.

    Attributes:
        gating: The control document whose pauses bind.
        control: The one whose uses are bound.
        refuses: Manifest version to the error with which it is refused.
        warming: While one is set here, uses and manifests wait for it.
        providers: What code offers; a manifest adds ``v<version>``.
    """

    def __init__(self) -> None:
        self.gating: Control | None = None
        self.control: Control | None = None
        self.overrides: Orders = {}
        self.manifest: ManifestInput | None = None
        self.taken: list[tuple[str, int]] = []
        self.refuses: dict[int, Exception] = {}
        self.warming: anyio.Event | None = None
        self.uses_fail: list[Exception] = []
        self.sick: set[str] = set()
        self.providers = {"redis", "memory"}
        self.withheld: dict[int, set[str]] = {}
        self.proved: list[str] = []
        self.ineligible: type[PointsmanError] | None = None

    def take_control(self, control: Control) -> Awaitable[None]:
        self.gating = control
        self.taken.append(("control", control.seq))
        return self._bind(control)

    async def _bind(self, control: Control) -> None:
        if self.warming is not None:
            await self.warming.wait()
        if self.uses_fail:
            raise self.uses_fail.pop()
        if self.gating is control:
            self.control = control

    async def take_overrides(self, orders: Orders) -> None:
        self.overrides = orders

    async def take_manifest(self, manifest: ManifestInput, *, by_fallback: bool = False) -> None:
        if self.warming is not None:
            await self.warming.wait()
        await self.preflight(manifest, {} if by_fallback or self.gating is None else self.gating.orders)
        self.manifest = manifest
        self.taken.append(("manifest", manifest.version))

    async def preflight(self, manifest: ManifestInput, orders: Orders) -> None:
        error = self.refuses.get(manifest.version)
        if error is not None:
            raise error
        offered = self._offered(manifest)
        for given in orders.values():
            for order in given:
                if isinstance(order.value, str) and order.value not in offered:
                    raise DanglingSelection(f"an order names {order.value}, which manifest {manifest.version} lacks")

    def _offered(self, manifest: ManifestInput | None) -> set[str]:
        version = 0 if manifest is None else manifest.version
        return (self.providers | {f"v{version}"}) - self.withheld.get(version, set())

    def check_order(self, component: Component[Any], providers: tuple[str, ...], tenants: tuple[str, ...]) -> None:
        if component.domain != "adapter":
            raise UnknownComponent(f"nothing is registered for {component}")
        if self.ineligible is not None:
            raise self.ineligible(f"nothing may serve {component}")
        for provider in providers:
            if provider not in self._offered(self.manifest):
                raise UnknownProvider(f"{component} has no provider {provider}")

    async def prove(
        self, component: Component[Any], selection: Selection, tenants: tuple[str, ...] | None, *, force: bool = False
    ) -> None:
        names = (selection,) if isinstance(selection, str) else selection.providers
        self.proved.extend(names)
        for name in names:
            if name in self.sick and not force:
                raise HealthCheckFailed(f"{component}={name} is not well")

    def orders(self, *, gates: bool = True) -> tuple[Order, ...]:
        """What binds requests now: gates at once, or uses once they are warm."""
        document = self.gating if gates else self.control
        return () if document is None else document.orders.get("adapter/cache", ())


@dataclass
class Events:
    """What was reported."""

    told: list[tuple[str, bool, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, event: str, /, *, alarm: bool = False, **fields: Any) -> None:
        self.told.append((event, alarm, fields))

    def named(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, _, fields in self.told if name == event]

    @property
    def alarms(self) -> list[str]:
        return [name for name, alarm, _ in self.told if alarm]


@dataclass
class Replica:
    """One replica and all that a test may look at or play with."""

    fleet: Fleet
    plane: Plane
    gate: Gate
    hands: Hands
    events: Events
    ground: Ground
    answers: list[Outcome | PointsmanError] = field(default_factory=list)

    @property
    def seq(self) -> int:
        head = self.fleet.head
        return 0 if head is None else head.position[1]

    async def order(self, command: Command) -> Outcome | PointsmanError:
        """Send a command, and keep its answer."""
        try:
            answer: Outcome | PointsmanError = await self.fleet.run(command)
        except PointsmanError as error:
            answer = error
        self.answers.append(answer)
        return answer


async def quiet() -> None:
    """Return when every task waits for what the test has not done yet."""
    for _ in range(200):  # far cheaper than the wait below, which naps whenever it finds one that runs
        await checkpoint()
    await anyio.wait_all_tasks_blocked()


class World:
    """The store, the publisher, the operators and the replicas.

    Args:
        group: In which everything runs.
        paced: The store takes one write a second and object.
        store: Another store than one in memory.
        wall: The time at which this world begins.
    """

    def __init__(
        self, group: TaskGroup, *, paced: bool = False, store: Store | None = None, wall: datetime = BIRTH
    ) -> None:
        self.group = group
        self.hands = Hands(wall)
        self.memory = MemoryStore(clock=self.hands.now, paced=paced)
        self.store: Store = store or self.memory
        self.roots = {1: self.root(1)}
        self.trust = Trust(load_root(self.roots[1]), AUDIENCE)
        self._seed = 0

    # --- documents ---

    def root(
        self,
        version: int,
        *,
        epoch: int = 1,
        control: tuple[str, ...] = ("control",),
        release: tuple[str, ...] = ("release",),
        by: int = 0,
    ) -> bytes:
        """A root with these keys, signed by itself and by the one before it."""
        names: dict[RoleName, tuple[str, ...]] = {
            "root": (f"root{version}",),
            "manifest": ("manifest",),
            "release": release,
            "control": control,
        }
        keys = {each: key(each) for role in names.values() for each in role}
        document = Root(
            spec_version=1,
            epoch=epoch,
            version=version,
            issued_at=BIRTH,
            expires=BIRTH + timedelta(days=365),
            audience=AUDIENCE,
            keys={one.keyid: one.public.raw.hex() for one in keys.values()},
            roles={
                role: Role(keyids=tuple(keys[each].keyid for each in held), threshold=1) for role, held in names.items()
            },
        )
        signers = [keys[f"root{version}"], *([key(f"root{by}")] if by else [])]
        return sign_document(document, signers)

    def manifest(self, version: int, *, epoch: int = 1, **fields: Any) -> bytes:
        now = self.hands.now()
        given = {"issued_at": now, "expires": now + timedelta(days=30), **fields}
        document = Manifest(spec_version=1, epoch=epoch, version=version, audience=AUDIENCE, **given)
        return sign_document(document, [key("manifest")])

    def release(
        self, version: int, manifests: tuple[bytes, ...], *, versions: tuple[int, ...] | None = None, **fields: Any
    ) -> bytes:
        """Approve these manifests; the first is the current one."""
        now = self.hands.now()
        numbers = versions or tuple(_version_of(data) for data in manifests)
        approved = tuple(
            Approved(digest=digest_of(data), length=len(data), version=number)
            for data, number in zip(manifests, numbers, strict=True)
        )
        given: dict[str, Any] = {
            "epoch": 1,
            "issued_at": now,
            "expires": now + timedelta(days=60),
            "floor": 0,
            "root": 1,
            "min_control_seq": 0,
            **fields,
        }
        document = Release(
            spec_version=1,
            version=version,
            audience=AUDIENCE,
            current=approved[0].digest,
            approved=approved,
            **given,
        )
        return sign_document(document, [key("release")])

    # --- deeds ---

    async def publish(
        self,
        version: int,
        *manifests: bytes,
        roots: Mapping[int, bytes] | None = None,
        store: Store | None = None,
        **fields: Any,
    ) -> None:
        """Publish a release, by the publisher's own way."""
        publisher = Publisher(store or self.store, self.trust, self.hands.now)
        release = self.release(version, manifests, **fields)
        await publisher.publish(release, manifests=manifests, roots=roots)

    async def found(
        self,
        *,
        signer: str = "control",
        min_seq: int = 0,
        wire: Gate | None = None,
        store: Store | None = None,
    ) -> FleetHead:
        """Create the first head, as ``pointsman head adopt`` does."""
        own = store or (self.store if wire is None else self.memory.connect(wire))
        ground = self.ground(self.hands, own, own, Events())
        reader = Reader(ground, Roots(self.trust, self.store))
        return await adopt_head(ground, reader, Seal(key(signer)), min_seq=min_seq)

    async def begin(self, *manifests: bytes) -> None:
        """A published release and a first head."""
        await self.publish(1, *(manifests or (self.manifest(1),)))
        await self.found()

    def ground(self, hands: Hands, heads: Store, releases: Store, events: Events, **limits: float) -> Ground:
        self._seed += 1
        return Ground(
            heads=heads,
            releases=releases,
            clock=hands,
            time=StoreClock(hands),
            random=Random(self._seed),
            limits=Limits(**limits),
            report=events,
        )

    def replica(
        self,
        *,
        hands: Hands | None = None,
        signer: str | None = "control",
        image: bytes | None = None,
        revision: str = "rev-a",
        trust: Trust | None = None,
        min_root: int = 0,
        plane: Plane | None = None,
        store: Store | None = None,
    ) -> Replica:
        """A replica that has not been started."""
        hands, events, gate, plane = hands or self.hands, Events(), Gate(), plane or Plane()
        own = store or self.memory.connect(gate)
        ground = self.ground(hands, own, own, events)
        belief = Belief(
            trust=trust or self.trust,
            admission=admitted,
            min_root=min_root,
            seal=Seal(None if signer is None else key(signer)),
            image=image,
            revision=revision,
        )
        return Replica(Fleet(ground, belief, plane), plane, gate, hands, events, ground)

    async def started(self, **given: Any) -> Replica:
        """A replica that has taken the head and its manifest."""
        replica = self.replica(**given)
        await replica.fleet.start(self.group)
        await quiet()
        return replica

    async def play(self, *deeds: Awaitable[Any], step_s: float = 0.25) -> list[Any]:
        """Do all of this at once, and let time pass whenever everything waits; return the results."""
        results: list[Any] = [None] * len(deeds)
        left = len(deeds)

        async def do(place: int, deed: Awaitable[Any]) -> None:
            nonlocal left
            results[place] = await deed
            left -= 1

        for place, deed in enumerate(deeds):
            self.group.start_soon(do, place, deed)
        await quiet()
        while left:
            self.hands.turn(step_s)
            await quiet()
        return results

    async def pass_time(self, seconds: float, *, step_s: float = 0.25) -> None:
        """Let time pass in steps, and everything happen that happens then."""
        await quiet()
        for _ in range(round(seconds / step_s)):
            self.hands.turn(step_s)
            await quiet()

    def send(self, replica: Replica, command: Command) -> None:
        """Send a command without waiting; its answer will be among the replica's."""
        self.group.start_soon(replica.order, command)

    # --- looking ---

    async def control(self) -> Control:
        """The control document that lies in the store."""
        read = await self.store.read("head", max_bytes=1 << 20)
        assert read.body is not None
        return verify_head(read.body, self.trust, self.hands.now()).control.document

    async def put_back(self, head: bytes) -> None:
        """Write the bytes of some head over the one that is there, as who may write the bucket can."""
        read = await self.store.read("head", max_bytes=1 << 20)
        await self.store.write("head", head, expect=read.generation)

    async def bytes_of(self, name: str) -> bytes:
        read = await self.store.read(name, max_bytes=1 << 23)
        assert read.body is not None
        return read.body

    async def forge(self, control: Control, *, signer: str = "control") -> None:
        """Write a control document that a holder of the control key made."""
        head = decode_head(await self.bytes_of("head"), self.trust)
        await self.put_back(encode_head(bytes(head.release), sign_document(control, [key(signer)])))


def admitted(verified: Verified[Manifest]) -> ManifestInput:
    """Let every manifest in but those that say that the gate is closed to them."""
    manifest = verified.document
    if manifest.provider_settings:
        raise ManifestError("the gate is closed")
    return ManifestInput(Contribution(), manifest.version, verified.envelope_digest, manifest.expires)


def refused() -> PreflightFailed:
    return PreflightFailed("a required component does not resolve")


def _version_of(envelope: bytes) -> int:
    return int(json.loads(base64.b64decode(json.loads(envelope)["payload"]))["version"])


def swap(value: str = "memory", **given: Any) -> Command:
    """A swap of everyone's cache."""
    fields: dict[str, Any] = {"kind": "use", "component": CACHE, "value": value, "reason": "test", "who": "ada"}
    return Command(**{**fields, **given})


def pause(**given: Any) -> Command:
    fields: dict[str, Any] = {"kind": "pause", "component": CACHE, "reason": "test", "who": "ada"}
    return Command(**{**fields, **given})
