from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pointsman.adapters.secrets.file import FileSecrets, FileSecretsSettings
from pointsman.errors import ProviderError, ProviderUnavailable

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


@pytest.fixture
def secrets(folder: Path) -> FileSecrets:
    return FileSecrets(FileSecretsSettings(folder=folder, max_bytes=16))


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(
    ("body", "value"),
    [(b"a", "a"), (b"a\n", "a"), (b"a\n\n", "a\n"), (b" a\r\n", " a\r"), (b"x" * 16 + b"\n", "x" * 16)],
)
async def test_one_line_break_at_the_end_does_not_count(
    folder: Path, secrets: FileSecrets, body: bytes, value: str
) -> None:
    (folder / "TOKEN").write_bytes(body)
    assert await secrets.get_secret("TOKEN") == value


@pytest.mark.parametrize("body", [b"\n", b"x" * 17, b"x" * 17 + b"\n", b"x" * 10_000, b"s3cret\xff"])
async def test_what_is_empty_too_large_or_no_text_is_refused_without_being_shown(
    folder: Path, secrets: FileSecrets, body: bytes
) -> None:
    (folder / "TOKEN").write_bytes(body)
    with pytest.raises(ProviderError) as caught:
        await secrets.get_secret("TOKEN")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_link_out_of_the_folder_is_no_secret(tmp_path: Path, folder: Path, secrets: FileSecrets) -> None:
    (tmp_path / "outside").write_text("s3cret")
    (folder / "LINK").symlink_to(tmp_path / "outside")
    with pytest.raises(ProviderError, match="found none"):
        await secrets.get_secret("LINK")


async def test_links_within_the_folder_are_followed_as_mounted_volumes_have_them(
    folder: Path, secrets: FileSecrets
) -> None:
    (folder / "..2026_11").mkdir()
    (folder / "..2026_11" / "TOKEN").write_text("value")
    (folder / "..data").symlink_to("..2026_11")
    (folder / "TOKEN").symlink_to("..data/TOKEN")
    assert await secrets.get_secret("TOKEN") == "value"


async def test_a_folder_is_no_secret(folder: Path, secrets: FileSecrets) -> None:
    (folder / "TOKEN").mkdir()
    with pytest.raises(ProviderError, match="found none"):
        await secrets.get_secret("TOKEN")


async def test_a_link_that_leads_to_itself_is_unavailable_or_absent(folder: Path, secrets: FileSecrets) -> None:
    (folder / "LOOP").symlink_to("LOOP")
    with pytest.raises(ProviderError):
        await secrets.get_secret("LOOP")


async def test_a_new_value_takes_the_place_of_the_old_in_one_step_for_its_owner_alone(
    folder: Path, secrets: FileSecrets
) -> None:
    (folder / "TOKEN").write_text("old")
    assert await secrets.rotate("TOKEN", "new") == "latest"
    assert await secrets.get_secret("TOKEN") == "new"
    assert (folder / "TOKEN").stat().st_mode & 0o777 == 0o600
    assert names(folder) == ["TOKEN"]


@pytest.mark.parametrize("value", ["x" * 17, "s3cret\ud800"])
async def test_a_value_too_large_or_no_text_is_not_stored(folder: Path, secrets: FileSecrets, value: str) -> None:
    with pytest.raises(ProviderError) as caught:
        await secrets.rotate("TOKEN", value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert names(folder) == []


async def test_a_place_that_cannot_be_written_leaves_nothing_behind(folder: Path, secrets: FileSecrets) -> None:
    (folder / "TOKEN").mkdir()
    with pytest.raises(ProviderUnavailable):
        await secrets.rotate("TOKEN", "new")
    assert names(folder) == ["TOKEN"]


async def test_a_folder_that_is_not_there_is_not_well(tmp_path: Path, secrets: FileSecrets) -> None:
    gone = FileSecrets(FileSecretsSettings(folder=tmp_path / "gone"))
    assert (await secrets.health(), await gone.health()) == (True, False)
    with pytest.raises(ProviderUnavailable):
        await gone.rotate("TOKEN", "value")
