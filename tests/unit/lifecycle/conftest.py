"""The world of the workshop, empty at the end of each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.workshop import World, world_of


@pytest.fixture
async def world(anyio_backend: object) -> AsyncIterator[World]:
    async with world_of() as world:
        yield world
