"""Keys are made once and shown without their seeds; a root says who may sign what, and how it goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pointsman.manifests.root import load_root, rotate
from tests.unit.cli.conftest import Shell


def test_a_new_key_is_its_owners_alone_and_never_overwritten(shell: Shell) -> None:
    said = shell("keys", "new", "keys/one.key", "--json")
    assert said.code == 0
    path = Path("keys/one.key")
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    assert path.read_text(encoding="ascii").strip().removeprefix("ed25519-seed:") not in said.out
    again = shell("keys", "new", "keys/one.key")
    assert again.code == 1
    assert "File exists" in again.err
    assert path.read_bytes() == before


def test_a_key_is_shown_by_its_public_half(shell: Shell) -> None:
    made = shell("keys", "new", "one.key", "--json").json
    assert shell("keys", "show", "one.key", "--json").json == made[0]
    assert made[0]["keyid"] in shell("keys", "show", "one.key").out


def test_a_root_names_keys_and_thresholds(shell: Shell, keys: Path) -> None:
    facts = shell("keys", "show", "root.dsse.json", "--json").json
    assert facts["version"] == 1
    assert facts["audience"] == {"service": "shop", "environment": "test"}
    assert {name: role["threshold"] for name, role in facts["roles"].items()} == {
        "root": 1, "manifest": 1, "release": 1, "control": 1,
    }  # fmt: skip
    assert "root 1 of epoch 1 for shop in test" in shell("keys", "show", "root.dsse.json").out


def test_a_root_without_enough_signatures_is_said_to_be_incomplete_until_others_sign(shell: Shell, keys: Path) -> None:
    other = shell("keys", "new", "keys/other.key", "--json").json[0]
    named = [word for role in ("manifest", "release", "control") for word in (f"--{role}", f"keys/{role}.key")]
    said = shell(
        "keys", "root", "two.dsse.json", "--root", "keys/root.key", "--root", other["public"], *named,
        "--threshold", "root=2", "--service", "shop", "--environment", "test", "--json",
    )  # fmt: skip
    assert said.code == 0
    assert said.json["complete"] is False
    assert "Not enough signatures yet" in said.err
    assert shell("keys", "show", "two.dsse.json").code == 1
    assert shell("manifest", "sign", "two.dsse.json", "--key", "keys/other.key").code == 0
    assert shell("keys", "show", "two.dsse.json", "--json").json["roles"]["root"]["threshold"] == 2


def test_the_next_root_is_signed_by_both_and_keeps_what_is_not_named(shell: Shell, keys: Path) -> None:
    shell("keys", "new", "keys/control2.key", "keys/root2.key")
    said = shell(
        "keys", "root", "root2.dsse.json", "--rotate", "root.dsse.json", "--root", "keys/root2.key",
        "--control", "keys/control2.key", "--sign-with", "keys/root.key", "--new-epoch", "--json",
    )  # fmt: skip
    assert said.json["complete"] is True
    old = load_root(Path("root.dsse.json").read_bytes())
    new = rotate(old, Path("root2.dsse.json").read_bytes(), datetime.now(UTC))
    assert (new.version, new.epoch) == (2, 2)
    assert new.roles["manifest"] == old.roles["manifest"]
    assert new.roles["control"] != old.roles["control"]


def test_the_next_root_without_the_old_ones_signature_is_incomplete(shell: Shell, keys: Path) -> None:
    shell("keys", "new", "keys/root2.key")
    words = ("keys", "root", "root2.dsse.json", "--rotate", "root.dsse.json", "--root", "keys/root2.key", "--json")
    assert shell(*words).json["complete"] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--root", "keys/root.key"), "Expected the audience"),
        (("--root", "keys/root.key", "--service", "a", "--environment", "b"), "found none for manifest"),
        (("--threshold", "boss=2"), "Expected a threshold as role=number"),
        (("--root", "nowhere.key"), "nowhere.key"),
    ],
)
def test_a_root_that_would_not_do_is_refused(shell: Shell, keys: Path, words: tuple[str, ...], message: str) -> None:
    said = shell("keys", "root", "another.json", *words)
    assert said.code == 1
    assert message in said.err
    assert not Path("another.json").exists()


def test_a_key_in_two_roles_is_refused(shell: Shell, keys: Path) -> None:
    named = [word for role in ("root", "manifest", "release", "control") for word in (f"--{role}", "keys/root.key")]
    said = shell("keys", "root", "another.json", *named, "--service", "a", "--environment", "b")
    assert said.code == 1
    assert not Path("another.json").exists()
