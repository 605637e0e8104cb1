"""What a replica writes unasked: it adopts the publisher's releases, and signs the head anew before it ages.

Every such write carries its condition and is decided again from a fresh head. A release is a proposal: this replica
adopts it only if it could serve what the release names, beside every order in force.
"""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from pointsman.control import pacing
from pointsman.control.clocks import Reading
from pointsman.control.effective import Choice
from pointsman.control.flights import Flights
from pointsman.control.pacing import LIFE
from pointsman.control.ports import is_alarm, told
from pointsman.control.writing import Intent
from pointsman.errors import PreflightFailed
from pointsman.manifests.release import accept, approved_entry
from pointsman.manifests.verification import life_spent

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from pointsman.control.effective import Manifests
    from pointsman.control.ports import DataPlane, Ground
    from pointsman.control.reading import FleetHead, FoundRelease, Position, Reader
    from pointsman.control.tasks import Tasks
    from pointsman.control.writing import Writer
    from pointsman.manifests.schema import Control, Release

QUIET_S: Final = 5.0
"""A replica that has just started writes nothing for so long."""
WARN_AT: Final = 0.8
"""Which part of its life a head may have behind it before people are told."""


class _Chore(msgspec.Struct):
    """When a piece of work is to be done next, how often it failed in a row, and by what."""

    since: Reading
    wait_s: float
    failures: int = 0
    error: Exception | None = None

    def due(self, now: Reading) -> bool:
        return now.since(self.since) >= self.wait_s

    def done(self, now: Reading, wait_s: float) -> None:
        self.since, self.wait_s, self.failures, self.error = now, wait_s, 0, None

    def failed(self, now: Reading, random: Random, error: Exception) -> None:
        self.failures += 1
        self.error = error
        self.since, self.wait_s = now, pacing.backoff(self.failures, random, pacing.REFUSED_MOST_S)


class Adoption:
    """Looks at the publisher's release, and writes the head where it should be written.

    Args:
        ground: The outside world.
        reader: Reads the release.
        writer: Writes the head.
        manifests: Loads what a release names.
        plane: Says whether it could be taken.
    """

    def __init__(self, ground: Ground, reader: Reader, writer: Writer, manifests: Manifests, plane: DataPlane) -> None:
        self._ground = ground
        self._reader = reader
        self._writer = writer
        self._manifests = manifests
        self._plane = plane
        self._seen: FoundRelease | None = None
        now = Reading.of(ground.clock)
        self._looking = _Chore(now, max(QUIET_S, ground.random.uniform(0.0, ground.limits.release_s)))
        self._adopting = _Chore(now, 0.0)
        self._signing = _Chore(now, 0.0)
        self._sign_at: tuple[Position, datetime] | None = None
        self._warned: Position | None = None
        self._flights = Flights(self._fly)

    @property
    def problems(self) -> tuple[Exception, ...]:
        """Why a release is not looked at or not adopted, or the head not signed anew; empty: all is well."""
        chores = (self._looking, self._adopting, self._signing)
        return tuple(chore.error for chore in chores if chore.error is not None)

    def board(self, tasks: Tasks) -> None:
        """Say whose tasks do the work."""
        self._flights.board(tasks)

    def hint(self) -> None:
        """Look at the release with the next flight: somebody says that there is a new one."""
        self._looking.done(Reading.of(self._ground.clock), 0.0)

    def follow(self, head: FleetHead) -> None:
        """Do what is due, beside whatever else is done."""
        self._warn(head)
        if self._due(head):
            self._flights.launch(head)

    async def tend(self, head: FleetHead) -> None:
        """Do what is due, and return when that has ended, either way. Never raises."""
        if self._due(head):
            await self._flights.launch(head).wait()

    def _due(self, head: FleetHead) -> bool:
        now = Reading.of(self._ground.clock)
        return self._look_due(now) or self._adopt_due(now, head) or self._sign_due(now, head)

    async def _fly(self, head: FleetHead) -> None:
        """Do each chore that is due; one that fails keeps no other from being done. Never raises."""
        now = Reading.of(self._ground.clock)
        if self._look_due(now):
            await self._guarded(self._looking, "release.refused", self._look(head))
        if self._adopt_due(now, head):
            await self._guarded(self._adopting, "release.not-adopted", self._adopt(head))
        if self._sign_due(now, head):
            await self._guarded(self._signing, "control.not-signed-anew", self._sign_anew())

    async def _guarded(self, chore: _Chore, event: str, work: Awaitable[None]) -> None:
        now = Reading.of(self._ground.clock)
        try:
            await work
        except Exception as error:  # noqa: BLE001 - the refresher's boundary: what serves goes on serving
            chore.failed(now, self._ground.random, error)
            self._ground.report(event, alarm=is_alarm(error), error=told(error), failures=chore.failures)
        else:
            chore.done(now, self._ground.limits.release_s if chore is self._looking else 0.0)

    # --- the publisher's release ---

    def _look_due(self, now: Reading) -> bool:
        return self._ground.heads.writable and self._looking.due(now)

    async def _look(self, head: FleetHead) -> None:
        """Read the release; what goes back, or says two things under one number, is never taken for newer."""
        seen = self._seen
        found = await self._reader.release(None if seen is None else seen.generation)
        if found is None:
            return
        for previous in (head.release, seen.release if seen is not None else None):
            accept(previous, found.release)
        self._seen = found
        self._adopting.done(Reading.of(self._ground.clock), 0.0)

    def _proposed(self, head: FleetHead) -> FoundRelease | None:
        """Return the release that was seen, if it is above the head's and this replica could sign it in."""
        seen = self._seen
        if seen is None or _number(seen.release.document) <= _number(head.release.document):
            return None
        return seen if self._writer.may_write(seen.trust) else None

    def _adopt_due(self, now: Reading, head: FleetHead) -> bool:
        return self._proposed(head) is not None and self._adopting.due(now)

    async def _adopt(self, head: FleetHead) -> None:
        """Prove the release here, then write it into the head; proved again beside each fresh head."""
        await self._decide_adoption(head)  # slow the first time, and so not under the writer's lock
        written = await self._writer.decide(self._decide_adoption)
        if written is not None:
            self._ground.report("release.adopted", version=written.release.document.version, seq=written.position[1])

    async def _decide_adoption(self, head: FleetHead) -> Intent | None:
        proposed = self._proposed(head)
        if proposed is None:
            return None
        release = proposed.release.document
        check_keeps_good(head.control.document, release)
        manifest = await self._manifests.load(
            Choice(release.current, approved_entry(release, release.current)), proposed
        )
        await self._plane.preflight(manifest, head.control.document.orders)
        from pointsman.control.head import adopt

        control = adopt(head.control.document, release, proposed.release.payload_digest, self._ground.time.now())
        return Intent(control, proposed.envelope, proposed.trust)

    # --- the signature's life ---

    def _sign_due(self, now: Reading, head: FleetHead) -> bool:
        """From half life on, at a time drawn once for each head; and never at once by a replica that just started."""
        if not self._writer.may_write(head.trust):
            return False
        if self._sign_at is None or self._sign_at[0] != head.position:
            uniform, first_seen = self._ground.random.uniform, self._ground.time.now()
            drawn = head.control.document.signed_at + LIFE / 2 + uniform(0.0, 1.0) * LIFE / 4
            self._sign_at = head.position, max(drawn, first_seen + timedelta(seconds=uniform(QUIET_S, 30.0)))
        return self._ground.time.now() >= self._sign_at[1] and self._signing.due(now)

    async def _sign_anew(self) -> None:
        written = await self._writer.decide(self._decide_signature)
        if written is not None:
            self._ground.report("control.signed-anew", seq=written.position[1])

    async def _decide_signature(self, head: FleetHead) -> Intent | None:
        control = head.control.document
        if self._ground.time.now() < control.signed_at + LIFE / 2:
            return None
        return Intent.beside(head, control)

    def _warn(self, head: FleetHead) -> None:
        control = head.control.document
        spent = life_spent(control.signed_at, control.expires, self._ground.time.now())
        if spent >= WARN_AT and self._warned != head.position:
            self._warned = head.position
            self._ground.report("control.not-signed-for-long", alarm=True, seq=control.seq, life_spent=round(spent, 3))


def check_keeps_good(control: Control, release: Release) -> None:
    """Refuse a release that approves nothing of what proved itself, unless all of that is below its floor.

    Raises:
        PreflightFailed: There would be nothing to fall back to.
    """
    good = [each for each in control.good if each.version >= release.floor]
    if release.epoch != control.epoch or not good:
        return
    if not any(approved_entry(release, each.digest) for each in good):
        raise PreflightFailed(
            f"Expected release {release.version} to approve one of the manifests that proved themselves, "
            f"{', '.join(str(each.version) for each in good)}; found none.",
            hint="Keep one of them in `approved`, or raise the floor above them.",
        )


def _number(release: Release) -> tuple[int, int]:
    return release.epoch, release.version
