"""Secrets from a folder, one file each, as container platforms mount them.

A name never leaves the folder, neither by its characters nor through a link. Files are read at each call, off the
event loop.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from anyio import to_thread
from pydantic import BaseModel, Field

from pointsman.adapters.secrets.names import check_latest, check_name, decoded, encoded, missing
from pointsman.adapters.secrets.protocol import LATEST, Secrets
from pointsman.errors import ProviderError, ProviderUnavailable


class FileSecretsSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of ``secrets/file``.

    Attributes:
        folder: Holds one file a secret, named as the secret is; one line break at the end of a file does not count.
        max_bytes: Of one secret.
    """

    folder: Path
    max_bytes: Annotated[int, Field(ge=1, le=1_048_576)] = 65_536


class FileSecrets(Secrets):
    """The files of one folder."""

    def __init__(self, settings: FileSecretsSettings) -> None:
        self._folder = settings.folder
        self._max_bytes = settings.max_bytes

    async def get_secret(self, name: str, version: str | None = None) -> str:
        """Return what a file holds.

        Raises:
            ProviderError: There is no such file in the folder, it is empty, too large or no UTF-8, or a version was
                asked for.
            ProviderUnavailable: The file cannot be read.
        """
        check_name(name, "file")
        check_latest(name, version, "file")
        return await to_thread.run_sync(self._read, name)

    async def list_versions(self, name: str) -> Sequence[str]:
        """Return ``("latest",)``; raises as `get_secret` does."""
        await self.get_secret(name)
        return (LATEST,)

    async def rotate(self, name: str, value: str) -> str:
        """Put a new file in place of the old one, in one step, readable by its owner alone.

        Raises:
            ProviderError: The value is empty, too large or no text.
            ProviderUnavailable: The folder cannot be written.
        """
        check_name(name, "file")
        body = encoded(name, value, "file")
        self._check_size(name, len(body))
        await to_thread.run_sync(self._replace, name, body)
        return LATEST

    async def health(self) -> bool:
        """Tell whether the folder is there."""
        return await to_thread.run_sync(self._folder.is_dir)

    def _read(self, name: str) -> str:
        with _translated(name):
            path = _real(self._folder / name)
            if not path.is_relative_to(_real(self._folder)) or not path.is_file():
                raise missing(name, "file", f"the file {name} in the folder of provider_settings secrets/file")
            with path.open("rb") as file:
                body = file.read(self._max_bytes + 2).removesuffix(b"\n")
        self._check_size(name, len(body))
        return decoded(name, body, "file")

    def _replace(self, name: str, body: bytes) -> None:
        with _translated(name):
            descriptor, fresh = tempfile.mkstemp(dir=self._folder, prefix=".")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(body + b"\n")
                Path(fresh).replace(self._folder / name)
            except BaseException:
                Path(fresh).unlink(missing_ok=True)
                raise

    def _check_size(self, name: str, size: int) -> None:
        if size > self._max_bytes:
            raise ProviderError(
                f"adapter/secrets=file: expected at most {self._max_bytes} bytes for secret {name!r}, found more.",
                hint="Raise max_bytes in provider_settings secrets/file.",
            )


def _real(path: Path) -> Path:
    """Return where a path leads; one that leads in a circle stays as it is, where `Path.resolve` would raise."""
    return Path(os.path.realpath(path))


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Turn the system's errors into ours; none of their texts holds a value."""
    try:
        yield
    except OSError as error:
        raise ProviderUnavailable(
            f"adapter/secrets=file: expected to read or write secret {name!r}, found {error.strerror}.",
            hint="Look at the folder of provider_settings secrets/file and who may use it.",
        ) from error
