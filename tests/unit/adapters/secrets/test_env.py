from __future__ import annotations

import pytest
from pydantic import ValidationError

from pointsman.adapters.secrets.env import EnvSecrets, EnvSecretsSettings


async def test_the_environment_is_read_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = EnvSecrets(EnvSecretsSettings())
    monkeypatch.setenv("POINTSMAN_TEST_SECRET", "old")
    assert await secrets.get_secret("POINTSMAN_TEST_SECRET") == "old"
    monkeypatch.setenv("POINTSMAN_TEST_SECRET", "new")
    assert await secrets.get_secret("POINTSMAN_TEST_SECRET") == "new"


async def test_only_names_under_the_prefix_are_secrets() -> None:
    secrets = EnvSecrets(EnvSecretsSettings(prefix="APP_"), {"APP_TOKEN": "ours", "TOKEN": "theirs"})
    assert await secrets.get_secret("TOKEN") == "ours"


def test_a_prefix_that_no_variable_can_have_is_refused() -> None:
    with pytest.raises(ValidationError):
        EnvSecretsSettings(prefix="a b")
