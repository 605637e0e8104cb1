"""Modules that a start asks for and uses later, or never: they are there at once, and run when one of their names is.

uvicorn's ``__init__`` loads a command line, PyNaCl's every cipher, and a service would pay for them at each cold start.
What is entered `unopened` is the same to everybody else: whoever asks it for a name that is not there has it run then.
And `without` is for packages that are asked for and not needed. Never changes what one holds.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType

_OPENING = RLock()


@contextmanager
def without(name: str) -> Generator[None]:
    """Import, in this block, what does without a package as it does where that is not installed.

    Args:
        name: The package's full name; where it was imported before, nothing is hidden.
    """
    hidden = name not in sys.modules
    if hidden:
        sys.modules[name] = None  # type: ignore[assignment] # how Python says that a module cannot be imported
    try:
        yield
    finally:
        if hidden:
            del sys.modules[name]


@contextmanager
def unopened(name: str) -> Generator[ModuleType]:
    """Import in this block what asks for a module, or for modules of a package; it is not run for them.

    Args:
        name: The module's full name; where it was imported before, it stays as it is.

    Raises:
        ModuleNotFoundError: There is no such module.
    """
    if name not in sys.modules:
        _enter(name, _found(name))
    yield sys.modules[name]


def _found(name: str) -> ModuleSpec:
    """Return where a module lies; no package is imported for that."""
    parent, _, _ = name.rpartition(".")
    if not parent or parent in sys.modules:
        spec = find_spec(name)
    else:
        spec = PathFinder.find_spec(name, _found(parent).submodule_search_locations or ())  # unsaid: all of sys.path
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return spec


def _enter(name: str, spec: ModuleSpec) -> None:
    module = module_from_spec(spec)
    module.__class__ = _Unopened
    sys.modules[name] = module
    parent, _, own = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], own, module)


class _Unopened(ModuleType):
    """A module that was not run yet."""

    def __getattr__(self, name: str) -> object:
        with _OPENING:  # whoever comes while another thread opens it waits
            if self.__class__ is _Unopened and self.__name__ not in _under_way:
                _open(self)
        return ModuleType.__getattribute__(self, name)


_under_way: set[str] = set()
"""Modules that are being opened: what they import may ask them for names, as in any import."""


def _open(module: ModuleType) -> None:
    spec = module.__spec__
    if spec is None or spec.loader is None:
        raise ImportError(f"{module.__name__}: expected a module with a loader, found none.", name=module.__name__)
    _under_way.add(module.__name__)
    try:
        spec.loader.exec_module(module)
        module.__class__ = ModuleType
    finally:
        _under_way.discard(module.__name__)
