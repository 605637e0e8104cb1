from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pointsman.errors import ConfigurationError, UntrustedRoot, WrongType
from pointsman.manifests.canonical import encode
from pointsman.manifests.drafts import Heading, draft_root
from pointsman.manifests.keys import PublicKey
from pointsman.manifests.limits import Limits
from pointsman.manifests.root import ROLES, load_root, rotate
from pointsman.manifests.schema import Role, RoleName
from tests.forge import AUDIENCE, DAY, NOW, Forge, key

FORGE = Forge()
ROOT = FORGE.root()


def test_a_root_says_who_may_sign_what() -> None:
    root = load_root(FORGE.sealed(ROOT))
    assert (root.version, root.epoch, root.audience, root.anchor) == (1, 1, AUDIENCE, ROOT.issued_at)
    assert set(root.roles) == {"root", "manifest", "release", "control"}
    assert root.roles["manifest"].keys == tuple(pair.public for pair in FORGE.holders["manifest"])
    with pytest.raises(TypeError):
        root.roles["manifest"] = root.roles["root"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"roles": {name: role for name, role in ROOT.roles.items() if name != "control"}}, "no control"),
        ({"roles": {**ROOT.roles, "release": Role(keyids=("0" * 64,), threshold=1)}}, "found 0000"),
        (
            {"roles": {**ROOT.roles, "release": Role(keyids=ROOT.roles["release"].keyids * 2, threshold=1)}},
            "each key once",
        ),
        ({"roles": {**ROOT.roles, "release": Role(keyids=ROOT.roles["release"].keyids, threshold=3)}}, "at most 2"),
        ({"expires": ROOT.issued_at}, "live"),
        ({"expires": ROOT.issued_at + 3651 * DAY}, "live"),
        ({"keys": {**ROOT.keys, key("x").keyid: "zz"}}, "Expected"),
    ],
)
def test_a_root_that_would_not_do_stops_the_start(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        load_root(FORGE.sealed(FORGE.root(**changes)))


def test_a_root_of_the_image_is_an_envelope_signed_by_itself() -> None:
    with pytest.raises(ConfigurationError, match="unsigned"):
        load_root(encode(ROOT))
    with pytest.raises(ConfigurationError, match="bad-signature"):
        load_root(FORGE.sealed(ROOT, *FORGE.holders["manifest"]))
    with pytest.raises(ConfigurationError, match="wrong-type"):
        load_root(FORGE.sealed(FORGE.manifest()))
    with pytest.raises(ConfigurationError, match="malformed"):
        load_root(b"")
    with pytest.raises(ConfigurationError, match="too-large"):
        load_root(FORGE.sealed(ROOT), Limits(max_root_bytes=100))


def test_a_key_that_no_role_names_may_stand_in_a_root() -> None:
    spare = {**ROOT.keys, key("spare").keyid: str(key("spare").public)}
    assert load_root(FORGE.sealed(FORGE.root(keys=spare)))


def test_a_root_is_drafted_from_the_keys_of_its_holders() -> None:
    heading = Heading(ROOT.version, ROOT.epoch, ROOT.issued_at, ROOT.expires, ROOT.audience)
    holders: dict[RoleName, tuple[PublicKey, ...]] = {
        name: tuple(pair.public for pair in FORGE.holders[name]) for name in ROLES
    }
    assert draft_root(heading, holders, {}) == ROOT
    careful = draft_root(heading, holders, {"root": 2})
    assert load_root(FORGE.sealed(careful, *FORGE.holders["root"])).roles["root"].threshold == 2


def test_roots_follow_each_other_one_by_one() -> None:
    root = load_root(FORGE.sealed(ROOT))
    for version in (2, 3, 4):
        root = rotate(root, FORGE.sealed(FORGE.root(version=version, issued_at=NOW)), NOW)
    assert (root.version, root.issued_at, root.anchor) == (4, NOW, ROOT.issued_at)


def test_an_expired_root_is_still_followed() -> None:
    root = load_root(FORGE.sealed(FORGE.root(expires=NOW - DAY)))
    assert root.expired(NOW)
    assert not rotate(root, FORGE.sealed(FORGE.root(version=2)), NOW).expired(NOW)


def test_only_a_root_follows_a_root() -> None:
    with pytest.raises(WrongType):
        rotate(FORGE.trust_root, FORGE.sealed(FORGE.release()), NOW)
    with pytest.raises(UntrustedRoot):
        rotate(FORGE.trust_root, FORGE.sealed(FORGE.root(version=2), key("stranger")), NOW)


def test_a_root_may_be_issued_a_little_ahead_of_the_clock() -> None:
    data = FORGE.sealed(FORGE.root(version=2, issued_at=NOW + timedelta(seconds=300)))
    assert rotate(FORGE.trust_root, data, NOW)
