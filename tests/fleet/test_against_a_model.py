"""A thousand rounds of two operators over wires that lose, delay and repeat, against a model that cannot err.

Every run is the same for its seed: the wires draw from it, and time passes only when everything waits.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

import pytest
from anyio.lowlevel import checkpoint

from pointsman.control.commands import EVERYONE, Command, Outcome, operation_id
from pointsman.errors import (
    Conflict,
    InputError,
    ManifestPending,
    OutcomeUnknown,
    PointsmanError,
    StoreError,
    Unavailable,
)
from pointsman.manifests.schema import Control
from pointsman.manifests.verification import verify_head
from pointsman.stores.memory import Operation
from tests.fleet.world import Replica, World, pause, quiet, swap

T = TypeVar("T")
ROUNDS = 100
TENANTS = ("a", "b", None)
UNCERTAIN = (OutcomeUnknown, Unavailable, ManifestPending)
"""Answers after which an operator tries again under the same key."""


@dataclass
class Effects:
    """What took effect, in the order of the store: the truth that no replica sees."""

    heads: list[Control] = field(default_factory=list)
    applied: dict[str, int] = field(default_factory=dict)

    def wrote(self, control: Control) -> None:
        before = self.heads[-1] if self.heads else None
        if before is not None:
            assert control.seq == before.seq + 1, "a write of the head was lost"
            known = dict(before.ring)
            fresh = [(op, cseq) for op, cseq in control.ring if op not in known]
            assert [cseq for _, cseq in fresh] == list(range(before.cseq + 1, control.cseq + 1))
            for operation, cseq in fresh:
                assert operation not in self.applied, f"{operation} took effect twice"
                self.applied[operation] = cseq
        self.heads.append(control)


class Chaos:
    """A wire that delays, loses answers, loses requests, and delivers some of them late."""

    def __init__(self, seed: int, world: World, effects: Effects, *, calm: bool = False) -> None:
        self._random = Random(seed)
        self._calm = calm
        self._world = world
        self._effects = effects
        self._late: list[Callable[[], object]] = []

    async def carry(self, operation: Operation, land: Callable[[], T]) -> T:
        for _ in range(self._random.randrange(4)):
            await checkpoint()
        self._deliver_late()
        fate = 1.0 if self._calm else self._random.random()
        if operation.kind in {"read", "list"}:
            if fate < 0.04:
                raise Unavailable("no answer", sent=False)
            return land()

        def landing() -> T:
            answer = land()
            if operation.name == "head" and operation.body is not None:
                verified = verify_head(operation.body, self._world.trust, self._world.hands.now())
                self._effects.wrote(verified.control.document)
            return answer

        if fate < 0.10:
            landing()
            raise Unavailable("the answer was lost", sent=True)
        if fate < 0.18:
            self._late.append(landing)
            raise Unavailable("the answer did not come in time", sent=True)
        if fate < 0.22:
            raise Unavailable("the request was lost", sent=True)
        return landing()

    def _deliver_late(self) -> None:
        if self._late and self._random.random() < 0.5:
            with suppress(StoreError):
                self._late.pop(0)()


@dataclass
class Deed:
    """One command with all the answers that its tries got."""

    command: Command
    base: int
    answers: list[Outcome | PointsmanError] = field(default_factory=list)

    @property
    def operation(self) -> str:
        return operation_id(self.command.who, self.command.idempotency_key or "")


async def operate(who: str, seed: int, fleet: list[Replica], deeds: list[Deed], rounds: int) -> None:
    """Send commands, one after the other, and try each again elsewhere while its outcome is not known."""
    random = Random(seed)
    for number in range(rounds):
        replica = random.choice(fleet)
        head = replica.fleet.head
        base = 0 if head is None else head.control.document.cseq
        deed = Deed(_command(random, who, number, base), base)
        deeds.append(deed)
        for _ in range(4):
            replica = random.choice(fleet)
            try:
                deed.answers.append(await replica.fleet.run(deed.command))
            except PointsmanError as error:
                deed.answers.append(error)
            if not isinstance(deed.answers[-1], UNCERTAIN):
                break


def _command(random: Random, who: str, number: int, base: int) -> Command:
    tenant = random.choice(TENANTS)
    given: dict[str, Any] = {
        "who": who,
        "idempotency_key": str(number),
        "tenants": None if tenant is None else (tenant,),
        "if_match": random.choice([None, None, "*", f'"s{base}"']),
    }
    match random.randrange(5):
        case 0:
            return pause(**given)
        case 1:
            return pause(clear=True, **given)
        case 2:
            return swap(None, clear=True, **given)
        case _:
            return swap(random.choice(["redis", "memory"]), **given)


def fold(deeds: list[Deed], effects: Effects) -> dict[str, object]:
    """The orders as the effects, one after the other, must have left them."""
    slots: dict[str, object] = {}
    by_number = {effects.applied[deed.operation]: deed.command for deed in deeds if deed.operation in effects.applied}
    for number in sorted(by_number):
        command = by_number[number]
        for touched in command.touched:
            slots[touched] = None if command.clear else (command.kind, command.value)
    return {touched: value for touched, value in slots.items() if value is not None}


def standing(control: Control) -> dict[str, object]:
    slots: dict[str, object] = {}
    for component, orders in control.orders.items():
        for order in orders:
            for name in (EVERYONE,) if order.tenants == "*" else order.tenants:
                slot = "gate" if order.kind == "pause" else "use"
                assert slots.setdefault(f"{component}|{name}|{slot}", (order.kind, order.value)) == (
                    order.kind,
                    order.value,
                )
    return slots


def check_truth(deed: Deed, effects: Effects) -> None:
    effect = effects.applied.get(deed.operation)
    for answer in deed.answers:
        if isinstance(answer, Outcome):
            assert answer.cseq == effect, "told to be applied, and was not, or as another"
        else:
            assert not isinstance(answer, InputError)
            if not isinstance(answer, UNCERTAIN):
                assert effect is None, f"told {answer.code}, and took effect"
    if all(isinstance(answer, Unavailable | ManifestPending) for answer in deed.answers):
        assert effect is None, "told that nothing was sent, and took effect"


def check_no_silent_overwrite(deeds: list[Deed], effects: Effects) -> None:
    touched: dict[str, list[int]] = {}
    for deed in deeds:
        if (number := effects.applied.get(deed.operation)) is not None:
            for key in deed.command.touched:
                touched.setdefault(key, []).append(number)
    for deed in deeds:
        number = effects.applied.get(deed.operation)
        if number is None or deed.command.if_match in {None, "*"}:
            continue
        for key in deed.command.touched:
            assert not [other for other in touched[key] if deed.base < other < number], "overwrote what it never saw"


@pytest.mark.parametrize("seed", range(5))
async def test_a46_a_thousand_rounds_of_two_operators_lose_nothing_and_are_told_the_truth(world: World, seed: int):
    await world.begin()
    effects = Effects([await world.control()])
    fleet = [
        await world.started(store=world.memory.connect(Chaos(seed * 10 + place, world, effects))) for place in range(3)
    ]
    deeds: list[Deed] = []
    await world.play(
        *(operate(who, seed * 100 + place, fleet, deeds, ROUNDS) for place, who in enumerate(("ada", "grace")))
    )
    await quiet()
    assert len(deeds) == 2 * ROUNDS
    steady = await world.started(store=world.memory.connect(Chaos(0, world, effects, calm=True)))
    for deed in deeds[::10]:  # long gone from the ring
        await steady.order(deed.command)
        deed.answers.append(steady.answers[-1])
    for deed in deeds:
        check_truth(deed, effects)
    check_no_silent_overwrite(deeds, effects)
    assert standing(await world.control()) == fold(deeds, effects)
    kinds = {type(answer) for deed in deeds for answer in deed.answers}
    assert {Outcome, Unavailable, Conflict} <= kinds
    await audit_agrees(world, deeds, effects)


async def audit_agrees(world: World, deeds: list[Deed], effects: Effects) -> None:
    """Every effect is in the ring or has its outcome, and no outcome says what did not happen."""
    ring = dict((await world.control()).ring)
    names = {entry.name for entry in await world.store.list("ops/")}
    for deed in deeds:
        effect = effects.applied.get(deed.operation)
        name = f"ops/{deed.operation}/end"
        if effect is not None:
            assert deed.operation in ring or name in names, "an effect is in no record"
        if name in names:
            said = (await world.bytes_of(name)).decode()
            assert ('"applied"' in said) == (effect is not None)
