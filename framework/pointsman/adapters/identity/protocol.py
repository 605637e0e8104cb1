"""What every provider of ``adapter/identity`` promises.

A provider proves who speaks; it never decides what they may do.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from pointsman.declarations import Component

Claims = Mapping[str, Any]


class Identity(Protocol):
    """Turns a bearer token into claims that can be believed. Concurrent tasks may share it."""

    async def verify_token(self, token: str) -> Claims:
        """Return what the token proves.

        Args:
            token: The token alone, without ``Bearer``.

        Raises:
            IdentityError: It proves nothing (``status`` 401), or proves someone who is not on the list (403).
            ProviderUnavailable: What verifies it could not be reached.
            ProviderTimeout: What verifies it did not answer in time.
        """
        ...


IDENTITY = Component[Identity]("adapter", "identity")
