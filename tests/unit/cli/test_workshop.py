"""A folder with a deployment: made once, used again, and anew where it has aged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pointsman.cli.files import read_manifest
from pointsman.cli.loopback import new_token
from pointsman.cli.releasing import press
from pointsman.cli.workshop import Workshop, reference_service
from pointsman.errors import ConfigurationError
from pointsman.manifests.keys import load_signing_key
from pointsman.runtime.settings import Settings

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "state", CHECKOUT, f"file://{tmp_path / 'fleet'}")


async def published(workshop: Workshop) -> tuple[int, int]:
    """Return version of the release, and of the manifest that it names."""
    async with press(workshop.store, workshop.folder / "root.dsse.json", "") as on:
        found = await on.publisher.current()
    assert found is not None
    release = found.document
    return release.version, next(entry.version for entry in release.approved if entry.digest == release.current)


def test_the_manifest_says_what_the_tenants_file_says(workshop: Workshop) -> None:
    workshop.lay_out(new_token())
    manifest = read_manifest(workshop.folder / "manifest.dsse.json")
    assert list(manifest.tenants) == ["acme", "globex", "initech"]
    assert manifest.tenants["acme"].selections == {"service/summarizer": "keywords"}
    assert not (workshop.folder / "settings" / "tenants.yml").exists()


def test_the_settings_hold_a_digest_and_no_token(workshop: Workshop) -> None:
    token = new_token()
    workshop.lay_out(token)
    settings = Settings.load(workshop.folder / "settings", environ={})
    assert (settings.service, settings.environment) == ("notebook", "demo")
    for path in workshop.folder.rglob("*.*"):
        assert path.is_dir() or token.encode() not in path.read_bytes()
    for role in ("root", "manifest", "release", "control"):
        path = workshop.folder / "keys" / f"{role}.key"
        assert path.stat().st_mode & 0o777 == 0o600
        load_signing_key(path)


async def test_what_is_published_and_fresh_is_left_as_it_is(workshop: Workshop) -> None:
    workshop.lay_out(new_token())
    await workshop.publish()
    assert await published(workshop) == (1, 1)
    workshop.lay_out(new_token())
    await workshop.publish()
    assert await published(workshop) == (1, 1)


async def test_a_manifest_that_is_gone_is_followed_by_the_next_version(workshop: Workshop) -> None:
    workshop.lay_out(new_token())
    await workshop.publish()
    (workshop.folder / "manifest.dsse.json").unlink()
    workshop.lay_out(new_token())
    await workshop.publish()
    assert await published(workshop) == (2, 2)


def test_the_reference_service_is_here_or_in_the_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert reference_service() == CHECKOUT


def test_a_checkout_without_its_tenants_is_told(tmp_path: Path) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "app.yml").write_text(json.dumps({"service": "x"}), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"tenants\.yml"):
        Workshop(tmp_path / "state", tmp_path, "file:///nowhere").lay_out(new_token())
