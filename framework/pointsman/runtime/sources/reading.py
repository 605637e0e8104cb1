"""Read files, variables and arguments, each as one tree; nothing is laid over another yet.

Knows where everything was written, and what each source may say; what a section means is for its model to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, field, fields, is_dataclass, replace
from os import PathLike
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pointsman.errors import ConfigurationError
from pointsman.resolution.template import Path, expand, map_text
from pointsman.runtime.sources.environment import read_environment
from pointsman.runtime.sources.tree import Origin, Rank, Tree, meant, nested, paths_of
from pointsman.values import frozen

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

StrPath: TypeAlias = str | PathLike[str]
Models: TypeAlias = Mapping[str, type[Any]]

FOLDER_VARIABLE: Final = "POINTSMAN_SETTINGS"
DEFAULT_FOLDER: Final = "settings"
IMAGE_ONLY: Final = frozenset({"trust"})
"""Sections that come with the image: a variable may raise a number of `RAISED_ONLY`, and say nothing else."""
RAISED_ONLY: Final[tuple[Path, ...]] = (("trust", "min_root"),)
"""Numbers that only rise: a lower one that a variable or an argument says has no effect."""


@frozen
class Sources:
    """What was said, by whom, and what it is filled in from.

    Attributes:
        tree: The arguments, until pydantic-settings has laid them over the layers; then everything.
        layers: What lies below the arguments: variables, then files.
        origins: Where the layers wrote what shows; filled while they are laid under one another.
        environ: For ``${env:NAME}``.
        models: Sections by name whose models were handed in.
        folder: With the files, where there was one.
    """

    tree: Tree = field(default_factory=Tree)
    layers: tuple[Tree, ...] = ()
    origins: dict[Path, Origin] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    models: Models = field(default_factory=dict)
    folder: FilePath | None = None

    def folded(self) -> Sources:
        """Return what was said as one tree: each layer is laid under all above it, as pydantic-settings does."""
        tree = self.tree
        for layer in self.layers:
            tree = tree.over(layer)
        return replace(self, tree=tree, layers=())

    def merged(self, values: Mapping[str, Any]) -> Sources:
        """Return what was said as one tree, of the values that pydantic-settings merged while it told `origins`."""
        return replace(self, tree=Tree(values, {**self.tree.origins, **self.origins}), layers=(), origins={})

    def expanded(self, name: str, keep: Callable[[Path], bool]) -> Any:
        """Return a section with variables filled in; what ``keep`` says of a path stays a template.

        Raises:
            ConfigurationError: A variable is not set, or a blank is malformed or of another kind.
        """

        def fill(text: str, path: Path) -> str:
            full = (name, *path)
            return text if keep(full) else expand(text, env=self.environ, where=self.tree.where(full))

        return map_text(self.tree.values.get(name), fill)


@frozen
class Asked:
    """What `Settings.load` was asked to read.

    Attributes:
        folder: Unsaid: what ``POINTSMAN_SETTINGS`` names, else ``settings`` where there is one, else none.
        environ: Variables by name.
        overrides: Sections by name, as mappings or models.
        names: Every section's name.
        models: Sections by name whose models were handed in; kept beside what was read.
    """

    folder: StrPath | None
    environ: Mapping[str, str] = field(repr=False)
    overrides: Mapping[str, Any] = field(repr=False)
    names: frozenset[str]
    models: Models

    @property
    def named(self) -> FilePath | None:
        """The folder that is read."""
        return _folder(self.folder, self.environ)


def read_sources(asked: Asked, files: Tree | None = None) -> Sources:
    """Read the files of a folder, variables and arguments, and lay nothing over one another yet.

    Args:
        asked: What to read.
        files: What the files say, where that is known.

    Raises:
        ConfigurationError: A source cannot be read, or says an unknown section.
    """
    named = asked.named
    if files is None:
        files = Tree()
        if named is not None:
            from pointsman.runtime.sources.files import read_folder  # without files no YAML library is loaded

            files = read_folder(named, asked.names)
    variables = _raising(_refuse_image_only(read_environment(asked.environ, asked.names)), files)
    arguments = _raising(_raising(_arguments(asked.overrides, asked.names), files), variables)
    return Sources(arguments, (variables, files), environ=asked.environ, models=asked.models, folder=named)


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
    if is_dataclass(value) and not isinstance(value, type):
        said = {one.name: getattr(value, one.name) for one in fields(value)}
        return {name: _dumped(inner) for name, inner in said.items() if inner != _default(value, name)}
    if callable(dump := getattr(value, "model_dump", None)):  # pydantic's, which is not imported for it
        return dump(exclude_unset=True)
    if isinstance(value, Mapping):
        return {key: _dumped(inner) for key, inner in value.items()}
    return value


def _default(value: DataclassInstance, name: str) -> object:
    one = next(one for one in fields(value) if one.name == name)
    return one.default if one.default_factory is MISSING else one.default_factory()


def _raising(higher: Tree, lower: Tree) -> Tree:
    """Return the higher tree, in which no number that may only be raised is lower than the lower tree says."""
    for path in RAISED_ONLY:
        before, after = _number(lower, path), _number(higher, path)
        if before is not None and after is not None and after < before:
            higher = Tree(nested(path, before), {path: lower.origins[path]}).over(higher)
    return higher


def _number(tree: Tree, path: Path) -> int | None:
    value: Any = tree.values
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    try:
        return int(value)
    except (TypeError, ValueError):
        return None  # none said, or one that the section refuses
