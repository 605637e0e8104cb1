"""What every provider of secrets must do alike."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from pointsman.adapters.candidates import SHIPPED
from pointsman.adapters.secrets.env import EnvSecrets, EnvSecretsSettings
from pointsman.adapters.secrets.file import FileSecrets, FileSecretsSettings
from pointsman.errors import ProviderError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from conftest import SecretManager

    from pointsman.adapters.secrets.protocol import Secrets

CAN_ROTATE = {shipped.provider: "rotate" in shipped.capabilities for shipped in SHIPPED if shipped.key == "secrets"}
KEPT = {"TOKEN": "s3cret", "umlaut_1-x": "ü ☃\nsecond line", "EMPTY": ""}


@pytest.fixture(params=list(CAN_ROTATE))
async def secrets(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Secrets]:
    match request.param:
        case "env":
            yield EnvSecrets(EnvSecretsSettings(prefix="APP_"), {f"APP_{name}": value for name, value in KEPT.items()})
        case "file":
            for name, value in KEPT.items():
                (tmp_path / name).write_text(value)
            yield FileSecrets(FileSecretsSettings(folder=tmp_path))
        case _:
            async with AsyncExitStack() as stack:
                manager: SecretManager = request.getfixturevalue("secret_manager")
                for name, value in KEPT.items():
                    manager.add(name, value.encode())
                yield await stack.enter_async_context(manager.secrets())


@pytest.mark.parametrize("version", [None, "latest"])
async def test_the_newest_value_is_got(secrets: Secrets, version: str | None) -> None:
    assert await secrets.get_secret("TOKEN", version) == "s3cret"
    assert await secrets.get_secret("umlaut_1-x") == "ü ☃\nsecond line"


@pytest.mark.parametrize("name", ["ABSENT", "EMPTY"])
async def test_an_absent_secret_and_an_empty_one_are_refused_by_name(secrets: Secrets, name: str) -> None:
    with pytest.raises(ProviderError, match=name) as caught:
        await secrets.get_secret(name)
    assert not caught.value.retryable


@pytest.mark.parametrize("name", ["", "..", "../TOKEN", "a/b", "/etc/passwd", "a.b", "TOKEN\n", "ТOKEN", "x" * 256])
async def test_a_name_that_secret_manager_would_not_take_is_refused_everywhere(secrets: Secrets, name: str) -> None:
    with pytest.raises(ProviderError, match="expected a secret's name"):
        await secrets.get_secret(name)
    with pytest.raises(ProviderError, match="expected a secret's name"):
        await secrets.list_versions(name)
    with pytest.raises(ProviderError, match="expected a secret's name"):
        await secrets.rotate(name, "value")


async def test_a_version_that_is_not_kept_is_refused(secrets: Secrets) -> None:
    with pytest.raises(ProviderError):
        await secrets.get_secret("TOKEN", "17")


async def test_the_versions_listed_can_be_got(secrets: Secrets) -> None:
    versions = await secrets.list_versions("TOKEN")
    assert versions
    assert [await secrets.get_secret("TOKEN", version) for version in versions] == ["s3cret"] * len(versions)
    with pytest.raises(ProviderError):
        await secrets.list_versions("ABSENT")


@pytest.mark.parametrize("secrets", [name for name, able in CAN_ROTATE.items() if able], indirect=True)
async def test_a_rotated_secret_has_the_new_value_to_the_byte(secrets: Secrets) -> None:
    version = await secrets.rotate("TOKEN", "n3w\n")
    assert await secrets.get_secret("TOKEN", version) == await secrets.get_secret("TOKEN") == "n3w\n"


@pytest.mark.parametrize("secrets", [name for name, able in CAN_ROTATE.items() if not able], indirect=True)
async def test_who_does_not_say_that_it_rotates_refuses_to(secrets: Secrets) -> None:
    with pytest.raises(ProviderError, match="can write"):
        await secrets.rotate("TOKEN", "n3w")
    assert await secrets.get_secret("TOKEN") == "s3cret"


@pytest.mark.parametrize("value", ["", "n3w\ud800"])
async def test_a_value_that_is_empty_or_no_text_is_never_stored_nor_shown(secrets: Secrets, value: str) -> None:
    with pytest.raises(ProviderError) as caught:
        await secrets.rotate("TOKEN", value)
    assert "n3w" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert await secrets.get_secret("TOKEN") == "s3cret"
