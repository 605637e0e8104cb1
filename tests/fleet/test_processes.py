"""Real processes over one folder: replicas that share nothing else, and one that is killed in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from pointsman.stores.store import open_store
from tests.fleet.world import World

HOUSE = Path(__file__).parents[2]
COMMANDS = 10


def operator(url: str, name: str, commands: int = COMMANDS) -> list[str]:
    return [sys.executable, "-m", "tests.fleet.operating", url, name, str(commands)]


def surroundings() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(HOUSE / "framework"), str(HOUSE)))}


async def said(process: Process, *, at_most: int | None = None) -> dict[str, str]:
    """Return what an operator's process said, or its first lines."""
    assert process.stdout is not None
    text, lines = "", 0
    async for chunk in TextReceiveStream(process.stdout):
        text += chunk
        lines = text.count("\n")
        if at_most is not None and lines >= at_most:
            break
    return dict(line.split() for line in text.splitlines()[: at_most or lines])


async def test_a46_processes_over_one_folder_lose_no_command_and_a_killed_one_holds_nobody_up(tmp_path: Path):
    url = (tmp_path / "state").as_uri()
    answers: dict[str, dict[str, str]] = {}
    async with anyio.create_task_group() as group:
        world = World(group, store=open_store(url), wall=datetime.now(UTC))
        await world.begin()

        async def play(name: str) -> None:
            run = operator(url, name)
            async with await anyio.open_process(run, env=surroundings(), cwd=HOUSE, stderr=subprocess.PIPE) as process:
                answers[name] = await said(process)

        async def die() -> None:
            run = operator(url, "victim", 1000)
            async with await anyio.open_process(run, env=surroundings(), cwd=HOUSE, stderr=subprocess.PIPE) as process:
                answers["victim"] = await said(process, at_most=3)
                process.kill()

        async with anyio.create_task_group() as playing:
            for name in ("ada", "grace", "edsger"):
                playing.start_soon(play, name)
            playing.start_soon(die)
        group.cancel_scope.cancel()
    told = {(name, key): int(number) for name, given in answers.items() for key, number in given.items()}
    assert len(told) == 3 * COMMANDS + 3
    control = await world.control()
    ordered = {tenant: order.cseq for order in control.orders["adapter/cache"] for tenant in order.tenants}
    assert sorted(ordered.values()) == list(range(1, control.cseq + 1))
    for (name, key), number in told.items():
        assert ordered[f"{name}-{key}"] == number
