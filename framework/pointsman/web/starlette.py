"""Starlette's modules, each loaded when it is first asked for: ``starlette.requests.Request``.

Own routes are answered without them, and to load them takes a fifth of a cold start. So they are named here wherever a
start passes by, and what a handler has declared to use is loaded when that is compiled: no request waits for it. The
first that takes the long way, or fails, has all of them `loaded`, beside the others. Never changes what a module holds.
"""

from __future__ import annotations

from asyncio import to_thread
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from starlette import convertors, datastructures, exceptions, requests, responses, routing, websockets

__all__ = ["convertors", "datastructures", "exceptions", "requests", "responses", "routing", "websockets"]
_ALL = frozenset(__all__)


async def loaded() -> None:
    """Have every module loaded, by a thread: on the loop that would hold each request under way for some 30 ms."""
    if not globals().keys() >= _ALL:
        await to_thread(lambda: [__getattr__(name) for name in __all__])


def __getattr__(name: str) -> ModuleType:
    """Load a module. Source: PEP 562."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = globals()[name] = import_module(f"starlette.{name}")
    return module
