"""What every provider of ``adapter/secrets`` promises.

A value is returned to who asked and kept nowhere: no provider logs one, puts one into a message, or derives a version
from one. An empty secret counts as a missing one.
"""

from collections.abc import Sequence
from typing import Protocol

from pointsman.declarations import Component

LATEST = "latest"
"""The version that is always there; ``None`` means it too."""


class Secrets(Protocol):
    """Secrets by name, ``[A-Za-z0-9_-]{1,255}`` everywhere. Concurrent tasks may share it.

    Every method raises `ProviderError` when there is no such secret or version or the name is not valid, and
    `ProviderUnavailable` or `ProviderTimeout` when the provider cannot be reached or does not answer in time.
    """

    async def get_secret(self, name: str, version: str | None = None) -> str:
        """Return the value of a secret, in its newest version unless told otherwise."""
        ...

    async def list_versions(self, name: str) -> Sequence[str]:
        """Return the versions that `get_secret` takes, newest first; ``("latest",)`` where no others are kept."""
        ...

    async def rotate(self, name: str, value: str) -> str:
        """Store a new version of a secret and return what it is called.

        Raises:
            ProviderError: This provider cannot write.
        """
        ...


SECRETS = Component[Secrets]("adapter", "secrets")
