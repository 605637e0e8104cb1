"""Read the variables ``POINTSMAN_*`` as settings.

``POINTSMAN_TENANCY__SOURCE=host`` is ``tenancy.source``: two underscores lead one level down, and a part in capitals
is read in lower case. A value that is a JSON object or array counts as one, everything else is text, which the section
reads as the number or boolean that it expects. Names that no variable can carry go into an object one level above:
``POINTSMAN_ADAPTERS__PROVIDER_SETTINGS={"cache/redis": {"url": "redis://cache"}}``. Pure, and no third-party package:
a compiled start reads the environment with it. Never shows a value in a message.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Final, NoReturn

from pointsman.errors import ConfigurationError
from pointsman.resolution.template import Path
from pointsman.runtime.sources.tree import MAX_DEPTH, Origin, Rank, Tree, nearest, nested, paths_of

PREFIX: Final = "POINTSMAN_"
NOT_SETTINGS: Final = frozenset(
    {
        "POINTSMAN_SETTINGS",  # the folder
        "POINTSMAN_SETTINGS_COMPILED",
        "POINTSMAN_STACK_ORDER",
        "POINTSMAN_TOKEN",  # the shell's, with --url
        "POINTSMAN_URL",
    }
)
"""Variables that are read elsewhere and are no settings."""


def read_environment(environ: Mapping[str, str], sections: Collection[str]) -> Tree:
    """Return what the variables say; a deeper one is laid over one that holds it.

    Raises:
        ConfigurationError: A variable names no section, has an empty part, repeats a name in an object, or contradicts
            another.
    """
    tree = Tree()
    for variable in sorted(environ, key=lambda name: (name.count("__"), name)):
        if variable.startswith(PREFIX) and variable not in NOT_SETTINGS:
            path = _path(variable, sections)
            _refuse_contradiction(tree, path, variable)
            tree = _alone(path, variable, environ[variable]).over(tree)
    return tree


def _alone(path: Path, variable: str, text: str) -> Tree:
    """Return the tree of one variable."""
    values = nested(path, _value(variable, text))
    told = len(path)
    return Tree(values, {at: Origin(Rank.ENVIRONMENT, variable, min(len(at), told)) for at in paths_of(values)})


def _path(variable: str, sections: Collection[str]) -> tuple[str, ...]:
    parts = tuple(part.lower() if part.isupper() else part for part in variable.removeprefix(PREFIX).split("__"))
    if not all(parts) or len(parts) > MAX_DEPTH:
        raise ConfigurationError(
            f"{variable}: expected names with two underscores between them, found an empty name.",
            hint="Write it as POINTSMAN_TENANCY__SOURCE.",
        )
    if parts[0] not in sections:
        raise ConfigurationError(
            f"{variable}: expected a setting, found the unknown section {parts[0]}.", hint=_meant(parts, sections)
        )
    return parts


def _meant(parts: tuple[str, ...], sections: Collection[str]) -> str:
    """Return the nearest variable: a section's, or one that is no setting."""
    if close := nearest(parts[0], sections):
        return f"Did you mean {PREFIX}{'__'.join((close, *parts[1:])).upper()}?"
    if close := nearest("__".join(parts).upper(), (name.removeprefix(PREFIX) for name in NOT_SETTINGS)):
        return f"Did you mean {PREFIX}{close}?"
    return f"The prefix {PREFIX} is kept for settings. Sections: {', '.join(sorted(sections))}."


def _refuse_contradiction(tree: Tree, path: Path, variable: str) -> None:
    inner: Any = tree.values
    for length, part in enumerate(path[:-1], start=1):
        if part not in inner:
            return
        inner = inner[part]
        if not isinstance(inner, Mapping):
            raise ConfigurationError(
                f"{variable}: expected {'.'.join(map(str, path[:length]))} to hold names, found its whole value in "
                f"{tree.where(path[:length])}.",
                hint="Keep one of the two; an object is written as JSON.",
            )


def _value(variable: str, text: str) -> Any:
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        made = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except _Twice as error:
        raise ConfigurationError(f"{variable}: expected each name once, found {error.args[0]!r} twice.") from None
    except (ValueError, RecursionError):
        return text
    return made


class _Twice(Exception):
    """A name stands twice in one object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise _Twice(name)
        made[name] = value
    return made


def _no_number(constant: str) -> NoReturn:
    raise ValueError(constant)
