"""Read the YAML files of a settings folder, and remember the line of every value.

A file holds the section of its name; ``app.yml`` holds every section that has no file of its own. Values are plain:
texts, numbers, booleans, nothing, lists and mappings with texts as keys; tags make no objects, a date stays a text.
Never expands a blank, and never shows a value in a message.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Final

import yaml

from pointsman.errors import ConfigurationError
from pointsman.runtime.sources.tree import MAX_DEPTH, Origin, Rank, Tree, meant

if TYPE_CHECKING:
    from pointsman.resolution.template import Path

APP: Final = "app"
FILES: Final = ("app", "adapters", "services", "tasks", "events", "workflows", "actions", "tenants", "trust")
"""Names of the files, without ``.yml``; all but the first are sections."""
MAX_FILE_BYTES: Final = 1_048_576
MAX_NODES: Final = 100_000
"""Values in one file, counted as often as aliases repeat them."""

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN: Final = {"tag:yaml.org,2002:" + kind for kind in ("str", "int", "float", "bool", "null")}
_COLLECTIONS: Final = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_AS_TEXT: Final = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}


def read_folder(folder: FilePath, sections: Collection[str]) -> Tree:
    """Return what the files of a folder say.

    Args:
        folder: Other than ``*.yml`` and ``*.yaml`` it may hold anything.
        sections: Every section's name.

    Raises:
        ConfigurationError: A file cannot be read, is of an unknown name, is no such YAML, holds an unknown section,
            or one that has a file of its own.
    """
    if not folder.is_dir():
        raise ConfigurationError(
            f"{folder}: expected a folder of settings, found none.",
            hint="Name one that exists, or none at all: without a folder every setting has its default.",
        )
    files = {name: folder / f"{name}.yml" for name in FILES}
    _refuse_strangers(folder, files)
    present = {name: file for name, file in files.items() if file.is_file()}
    values: dict[str, Any] = {}
    origins: dict[Path, Origin] = {}
    for name, file in present.items():
        root: Path = () if name == APP else (name,)
        said, lines = read_yaml(file)
        if name == APP:
            _refuse_sections(file, lines, said, sections, present)
            values.update(said)
        else:
            values[name] = said
            origins[root] = Origin(Rank.FILE, str(file), len(root))
        for path, line in lines.items():
            origins[(*root, *path)] = Origin(Rank.FILE, f"{file}:{line}", len(root))
    return Tree(values, origins)


def read_yaml(file: FilePath) -> tuple[dict[str, Any], dict[Path, int]]:
    """Return the mapping that a file holds, and the line of every path in it; an empty file is an empty mapping.

    Raises:
        ConfigurationError: It cannot be read, is too large or too deep, is no YAML of this shape, or says a key twice.
    """
    text = _text(file)
    reading = _Reading(file)
    try:
        _refuse_depth(text, reading)
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
            value = None if node is None else reading.value(loader, node, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise reading.refused(line, f"expected YAML, found a fault: {error.problem or error.context}.") from None
    except yaml.YAMLError:
        raise ConfigurationError(f"{file}: expected YAML of printable text, found other characters.") from None
    if value is None:
        return {}, {}
    if not isinstance(value, dict):
        raise ConfigurationError(f"{file}:1: expected a mapping of names, found a {type(value).__name__}.")
    return value, reading.lines


def _refuse_depth(text: str, reading: _Reading) -> None:
    """Refuse deep nesting before anything recurses over it: libyaml's composer would overflow the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise reading.too_much(_line(event))


@dataclass(slots=True)
class _Reading:
    """One file while it is read."""

    file: FilePath
    lines: dict[Path, int] = field(default_factory=dict)
    nodes: int = 0

    def value(self, loader: yaml.SafeLoader, node: yaml.Node, path: Path) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise self.too_much(_line(node))
        if isinstance(node, yaml.CollectionNode) and node.tag not in _COLLECTIONS:
            raise self.tagged(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(loader, node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(loader, inner, (*path, index)) for index, inner in enumerate(node.value)]
        return self._scalar(loader, node)

    def _item(self, loader: yaml.SafeLoader, node: yaml.Node, path: Path) -> Any:
        self.lines[path] = _line(node)
        return self.value(loader, node, path)

    def _mapping(self, loader: yaml.SafeLoader, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(loader, key_node)
            inner = (*path, key)
            if key in made:
                first = self.lines[inner]
                raise self.refused(_line(key_node), f"expected {key!r} once, found it in line {first} too.")
            self.lines[inner] = _line(key_node)
            made[key] = self.value(loader, value_node, inner)
        return made

    def _key(self, loader: yaml.SafeLoader, node: yaml.Node) -> str:
        key = self._scalar(loader, node) if isinstance(node, yaml.ScalarNode) else None
        if isinstance(key, str):
            return key
        shown = f"{node.value!r}, which YAML reads as something else" if isinstance(node, yaml.ScalarNode) else "none"
        raise self.refused(_line(node), f"expected a name, found {shown}.", hint="Put the name into quotes.")

    def _scalar(self, loader: yaml.SafeLoader, node: yaml.Node) -> Hashable:
        if node.tag in _AS_TEXT:
            return str(node.value)
        if node.tag not in _PLAIN:
            raise self.tagged(node)
        try:
            made: Hashable = loader.construct_object(node)
        except ValueError:
            kind = node.tag.rpartition(":")[2]
            raise self.refused(_line(node), f"expected a value of the tag {kind}, found another.") from None
        return made

    def tagged(self, node: yaml.Node) -> ConfigurationError:
        return self.refused(_line(node), f"expected a plain value, found the tag {node.tag.rpartition(':')[2]}.")

    def too_much(self, line: int) -> ConfigurationError:
        return self.refused(line, f"expected at most {MAX_NODES} values, {MAX_DEPTH} deep, found more.")

    def refused(self, line: int, message: str, *, hint: str = "") -> ConfigurationError:
        return ConfigurationError(f"{self.file}:{line}: {message}", hint=hint)


def _line(node: yaml.Node | yaml.Event) -> int:
    return 1 if node.start_mark is None else node.start_mark.line + 1


def _text(file: FilePath) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file}: expected a file that can be read, found: {error.strerror}.") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigurationError(f"{file}: expected at most {MAX_FILE_BYTES} bytes, found {len(data)}.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}:{line}: expected UTF-8, found another encoding.") from None


def _refuse_strangers(folder: FilePath, files: Collection[str]) -> None:
    for file in sorted(folder.iterdir()):
        if file.suffix == ".yaml":
            raise ConfigurationError(
                f"{file}: settings files end in .yml; this one would never be read.",
                hint=f"Rename it to {file.stem}.yml.",
            )
        if file.suffix == ".yml" and file.stem not in files:
            names = [f"{name}.yml" for name in files]
            raise ConfigurationError(
                f"{file}: expected one of the settings files, found a name that is never read.",
                hint=f"{meant(file.name, names)} A section without a file of its own lies in app.yml.",
            )


def _refuse_sections(
    file: FilePath, lines: dict[Path, int], said: dict[str, Any], sections: Collection[str], present: Collection[str]
) -> None:
    """Refuse sections in ``app.yml`` that nobody knows, or that have a file of their own."""
    for section in said:
        line = lines[(section,)]
        if section not in sections:
            raise ConfigurationError(
                f"{file}:{line}: {section}: expected a section, found an unknown name.", hint=meant(section, sections)
            )
        if section in present:
            own = file.with_name(f"{section}.yml")
            raise ConfigurationError(
                f"{file}:{line}: {section}: the section has a file of its own, {own}.",
                hint=f"Move what stands here to {own.name}, or delete that file.",
            )
