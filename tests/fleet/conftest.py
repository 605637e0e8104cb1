"""A world for each test, torn down with everything that runs in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from tests.fleet.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with anyio.create_task_group() as group:
        yield World(group)
        group.cancel_scope.cancel()


@pytest.fixture
async def paced_world() -> AsyncIterator[World]:
    async with anyio.create_task_group() as group:
        yield World(group, paced=True)
        group.cancel_scope.cancel()
