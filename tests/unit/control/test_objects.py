from __future__ import annotations

import pytest

from pointsman.control.objects import body_of, read_whole
from pointsman.errors import NotFound, StoreError
from pointsman.stores.memory import MemoryStore
from pointsman.stores.store import Read


async def test_an_object_is_read_whole_or_not_at_all(now):
    store = MemoryStore()
    await store.create("a", b"body")
    assert await read_whole(store, "a", max_bytes=10) == b"body"
    with pytest.raises(NotFound):
        await read_whole(store, "b", max_bytes=10)
    with pytest.raises(StoreError, match="unchanged"):
        body_of(Read(None, "1", now, now), "a")
