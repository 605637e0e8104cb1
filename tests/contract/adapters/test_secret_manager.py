"""What Secret Manager alone does: versions, checksums, deadlines, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from pointsman.adapters.secrets.gcp import GcpSecrets, GcpSecretsSettings, gcp_secrets
from pointsman.errors import ProviderError, ProviderTimeout, ProviderUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import SecretManager

pytestmark = pytest.mark.anyio


async def test_each_version_is_got_by_its_number_and_listed_newest_first(secret_manager: SecretManager) -> None:
    for value in (b"one", b"two", b"three", b"four"):
        secret_manager.add("TOKEN", value)
    secret_manager.disable("TOKEN", "3")
    async with secret_manager.secrets() as secrets:
        assert await secrets.get_secret("TOKEN", "1") == "one"
        assert await secrets.get_secret("TOKEN") == "four"
        assert await secrets.list_versions("TOKEN") == ["4", "2", "1"]
        with pytest.raises(ProviderError, match="expected an enabled version"):
            await secrets.get_secret("TOKEN", "3")
        assert await secrets.rotate("TOKEN", "five") == "5"


@pytest.mark.parametrize("fault", ["damage", "bare"])
async def test_a_payload_without_its_checksum_is_never_handed_on(secret_manager: SecretManager, fault: str) -> None:
    secret_manager.add("TOKEN", b"s3cret")
    setattr(secret_manager, fault, True)
    async with secret_manager.secrets() as secrets:
        with pytest.raises(ProviderUnavailable, match="checksum") as caught:
            await secrets.get_secret("TOKEN")
    assert "s3cret" not in str(caught.value)


async def test_bytes_that_are_no_text_are_refused_without_being_shown(secret_manager: SecretManager) -> None:
    secret_manager.add("TOKEN", b"s3cret\xff")
    async with secret_manager.secrets() as secrets:
        with pytest.raises(ProviderError, match="expected UTF-8") as caught:
            await secrets.get_secret("TOKEN")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_a_passing_fault_is_retried_when_reading_and_never_when_writing(secret_manager: SecretManager) -> None:
    secret_manager.add("TOKEN", b"one")
    async with secret_manager.secrets() as secrets:
        secret_manager.faults = [grpc.StatusCode.UNAVAILABLE]
        assert await secrets.get_secret("TOKEN") == "one"
        secret_manager.faults = [grpc.StatusCode.UNAVAILABLE]
        with pytest.raises(ProviderUnavailable):
            await secrets.rotate("TOKEN", "two")
    assert secret_manager.calls == ["AccessSecretVersion", "AccessSecretVersion", "AddSecretVersion"]


async def test_a_service_that_does_not_answer_is_given_up_at_the_deadline(secret_manager: SecretManager) -> None:
    secret_manager.hang = True
    async with secret_manager.secrets() as patient:  # a busy machine may need longer to make the client
        hasty = GcpSecrets(patient._client, GcpSecretsSettings(project="test", timeout_s=0.05))
        with pytest.raises(ProviderTimeout):
            await hasty.get_secret("TOKEN")


@pytest.mark.parametrize("code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED])
async def test_a_refusal_is_told_with_the_role_that_is_missing(
    secret_manager: SecretManager, code: grpc.StatusCode
) -> None:
    secret_manager.faults = [code]
    async with secret_manager.secrets() as secrets:
        with pytest.raises(ProviderError, match="secretAccessor") as caught:
            await secrets.get_secret("TOKEN")
    assert not caught.value.retryable


async def test_an_answer_that_nobody_foresaw_is_an_error_of_ours(secret_manager: SecretManager) -> None:
    secret_manager.faults = [grpc.StatusCode.INVALID_ARGUMENT]
    async with secret_manager.secrets() as secrets:
        with pytest.raises(ProviderError, match="InvalidArgument"):
            await secrets.get_secret("TOKEN")


async def test_without_credentials_nothing_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    with pytest.raises(ProviderUnavailable, match="finding credentials"):
        async with gcp_secrets(GcpSecretsSettings(project="test")):
            pass


async def test_credentials_are_those_of_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "user.json"
    file.write_text(
        '{"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r",'
        ' "quota_project_id": "test"}'
    )
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    async with gcp_secrets(GcpSecretsSettings(project="test", endpoint="127.0.0.1:1")) as secrets:
        with pytest.raises(ProviderError):
            await secrets.get_secret("../TOKEN")
