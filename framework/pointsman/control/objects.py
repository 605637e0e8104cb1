"""Read an object whole, where nobody asks whether it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointsman.errors import StoreError

if TYPE_CHECKING:
    from pointsman.stores.store import Read, Store


async def read_whole(store: Store, name: str, *, max_bytes: int) -> bytes:
    """Return the bytes of an object.

    Raises:
        StoreError: See `Store.read`; or it was called unchanged though nobody asked.
    """
    return body_of(await store.read(name, max_bytes=max_bytes), name)


def body_of(read: Read, name: str) -> bytes:
    """Return the bytes of an answer to a question without ``unless``.

    Raises:
        StoreError: There are none.
    """
    if read.body is None:
        raise StoreError(f"Expected the bytes of {name}, found an answer that it is unchanged.")
    return read.body
