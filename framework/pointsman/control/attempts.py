"""What is known of one try of a command, and what may honestly be said of it.

A write that was sent may be applied now, later, or never, and another try of the same key may be under way: so
"nothing changed" is said only where neither can be. Values and rules; nothing here sends anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pointsman.control.commands import Change, Command, base_of, body_digest
from pointsman.control.journal import Begin, End
from pointsman.control.writing import TRIES
from pointsman.errors import (
    Conflict,
    ControlError,
    ManifestError,
    OutcomeUnknown,
    PointsmanError,
    Stale,
    StoreError,
    Unavailable,
)

if TYPE_CHECKING:
    from pointsman.control.clocks import Reading
    from pointsman.control.reading import FleetHead
    from pointsman.manifests.schema import Control

FINAL: Final = (Conflict, Stale)
"""Refusals that no other try of the operation can escape: what moved stays moved."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One try of one operation, on its way.

    Attributes:
        begin: The claim that stands; its base and insistence rule every try.
        shared: Other tries of the same key may be under way, or come.
        ours: This try made the claim, so none before it can have been sent.
        tries: How many compare-and-swaps are left.
        missed: How many tries got no answer.
        sent: Something was sent that may be applied, now or later.
        awaits: The head whose manifest this replica has to take before it may judge; once it tried, that is final.
        changed: What it makes of each key, in the batch that carries it now.
        applied: Its number, once a write that carried it was taken; with what it changed.
        refused: Why it is not, once that is certain.
    """

    command: Command
    operation: str
    begin: Begin
    shared: bool
    ours: bool
    since: Reading
    tries: int = TRIES
    missed: int = 0
    sent: bool = False
    awaits: FleetHead | None = None
    changed: tuple[Change, ...] = ()
    applied: tuple[int, tuple[Change, ...]] | None = None
    refused: PointsmanError | None = None

    @property
    def settled(self) -> bool:
        """Whether there is an answer."""
        return self.applied is not None or self.refused is not None

    @property
    def conditional(self) -> bool:
        """Whether the caller sent ``If-Match``."""
        return self.command.if_match is not None

    def lost(self) -> None:
        """Count a race that somebody else won."""
        self.tries -= 1

    def miss(self, error: PointsmanError) -> None:
        """Count a try that got no answer; where it got nowhere, that is told at once."""
        self.tries -= 1
        self.missed += 1
        if not self.sent:
            self.give_up(error)

    def give_up(self, error: PointsmanError | None = None) -> None:
        """End without the command being applied, as far as this try knows."""
        why = "it had to wait too long" if error is None else error.message
        if self.sent or not self.ours:
            self.refused = OutcomeUnknown(
                f"The command may have been applied, now or later: {why}",
                hint="Send it again under the same Idempotency-Key, or look at its operation: it is applied once.",
            )
        elif isinstance(error, ControlError):
            self.refused = error
        else:
            text = f"Nothing changed, nothing was sent: {why}"
            self.refused = Unavailable(text, sent=False, retry_after_s=1.0)

    def refuse(self, error: PointsmanError) -> None:
        """End because the command cannot be applied now.

        What is not `FINAL` is this replica's judgement, at this moment: another try of the same key may be applying
        the operation meanwhile, so nobody is told that it is not.
        """
        final = isinstance(error, FINAL) or not self.shared
        self.refused = error if final else unjudged(error)


@dataclass(slots=True)
class Batch:
    """What one compare-and-swap carries: the document so far, and the commands in it."""

    control: Control
    carried: list[Attempt] = field(default_factory=list)
    _sent_before: list[bool] = field(default_factory=list)

    def carry(self, attempt: Attempt, control: Control, changed: tuple[Change, ...]) -> None:
        """Take a command in. From here on it counts as sent: whoever gives up now cannot say that it was not."""
        self.control = control
        self.carried.append(attempt)
        self._sent_before.append(attempt.sent)
        attempt.changed, attempt.sent = changed, True

    def unsend(self) -> None:
        """Take back that the commands were sent: this write never left."""
        for attempt, before in zip(self.carried, self._sent_before, strict=True):
            attempt.sent = before


def claim(command: Command, control: Control) -> Begin:
    """Return what the first try of a command fixes for all of them: the base is ``If-Match``, or now."""
    base = None if command.if_match is None else base_of(command.if_match)
    return Begin(
        body=body_digest(command),
        base=control.cseq if base is None else base,
        insist=command.if_match is not None and base is None,
        who=command.who,
        reason=command.reason,
        command=command.body(),
    )


def recorded(end: End) -> PointsmanError | None:
    """Return the refusal that an outcome tells again; ``None``: the operation was applied."""
    if end.outcome == "applied":
        return None
    return next((error for error in FINAL if error.code == end.code), ControlError)(end.detail)


def unjudged(error: PointsmanError) -> OutcomeUnknown:
    """Return what is true of an operation that this try could not judge and another may have applied."""
    return OutcomeUnknown(
        f"Another try of this operation may have been applied; this one could not be judged: {error.message}",
        hint="Look at the operation; or send the command under a new Idempotency-Key to have it judged anew.",
    )


@contextmanager
def nothing_sent() -> Iterator[None]:
    """Turn whatever the store did into the one thing that matters: no write of the head left."""
    try:
        yield
    except (StoreError, ManifestError) as error:
        raise Unavailable(
            f"Nothing changed, this try sent nothing: {error.message}", sent=False, hint=error.hint, retry_after_s=1.0
        ) from error
