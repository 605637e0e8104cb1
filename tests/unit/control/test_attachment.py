from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pointsman import Runtime, Settings
from pointsman.control.attachment import attached, believe
from pointsman.control.fleet import Fleet
from pointsman.control.settings import ControlSettings
from pointsman.errors import ConfigurationError, UntrustedRoot
from pointsman.manifests.envelope import sign_document
from pointsman.manifests.keys import generate, save_signing_key
from pointsman.manifests.root import ROLES
from pointsman.manifests.schema import Audience, Role, Root


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def runtime(environ: dict[str, str] | None = None, **sections: Any) -> Runtime:
    settings = Settings.load(service="notebook", environment="development", environ={}, **sections)
    return Runtime(settings, environ=environ or {}, plugins=False)


def made_root(audience: Audience) -> bytes:
    keys = {role: generate() for role in ROLES}
    now = datetime.now(UTC)
    document = Root(
        spec_version=1,
        epoch=1,
        version=1,
        issued_at=now,
        expires=now + timedelta(days=30),
        audience=audience,
        keys={key.keyid: key.public.raw.hex() for key in keys.values()},
        roles={role: Role(keyids=(key.keyid,), threshold=1) for role, key in keys.items()},
    )
    return sign_document(document, [keys["root"]])


async def test_without_a_store_there_is_no_fleet_and_the_image_serves() -> None:
    alone = runtime()
    async with attached(alone, {}) as fleet:
        assert fleet is None
        assert (alone.fleet, alone.catalog_stands) == (None, True)


async def test_with_a_store_routes_wait_for_a_head(tmp_path: Path) -> None:
    following = runtime({"STORE": f"file://{tmp_path}/fleet"}, control={"store": "${env:STORE}"})
    async with attached(following, {"K_REVISION": "notebook-7"}) as fleet:
        assert isinstance(fleet, Fleet)
        assert following.fleet is fleet
        assert following.catalog_stands is False
        assert following.is_stale()
        assert fleet.status()["revision"] == "notebook-7"


async def test_a_key_comes_from_a_variable_a_secret_or_a_file(tmp_path: Path) -> None:
    key = generate()
    save_signing_key(tmp_path / "control.key", key)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "CONTROL").write_text(key.text(), encoding="ascii")
    adapters = {"selections": {"secrets": "file"}, "provider_settings": {"secrets/file": {"folder": "secrets"}}}
    ways: list[tuple[dict[str, str], dict[str, Any]]] = [
        ({"KEY": key.text()}, {"control": {"key": "${env:KEY}"}}),
        ({}, {"control": {"key": "${secret:CONTROL}"}, "adapters": adapters}),
        ({}, {"control": {"key_file": str(tmp_path / "control.key")}}),
    ]
    for environ, sections in ways:
        one = runtime(environ, **sections)
        belief = await believe(one, {})
        assert belief.seal.key == key
        await one.stop()


async def test_a_root_that_is_not_there_is_told_with_its_path() -> None:
    missing = runtime(trust={"root": "root.json"})
    with pytest.raises(ConfigurationError, match=r"trust\.root: expected a file, found none at root\.json"):
        await believe(missing, {})


async def test_a_root_that_the_image_demands_and_nobody_has_stops_the_start(tmp_path: Path) -> None:
    audience = Audience("notebook", "development")
    (tmp_path / "root.json").write_bytes(made_root(audience))
    trust = {"root": "root.json", "min_root": 2}
    following = runtime(control={"store": f"file://{tmp_path}/fleet"}, trust=trust)
    with pytest.raises(UntrustedRoot, match="root 2"):
        async with attached(following, {}):
            pass


async def test_outside_of_development_a_root_is_demanded() -> None:
    settings = Settings.load(service="notebook", environment="production", environ={})
    with pytest.raises(ConfigurationError, match="Expected a trust root"):
        await believe(Runtime(settings, plugins=False), {})


def test_a_hard_limit_below_the_soft_one_is_refused() -> None:
    settings = Settings.load(environ={}, control={"soft_limit_s": 60, "hard_limit_s": 30})
    with pytest.raises(ConfigurationError):
        settings.section(ControlSettings)
