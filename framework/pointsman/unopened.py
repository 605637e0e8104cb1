"""Modules of a package without its own ``__init__``, where that loads all that the package has.

uvicorn's loads a command line, PyNaCl's every cipher, and a service would pay for them at each cold start. A package
that is entered `unopened` is the same to everybody else: whoever asks it for a name that is not there has its
``__init__`` run then. And `without` is for packages that are asked for and not needed. Never changes what one holds.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
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
    """Import modules of a package in this block; its ``__init__`` is not run for them.

    Args:
        name: The package's full name; where it was imported before, it stays as it is.

    Raises:
        ModuleNotFoundError: There is no such package.
    """
    if name not in sys.modules:
        spec = find_spec(name)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        _enter(name, spec)
    yield sys.modules[name]


def _enter(name: str, spec: ModuleSpec) -> None:
    package = module_from_spec(spec)
    package.__class__ = _Unopened
    sys.modules[name] = package
    parent, _, own = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], own, package)


class _Unopened(ModuleType):
    """A package whose ``__init__`` was not run yet."""

    def __getattr__(self, name: str) -> object:
        with _OPENING:  # whoever comes while another thread opens it waits
            if self.__class__ is _Unopened and self.__name__ not in _under_way:
                _open(self)
        return ModuleType.__getattribute__(self, name)


_under_way: set[str] = set()
"""Packages that are being opened: what they import may ask them for names, as in any import."""


def _open(package: ModuleType) -> None:
    spec = package.__spec__
    if spec is None or spec.loader is None:
        raise ImportError(f"{package.__name__}: expected a package with a loader, found none.", name=package.__name__)
    _under_way.add(package.__name__)
    try:
        spec.loader.exec_module(package)
        package.__class__ = ModuleType
    finally:
        _under_way.discard(package.__name__)
