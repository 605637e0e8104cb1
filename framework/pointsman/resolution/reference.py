"""Turn ``pkg.mod:Name`` into the object that it names, when it is needed and not before.

The one place that imports by text. What a manifest names arrives as a `GatedReference`, and such a one only ever
leads to a class or function that was defined under exactly this name: no re-export, no attribute of an attribute, no
object that somebody else made. Nothing is called here.
"""

from __future__ import annotations

import importlib
import inspect
import re
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Final

from pointsman.errors import ConfigurationError, FactoryForbidden, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

EXTRAS: Final[Mapping[str, str]] = MappingProxyType({"pointsman.adapters.cache.redis": "redis"})
"""A shipped provider's module to the extra that installs what it stands on."""

_WORD = r"[A-Za-z][A-Za-z0-9_]*"
_GATED = re.compile(rf"{_WORD}(?:\.{_WORD})*:{_WORD}", re.ASCII)


class GatedReference(str):
    """A reference from a manifest: the same text, loaded under stricter rules."""

    __slots__ = ()


def is_gated_form(text: str) -> bool:
    """Tell whether a text is ``pkg.mod:Name``: ASCII, no underscore first in any part, no dot after the colon."""
    return _GATED.fullmatch(text) is not None


def load_reference(reference: str) -> object:
    """Import the module of a reference and return what it names.

    Args:
        reference: ``pkg.mod:Name``; an image's own may name any attribute, ``pkg.mod:Name.attribute`` included.

    Raises:
        ConfigurationError: It is not of that form, or there is no such module or name.
        MissingExtraError: A shipped provider's package is not installed.
        FactoryForbidden: A manifest's reference leads to something else than a class or function of this very name.
    """
    gated = isinstance(reference, GatedReference)
    module_name, colon, name = reference.partition(":")
    if gated and not is_gated_form(reference):
        raise FactoryForbidden(f"Expected a reference as pkg.mod:Name, found {str(reference)!r}.")
    if not (module_name and colon and name):
        raise ConfigurationError(f"Expected a reference as pkg.mod:Name, found {reference!r}.")
    module = _module(module_name, reference)
    return _defined_here(module, module_name, name) if gated else _attribute(module, name, reference)


def _module(name: str, reference: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing and (name == missing or name.startswith(f"{missing}.")):
            raise ConfigurationError(
                f"{reference}: expected a module {name}, found none.",
                hint="Install its package, or mend the reference.",
            ) from error
        if name in EXTRAS:
            raise MissingExtraError(EXTRAS[name], reference, missing) from error
        raise ConfigurationError(
            f"{reference}: module {name} imports {missing or 'a module'}, which is not installed."
        ) from error
    except (ImportError, ValueError, TypeError) as error:
        raise ConfigurationError(f"{reference}: module {name} cannot be imported: {error}.") from error


def _attribute(module: ModuleType, path: str, reference: str) -> object:
    found: object = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise ConfigurationError(
                f"{reference}: expected {path} in module {module.__name__}, found none."
            ) from error
    return found


def _defined_here(module: ModuleType, module_name: str, name: str) -> object:
    found = vars(module).get(name)
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        raise FactoryForbidden(
            f"{module_name}:{name}: expected a class or function, found {'nothing' if found is None else type(found)}."
        )
    if (found.__module__, found.__qualname__) != (module_name, name):
        raise FactoryForbidden(
            f"{module_name}:{name}: expected what is defined under this name, found "
            f"{found.__module__}:{found.__qualname__}.",
            hint="Name the object where it is defined.",
        )
    return found
