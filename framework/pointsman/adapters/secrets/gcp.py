"""Secrets from Google Secret Manager, under the name ``gcp-secret-manager``.

Every call has one deadline for all its attempts, and runs in a thread: the client's asynchronous form is bound to the
first event loop of the process. A payload whose checksum does not fit is never handed on. Nothing is kept here: whoever
asks often caches.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated

import anyio
import google.auth
import google_crc32c
from anyio import to_thread
from google.api_core import exceptions as faults
from google.api_core.client_options import ClientOptions
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import GoogleAuthError
from google.cloud.secretmanager_v1 import ListSecretVersionsRequest, SecretPayload, SecretVersion
from google.cloud.secretmanager_v1 import SecretManagerServiceClient as Client
from pydantic import BaseModel, Field

from pointsman.adapters.secrets.names import check_name, decoded, encoded
from pointsman.adapters.secrets.protocol import LATEST, Secrets
from pointsman.errors import ProviderError, ProviderTimeout, ProviderUnavailable

_PROVIDER = "gcp-secret-manager"
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_TRANSIENT = (faults.ServiceUnavailable, faults.InternalServerError, faults.TooManyRequests, faults.Aborted)
_TOO_LATE = (TimeoutError, faults.DeadlineExceeded, faults.RetryError)
_ABSENT = (faults.NotFound, faults.FailedPrecondition)
"""There is no such secret or version, or the version was disabled or destroyed."""


class GcpSecretsSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of ``secrets/gcp-secret-manager``.

    Attributes:
        project: Id or number of the project that holds the secrets.
        endpoint: Host of the API; regional secrets have one of their own.
        timeout_s: For one call, all its attempts included.
    """

    project: Annotated[str, Field(pattern=r"^[a-z0-9.:-]{1,63}$")]
    endpoint: str = "secretmanager.googleapis.com"
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0


@contextmanager
def _translated(deed: str, timeout_s: float) -> Iterator[None]:
    """Bound one call, and turn the client's errors into ours."""
    asked = f"adapter/secrets={_PROVIDER}: expected an answer to {deed} within {timeout_s:g} s"
    try:
        with anyio.fail_after(timeout_s):
            yield
    except _TOO_LATE as error:
        raise ProviderTimeout(f"{asked}, found none.") from error
    except _ABSENT as error:
        raise ProviderError(
            f"adapter/secrets={_PROVIDER}: expected an enabled version for {deed}, found none.",
            hint="gcloud secrets versions list NAME",
        ) from error
    except (faults.Forbidden, faults.Unauthorized) as error:
        raise ProviderError(
            f"adapter/secrets={_PROVIDER}: expected leave for {deed}, found {type(error).__name__}.",
            hint="Grant roles/secretmanager.secretAccessor (to rotate: secretVersionAdder) to the service account.",
        ) from error
    except (*_TRANSIENT, GoogleAuthError) as error:
        raise ProviderUnavailable(f"{asked}, found {type(error).__name__}.") from error
    except faults.GoogleAPIError as error:
        raise ProviderError(f"{asked}, found {type(error).__name__}.") from error


class GcpSecrets(Secrets):
    """The secrets of one project; made by `gcp_secrets`, which closes the client."""

    def __init__(self, client: Client, settings: GcpSecretsSettings) -> None:
        self._client = client
        self._project = settings.project
        self._timeout_s = settings.timeout_s
        self._retry = Retry(
            predicate=if_exception_type(*_TRANSIENT), initial=0.1, maximum=1.0, multiplier=2.0, timeout=self._timeout_s
        )

    async def get_secret(self, name: str, version: str | None = None) -> str:
        """Return the value of a version: a number, an alias, or ``latest``.

        Raises:
            ProviderError: There is no such enabled version, it is empty or no UTF-8, or we may not read it.
            ProviderUnavailable: The service refused for now, or the payload arrived damaged.
            ProviderTimeout: It did not answer within ``timeout_s``.
        """
        path = f"{self._path(name)}/versions/{version or LATEST}"
        with _translated(f"reading {name!r}", self._timeout_s):
            payload = await to_thread.run_sync(self._access, path, abandon_on_cancel=True)
        return _text(name, payload)

    async def list_versions(self, name: str) -> Sequence[str]:
        """Return the numbers of the enabled versions, newest first; raises as `get_secret` does."""
        parent = self._path(name)
        with _translated(f"listing {name!r}", self._timeout_s):
            return await to_thread.run_sync(self._list, parent, abandon_on_cancel=True)

    async def rotate(self, name: str, value: str) -> str:
        """Add a version and return its number; never retried, since each try would add one.

        Raises:
            ProviderError: The secret does not exist, the value is empty or no text, or we may not write it.
            ProviderUnavailable: The service refused for now.
            ProviderTimeout: It did not answer within ``timeout_s``; the version may be there.
        """
        parent, data = self._path(name), encoded(name, value, _PROVIDER)
        with _translated(f"rotating {name!r}", self._timeout_s):
            return await to_thread.run_sync(self._add, parent, data, abandon_on_cancel=True)

    def _path(self, name: str) -> str:
        check_name(name, _PROVIDER)
        return f"projects/{self._project}/secrets/{name}"

    def _access(self, path: str) -> SecretPayload:
        return self._client.access_secret_version(name=path, retry=self._retry, timeout=self._timeout_s).payload

    def _list(self, parent: str) -> list[str]:
        request = ListSecretVersionsRequest(parent=parent, filter="state:ENABLED", page_size=250)
        found = self._client.list_secret_versions(request, retry=self._retry, timeout=self._timeout_s)
        return [_number(version) for version in found]

    def _add(self, parent: str, data: bytes) -> str:
        payload = SecretPayload(data=data, data_crc32c=google_crc32c.value(data))
        added = self._client.add_secret_version(parent=parent, payload=payload, retry=None, timeout=self._timeout_s)
        return _number(added)


def _number(version: SecretVersion) -> str:
    return version.name.rpartition("/")[2]


def _text(name: str, payload: SecretPayload) -> str:
    if "data_crc32c" not in payload or payload.data_crc32c != google_crc32c.value(payload.data):
        raise ProviderUnavailable(
            f"adapter/secrets={_PROVIDER}: expected the checksum of secret {name!r} to fit what arrived, found another."
        )
    return decoded(name, payload.data, _PROVIDER)


def connect(settings: GcpSecretsSettings) -> Client:
    """Make a client with the credentials of the place that we run in; blocks while it looks for them."""
    credentials, _ = google.auth.default(scopes=_SCOPES)
    return Client(credentials=credentials, client_options=ClientOptions(api_endpoint=settings.endpoint))


@asynccontextmanager
async def gcp_secrets(
    settings: GcpSecretsSettings, connect: Callable[[GcpSecretsSettings], Client] = connect
) -> AsyncGenerator[GcpSecrets]:
    """Make the client, and close it at the end; the first answer is the first proof that it works.

    Raises:
        ProviderUnavailable: There are no credentials.
        ProviderTimeout: They were not found within ``timeout_s``.
    """
    with _translated("finding credentials", settings.timeout_s):
        client = await to_thread.run_sync(connect, settings, abandon_on_cancel=True)
    with client:
        yield GcpSecrets(client, settings)
