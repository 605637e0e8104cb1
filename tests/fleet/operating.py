"""One replica and its operator, as a process of its own: `python -m tests.fleet.operating URL NAME COMMANDS`.

Writes one line a command: its key, and its number or the code of its error.
"""

from __future__ import annotations

import sys
from random import Random

import anyio

from pointsman.control.clocks import StoreClock, SystemClock
from pointsman.control.fleet import Belief, Fleet
from pointsman.control.pacing import Limits
from pointsman.control.ports import Ground
from pointsman.control.sealing import Seal
from pointsman.errors import PointsmanError
from pointsman.stores.store import open_store
from tests.fleet.world import Events, Plane, World, admitted, key, pause


async def operate(url: str, name: str, commands: int) -> None:
    store, clock = open_store(url), SystemClock()
    async with anyio.create_task_group() as group:
        belief = Belief(trust=World(group).trust, admission=admitted, seal=Seal(key("control")))
        ground = Ground(
            heads=store,
            releases=store,
            clock=clock,
            time=StoreClock(clock),
            random=Random(name),
            limits=Limits(),
            report=Events(),
        )
        fleet = Fleet(ground, belief, Plane())
        await fleet.start(group)
        for number in range(commands):
            command = pause(who=name, idempotency_key=str(number), tenants=(f"{name}-{number}",))
            try:
                said = str((await fleet.run(command)).cseq)
            except PointsmanError as error:
                said = error.code
            print(number, said, flush=True)
        group.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(operate, sys.argv[1], sys.argv[2], int(sys.argv[3]))
