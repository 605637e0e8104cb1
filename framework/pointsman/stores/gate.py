"""Stop, lose and refuse the operations of a memory store on their way: a wire for tests of interleavings.

    gate = Gate()
    replica = store.connect(gate)
    flight = gate.hold("write", "head")          # the next write of head stops before it reaches the store
    tasks.start_soon(command, replica)
    await flight.departed()                      # it is on its way
    flight.land()                                # the store applies it, the answer is still under way
    flight.fail()                                # the answer is lost: the command sees Unavailable(sent=True)

Nothing here waits for time, and nothing happens by itself: a test that plays the same moves sees the same run.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import anyio
from anyio.lowlevel import checkpoint

from pointsman.errors import StoreError, Unavailable
from pointsman.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from pointsman.stores.memory import Kind, Operation

T = TypeVar("T")


@frozen
class _Landed(Generic[T]):
    """What the store answered: a value, or an error."""

    value: T | None = None
    error: StoreError | None = None


class Flight:
    """One operation that a gate stops; made by `Gate.hold`.

    Between `departed` and `answer` or `fail` its caller waits. When the caller is told a failure, or goes away, the
    operation may still land: that is how a write arrives late.
    """

    def __init__(self) -> None:
        self._departed = anyio.Event()
        self._arrived = anyio.Event()
        self._operation: Operation | None = None
        self._land: Callable[[], object] | None = None
        self._landed: _Landed[object] | None = None
        self._failure: StoreError | None = None

    async def departed(self) -> Operation:
        """Wait until an operation was stopped, and return it."""
        await self._departed.wait()
        return cast("Operation", self._operation)

    def land(self) -> object:
        """Apply the operation at the store, once, and return what the store answers: a value or a `StoreError`.

        Raises:
            StoreError: Nothing was stopped yet.
        """
        if self._land is None:
            raise StoreError("Expected an operation in flight, found none.", hint="await flight.departed() first.")
        if self._landed is None:
            try:
                self._landed = _Landed(self._land())
            except StoreError as exc:
                self._landed = _Landed(error=exc)
        return self._landed.error or self._landed.value

    def answer(self) -> None:
        """Let the caller have the store's answer; lands the operation first, if that was not done.

        Raises:
            StoreError: Nothing was stopped yet.
        """
        self.land()
        self._arrived.set()

    def fail(self, error: StoreError | None = None) -> None:
        """Let the caller have an error instead of the answer, by default `Unavailable` with ``sent``.

        What has not landed yet may still land; without `land` it never does.
        """
        self._failure = error or Unavailable("The answer was lost.", sent=True)
        self._arrived.set()

    async def carry(self, operation: Operation, land: Callable[[], T]) -> T:
        """Hold an operation until the test lets it go."""
        self._operation = operation
        self._land = land
        self._departed.set()
        await self._arrived.wait()
        if self._failure is not None:
            raise self._failure
        landed = cast("_Landed[T]", self._landed)
        if landed.error is not None:
            raise landed.error
        return cast("T", landed.value)


@dataclass(slots=True, eq=False)
class _Rule:
    kind: str
    name: str
    times: int | None = None
    flight: Flight | None = None
    error: StoreError | None = None

    def takes(self, operation: Operation) -> bool:
        return (
            self.times != 0
            and (self.kind == "*" or self.kind == operation.kind)
            and fnmatchcase(operation.name, self.name)
        )


class Gate:
    """A wire that passes everything on, but for what a test told it to hold or refuse.

    Rules are asked in the order in which they were made; the first that matches takes the operation. ``kind`` is
    ``read``, ``write``, ``create``, ``list`` or ``*``; ``name`` a shell pattern such as ``ops/*/begin``.
    """

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._seen: list[Operation] = []

    @property
    def seen(self) -> tuple[Operation, ...]:
        """Every operation that was asked for, in order, also those that were held or refused."""
        return tuple(self._seen)

    def count(self, kind: Kind, name: str = "*") -> int:
        """Return how many operations of this kind and name were asked for."""
        return sum(_Rule(kind, name).takes(operation) for operation in self._seen)

    def hold(self, kind: Kind, name: str = "*") -> Flight:
        """Stop the next operation of this kind and name."""
        flight = Flight()
        self._rules.append(_Rule(kind, name, times=1, flight=flight))
        return flight

    def refuse(
        self, kind: str = "*", name: str = "*", error: StoreError | None = None, *, times: int | None = None
    ) -> Callable[[], None]:
        """Fail operations before they reach the store, and return what ends that.

        Args:
            kind: Which kind; ``*`` is all.
            name: Which names.
            error: What the caller gets; by default `Unavailable` without ``sent``, as when a name does not resolve.
            times: How many; without a limit by default.
        """
        rule = _Rule(kind, name, times=times, error=error or Unavailable("The store is away.", sent=False))
        self._rules.append(rule)

        def undo() -> None:
            rule.times = 0

        return undo

    async def carry(self, operation: Operation, land: Callable[[], T]) -> T:
        """Hold, refuse, or pass on."""
        self._seen.append(operation)
        rule = next((rule for rule in self._rules if rule.takes(operation)), None)
        if rule is not None and rule.times is not None:
            rule.times -= 1
        if rule is not None and rule.flight is not None:
            return await rule.flight.carry(operation, land)
        await checkpoint()
        if rule is not None and rule.error is not None:
            raise copy(rule.error)
        return land()
