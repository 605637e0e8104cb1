"""Lay files, variables and arguments over one another, and fill variables into what they say.

Decides which source wins and nothing else; what a section means is for its model to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path as FilePath
from typing import Any, Final, TypeAlias

from pydantic import BaseModel

from pointsman.errors import ConfigurationError
from pointsman.resolution.template import Path, expand, map_text
from pointsman.runtime.settings_environment import read_environment
from pointsman.runtime.settings_tree import Origin, Rank, Tree, meant, paths_of

StrPath: TypeAlias = str | PathLike[str]
Models: TypeAlias = Mapping[str, type[BaseModel]]

FOLDER_VARIABLE: Final = "POINTSMAN_SETTINGS"
DEFAULT_FOLDER: Final = "settings"
IMAGE_ONLY: Final = frozenset({"trust"})
"""Sections that come with the image: a variable may raise a number of `RAISED_ONLY`, and say nothing else."""
RAISED_ONLY: Final[tuple[Path, ...]] = (("trust", "min_root"),)
"""Numbers that only rise: a lower one that a variable or an argument says has no effect."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What was said, by whom, and what it is filled in from.

    Attributes:
        environ: For ``${env:NAME}``.
        models: Sections by name whose models were handed in.
        folder: With the files, where there was one.
    """

    tree: Tree = field(default_factory=Tree)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    models: Models = field(default_factory=dict)
    folder: FilePath | None = None

    def expanded(self, name: str, keep: Callable[[Path], bool]) -> Any:
        """Return a section with variables filled in; what ``keep`` says of a path stays a template.

        Raises:
            ConfigurationError: A variable is not set, or a blank is malformed or of another kind.
        """

        def fill(text: str, path: Path) -> str:
            full = (name, *path)
            return text if keep(full) else expand(text, env=self.environ, where=self.tree.where(full))

        return map_text(self.tree.values.get(name), fill)


def read_sources(
    folder: StrPath | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any],
    names: frozenset[str],
    models: Models,
) -> Sources:
    """Read the files of a folder, then variables, then arguments.

    Args:
        folder: Unsaid: what ``POINTSMAN_SETTINGS`` names, else ``settings`` where there is one, else none.
        environ: Variables by name.
        overrides: Sections by name, as mappings or models.
        names: Every section's name.
        models: Sections by name whose models were handed in; kept beside what was read.

    Raises:
        ConfigurationError: A source cannot be read, or says an unknown section.
    """
    tree = Tree()
    if (named := _folder(folder, environ)) is not None:
        from pointsman.runtime.settings_files import read_folder  # without files no YAML library is loaded

        tree = read_folder(named, names)
    tree = _laid_over(_refuse_image_only(read_environment(environ, names)), tree)
    tree = _laid_over(_arguments(overrides, names), tree)
    return Sources(tree, environ, models, named)


def _folder(said: StrPath | None, environ: Mapping[str, str]) -> FilePath | None:
    named = said if said is not None else environ.get(FOLDER_VARIABLE)
    if named is not None:
        return FilePath(named)
    usual = FilePath(DEFAULT_FOLDER)
    return usual if usual.is_dir() else None


def _refuse_image_only(tree: Tree) -> Tree:
    for path in tree.origins:
        if path[0] in IMAGE_ONLY and len(path) > 1 and path not in RAISED_ONLY:
            raise ConfigurationError(
                f"{tree.where(path)}: expected nothing: {path[0]} comes with the image, and a variable may only raise "
                f"{' or '.join('.'.join(map(str, raised)) for raised in RAISED_ONLY)}.",
                hint=f"Write ${{env:NAME}} in {path[0]}.yml where the image wants to be told.",
            )
    return tree


def _arguments(overrides: Mapping[str, Any], names: frozenset[str]) -> Tree:
    for name in overrides:
        if name not in names:
            raise ConfigurationError(
                f"argument: {name}: expected a section, found an unknown name.", hint=meant(name, names)
            )
    values = {name: _dumped(value) for name, value in overrides.items()}
    return Tree(values, {path: Origin(Rank.ARGUMENT, "argument") for path in paths_of(values)})


def _dumped(value: object) -> object:
    """Return a model as the mapping that was said, so that it is laid over, and does not hide, what lies below."""
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_unset=True)
    if isinstance(value, Mapping):
        return {key: _dumped(inner) for key, inner in value.items()}
    return value


def _laid_over(higher: Tree, lower: Tree) -> Tree:
    """Return one tree of both, in which no number that may only be raised is lower than it was."""
    merged = higher.over(lower)
    for path in RAISED_ONLY:
        before, after = _number(lower, path), _number(merged, path)
        if before is not None and after is not None and after < before:
            kept: Any = before
            for part in reversed(path):
                kept = {part: kept}
            merged = Tree(kept, {path: lower.origins[path]}).over(merged)
    return merged


def _number(tree: Tree, path: Path) -> int | None:
    value: Any = tree.values
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    try:
        return int(value)
    except (TypeError, ValueError):
        return None  # none said, or one that the section refuses
