"""Which manifest this replica serves: the first in the head's list that it can take.

The list is current, good, approved, the image's own; what the fleet marked bad for this revision and what is below the
floor is not in it. A refusal never takes away what serves: a replica that serves something permitted stays there and
tries the first choice again, one that serves nothing walks on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from pointsman.control import pacing
from pointsman.control.clocks import Reading
from pointsman.control.flights import Flights
from pointsman.control.objects import read_whole
from pointsman.errors import PointsmanError, StoreError
from pointsman.manifests.envelope import digest_of
from pointsman.manifests.release import effective
from pointsman.manifests.verification import verify_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pointsman.control.ports import Admission, DataPlane, Ground
    from pointsman.control.reading import FleetHead, FoundRelease
    from pointsman.control.tasks import Tasks
    from pointsman.manifests.schema import Approved
    from pointsman.runtime.inputs import ManifestInput

FOLDER: Final = "manifests/sha256/"
LARGE_BYTES: Final = 64 * 1024
"""A manifest over this is judged in a thread: requests do not wait for it."""


class Refusal(msgspec.Struct, frozen=True):
    """A manifest that this replica tried and could not take.

    Attributes:
        version: As the release says; ``None`` for the image's own.
        error: The error's code, by which refusals are counted.
        tries: How often it was tried in a row.
        tried: When it was tried last.
        wait_s: How long until it is tried again.
    """

    digest: str
    version: int | None
    error: str
    message: str
    tries: int
    tried: Reading
    wait_s: float

    def as_dict(self) -> dict[str, object]:
        """Return what an operator looks at, in JSON types."""
        return {
            "digest": self.digest,
            "version": self.version,
            "error": self.error,
            "message": self.message,
            "tries": self.tries,
        }


class Choice(msgspec.Struct, frozen=True):
    """One manifest of the list; ``entry`` is what the release says of it, ``None`` for the image's own."""

    digest: str
    entry: Approved | None = None


class Manifests:
    """Fetches, verifies and lets in manifests by digest; keeps the bytes of the last one.

    Args:
        ground: The outside world.
        admission: The gate.
        image: The manifest that came with the image, in its envelope.
    """

    def __init__(self, ground: Ground, admission: Admission, image: bytes | None = None) -> None:
        self._ground = ground
        self._admission = admission
        self._image = image
        self._last: tuple[str, bytes] | None = None
        self.image_digest = None if image is None else digest_of(image)

    async def load(self, choice: Choice, place: FleetHead | FoundRelease) -> ManifestInput:
        """Return a manifest as it may be taken beside this release.

        Raises:
            StoreError: The store did not give it.
            ManifestError: It is refused.
        """
        data = await self._bytes(choice, place)
        now = self._ground.time.now()

        def judged() -> ManifestInput:
            verified = verify_manifest(data, place.trust, now, entry=choice.entry, release=place.release)
            return self._admission(verified)

        return judged() if len(data) <= LARGE_BYTES else await asyncio.to_thread(judged)

    async def _bytes(self, choice: Choice, place: FleetHead | FoundRelease) -> bytes:
        if choice.entry is None and self._image is not None:
            return self._image
        if self._last is None or self._last[0] != choice.digest:
            limit = place.trust.limits.max_manifest_bytes
            data = await read_whole(self._ground.releases, f"{FOLDER}{choice.digest}", max_bytes=limit)
            self._last = choice.digest, data
        return self._last[1]


class Effective:
    """Keeps this replica at the manifest that the head and its own experience name.

    Args:
        ground: The outside world.
        manifests: Loads them.
        plane: Takes them.
        revision: Of this replica; what the fleet marked bad for it is not tried.
    """

    def __init__(self, ground: Ground, manifests: Manifests, plane: DataPlane, revision: str) -> None:
        self._ground = ground
        self._manifests = manifests
        self._plane = plane
        self._revision = revision
        self._refused: dict[str, Refusal] = {}
        self._flights = Flights(self._take_first)
        self.applied: ManifestInput | None = None

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """The manifests of the present list that were tried and could not be taken."""
        return tuple(self._refused.values())

    def choices(self, head: FleetHead) -> tuple[Choice, ...]:
        """Return the list for this revision, first choice first."""
        entries = effective(head.release.document, head.control.document, self._revision)
        listed = tuple(Choice(entry.digest, entry) for entry in entries)
        image = self._manifests.image_digest
        if image is None or any(choice.digest == image for choice in listed):
            return listed
        return *listed, Choice(image)

    def stands(self, head: FleetHead) -> bool:
        """Tell whether this replica serves the first choice of a head, so that it may judge orders for the fleet."""
        choices = self.choices(head)
        return bool(choices) and self.applied is not None and self.applied.digest == choices[0].digest

    def board(self, tasks: Tasks) -> None:
        """Say whose tasks do the work."""
        self._flights.board(tasks)

    def follow(self, head: FleetHead) -> None:
        """Look after the manifest of a head, beside whatever else is done."""
        if self._due(head):
            self._flights.launch(head)

    async def converge(self, head: FleetHead) -> None:
        """Take the first choice of a head that can be taken. Never raises: what is refused is kept in `refusals`."""
        await self._flights.launch(head).wait()
        if self._due(head):  # that flight had begun with an older head
            await self._flights.launch(head).wait()

    def _due(self, head: FleetHead) -> bool:
        return next(self._to_try(head), None) is not None

    async def _take_first(self, head: FleetHead) -> None:
        choices = self.choices(head)
        listed = {choice.digest for choice in choices}
        self._refused = {digest: refusal for digest, refusal in self._refused.items() if digest in listed}
        for choice in self._to_try(head):
            try:
                manifest = await self._manifests.load(choice, head)
                await self._plane.take_manifest(manifest, by_fallback=choice != choices[0])
            except Exception as error:  # noqa: BLE001 - the refresher's boundary: what serves goes on serving
                self._refuse(choice, error)
                continue
            self.applied = manifest
            self._refused.pop(choice.digest, None)
            self._ground.report("manifest.taken", version=manifest.version, digest=manifest.digest)
            return

    def _to_try(self, head: FleetHead) -> Iterator[Choice]:
        """Yield what to try, in order, as long as nothing was taken: up to what serves, and one try at a time.

        A replica that serves something permitted tries the first choice alone; any other walks the list.
        """
        choices = self.choices(head)
        serving = None if self.applied is None else self.applied.digest
        permitted = any(choice.digest == serving for choice in choices)
        now = Reading.of(self._ground.clock)
        for choice in choices[:1] if permitted else choices:
            refusal = self._refused.get(choice.digest)
            if choice.digest != serving and (refusal is None or now.since(refusal.tried) >= refusal.wait_s):
                yield choice

    def _refuse(self, choice: Choice, error: Exception) -> None:
        before = self._refused.get(choice.digest)
        tries = 1 if before is None else before.tries + 1
        refusal = Refusal(
            digest=choice.digest,
            version=None if choice.entry is None else choice.entry.version,
            error=error.code if isinstance(error, PointsmanError) else type(error).__name__,
            message=error.message if isinstance(error, PointsmanError) else str(error),
            tries=tries,
            tried=Reading.of(self._ground.clock),
            wait_s=pacing.backoff(tries, self._ground.random, pacing.REFUSED_MOST_S),
        )
        self._refused[choice.digest] = refusal
        self._ground.report(
            "manifest.refused",
            alarm=not isinstance(error, StoreError),
            serving=None if self.applied is None else self.applied.version,
            digest=refusal.digest,
            version=refusal.version,
            error=refusal.error,
            why=refusal.message,
            tries=refusal.tries,
        )
