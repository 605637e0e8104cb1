"""Publish, go back, adopt, converge: what a release engineer does, on a file store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pointsman.cli.watching import changes
from tests.unit.cli.conftest import Said, Shell

SOURCE = "version: {version}\naudience: {{service: shop, environment: test}}\nselections: {{service/rates: {rates}}}\n"
STORE = ("--store", "file://./fleet", "--root", "root.dsse.json", "--key", "keys/release.key")


def signed(shell: Shell, version: int, rates: str = "bank") -> str:
    """Write a signed manifest, and return its file."""
    Path(f"m{version}.yml").write_text(SOURCE.format(version=version, rates=rates), encoding="utf-8")
    assert shell("manifest", "pack", f"m{version}.yml").code == 0
    assert shell("manifest", "sign", f"m{version}.json", "--key", "keys/manifest.key").code == 0
    return f"m{version}.dsse.json"


def published(shell: Shell, version: int, *words: str, rates: str = "bank") -> Said:
    return shell("manifest", "publish", signed(shell, version, rates), *STORE, *words, "--json")


@pytest.fixture
def fleet(shop: Shell, shell: Shell, keys: Path) -> Shell:
    """The shell of an application whose settings name a store, a root and a control key."""
    text = "control: {store: 'file://./fleet', key_file: keys/control.key}\n"
    with Path("settings/app.yml").open("a", encoding="utf-8") as file:
        file.write(text)
    Path("settings/trust.yml").write_text("root: root.dsse.json\n", encoding="utf-8")
    return shop


def test_a_release_names_the_newest_and_keeps_two_to_fall_back_to(shell: Shell, keys: Path) -> None:
    assert published(shell, 1).json["approved"] == [1]
    assert published(shell, 2).json["approved"] == [2, 1]
    published(shell, 3)
    fourth = published(shell, 4).json
    assert (fourth["release"], fourth["approved"]) == (4, [4, 3, 2])


def test_going_back_is_a_new_release(shell: Shell, keys: Path) -> None:
    first = published(shell, 1).json
    published(shell, 2)
    back = shell("manifest", "revert", "1", *STORE, "--json").json
    assert (back["release"], back["current"]) == (3, first["current"])
    by_digest = shell("manifest", "revert", back["current"]["digest"][:12], *STORE, "--json").json
    assert by_digest["release"] == 4
    assert shell("manifest", "revert", "7", *STORE).code == 1


def test_below_the_floor_nothing_is_approved(shell: Shell, keys: Path) -> None:
    published(shell, 1)
    raised = published(shell, 2, "--floor", "2").json
    assert (raised["floor"], raised["approved"]) == (2, [2])
    low = published(shell, 1)
    assert low.code == 1


def test_two_contents_under_one_version_are_refused(shell: Shell, keys: Path) -> None:
    published(shell, 1)
    other = published(shell, 1, rates="exchange")
    assert (other.code, other.json["code"]) == (1, "equivocation")


@pytest.mark.parametrize(
    ("key", "code"), [("keys/control.key", "bad-signature"), ("keys/manifest.key", "bad-signature")]
)
def test_a_key_of_another_role_publishes_nothing(shell: Shell, keys: Path, key: str, code: str) -> None:
    words = ("--store", "file://./fleet", "--root", "root.dsse.json", "--key", key, "--json")
    said = shell("manifest", "publish", signed(shell, 1), *words)
    assert (said.code, said.json["code"]) == (1, code)
    assert not Path("fleet/release").exists()


def test_a_manifest_that_nobody_signed_is_not_published(shell: Shell, keys: Path) -> None:
    signed(shell, 1)
    said = shell("manifest", "publish", "m1.json", *STORE, "--json")
    assert (said.code, said.json["code"]) == (1, "unsigned")


def test_without_a_key_or_a_store_it_is_said_what_is_missing(shop: Shell, shell: Shell, keys: Path) -> None:
    words = ("--root", "root.dsse.json")
    assert "--key release.key" in shell("manifest", "publish", signed(shell, 1), *words, "--store", "file://./f").err
    assert "--store" in shop("manifest", "publish", "m1.dsse.json", *words).err


def test_the_next_root_is_published_before_the_release_that_wants_it(fleet: Shell, shell: Shell) -> None:
    shell("keys", "new", "keys/release2.key")
    words = ("--rotate", "root.dsse.json", "--root", "keys/root.key", "--release", "keys/release2.key")
    assert shell("keys", "root", "root2.dsse.json", *words).code == 0
    place = ("--store", "file://./fleet", "--root", "root.dsse.json", "--new-root", "root2.dsse.json")
    old = shell("manifest", "publish", signed(shell, 1), *place, "--key", "keys/release.key", "--json")
    assert (old.code, old.json["code"]) == (1, "bad-signature")
    new = shell("manifest", "publish", "m1.dsse.json", *place, "--key", "keys/release2.key", "--json")
    assert new.json["root"] == 2
    assert fleet("head", "adopt", "--json").json["release"]["root"] == 2


def test_a_fleet_begins_with_a_release_and_a_head(fleet: Shell, shell: Shell) -> None:
    without = fleet("head", "adopt", "--json")
    assert (without.code, without.json["code"]) == (1, "store-not-found")
    published(shell, 1)
    assert fleet("remote-status", "--json").json["head"]["error"] == "store-not-found"
    assert fleet("remote-sync").code == 1
    adopted = fleet("head", "adopt", "--json").json
    assert (adopted["seq"], adopted["cseq"], adopted["release"]["version"]) == (1, 0, 1)
    again = fleet("head", "adopt", "--json")
    assert (again.code, again.json["code"]) == (1, "conflict")
    assert fleet("head", "show", "--json").json == adopted
    status = fleet("remote-status", "--json").json
    assert status["release"]["current"]["version"] == 1
    assert "release   1: manifest 1" in fleet("head", "show").out


def test_converging_says_what_would_be_taken_and_what_refused(fleet: Shell, shell: Shell) -> None:
    published(shell, 1)
    fleet("head", "adopt")
    taken = fleet("remote-sync", "--json")
    assert (taken.code, taken.json["manifest"]["version"], taken.json["refusals"]) == (0, 1, [])
    assert "took manifest 1" in fleet("remote-sync").out


def test_a_manifest_that_the_image_cannot_take_is_told_as_refused(fleet: Shell, shell: Shell) -> None:
    published(shell, 1, rates="nobody")
    fleet("head", "adopt")
    said = fleet("remote-sync", "--json")
    assert said.code == 1
    assert [refusal["error"] for refusal in said.json["refusals"]] == ["dangling-selection"]
    assert "dangling-selection" in fleet("remote-sync").out


def test_an_order_is_written_into_the_head_and_counts_for_the_next_look(fleet: Shell, shell: Shell) -> None:
    published(shell, 1)
    fleet("head", "adopt")
    assert fleet("explain", "service/rates", "--json").json["selected"] == "bank"
    swapped = fleet("swap", "service/rates", "fixed", "--reason", "try it", "--json")
    assert (swapped.code, swapped.json["cseq"], swapped.json["fleet"]) == (0, 1, "converging"), swapped.err
    explained = fleet("explain", "service/rates", "--json").json
    assert explained["selected"] == "fixed"
    assert "control fixed" in explained["layers"]
    paused = fleet("pause", "service/rates", "--tenant", "acme", "--reason", "vendor down", "--ttl", "600")
    assert "service/rates for acme: – → pause until" in paused.out
    assert fleet("activity", "--json").json[0]["tenant"] == "acme"
    assert "paused" in fleet("activity").out
    assert "use fixed for everyone (s1)" in fleet("head", "show").out
    fleet("pause", "service/rates", "--tenant", "acme", "--resume", "--reason", "back")
    fleet("swap", "service/rates", "--undo", "--reason", "back")
    assert fleet("head", "show", "--json").json["orders"] == []


def test_a_rehearsal_writes_nothing(fleet: Shell, shell: Shell) -> None:
    published(shell, 1)
    fleet("head", "adopt")
    said = fleet("drain", "service/rates", "--reason", "try", "--dry-run")
    assert "– → drain" in said.out
    assert "Nothing was changed" in said.out
    assert fleet("head", "show", "--json").json["cseq"] == 0


def test_a_stale_condition_is_refused(fleet: Shell, shell: Shell) -> None:
    published(shell, 1)
    fleet("head", "adopt")
    fleet("pause", "service/rates", "--reason", "one")
    said = fleet("pause", "service/rates", "--reason", "two", "--if-match", "s0", "--json")
    assert (said.code, said.json["code"]) == (1, "stale")
    assert fleet("pause", "service/rates", "--reason", "two", "--if-match", "*").code == 0


def test_a_command_under_one_key_is_applied_once(fleet: Shell, shell: Shell) -> None:
    published(shell, 1)
    fleet("head", "adopt")
    words = ("pause", "service/rates", "--reason", "one", "--idempotency-key", "k1", "--json")
    assert fleet(*words).json["cseq"] == fleet(*words).json["cseq"] == 1


def test_a_target_that_does_not_stand_is_refused_and_nothing_written(fleet: Shell, shell: Shell) -> None:
    published(shell, 1)
    fleet("head", "adopt")
    said = fleet("swap", "service/rates", "broken", "--reason", "try", "--json")
    assert (said.code, said.json["code"]) == (1, "activation-failed")
    assert fleet("head", "show", "--json").json["cseq"] == 0


def test_without_the_control_key_nothing_is_ordered(fleet: Shell, shell: Shell) -> None:
    published(shell, 1)
    fleet("head", "adopt")
    text = Path("settings/app.yml").read_text(encoding="utf-8")
    Path("settings/app.yml").write_text(text.replace(", key_file: keys/control.key", ""), encoding="utf-8")
    said = fleet("pause", "service/rates", "--reason", "x", "--json")
    assert (said.code, said.json["code"]) == (1, "read-only-replica")


@pytest.mark.skipif(os.name != "posix", reason="permissions")
def test_a_store_out_of_reach_is_told_and_what_the_image_says_is_shown(fleet: Shell, shell: Shell) -> None:
    said = fleet("explain", "service/rates", "--json")
    assert said.code == 0
    assert said.json["selected"] == "bank"
    assert "No head was taken" in said.err


async def test_a_watcher_tells_every_change_and_nothing_twice() -> None:
    fleet = Replica([{"seq": 1, "age_s": 0.1}, {"seq": 1, "age_s": 9.0}, {"seq": 2, "age_s": 0.1}])
    told = changes(fleet, 0.001)  # type: ignore[arg-type]
    assert await anext(told) == {"seq": 1, "age_s": 0.1}
    assert await anext(told) == {"seq": 2, "age_s": 0.1}
    assert fleet.refreshed == 2
    await told.aclose()


def test_a_part_of_the_subjects_is_led_to_another_provider(fleet: Shell, shell: Shell) -> None:
    published(shell, 1)
    fleet("head", "adopt")
    said = fleet("swap", "service/rates", "fixed", "--weight", "500", "--reason", "five percent")
    assert said.code == 0, said.err
    orders = fleet("head", "show", "--json").json["orders"]
    assert len(orders) == 1
    assert "fixed" in orders[0]["order"]
    assert "bank" in orders[0]["order"]


class Replica:
    """Shows one status after another."""

    def __init__(self, shown: list[dict[str, object]]) -> None:
        self._shown = shown
        self.refreshed = 0

    def status(self) -> dict[str, object]:
        return self._shown[self.refreshed]

    async def refresh(self) -> None:
        self.refreshed += 1
