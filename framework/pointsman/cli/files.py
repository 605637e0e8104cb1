"""Read and write the files of publishers: keys, sources, payloads and envelopes.

Blocks. What was read is judged by nobody here; what exists is overwritten only where its writer says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pointsman.errors import ConfigurationError, Malformed
from pointsman.manifests.canonical import decode_document, peek
from pointsman.manifests.envelope import Opened, decode_envelope, digest_of
from pointsman.manifests.keys import PublicKey, SigningKey, load_signing_key
from pointsman.manifests.limits import DEFAULT_LIMITS
from pointsman.manifests.schema import Control, Manifest, Release, Root, payload_type, tag_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pointsman.manifests.schema import Document

KINDS: Final = {tag_of(kind): kind for kind in (Root, Manifest, Release, Control)}
MAX_BYTES: Final = DEFAULT_LIMITS.max_manifest_bytes


@dataclass(frozen=True, slots=True)
class Paper:
    """A document as it lies in a file; nobody has verified it.

    Attributes:
        payload: Its own bytes.
        opened: Its envelope; ``None``: it has none.
        data: The bytes of the file.
    """

    path: Path
    kind: type[Document]
    payload: bytes
    data: bytes
    opened: Opened | None = None

    @property
    def document(self) -> Document:
        """What it says.

        Raises:
            ManifestError: It is not of its kind's shape.
        """
        return decode_document(self.kind, self.payload)


def read_paper(path: Path) -> Paper:
    """Read a document, in its envelope or without one.

    Raises:
        ConfigurationError: The file cannot be read.
        Malformed: It is none of our documents.
    """
    data = read_bytes(path).strip()
    found = peek(data)
    if found is not None and found.spec_version:
        return Paper(path, KINDS[found.type], data, data)
    opened = decode_envelope(data, MAX_BYTES)
    for kind in KINDS.values():
        if payload_type(kind) == opened.payload_type:
            return Paper(path, kind, opened.payload, data, opened)
    raise Malformed(f"{path}: expected one of our documents, found the type {opened.payload_type}.")


def read_manifest(path: Path) -> Manifest:
    """Read a manifest: its payload, or its envelope. What it says counts, whoever signed it.

    Raises:
        ConfigurationError: The file cannot be read.
        ManifestError: It is no manifest.
    """
    paper = read_paper(path)
    document = paper.document
    if not isinstance(document, Manifest):
        raise Malformed(f"{path}: expected a manifest, found a {tag_of(paper.kind)}.")
    return document


def is_source(path: Path) -> bool:
    """Tell whether a file is written by people: YAML."""
    return path.suffix in {".yml", ".yaml"}


def read_source(path: Path) -> dict[str, Any]:
    """Return the mapping that a source says, YAML or JSON.

    Raises:
        ConfigurationError: It cannot be read, or is no such file.
    """
    if is_source(path):
        from pointsman.runtime.sources.files import read_yaml

        return read_yaml(path)[0]
    try:
        said = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: expected YAML (.yml) or JSON, found neither: {error}.") from error
    if not isinstance(said, dict):
        raise ConfigurationError(f"{path}: expected a mapping of names, found a {type(said).__name__}.")
    said.pop("type", None)
    return said


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file of at most `MAX_BYTES`.

    Raises:
        ConfigurationError: It cannot be read, or is larger.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: expected a file that can be read: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"{path}: expected at most {MAX_BYTES} bytes, found more.")
    return data


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet.

    Raises:
        ConfigurationError: It is, or cannot be written.
    """
    _write(path, data, "xb")


def write_over(path: Path, data: bytes) -> None:
    """Write a file, whether it is there or not.

    Raises:
        ConfigurationError: It cannot be written.
    """
    _write(path, data, "wb")


def make_folder(path: Path) -> None:
    """Make a folder and those above it where they are missing.

    Raises:
        ConfigurationError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{path}: expected a folder that can be written: {error.strerror}.") from error


def _write(path: Path, data: bytes, mode: str) -> None:
    make_folder(path.parent)
    try:
        with path.open(mode) as file:
            file.write(data)
    except FileExistsError as error:
        raise ConfigurationError(
            f"{path}: expected to write a new file, found one that is there.", hint="Name another, or take it away."
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{path}: expected a file that can be written: {error.strerror}.") from error


def read_keys(paths: Iterable[Path]) -> list[SigningKey]:
    """Return the signing keys of these files.

    Raises:
        ConfigurationError: One cannot be read, or holds no key.
    """
    return [load_signing_key(path) for path in paths]


def read_holder(text: str) -> PublicKey | SigningKey:
    """Return the key that ``text`` is: a public one in hex, or the file of a signing key.

    Raises:
        ConfigurationError: It is neither.
    """
    if len(text) == 64 and not Path(text).exists():
        return PublicKey.from_hex(text)
    return load_signing_key(Path(text))


def facts_of(paper: Paper) -> dict[str, Any]:
    """Return what a file is, before anything of it is believed."""
    opened = paper.opened
    return {
        "path": str(paper.path),
        "type": tag_of(paper.kind),
        "digest": digest_of(paper.data),
        "length": len(paper.data),
        "payload_digest": digest_of(paper.payload),
        "keyids": [signed.keyid for signed in opened.signatures] if opened else [],
    }
