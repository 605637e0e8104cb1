"""The full way of reading settings: pydantic-settings lays the sources over one another, and pydantic checks them.

Imported only where it is taken, since a start from compiled settings does without pydantic. Never shows a value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path as FilePath
from typing import Any, Final, TypeVar

from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from pointsman.errors import ConfigurationError
from pointsman.resolution.template import Path
from pointsman.runtime.sources.compiled import COMPILED, compile_files
from pointsman.runtime.sources.faults import faults_told
from pointsman.runtime.sources.reading import Asked, Sources, StrPath, read_sources
from pointsman.runtime.sources.tree import Origin, Tree

T = TypeVar("T")

READ: Final = "(read)"
"""What was read goes to the constructor under this name; no section and no argument is called so."""


class Layer(InitSettingsSource):
    """A tree as a source of pydantic-settings, which lays it under the sources before it.

    Args:
        settings_cls: Whose source it is.
        tree: What was read.
        origins: Is told where everything was written that no higher source replaces.
    """

    def __init__(self, settings_cls: type[BaseSettings], tree: Tree, origins: dict[Path, Origin]) -> None:
        super().__init__(settings_cls, dict(tree.values))
        self._tree = tree
        self._origins = origins

    def __call__(self) -> dict[str, Any]:
        """Return what the tree says."""
        self._origins.update(self._tree.shown_under(self.current_state))
        return super().__call__()


class _Merged(BaseSettings):
    """Every section as the sources say it, unchecked."""

    model_config = SettingsConfigDict(case_sensitive=True, extra="allow")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return arguments, variables and files, highest first."""
        read: Sources = init_settings()[READ]
        return init_settings, *(Layer(settings_cls, tree, read.origins) for tree in read.layers)


def merged(read: Sources) -> Sources:
    """Return what was read with one source laid over another."""
    given: dict[str, Any] = {**read.tree.values, READ: read}
    values: Mapping[str, Any] = _Merged(**given).model_extra or {}
    return read.merged({name: value for name, value in values.items() if name != READ})


def checked(kind: type[T], values: object, tree: Tree, root: Path = ()) -> T:
    """Return values as a model, or a dataclass, of settings.

    Raises:
        ConfigurationError: Something in them is wrong; tells where it was written under this path of the tree.
    """
    from pydantic import TypeAdapter

    with faults_told(tree, kind, root):
        return TypeAdapter(kind).validate_python(values)


def compile_settings(folder: StrPath | None, sections: Collection[str] = ()) -> FilePath:
    """Write what pydantic-settings makes of the files of a folder beside them, and return the file.

    Args:
        folder: Unsaid: ``settings``.
        sections: Names that the application hands to `Settings.load` beside those that are known.

    Raises:
        ConfigurationError: A file is wrong, or the compiled one cannot be written.
    """
    from pointsman.runtime.settings import SECTIONS_OF_LAYERS, Settings

    names = SECTIONS_OF_LAYERS.union((one.name for one in fields(Settings)), sections)
    sources = merged(read_sources(Asked(folder, {}, {}, names, {})))
    if sources.folder is None:
        raise ConfigurationError("settings: expected a folder of settings, found none.", hint="Name it.")
    try:
        return compile_files(sources.folder, sources.tree)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{sources.folder}: expected to write {COMPILED}, found: {error}.") from error
