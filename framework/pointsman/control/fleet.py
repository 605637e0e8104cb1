"""One replica's part in its fleet, put together: what web and the shell talk to.

Nothing is decided here. `start` needs tasks that live as long as the replica; everything that control does
runs in it. What only commands need is loaded with the first of them: most replicas never see one.
"""

from __future__ import annotations

from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pointsman.control.adoption import Adoption
from pointsman.control.convergence import Convergence, Freshness
from pointsman.control.effective import Effective, Manifests, Refusal
from pointsman.control.ports import Admission, DataPlane, Ground, told
from pointsman.control.reading import Reader
from pointsman.control.roots import Roots
from pointsman.control.sealing import Seal
from pointsman.control.writing import Writer
from pointsman.errors import StoreError
from pointsman.values import frozen

if TYPE_CHECKING:
    from datetime import datetime

    from pointsman.control.commands import Command, Outcome, Reach
    from pointsman.control.journal import Journal, Record
    from pointsman.control.operations import Operations
    from pointsman.control.reading import FleetHead
    from pointsman.control.tasks import Tasks
    from pointsman.declarations import Component
    from pointsman.manifests.trust import Trust


@frozen(kw_only=True)
class Belief:
    """Who this replica is, and what it believes.

    Attributes:
        trust: The image's.
        admission: The gate for manifests.
        min_root: The oldest root on which anything may be judged.
        seal: The control key; without one this replica only reads.
        image: The manifest that came with the image, in its envelope.
        revision: Cloud Run's name of what runs here; manifests are marked bad for one.
    """

    trust: Trust
    admission: Admission
    min_root: int = 0
    seal: Seal = field(default_factory=Seal)
    image: bytes | None = None
    revision: str = "local"


class Fleet:
    """One replica's part in its fleet.

    Args:
        ground: The outside world.
        belief: Who this replica is.
        plane: The runtime that is steered.

    Attributes:
        convergence: Its freshness and age.
        effective: Its manifest.
    """

    def __init__(self, ground: Ground, belief: Belief, plane: DataPlane) -> None:
        self._ground = ground
        self._belief = belief
        self._roots = Roots(belief.trust, ground.releases, min_root=belief.min_root)
        reader = Reader(ground, self._roots)
        manifests = Manifests(ground, belief.admission, belief.image)
        self.convergence = Convergence(ground, reader, self._roots, plane, follow=self._follow)
        self.effective = Effective(ground, manifests, plane, belief.revision)
        self._writer = Writer(ground, self.convergence, belief.seal)
        self._adoption = Adoption(ground, reader, self._writer, manifests, plane)
        self._plane = plane

    @cached_property
    def _operations(self) -> Operations:
        """What carries out commands."""
        from pointsman.control.judging import Judge
        from pointsman.control.operations import Operations

        judge = Judge(self.effective, self._plane)
        return Operations(self._ground, self.convergence, self._writer, judge, self._journal, self._plane)

    @cached_property
    def _journal(self) -> Journal:
        from pointsman.control.journal import Journal

        return Journal(self._ground.heads)

    # --- life ---

    async def check_root(self) -> None:
        """Refuse to start on a root that the image calls too old; before `start`, and outside of its tasks.

        A store that is away is no reason not to start: nothing is taken before the root is there.

        Raises:
            UntrustedRoot: A newer root is demanded, and is not to be had.
            ManifestError: It is refused otherwise.
        """
        try:
            await self._roots.trust_for(self._belief.min_root, self._ground.time.now())
        except StoreError as error:
            self._ground.report("control.root-not-fetched", error=told(error))

    async def start(self, tasks: Tasks) -> None:
        """Take the head, then the manifest; returns when both were taken or could not be. A store away is no error.

        Cancelled, it goes on among the tasks: routes answer 503 until a catalog stands. Never raises.
        """
        self.effective.board(tasks)
        self._adoption.board(tasks)
        await self.convergence.start(tasks)
        tasks.start_soon(self.convergence.keep_fresh)
        head = self.convergence.head
        if head is not None:
            await self.effective.converge(head)

    def looks_first(self) -> bool:
        """Whether a request must await `before_request`; where it need not, this stands in its place."""
        return self.convergence.looks_first()

    async def before_request(self) -> None:
        """Let a refresh that is due happen; every request and every probe awaits this first. Never raises."""
        await self.convergence.before_request()

    async def refresh(self, *, hint: bool = False) -> None:
        """Look at head and release now. A hint (a push) does so at most once a second, and is not waited for."""
        self._adoption.hint()
        await self.convergence.refresh(hint=hint)
        head = self.convergence.head
        if head is not None and not hint:
            await self._adoption.tend(head)
            await self.effective.converge(self.convergence.head or head)

    # --- commands ---

    async def run(self, command: Command) -> Outcome:
        """Carry out an operator's command.

        Raises:
            PointsmanError: See `Operations.run`.
        """
        return await self._operations.run(command)

    async def swap(
        self, component: Component[Any], provider: str, *, reason: str, tenant: str | None, reach: Reach
    ) -> None:
        """Order a component's provider from code.

        Raises:
            PointsmanError: See `Operations.run`.
        """
        from pointsman.control.commands import Command

        tenants = None if tenant is None else (tenant,)
        who = f"code@{self._belief.revision}"
        await self.run(
            Command(
                kind="use", component=component, value=provider, tenants=tenants, reason=reason, who=who, reach=reach
            )
        )

    async def operation(self, operation: str) -> Record:
        """Return one operation.

        Raises:
            NotFound: There is none of this id.
            StoreError: The store did not give it.
        """
        return await self._journal.record(operation)

    async def audit(self, limit: int = 50) -> tuple[Record, ...]:
        """Return the operations begun last, the newest first.

        Raises:
            StoreError: The store did not list them.
        """
        return await self._journal.recent(limit)

    # --- looking ---

    @property
    def head(self) -> FleetHead | None:
        """The head in force here."""
        return self.convergence.head

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """The manifests of the present list that this replica tried and could not take."""
        return self.effective.refusals

    def now(self) -> datetime:
        """Return the store's time, by which orders end; aware UTC."""
        return self._ground.time.now()

    def is_stale(self) -> bool:
        """Tell whether components whose policy is ``on_stale: deny`` must refuse."""
        return self.convergence.condition() in {Freshness.STALE, Freshness.NEVER}

    def status(self) -> dict[str, object]:
        """Return how this replica stands to its fleet, in JSON types."""
        head, applied = self.convergence.head, self.effective.applied
        age_s = None if head is None else round(self.convergence.age_s(), 3)
        return {
            "freshness": str(self.convergence.condition()),
            "age_s": age_s,
            "store": self._ground.heads.url,
            "revision": self._belief.revision,
            "head": None if head is None else _summary(head),
            "manifest": None if applied is None else {"version": applied.version, "digest": applied.digest},
            "writes": head is not None and self._writer.may_write(head.trust),
            "refusals": [refusal.as_dict() for refusal in self.refusals],
            "problems": [told(problem) for problem in self._adoption.problems],
            "last_error": self.convergence.last_error,
        }

    # --- within ---

    def _follow(self) -> None:
        """Look after manifests and releases, beside the head and never before it."""
        head = self.convergence.head
        if head is not None:
            self.effective.follow(head)
            self._adoption.follow(head)


def _summary(head: FleetHead) -> dict[str, object]:
    control, release = head.control.document, head.release.document
    return {
        "epoch": control.epoch,
        "seq": control.seq,
        "cseq": control.cseq,
        "signed_at": control.signed_at.isoformat(),
        "expires": control.expires.isoformat(),
        "release": {"version": release.version, "current": release.current, "floor": release.floor},
        "root": release.root,
    }
