"""Compiled settings: what the files of a folder say, ready to be read without YAML and without pydantic.

Beside the files, in ``settings/.compiled.json``, lie their values and the line of each, under a digest of the files,
the library versions and itself. Blanks stay blanks, so it holds no more than the files do, and is trusted as they are.
Where the folder lies and which Python read it is not in it: a developer's is as good as the image's own.
Whatever is wrong with it, nothing fails: the files are read. Never holds what the environment said.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Final

from pointsman.runtime.sources.tree import Origin, Rank, Tree
from pointsman.version import __version__

if TYPE_CHECKING:
    from pointsman.runtime.sources.reading import Asked

COMPILED: Final = ".compiled.json"
SWITCH: Final = "POINTSMAN_SETTINGS_COMPILED"
MAX_BYTES: Final = 67_108_864
_METADATA: Final = ".dist-info"
_LIBRARIES: Final = {
    "pydantic": "pydantic",
    "pydantic_core": "pydantic_core",
    "pydantic_settings": "pydantic_settings",
    "yaml": "pyyaml",
}
"""Packages that had a say in what the files mean, and what their distributions are called."""
_log: Final = logging.getLogger("pointsman.settings")


def compiled_files(asked: Asked) -> Tree | None:
    """Return what the files say, as it was compiled; None where it was not, is stale, or is not to be taken.

    Without a folder there are no files to say anything.
    """
    if asked.environ.get(SWITCH) == "0":
        return None
    if (folder := asked.named) is None:
        return Tree()
    file = folder / COMPILED
    try:
        tree = _read(folder, file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        why = str(error) if type(error) is ValueError else type(error).__name__
        _log.warning("%s is not taken: %s. The settings are read in full.", file, why)
        return None
    return tree if asked.names.issuperset(tree.values) else None


def compile_files(folder: FilePath, tree: Tree) -> FilePath:
    """Write what the files of a folder say beside them, whole or not at all, and return the file.

    Args:
        folder: With the files.
        tree: What they say.

    Raises:
        OSError: It cannot be written.
        ValueError: A library's version cannot be told.
    """
    start = len(str(folder))
    origins = [[path, origin.text[start:], origin.told] for path, origin in tree.origins.items()]
    body = json.dumps([tree.values, origins], separators=(",", ":")).encode()
    file = folder / COMPILED
    made = file.with_suffix(".new")
    made.write_bytes(_stamp(folder, body) + b"\n" + body)
    made.replace(file)
    return file


def _read(folder: FilePath, file: FilePath) -> Tree:
    if file.stat().st_size > MAX_BYTES:
        raise ValueError("it is too large")
    stamp, _, body = file.read_bytes().partition(b"\n")
    if stamp != _stamp(folder, body):
        raise ValueError("it was made of other files, by other versions, or was changed")
    return _parsed(folder, body)


def _parsed(folder: FilePath, body: bytes) -> Tree:
    values, lines = json.loads(body)
    origins = {tuple(path): Origin(Rank.FILE, f"{folder}{text}", told) for path, text, told in lines}
    if not isinstance(values, dict):
        raise TypeError
    return Tree(values, origins)


def _stamp(folder: FilePath, body: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in (*_versions(), *_files(folder), body):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest().encode()


def _files(folder: FilePath) -> Iterator[bytes]:
    for file in sorted(folder.iterdir()):
        if file.suffix in (".yml", ".yaml"):
            yield file.name.encode()
            yield file.read_bytes()


def _versions() -> Iterator[bytes]:
    """Yield the versions of all that reads settings; `importlib.metadata` alone would cost more than the rest."""
    yield f"1 {__version__}".encode()
    listed: dict[FilePath, list[str]] = {}
    for module, distribution in _LIBRARIES.items():
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            raise ValueError(f"{module} is not installed")
        site = FilePath(spec.origin).parent.parent
        if site not in listed:
            listed[site] = [name for name in os.listdir(site) if name.endswith(_METADATA)]  # noqa: PTH208 - 3 ms less
        yield _version(listed[site], distribution).encode()


def _version(names: list[str], distribution: str) -> str:
    """Return the folder that names the version of a distribution.

    Raises:
        ValueError: None does, or several do.
    """
    parts = ((name, name.removesuffix(_METADATA).split("-")) for name in names)
    found = [name for name, (own, *version) in parts if own.lower() == distribution and len(version) == 1]
    if len(found) != 1:
        raise ValueError(f"the version of {distribution} cannot be told")
    return found[0]
