"""Find the application that a command is about, and make its runtime, without serving it.

The working directory is where its modules are looked for. Nothing is started: whoever needs instances, or the fleet,
says so.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Final

from pointsman.errors import ConfigurationError
from pointsman.runtime.runtime import Runtime
from pointsman.web.application import Pointsman

DEFAULT: Final = "app.main:app"


def runtime_of(reference: str) -> Runtime:
    """Return the runtime of an application; where none is named and there is no `DEFAULT`, that of the settings alone.

    Raises:
        ConfigurationError: There is no such application, or something in it or in its settings is wrong.
    """
    if reference or has_default():
        application = load_application(reference)
        _ = application.assembly  # its routes say what is required
        return application.runtime
    try:
        return Runtime()
    except ConfigurationError as error:
        hint = "No application was named, so the settings stand alone: --app module:name"
        raise ConfigurationError(error.message, hint=" ".join(filter(None, (error.hint, hint)))) from error


def load_application(reference: str) -> Pointsman:
    """Import ``module:name``, and return the application that it names.

    Raises:
        ConfigurationError: It is not of that form, cannot be imported, or names something else.
    """
    look_here()
    reference = reference or DEFAULT
    module_name, _, name = reference.partition(":")
    if not (module_name and name):
        raise ConfigurationError(f"Expected an application as module:name, found {reference!r}.", hint=_HINT)
    found = getattr(_module(module_name, reference), name, None)
    if isinstance(found, Pointsman):
        return found
    kind = "nothing" if found is None else f"a {type(found).__qualname__}"
    raise ConfigurationError(f"{reference}: expected a Pointsman application, found {kind}.", hint=_HINT)


def has_default() -> bool:
    """Tell whether the application that is meant where none is named lies in the working directory."""
    return Path("app", "main.py").is_file()


def look_here() -> None:
    """Look for modules in the working directory, before the installed ones."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


_HINT: Final = "Run it where the application's modules are, and name it: --app app.main:app"


def _module(name: str, reference: str) -> object:
    try:
        return importlib.import_module(name)
    except ConfigurationError:
        raise
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(f"{missing}."):
            raise ConfigurationError(
                f"{reference}: expected a module {missing} in {Path.cwd()}, found none.", hint=_HINT
            ) from error
        raise ConfigurationError(f"{reference}: it imports {missing}, which is not installed.") from error
    except Exception as error:  # the boundary around the user's module
        raise ConfigurationError(f"{reference}: importing it failed: {type(error).__name__}: {error}.") from error
