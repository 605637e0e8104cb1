"""Starlette's modules, each loaded when it is first asked for: ``starlette.requests.Request``.

Own routes are answered without them, and to load them takes a fifth of a cold start. So they are named here wherever a
start passes by, and what a handler has declared to use is loaded when that is compiled: no request waits for it. Never
changes what a module holds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from starlette import convertors, datastructures, exceptions, requests, responses, routing, websockets

__all__ = ["convertors", "datastructures", "exceptions", "requests", "responses", "routing", "websockets"]


def __getattr__(name: str) -> ModuleType:
    """Load a module. Source: PEP 562."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = globals()[name] = import_module(f"starlette.{name}")
    return module
