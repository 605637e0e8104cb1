"""Secrets from the environment of the process; the embedded default.

Read at each call, never written.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from pointsman.adapters.secrets.names import check_latest, check_name, missing
from pointsman.adapters.secrets.protocol import LATEST, Secrets
from pointsman.errors import ProviderError


class EnvSecretsSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of ``secrets/env``.

    Attributes:
        prefix: Before every name: with ``APP_``, secret ``TOKEN`` is the variable ``APP_TOKEN``.
    """

    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]*$", max_length=100)] = ""


class EnvSecrets(Secrets):
    """Variables of one environment."""

    def __init__(self, settings: EnvSecretsSettings, environ: Mapping[str, str] = os.environ) -> None:
        self._prefix = settings.prefix
        self._environ = environ

    async def get_secret(self, name: str, version: str | None = None) -> str:
        """Return the value of a variable.

        Raises:
            ProviderError: It is unset or empty, or a version was asked for.
        """
        check_name(name, "env")
        check_latest(name, version, "env")
        if value := self._environ.get(self._prefix + name):
            return value
        raise missing(name, "env", f"the environment variable {self._prefix}{name}")

    async def list_versions(self, name: str) -> Sequence[str]:
        """Return ``("latest",)``; raises as `get_secret` does."""
        await self.get_secret(name)
        return (LATEST,)

    async def rotate(self, name: str, value: str) -> str:
        """Refuse: an environment belongs to who started the process.

        Raises:
            ProviderError: Always.
        """
        check_name(name, "env")
        raise ProviderError(
            f"adapter/secrets=env: expected a provider that can write, found the environment; {name!r} is unchanged.",
            hint="Deploy a new revision with the new value, or keep the secret in gcp-secret-manager.",
        )
